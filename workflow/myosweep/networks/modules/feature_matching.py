"""Where the image looks like what the mask covered: three ways to fuse the two streams of a Siamese network.

All take maps of the image and of the mask, each (slice * case, channels, y, x), and give as many channels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from myosweep.networks.modules.slices import Conv


class GlobalMatching(nn.Module):
    """Large separable kernels in two orders (Peng et al. 2017; Al Chanti et al. 2021, fig. 4).

    [w, 1, 1], [1, f, 1], [1, 1, f] one after the other, added to [w, 1, 1], [1, 1, f], [1, f, 1]. The paper
    draws no activation between them, and there is none here.
    """

    def __init__(self, channels: int, window: int, extent: int) -> None:
        super().__init__()
        deep, high, wide = (window, 1, 1), (1, extent, 1), (1, 1, extent)
        self.paths = nn.ModuleList(
            nn.ModuleList(
                Conv(2 * channels if kernel is deep else channels, channels, kernel) for kernel in order
            )
            for order in ((deep, high, wide), (deep, wide, high))
        )

    def forward(self, image: torch.Tensor, mask: torch.Tensor, depth: int) -> torch.Tensor:
        """The sum of both orders."""
        both = torch.cat([image, mask], dim=1)
        results = []
        for path in self.paths:
            maps = both
            for conv in path:  # type: ignore[attr-defined]
                maps = conv(maps, depth)
            results.append(maps)
        return results[0] + results[1]


class Concatenation(nn.Module):
    """Both streams side by side, mixed voxel by voxel: the ablation C of the thesis (fig. 2.8)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = Conv(2 * channels, channels)

    def forward(self, image: torch.Tensor, mask: torch.Tensor, depth: int) -> torch.Tensor:
        """The mixture."""
        result: torch.Tensor = self.mix(torch.cat([image, mask], dim=1), depth)
        return result


class Correlation(nn.Module):
    """Cross-correlation of the two streams, channel by channel: the ablation CC of the thesis (fig. 2.8).

    Each slice of the mask's maps is the kernel for the same slice of the image's, as in Dunnhofer et al.
    (2020); zero-padded, divided by the number of voxels. Nothing is learned.
    """

    def forward(self, image: torch.Tensor, mask: torch.Tensor, depth: int) -> torch.Tensor:
        """The correlation at every shift from minus to plus half a map."""
        count, channels, rows, columns = image.shape
        top, left = (rows - 1) // 2, (columns - 1) // 2
        maps = functional.pad(image, (left, columns - 1 - left, top, rows - 1 - top))
        maps = functional.conv2d(
            maps.reshape(1, count * channels, *maps.shape[2:]),
            mask.reshape(count * channels, 1, rows, columns) / (rows * columns),
            groups=count * channels,
        )
        return maps.reshape(image.shape)


class Residual(nn.Module):
    """A residual block with activations first (He et al. 2016, identity mappings): two 3 x 3 x 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels, (3, 3, 3))
        self.second = Conv(channels, channels, (3, 3, 3))

    def forward(self, slices: torch.Tensor, depth: int) -> torch.Tensor:
        """(slice * case, channels, y, x) to the same."""
        maps = self.first(functional.relu(slices), depth)
        result: torch.Tensor = slices + self.second(functional.relu(maps), depth)
        return result
