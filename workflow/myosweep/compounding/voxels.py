"""Voxel nearest neighbour: every swept voxel takes the pixel that is nearest to it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.between import OPEN, columns_between, rows_between
from myosweep.compounding.distribution import Floats, Pixels, Weights


@njit(cache=True, nogil=True)
def take_nearest(
    frame: Pixels,
    weights: Weights,
    a: Floats,
    pixel_mm: tuple[float, float],
    reach_mm: float,
    within_mm: float,
    bottom: int,
    coverage: NDArray[np.float32],
    values: NDArray[np.float32],
    square: NDArray[np.float32],
) -> None:
    """Let voxels take a frame's pixels where these are nearer than what they have (Gee et al. 2003).

    frame: (row, column); weights: 0 where a pixel is no image, or empty; a: 3 x 4, voxel index to column, row
    and mm in front of the frame; pixel_mm: width and height of a pixel; reach_mm: how far voxels that are
    marked OPEN in coverage may be from the frame, within_mm: any; bottom: the slab's first slice; values,
    square: of the slab, (z, y, x), grey levels and squared distances in mm2. Of two pixels that are equally
    near the brighter one is taken.
    """
    nz, ny, nx = square.shape
    rows, columns = frame.shape
    above, below = a.copy(), a.copy()
    above[2, 3] += reach_mm
    below[2, 3] -= reach_mm
    for k in range(nz):
        z = k + bottom
        low, high = rows_between(z, above, below, ny, nx)
        for y in range(low, high + 1):
            first, last = columns_between(z, y, above, below, rows, columns, nx)
            for x in range(first, last + 1):
                away = a[2, 2] * z + a[2, 1] * y + a[2, 0] * x + a[2, 3]
                limit = reach_mm if coverage[k, y, x] == OPEN else within_mm
                if abs(away) > limit:
                    continue
                c = a[0, 2] * z + a[0, 1] * y + a[0, 0] * x + a[0, 3]
                r = a[1, 2] * z + a[1, 1] * y + a[1, 0] * x + a[1, 3]
                column, row = int(np.floor(c + 0.5)), int(np.floor(r + 0.5))
                if not (0 <= column < columns and 0 <= row < rows):
                    continue
                if weights.size and weights[row, column] == 0:
                    continue
                aside, along = (c - column) * pixel_mm[0], (r - row) * pixel_mm[1]
                new = np.float32(away * away + aside * aside + along * along)
                value = np.float32(frame[row, column])
                if new < square[k, y, x] or (new == square[k, y, x] and value > values[k, y, x]):
                    square[k, y, x] = new
                    values[k, y, x] = value


@njit(cache=True, nogil=True)
def finish_nearest(square: NDArray[np.float32], within_mm: float, coverage: NDArray[np.float32]) -> None:
    """Coverage of a slab: one pixel where it lies within a distance, else minus the distance, mm."""
    flat, weight = square.reshape(-1), coverage.reshape(-1)
    for i in range(flat.size):
        if flat[i] < np.inf:
            away = np.sqrt(flat[i])
            weight[i] = np.float32(1.0) if away <= within_mm else -away
