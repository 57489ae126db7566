"""The V-Net of Milletari et al. (2016), as MONAI has it.

A stage of n convolutions F of 5 x 5 x 5 is residual, y = x + F_n(... F_1(x)); after the first 16 maps n is
1, 2, 3 and 2 for 32, 64, 128 and 256 maps. Between stages there are convolutions of 2 x 2 x 2 with stride 2,
and transposed ones on the way up, where the maps of the way down are joined.

Where MONAI differs from the source: batch norm after each convolution, ELU in place of PReLU, and dropout at
the two deepest levels. The source's Dice has sums of squares below; the loss here is `training.losses`, the
same for all networks that are compared. It takes 1, 2, 4, 8 or 16 channels; others are filled up with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.networks.levels import check_dropout

if TYPE_CHECKING:
    from torch import nn

TRAINING: dict[str, Any] = {"learning_rate": 1e-3}


@dataclass(frozen=True)
class Settings:
    """Settings of the V-Net.

    Attributes
    ----------
    dropout
        Share of the feature maps that is dropped in training, 0 to below 1; MONAI's default is 0.5.
    """

    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_dropout("vnet", self.dropout)


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    return 16, 16, 16


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits.

    Raises
    ------
    InputError
        More than 16 channels.
    """
    from monai.networks.nets.vnet import VNet

    from myosweep.networks.modules.padded_channels import PaddedChannels

    if in_channels > 16:
        raise InputError("vnet", f"{in_channels} channels", "at most 16", "give fewer")
    taken = next(count for count in (1, 2, 4, 8, 16) if count >= in_channels)
    share = settings.dropout
    network = VNet(
        spatial_dims=3,
        in_channels=taken,
        out_channels=out_channels,
        dropout_prob_down=share,
        dropout_prob_up=(share, share),
    )
    return PaddedChannels(network, taken)
