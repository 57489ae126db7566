"""Atrous separable convolutions in three dimensions, at several rates side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from myosweep.networks.modules.slices import Conv, Norm


class Separable(nn.Module):
    """A 3 x 3 x 3 filter per channel, dilated by `rate`, then a mixture of the channels (Chen et al. 2018).

    It reaches 2 rate + 1 voxels along each axis.
    """

    def __init__(self, inputs: int, outputs: int, rate: int = 1) -> None:
        super().__init__()
        self.depthwise = Conv(inputs, inputs, (3, 3, 3), rate=rate, depthwise=True, bias=False)
        self.pointwise = Conv(inputs, outputs)

    def forward(self, slices: torch.Tensor, depth: int) -> torch.Tensor:
        """(slice * case, inputs, y, x) to (slice * case, outputs, y, x)."""
        size = (depth, slices.shape[2], slices.shape[3])
        if max(size) <= self.depthwise.rate:
            # Only the middle tap meets voxels: both are one mixture.
            scale = self.depthwise.useful(size)[0].flatten()
            mixture = self.pointwise.weight[:, :, 0] * scale[:, None, None]
            return functional.conv2d(slices, mixture, self.pointwise.bias)
        result: torch.Tensor = self.pointwise(self.depthwise(slices, depth), depth)
        return result


class Pyramid(nn.Module):
    """Separable convolutions at several rates, their maps put side by side; then a norm and ReLU.

    The maps are shared out between the rates as evenly as can be, the finer ones first: 30 maps at four
    rates are 8, 8, 7 and 7.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        shares = [(outputs + len(rates) - 1 - place) // len(rates) for place in range(len(rates))]
        self.branches = nn.ModuleList(
            Separable(inputs, share, rate) for share, rate in zip(shares, rates, strict=True)
        )
        self.norm = Norm(outputs)

    def forward(self, slices: torch.Tensor, depth: int) -> torch.Tensor:
        """(slice * case, inputs, y, x) to (slice * case, outputs, y, x)."""
        maps = torch.cat([branch(slices, depth) for branch in self.branches], dim=1)
        return functional.relu(self.norm(maps))
