"""Residual blocks of two convolutions in the plane of an image."""

from __future__ import annotations

import torch
from torch import nn


def convolution(in_maps: int, maps: int, *, separable: bool) -> nn.Module:
    """A 3 x 3 convolution that keeps the size, without bias.

    Separable: a 3 x 3 filter per map, then 1 x 1 across the maps (Chollet 2017), 9 a + a b weights for a maps
    in and b out; else 9 a b.
    """
    if not separable:
        return nn.Conv2d(in_maps, maps, 3, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(in_maps, in_maps, 3, padding=1, groups=in_maps, bias=False),
        nn.Conv2d(in_maps, maps, 1, bias=False),
    )


def normalisation(maps: int, kind: str) -> nn.Module:
    """Batch norm; with `window`, evaluation takes the statistics of the images at hand, too."""
    return nn.BatchNorm2d(maps, track_running_stats=kind == "batch")


class ResidualBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm, plus a 1 x 1 convolution and norm of the input; ReLU.

    Parameters
    ----------
    in_maps, maps
        Maps in and out.
    separable
        Whether both 3 x 3 convolutions are depthwise-separable.
    norm
        See `normalisation`.
    """

    def __init__(self, in_maps: int, maps: int, *, separable: bool, norm: str = "batch") -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(in_maps, maps, separable=separable),
            normalisation(maps, norm),
            nn.ReLU(inplace=True),
            convolution(maps, maps, separable=separable),
            normalisation(maps, norm),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(in_maps, maps, 1, bias=False), normalisation(maps, norm))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (image, in_maps, y, x) to (image, maps, y, x)."""
        return torch.relu(self.body(images) + self.shortcut(images))
