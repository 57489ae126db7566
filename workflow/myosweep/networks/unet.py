"""The U-Net of Cicek et al. (2016) in MONAI's residual form (Kerfoot et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from myosweep.errors import InputError

if TYPE_CHECKING:
    from torch import nn

TRAINING: dict[str, Any] = {}

# Gonzalez Duque 2024, part III, chapter 2 (distinct and completed borders), at patches of 96 voxels. It names
# no convolutions per block; MONAI's default are plain ones.
PRESETS: dict[str, dict[str, Any]] = {
    "border": {
        "channels": (8, 16, 16, 32, 32, 64, 64),
        "strides": (1, 2, 1, 2, 1, 2),
        "residual_units": 0,
        "norm": "batch",
        "dropout": 0.2,
    }
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
    dropout
        Share of the features that is dropped in training, 0 to below 1.
    """

    channels: Sequence[int] = (16, 32, 64, 128)
    strides: Sequence[Any] = (2, 2, 2)
    residual_units: int = 2
    norm: str = "instance"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        where = "settings of unet"
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise InputError(
                f"{where}, channels",
                f"{list(self.channels)}",
                "two or more positive numbers",
                "give one per level",
            )
        if len(self.strides) != len(self.channels) - 1:
            raise InputError(
                f"{where}, strides",
                f"{len(self.strides)} for {len(self.channels)} levels",
                "one fewer than channels",
                "give one stride between each level and the next",
            )
        if self.norm not in ("instance", "batch"):
            raise InputError(f"{where}, norm", f"'{self.norm}'", "instance or batch", "correct it")
        if not 0 <= self.dropout < 1:
            raise InputError(
                f"{where}, dropout", f"{self.dropout}", "a share from 0 to below 1", "correct it"
            )


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    z, y, x = np.prod([np.broadcast_to(stride, 3) for stride in settings.strides], axis=0)
    return int(z), int(y), int(x)


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from monai.networks.nets.unet import UNet

    strides: Any = tuple(tuple(np.broadcast_to(stride, 3).tolist()) for stride in settings.strides)
    network: nn.Module = UNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=tuple(settings.channels),
        strides=strides,
        num_res_units=settings.residual_units,
        act=("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
        norm=(settings.norm, {"affine": True}),
        dropout=settings.dropout,
    )
    return network
