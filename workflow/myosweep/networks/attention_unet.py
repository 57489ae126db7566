"""The Attention U-Net of Oktay et al. (2018), as MONAI has it; with batch norm.

Its defaults are the channels of Gonzalez Duque (thesis, 2024), part III, chapter 2 (distinct and completed
borders), at patches of 96 voxels. Strides are not told there; 2 is MONAI's example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from myosweep.errors import InputError

if TYPE_CHECKING:
    from torch import nn

TRAINING: dict[str, Any] = {"learning_rate": 1e-3}

PRESETS: dict[str, dict[str, Any]] = {"border": {"channels": (8, 16, 32, 64), "strides": (2, 2, 2)}}


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
        where = "settings of attention_unet"
        if len(self.channels) < 2 or min(self.channels) < 2:
            raise InputError(
                f"{where}, channels",
                f"{list(self.channels)}",
                "two or more numbers from 2",
                "give one per level",
            )
        if len(self.strides) != len(self.channels) - 1:
            raise InputError(
                f"{where}, strides",
                f"{len(self.strides)} for {len(self.channels)} levels",
                "one fewer than channels",
                "give one stride between each level and the next",
            )
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
    from monai.networks.nets.attentionunet import AttentionUnet

    strides: Any = tuple(tuple(np.broadcast_to(stride, 3).tolist()) for stride in settings.strides)
    network: nn.Module = AttentionUnet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=tuple(settings.channels),
        strides=strides,
        dropout=settings.dropout,
    )
    return network
