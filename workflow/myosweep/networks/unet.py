"""The U-Net of Cicek et al. (2016) in MONAI's residual form (Kerfoot et al. 2019).

A level's units are residual, y = W x + F(x), F convolutions of 3 x 3 x 3, each with norm, dropout and
activation; the first has the level's stride, in place of the source's max-pooling. On the way up the maps of
a level and of what lies below it are joined and go through a transposed convolution.

MONAI's own activation is PReLU, one learned slope for all maps; the default here is a leaky ReLU of slope
0.01 in its place, which needs no copy of the maps. The preset `border` has MONAI's, as the border paper names
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.networks.border_paper import BORDER_TRAINING
from myosweep.networks.levels import check_dropout, check_levels, each_axis, multiple_of_strides

if TYPE_CHECKING:
    from torch import nn

TRAINING: dict[str, Any] = {}

# No convolutions per block are named; MONAI's default are plain ones.
PRESETS: dict[str, dict[str, Any]] = {
    "border": {
        "channels": (8, 16, 16, 32, 32, 64, 64),
        "strides": (1, 2, 1, 2, 1, 2),
        "residual_units": 0,
        "norm": "batch",
        "activation": "prelu",
        "dropout": 0.2,
        **BORDER_TRAINING,
    }
}

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
    "prelu": ("prelu", {}),
}


@dataclass(frozen=True)
class Settings:
    """Settings of the U-Net.

    Attributes
    ----------
    channels
        Feature maps per level, from the finest on.
    strides
        Between level and level, and before the first: one per level but the last; a number or three along (z,
        y, x).
    residual_units
        Convolutions per residual block; 0 for plain blocks.
    norm
        `instance` or `batch`. Batches hold one case, so instance.
    activation
        `leaky_relu` (slope 0.01) or `prelu`.
    dropout
        Share of the features that is dropped in training, 0 to below 1.
    """

    channels: Sequence[int] = (16, 32, 64, 128)
    strides: Sequence[Any] = (2, 2, 2)
    residual_units: int = 2
    norm: str = "instance"
    activation: str = "leaky_relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_levels("unet", self.channels, self.strides)
        check_dropout("unet", self.dropout)
        if type(self.residual_units) is not int or self.residual_units < 0:
            raise InputError(
                "settings of unet, residual_units",
                repr(self.residual_units),
                "a whole number from 0",
                "correct it",
            )
        if self.norm not in ("instance", "batch"):
            raise InputError("settings of unet, norm", f"'{self.norm}'", "instance or batch", "correct it")
        if self.activation not in _ACTIVATIONS:
            raise InputError(
                "settings of unet, activation",
                f"'{self.activation}'",
                " or ".join(_ACTIVATIONS),
                "correct it",
            )


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    return multiple_of_strides(settings.strides)


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from monai.networks.nets.unet import UNet

    network: nn.Module = UNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=tuple(settings.channels),
        strides=each_axis(settings.strides),  # type: ignore[arg-type]
        num_res_units=settings.residual_units,
        act=_ACTIVATIONS[settings.activation],
        norm=(settings.norm, {"affine": True}),
        dropout=settings.dropout,
    )
    return network
