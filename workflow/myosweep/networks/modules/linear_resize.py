"""Linear interpolation between lattices, as torch's own, whose gradient on a GPU is not deterministic."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def linear_resize(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Bring (case, channel, z, y, x) to the size `shape` along (z, y, x).

    Both lattices fill the same box; voxel i of n has its centre at (i + 1/2) / n of it, and beyond the
    outermost centres values are constant: `torch.nn.functional.interpolate` with trilinear and align_corners
    False.
    """
    for axis, size in enumerate(shape, start=2):
        if volume.shape[axis] != size:
            weights = _weights(volume.shape[axis], size).to(volume)
            volume = (volume.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return volume.contiguous()


def _weights(old: int, new: int) -> torch.Tensor:
    """(new, old): the weight of each old voxel in each new one."""
    place = ((torch.arange(new, device="cpu", dtype=torch.float64) + 0.5) * old / new - 0.5).clamp(0, old - 1)
    distance = (place[:, None] - torch.arange(old, device="cpu", dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0)
