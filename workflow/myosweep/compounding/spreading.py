"""Pixels given to all voxels within a radius, by distance; and frame by frame, for what is no mean.

Squared distance: w = (a / (d + a))^2, after Huang, Zheng, Lu and Chi 2005 ("Development of a portable 3D
ultrasound imaging system for musculoskeletal tissues"); Gaussian: w = exp(-d^2 / 2 s^2), after Meairs, Beyer
and Hennerici 2000 ("Reconstruction and visualization of irregularly sampled three- and four-dimensional
ultrasound data"). d is the distance of pixel and voxel in voxels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.distribution import ONE, Floats, Sums, Weights, span

NEAREST, TRILINEAR, SQUARED_DISTANCE, GAUSSIAN = 0, 1, 2, 3
KINDS = {
    "nearest": NEAREST,
    "trilinear": TRILINEAR,
    "squared_distance": SQUARED_DISTANCE,
    "gaussian": GAUSSIAN,
}
# Huang's alpha: how flat the weight is close to the pixel, voxels.
ALPHA = 0.5
# A frame that gives a voxel less than this part of a pixel does not stand for it.
SMALLEST_SHARE = ONE / 512


@njit(cache=True, inline="always")
def _weight(kind: int, dx: float, dy: float, dz: float, radius: float) -> float:
    if kind == NEAREST:
        return 1.0
    if kind == TRILINEAR:
        return max(0.0, 1 - abs(dx)) * max(0.0, 1 - abs(dy)) * max(0.0, 1 - abs(dz))
    square = dx * dx + dy * dy + dz * dz
    if square > radius * radius:
        return 0.0
    if kind == SQUARED_DISTANCE:
        return (ALPHA / (math.sqrt(square) + ALPHA)) ** 2
    # The radius is two standard deviations.
    return math.exp(-2 * square / (radius * radius))


@njit(cache=True, nogil=True)
def spread(
    frame: NDArray[Any],
    weights: Weights,
    m: Floats,
    kind: int,
    radius: float,
    sums: Sums,
    touched: NDArray[np.int64],
) -> int:
    """Give each pixel of a frame (row, column) to the voxels around it.

    weights: of the pixels, or empty; m: pixel to voxel index of the slab; kind: one of KINDS; radius: in
    voxels; sums: (z, y, x, 1, 2); touched: takes the voxels (flat index) that had nothing, unless
    empty.

    Returns
    -------
    How many voxels were noted in `touched`.
    """
    nz, ny, nx = sums.shape[0], sums.shape[1], sums.shape[2]
    reach = 0.5 if kind == NEAREST else 1.0 if kind == TRILINEAR else radius
    noted = 0
    for row in range(frame.shape[0]):
        x0 = m[0, 1] * row + m[0, 3]
        y0 = m[1, 1] * row + m[1, 3]
        z0 = m[2, 1] * row + m[2, 3]
        first, last = span(z0, m[2, 0], -reach, nz - 1 + reach, 0, frame.shape[1] - 1)
        if first <= last:
            first, last = span(y0, m[1, 0], -reach, ny - 1 + reach, first, last)
        if first <= last:
            first, last = span(x0, m[0, 0], -reach, nx - 1 + reach, first, last)
        for column in range(first, last + 1):
            whole = np.float64(weights[row, column]) * ONE if weights.size else ONE
            if whole == 0:
                continue
            value = float(frame[row, column])
            x = x0 + m[0, 0] * column
            y = y0 + m[1, 0] * column
            z = z0 + m[2, 0] * column
            if kind == NEAREST:
                lx = hx = math.floor(x + 0.5)
                ly = hy = math.floor(y + 0.5)
                lz = hz = math.floor(z + 0.5)
            else:
                lx, hx = math.ceil(x - reach), math.floor(x + reach)
                ly, hy = math.ceil(y - reach), math.floor(y + reach)
                lz, hz = math.ceil(z - reach), math.floor(z + reach)
            for iz in range(max(lz, 0), min(hz, nz - 1) + 1):
                for iy in range(max(ly, 0), min(hy, ny - 1) + 1):
                    for ix in range(max(lx, 0), min(hx, nx - 1) + 1):
                        weight = np.int64(_weight(kind, ix - x, iy - y, iz - z, radius) * whole + 0.5)
                        if weight == 0:
                            continue
                        if touched.size and sums[iz, iy, ix, 0, 0] == 0:
                            touched[noted] = (iz * ny + iy) * nx + ix
                            noted += 1
                        sums[iz, iy, ix, 0, 0] += weight
                        sums[iz, iy, ix, 0, 1] += np.int64(math.floor(weight * value + 0.5))
    return noted
