"""Atrous separable convolutions in three dimensions, at several rates side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from myosweep.networks.modules.slices import Conv, Keeping, Norm, Triple, beside_each_other, taps

# Filter and mixture are one convolution where that took 10 to 40 % less for a training step (torch 2.13, one
# thread of a Xeon): on any map with the fewest pairs of input and output, on maps of at most so many pixels
# with few, and on larger ones where the filter has one tap along the limb.
FEWEST, SMALL, FEW = 16, 256, 1024
SMALL_OF_ONE_TAP, FEW_OF_ONE_TAP = 2500, 512


class Separable(Keeping):
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
        if self._is_better_at_once(size):
            rate = self.depthwise.rate
            kernel = self._at_once(size)
            padding = [edge // 2 * rate for edge in kernel.shape[2:]]
            reach = taps(3, rate, depth)[1]
            slices = beside_each_other(slices, reach, reach, rate, len(slices) // depth)
            return functional.conv2d(slices, kernel, self.pointwise.bias, padding=padding, dilation=rate)
        result: torch.Tensor = self.pointwise(self.depthwise(slices, depth), depth)
        return result

    def _is_better_at_once(self, size: Triple) -> bool:
        """Whether filter and mixture take less time as one convolution.

        They do where there is little to compute in it, for each call has its price, and where only the middle
        tap meets voxels.
        """
        pixels, rate = size[1] * size[2], self.depthwise.rate
        pairs = self.pointwise.weight.shape[0] * self.pointwise.weight.shape[1]
        thin = rate >= size[0] and pixels <= SMALL_OF_ONE_TAP and pairs <= FEW_OF_ONE_TAP
        return pairs <= FEWEST or (pixels <= SMALL and pairs <= FEW) or thin or max(size) <= rate

    def _at_once(self, size: Triple) -> torch.Tensor:
        """Filter and mixture as one 2D kernel, (outputs, tap along the limb and input, y, x)."""
        if self.kept is not None and size in self.kept:
            found: torch.Tensor = self.kept[size]
            return found
        mixture = self.pointwise.weight[:, :, 0]
        kernel = torch.cat([mixture * tap[:, 0] for tap in self.depthwise.useful(size)], dim=1)
        if self.kept is not None:
            self.kept[size] = kernel
        return kernel


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
