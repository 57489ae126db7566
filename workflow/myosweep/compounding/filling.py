"""Gaps between frames filled from both sides, small holes from around, and how far the data are.

Between two neighbouring frames every pixel moves on a straight line and changes evenly from one frame's grey
level to the other's: interpolation along the probe's way (Coupe, Hellier, Azzabou and Barillot 2005, "3D
freehand ultrasound reconstruction based on probe trajectory"), here done by distributing frames in between.
So nothing is filled outside of what was swept, however sparse, tilted or turned the frames are. What is left
open inside, where voxels are finer than pixels, is closed by normalised convolution (Knutsson, Westin 1993)
over 5 voxels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.distribution import LEAST, ONE, Sums, columns_inside

# Standard deviation of the Gaussian in voxels, and how far it reaches: 5 voxels across.
SIGMA = 1.0
REACH = 2
OPEN = np.float32(-2.0)
FARTHEST = 255


@njit(cache=True, nogil=True)
def add_between(
    before: NDArray[Any],
    after: NDArray[Any],
    area: tuple[int, int, int, int],
    m_before: NDArray[np.float64],
    m_after: NDArray[np.float64],
    steps: int,
    stride: tuple[int, int],
    sums: Sums,
    between: Sums,
) -> None:
    """Distribute steps - 1 frames between two, trilinear, to the voxels of a slab that no pixel reached.

    before, after: frames (row, column, channel); stride: of columns and rows; sums: the slab's data.
    """
    nz, ny, nx = sums.shape[0], sums.shape[1], sums.shape[2]
    channels = before.shape[2]
    flat, flat_between = sums.reshape(-1), between.reshape(-1)
    none, odd = np.uint64(0), np.uint64(1)
    pair = 2 * channels
    sx, sy, sz = np.uint64(pair), np.uint64(pair * nx), np.uint64(pair * nx * ny)
    for step in range(1, steps):
        # Written so that the same frames backwards give the same bytes.
        m = ((steps - step) * m_before + step * m_after) / steps
        for row in range(area[2], area[3] + 1, stride[1]):
            x0 = m[0, 1] * row + m[0, 3]
            y0 = m[1, 1] * row + m[1, 3]
            z0 = m[2, 1] * row + m[2, 3]
            first, last = columns_inside(x0, y0, z0, m, sums.shape, area[0], area[1])
            first += (area[0] - first) % stride[0]
            for column in range(first, last + 1, stride[0]):
                x = x0 + m[0, 0] * column
                y = y0 + m[1, 0] * column
                z = z0 + m[2, 0] * column
                ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
                if 0 <= ix < nx - 1 and 0 <= iy < ny - 1 and 0 <= iz < nz - 1:
                    at = ((iz * ny + iy) * nx + ix) * pair
                    for channel in range(channels):
                        here = np.uint64(at + 2 * channel)
                        # Most voxels of a dense sweep have data, and need nothing from here.
                        if (
                            flat[here] != 0
                            and flat[here + sx] != 0
                            and flat[here + sy] != 0
                            and flat[here + sy + sx] != 0
                            and flat[here + sz] != 0
                            and flat[here + sz + sx] != 0
                            and flat[here + sz + sy] != 0
                            and flat[here + sz + sy + sx] != 0
                        ):
                            continue
                        one = float(before[row, column, channel])
                        two = float(after[row, column, channel])
                        value = ((steps - step) * one + step * two) / steps
                        if math.isnan(value):
                            continue
                        for dz in range(2):
                            wz = (z - iz if dz else 1.0 - (z - iz)) * ONE
                            for dy in range(2):
                                wy = wz * (y - iy if dy else 1.0 - (y - iy))
                                there = here + (sz if dz else none) + (sy if dy else none)
                                for dx in range(2):
                                    weight = math.floor(wy * (x - ix if dx else 1.0 - (x - ix)) + 0.5)
                                    if flat[there] == 0 and weight >= LEAST:
                                        flat_between[there] += np.int64(weight)
                                        flat_between[there + odd] += np.int64(
                                            math.floor(weight * value + 0.5)
                                        )
                                    there += sx
                    continue
                for dz in range(max(0, -iz), min(2, nz - iz)):
                    wz = (z - iz if dz else 1.0 - (z - iz)) * ONE
                    for dy in range(max(0, -iy), min(2, ny - iy)):
                        wy = wz * (y - iy if dy else 1.0 - (y - iy))
                        for dx in range(max(0, -ix), min(2, nx - ix)):
                            weight = math.floor(wy * (x - ix if dx else 1.0 - (x - ix)) + 0.5)
                            if weight < LEAST:
                                continue
                            kz, ky, kx = iz + dz, iy + dy, ix + dx
                            for channel in range(channels):
                                if sums[kz, ky, kx, channel, 0] != 0:
                                    continue
                                one = float(before[row, column, channel])
                                two = float(after[row, column, channel])
                                value = ((steps - step) * one + step * two) / steps
                                if not math.isnan(value):
                                    between[kz, ky, kx, channel, 0] += np.int64(weight)
                                    between[kz, ky, kx, channel, 1] += np.int64(
                                        math.floor(weight * value + 0.5)
                                    )


@njit(cache=True, nogil=True)
def mark_holes(coverage: NDArray[np.float32], first: int, last: int) -> int:
    """Mark in slices first..last-1 what is unknown but has known voxels on both sides, within reach."""
    nz, ny, nx = coverage.shape
    found = 0
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                if coverage[z, y, x] != 0:
                    continue
                if (
                    _enclosed(coverage, z, y, x, 1, 0, 0, nz, ny, nx)
                    or _enclosed(coverage, z, y, x, 0, 1, 0, nz, ny, nx)
                    or _enclosed(coverage, z, y, x, 0, 0, 1, nz, ny, nx)
                ):
                    coverage[z, y, x] = OPEN
                    found += 1
    return found


@njit(cache=True, inline="always")
def _known(cover: float) -> bool:
    return cover > 0 or cover == -1.0


@njit(cache=True)
def _enclosed(
    coverage: NDArray[np.float32],
    z: int,
    y: int,
    x: int,
    dz: int,
    dy: int,
    dx: int,
    nz: int,
    ny: int,
    nx: int,
) -> bool:
    below = above = False
    for k in range(1, REACH + 1):
        a, b, c = z - k * dz, y - k * dy, x - k * dx
        if a >= 0 and b >= 0 and c >= 0 and _known(coverage[a, b, c]):
            below = True
            break
    if not below:
        return False
    for k in range(1, REACH + 1):
        a, b, c = z + k * dz, y + k * dy, x + k * dx
        if a < nz and b < ny and c < nx and _known(coverage[a, b, c]):
            above = True
            break
    return above


@njit(cache=True, nogil=True)
def fill_holes(values: NDArray[np.float32], coverage: NDArray[np.float32], first: int, last: int) -> None:
    """Give marked voxels the Gaussian mean of the known ones around; reads no voxel that it writes."""
    nz, ny, nx = coverage.shape
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                if coverage[z, y, x] != OPEN:
                    continue
                total = weights = 0.0
                for a in range(max(0, z - REACH), min(nz, z + REACH + 1)):
                    for b in range(max(0, y - REACH), min(ny, y + REACH + 1)):
                        for c in range(max(0, x - REACH), min(nx, x + REACH + 1)):
                            if _known(coverage[a, b, c]):
                                square = (a - z) ** 2 + (b - y) ** 2 + (c - x) ** 2
                                weight = math.exp(-0.5 * square / SIGMA**2)
                                total += weight * values[a, b, c]
                                weights += weight
                values[z, y, x] = np.float32(total / weights)


@njit(cache=True, nogil=True)
def slices_to_data(coverage: NDArray[np.float32], distance: NDArray[np.uint8]) -> None:
    """Number of slices to the nearest data voxel of the same column, at most FARTHEST."""
    nz, ny, nx = coverage.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                before = distance[z - 1, y, x] if z else np.uint8(FARTHEST)
                far = min(int(before) + 1, FARTHEST)
                distance[z, y, x] = 0 if coverage[z, y, x] > 0 else far
    for z in range(nz - 2, -1, -1):
        for y in range(ny):
            for x in range(nx):
                distance[z, y, x] = min(int(distance[z, y, x]), int(distance[z + 1, y, x]) + 1)


@njit(cache=True, nogil=True)
def measure_distance(
    coverage: NDArray[np.float32],
    distance: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    reach_mm: float,
    first: int,
    last: int,
) -> None:
    """Write minus the distance in mm to the nearest data voxel where voxels were filled.

    spacing: along x, y, z; nothing is looked for beyond reach_mm. The squared distances are minimised along
    one axis after the other.
    """
    ny, nx = coverage.shape[1:]
    farthest = reach_mm * reach_mm
    margin = int(reach_mm / spacing[0]) + 1
    square = np.empty((ny, nx))
    for z in range(first, last):
        left, right, top, bottom = nx, -1, ny, -1
        for y in range(ny):
            for x in range(nx):
                if coverage[z, y, x] < 0:
                    left, right = min(left, x), max(right, x)
                    top, bottom = min(top, y), y
        for y in range(top, bottom + 1):
            for x in range(max(0, left - margin), min(nx, right + margin + 1)):
                best = min(farthest, (distance[z, y, x] * spacing[2]) ** 2)
                k = 1
                while (k * spacing[1]) ** 2 < best and (y - k >= 0 or y + k < ny):
                    aside = (k * spacing[1]) ** 2
                    if y - k >= 0:
                        best = min(best, (distance[z, y - k, x] * spacing[2]) ** 2 + aside)
                    if y + k < ny:
                        best = min(best, (distance[z, y + k, x] * spacing[2]) ** 2 + aside)
                    k += 1
                square[y, x] = best
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                if coverage[z, y, x] >= 0:
                    continue
                best = square[y, x]
                k = 1
                while (k * spacing[0]) ** 2 < best and (x - k >= 0 or x + k < nx):
                    aside = (k * spacing[0]) ** 2
                    if x - k >= 0:
                        best = min(best, square[y, x - k] + aside)
                    if x + k < nx:
                        best = min(best, square[y, x + k] + aside)
                    k += 1
                coverage[z, y, x] = -np.float32(math.sqrt(best))
