"""UNETR: a transformer for an encoder (Hatamizadeh et al. 2022), as MONAI has it.

Patches x_i become z_0 = (x_1 E, ..., x_N E) + E_pos; blocks z' = z + MSA(LN(z)), z = z' + MLP(LN(z')). What
comes out of the last block and of three before it is put back in place and goes through transposed
convolutions into a U-Net's decoder, whose finest level sees the volume itself.

The paper on distinct and completed borders (see `border_paper`) takes MONAI's defaults at 96 voxels, which
are the defaults here. Patches are 16 voxels wide and there are 12 blocks, as MONAI fixes them. A volume of
another size than `image_size` has its positions interpolated; best train at the size that is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.networks.border_paper import BORDER_TRAINING
from myosweep.networks.levels import check_dropout

if TYPE_CHECKING:
    from torch import nn

# Hatamizadeh et al. 2022: AdamW at 1e-4.
TRAINING: dict[str, Any] = {"learning_rate": 1e-4}

PATCH = 16

# The transformer norms over the numbers of a patch, the decoder over maps of two voxels a side or more.
SINGLE_VOXEL = True

PRESETS: dict[str, dict[str, Any]] = {"border": {"image_size": (96, 96, 96), **BORDER_TRAINING}}


@dataclass(frozen=True)
class Settings:
    """Settings of UNETR.

    Attributes
    ----------
    image_size
        Voxels along (z, y, x) for which positions are learned, multiples of 16.
    feature_size
        Feature maps at the finest level of the decoder.
    hidden_size
        Numbers per patch in the transformer, a multiple of `heads`.
    mlp_size
        Numbers inside its perceptrons.
    heads
        Attention heads.
    dropout
        Share of the transformer's features that is dropped in training, 0 to below 1.
    """

    image_size: Sequence[int] = (96, 96, 96)
    feature_size: int = 16
    hidden_size: int = 768
    mlp_size: int = 3072
    heads: int = 12
    dropout: float = 0.0

    def __post_init__(self) -> None:
        where = "settings of unetr"
        if len(self.image_size) != 3 or any(
            type(size) is not int or size < PATCH or size % PATCH for size in self.image_size
        ):
            raise InputError(
                f"{where}, image_size",
                f"{list(self.image_size)}",
                "three multiples of 16",
                "write [96, 96, 96]",
            )
        for name in ("feature_size", "hidden_size", "mlp_size", "heads"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"{where}, {name}", repr(value), "a positive whole number", "correct it")
        if self.hidden_size % self.heads:
            raise InputError(
                f"{where}, hidden_size",
                f"{self.hidden_size} with {self.heads} heads",
                "a multiple of heads",
                "correct either",
            )
        check_dropout("unetr", self.dropout)


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    return PATCH, PATCH, PATCH


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from monai.networks.nets.unetr import UNETR

    from myosweep.networks.modules.any_size_unetr import AnySizeUNETR

    network = UNETR(
        in_channels=in_channels,
        out_channels=out_channels,
        img_size=tuple(settings.image_size),
        feature_size=settings.feature_size,
        hidden_size=settings.hidden_size,
        mlp_dim=settings.mlp_size,
        num_heads=settings.heads,
        dropout_rate=settings.dropout,
    )
    return AnySizeUNETR(network)
