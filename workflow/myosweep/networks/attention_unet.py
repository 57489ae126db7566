"""The Attention U-Net of Oktay et al. (2018), as MONAI has it; with batch norm.

A gate weighs what a skip connection carries: x' = a x, a = sigmoid(psi(relu(W_x x + W_g g))), g the maps of
the level below. In the source W_x has a stride and a is enlarged; MONAI brings g to x's size first. The
source supervises all levels; here, as in MONAI, the last alone.

Its defaults are the channels of the paper on distinct and completed borders (see `border_paper`). Strides are
not told there; 2 is MONAI's example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myosweep.networks.border_paper import BORDER_TRAINING
from myosweep.networks.levels import check_dropout, check_levels, each_axis, multiple_of_strides

if TYPE_CHECKING:
    from torch import nn

TRAINING: dict[str, Any] = {"learning_rate": 1e-3}

PRESETS: dict[str, dict[str, Any]] = {
    "border": {"channels": (8, 16, 32, 64), "strides": (2, 2, 2), **BORDER_TRAINING}
}


@dataclass(frozen=True)
class Settings:
    """Settings of the Attention U-Net.

    Attributes
    ----------
    channels
        Feature maps per level, from the finest on.
    strides
        Between level and level: one per level but the last; a number or three along (z, y, x).
    dropout
        Share of the features that is dropped in training, 0 to below 1.
    """

    channels: Sequence[int] = (8, 16, 32, 64)
    strides: Sequence[Any] = (2, 2, 2)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_levels("attention_unet", self.channels, self.strides, least=2)
        check_dropout("attention_unet", self.dropout)


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    return multiple_of_strides(settings.strides)


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from monai.networks.nets.attentionunet import AttentionUnet

    network: nn.Module = AttentionUnet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=tuple(settings.channels),
        strides=each_axis(settings.strides),  # type: ignore[arg-type]
        dropout=settings.dropout,
    )
    return network
