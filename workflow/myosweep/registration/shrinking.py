"""Volumes at the spacing of registration, read from files a slab at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.geometry import Grid
from myosweep.io.slabs import read_slabs
from myosweep.io.volumes import Volume, read_grid


@dataclass(frozen=True)
class Shrunk:
    """A volume at the spacing of registration.

    Attributes
    ----------
    values
        float32; the mean of the known voxels where nothing is known, so that smoothing makes no edge there.
    known
        uint8, 1 where at least half of a block is covered.
    """

    values: Volume
    known: Volume

    @property
    def grid(self) -> Grid:
        """The grid of both."""
        return self.values.grid


def shrink(volume: str | Path, coverage: str | Path, spacing_mm: float) -> Shrunk:
    """Means over blocks of whole voxels that measure about `spacing_mm`, read from files a slab at a time.

    Parameters
    ----------
    volume
        Grey values, (z, y, x).
    coverage
        On the same grid: 0 where nothing is known.
    spacing_mm
        The spacing to register at; a volume that is coarser stays as it is.
    """
    grid = read_grid(volume)
    factor = _factor(grid, spacing_mm)
    slabs = zip(read_slabs(volume, factor[2])[1], read_slabs(coverage, factor[2])[1], strict=True)
    return _block_means(((grey, pixels != 0) for grey, pixels in slabs), grid, factor)


def shrink_further(shrunk: Shrunk, spacing_mm: float) -> Shrunk:
    """The same of what was shrunk before; itself where it is as coarse already."""
    factor = _factor(shrunk.grid, spacing_mm)
    if factor == [1, 1, 1]:
        return shrunk
    values, known = shrunk.values.array, shrunk.known.array
    starts = range(0, len(values), factor[2])
    slabs = ((values[z : z + factor[2]], known[z : z + factor[2]] != 0) for z in starts)
    return _block_means(slabs, shrunk.grid, factor)


def smoothed(shrunk: Shrunk, sigma_mm: float) -> Shrunk:
    """Gaussian means over what is known (normalised convolution, Knutsson and Westin 1993)."""
    sigma = sigma_mm / np.asarray(shrunk.grid.spacing[::-1])
    weight = shrunk.known.array.astype(np.float32)
    values = shrunk.values.array * weight
    for array in (values, weight):
        ndimage.gaussian_filter(array, sigma, output=array, truncate=3, mode="constant")
    np.divide(values, weight, out=values, where=weight > 1e-3)
    return Shrunk(Volume(values, shrunk.grid), shrunk.known)


def _factor(grid: Grid, spacing_mm: float) -> list[int]:
    return [
        min(count, max(1, round(spacing_mm / spacing)))
        for count, spacing in zip(grid.size, grid.spacing, strict=True)
    ]


def _block_means(
    slabs: Iterable[tuple[NDArray[Any], NDArray[np.bool_]]], grid: Grid, factor: list[int]
) -> Shrunk:
    size = [count // by for count, by in zip(grid.size, factor, strict=True)]
    values = np.zeros(size[::-1], dtype=np.float32)
    known = np.zeros(size[::-1], dtype=np.uint8)
    split = (factor[2], size[1], factor[1], size[0], factor[0])
    part = np.s_[:, : size[1] * factor[1], : size[0] * factor[0]]
    for z, (grey, covered) in zip(range(size[2]), slabs, strict=False):
        covered = covered[part]
        count = covered.reshape(split).sum(axis=(0, 2, 4))
        total = np.where(covered, grey[part], 0).reshape(split).sum(axis=(0, 2, 4), dtype=np.float64)
        known[z] = 2 * count >= np.prod(factor)
        values[z] = total / np.maximum(count, 1)
    inside = known > 0
    values[~inside] = values[inside].mean(dtype=np.float64) if inside.any() else 0.0
    old, by = np.asarray(grid.spacing), np.asarray(factor)
    spacing = old * by
    small = Grid(
        (size[0], size[1], size[2]),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        grid.origin + grid.direction @ ((by - 1) / 2 * old),
        grid.direction,
    )
    return Shrunk(Volume(values, small), Volume(known, small))
