"""Networks that take certain numbers of channels only."""

from __future__ import annotations

import torch
from torch import nn


class PaddedChannels(nn.Module):
    """A network behind channels of zeros that make up the number it takes.

    Parameters
    ----------
    network
        Takes `channels` channels.
    channels
        As many or more than there are.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Map (case, channel, z, y, x) to what the network gives."""
        missing = self.channels - channels.shape[1]
        zeros = channels.new_zeros((len(channels), missing, *channels.shape[2:]))
        result: torch.Tensor = self.network(torch.cat((channels, zeros), dim=1))
        return result
