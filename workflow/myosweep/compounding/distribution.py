"""Pixels given to voxels, with exact sums.

Every voxel has a pair of 64-bit integers, the sum of weights in units of 2^-32 and the sum of weight times
value; where every pixel counts the same and goes to one voxel, one integer holds both. Integers add up to
the same whatever the order, so frames, slabs and threads change no byte; the mean is exact even where the
whole weight is a few thousandths.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

ONE = 4294967296.0
# Smaller weights are left out where values are fractions, whose products would be rounded too coarsely.
LEAST = 4096.0
# A packed sum counts pixels above this bit, and adds up their values below.
COUNT_BIT = 40
# More pixels of 255 in a voxel would overflow a packed sum, and a pair of sums, too.
MOST_PACKED = 1 << (63 - COUNT_BIT)

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Weights = NDArray[np.float32]
Sums = NDArray[np.int64]
"""(z, y, x, channel, 2): sum of weights, sum of weighted values."""


@njit(cache=True, inline="always")
def span(start: float, step: float, low: float, high: float, first: int, last: int) -> tuple[int, int]:
    """The indices i of first..last for which low <= start + i step <= high may hold, one more at each end."""
    if abs(step) < 1e-9:
        if start < low - 1e-3 or start > high + 1e-3:
            return 1, 0
        return first, last
    one = (low - start) / step
    two = (high - start) / step
    if one > two:
        one, two = two, one
    if two < first - 1 or one > last + 1:
        return 1, 0
    return max(first, math.floor(max(one, first)) - 1), min(last, math.ceil(min(two, last)) + 1)


@njit(cache=True, inline="always")
def columns_inside(
    x: float, y: float, z: float, m: Floats, nz: int, ny: int, nx: int, first: int, last: int
) -> tuple[int, int]:
    """The columns of a row that can touch a slab of nz x ny x nx voxels, a superset."""
    first, last = span(z, m[2, 0], -1.0, nz, first, last)
    if first <= last:
        first, last = span(y, m[1, 0], -1.0, ny, first, last)
    if first <= last:
        first, last = span(x, m[0, 0], -1.0, nx, first, last)
    return first, last


@njit(cache=True, inline="always")
def _inside(
    x0: float, y0: float, z0: float, m: Floats, column: int, half: float, nz: int, ny: int, nx: int
) -> bool:
    """Whether the voxel at (half .5: nearest to; half 0: before) a pixel lies in the slab."""
    ix = math.floor(x0 + m[0, 0] * column + half)
    iy = math.floor(y0 + m[1, 0] * column + half)
    iz = math.floor(z0 + m[2, 0] * column + half)
    return bool(0 <= ix < nx and 0 <= iy < ny and 0 <= iz < nz)


@njit(cache=True, nogil=True)
def count_nearest(frame: Pixels, m: Floats, packed: NDArray[np.int64]) -> None:
    """Give each pixel of an 8-bit frame (row, column) to the nearest voxel of a slab (z, y, x).

    m: pixel to voxel index of the slab; packed: 2^COUNT_BIT for every pixel, and its value.
    """
    nz, ny, nx = packed.shape
    flat = packed.reshape(-1)
    at = np.empty(frame.shape[1], np.uint64)
    one = np.int64(1) << np.int64(COUNT_BIT)
    for row in range(frame.shape[0]):
        x0 = m[0, 1] * row + m[0, 3]
        y0 = m[1, 1] * row + m[1, 3]
        z0 = m[2, 1] * row + m[2, 3]
        first, last = columns_inside(x0, y0, z0, m, nz, ny, nx, 0, frame.shape[1] - 1)
        # Along a row every index runs one way, so that what lies inside has no gap.
        while first <= last and not _inside(x0, y0, z0, m, first, 0.5, nz, ny, nx):
            first += 1
        while first <= last and not _inside(x0, y0, z0, m, last, 0.5, nz, ny, nx):
            last -= 1
        for column in range(first, last + 1):
            ix = math.floor(x0 + m[0, 0] * column + 0.5)
            iy = math.floor(y0 + m[1, 0] * column + 0.5)
            iz = math.floor(z0 + m[2, 0] * column + 0.5)
            at[column] = np.uint64((iz * ny + iy) * nx + ix)
        for column in range(first, last + 1):
            flat[at[column]] += one + np.int64(frame[row, column])


@njit(cache=True, nogil=True)
def unpack(packed: NDArray[np.int64], values: NDArray[np.float32], coverage: NDArray[np.float32]) -> None:
    """Means and numbers of pixels of a slab, each (z, y, x), from packed sums."""
    pairs, value, weight = packed.reshape(-1), values.reshape(-1), coverage.reshape(-1)
    below = (np.int64(1) << np.int64(COUNT_BIT)) - np.int64(1)
    for i in range(value.size):
        if pairs[i] > 0:
            count = pairs[i] >> np.int64(COUNT_BIT)
            value[i] = np.float32((pairs[i] & below) / count)
            weight[i] = np.float32(count)


@njit(cache=True, nogil=True)
def add_nearest(frame: Pixels, weights: Weights, m: Floats, sums: Sums) -> None:
    """Give each pixel with its weight (row, column) to the nearest voxel; see `add_trilinear`."""
    nz, ny, nx = sums.shape[0], sums.shape[1], sums.shape[2]
    flat = sums.reshape(-1)
    for row in range(frame.shape[0]):
        x0 = m[0, 1] * row + m[0, 3]
        y0 = m[1, 1] * row + m[1, 3]
        z0 = m[2, 1] * row + m[2, 3]
        first, last = columns_inside(x0, y0, z0, m, nz, ny, nx, 0, frame.shape[1] - 1)
        for column in range(first, last + 1):
            ix = math.floor(x0 + m[0, 0] * column + 0.5)
            iy = math.floor(y0 + m[1, 0] * column + 0.5)
            iz = math.floor(z0 + m[2, 0] * column + 0.5)
            if 0 <= ix < nx and 0 <= iy < ny and 0 <= iz < nz:
                at = np.uint64(2 * ((iz * ny + iy) * nx + ix))
                weight = np.int64(weights[row, column] * ONE if weights.size else ONE)
                flat[at] += weight
                flat[at + np.uint64(1)] += weight * np.int64(frame[row, column])


@njit(cache=True, nogil=True)
def add_trilinear(frame: Pixels, weights: Weights, m: Floats, sums: Sums) -> None:
    """Give each pixel of an 8-bit frame (row, column) to the eight voxels around it.

    weights: of the pixels, (row, column), or empty; m: pixel to voxel index of the slab; sums: the slab.
    """
    nz, ny, nx = sums.shape[0], sums.shape[1], sums.shape[2]
    flat = sums.reshape(-1)
    sy = np.uint64(2 * nx)
    sz = np.uint64(2 * nx * ny)
    two, three, one = np.uint64(2), np.uint64(3), np.uint64(1)
    weighted = weights.size > 0
    for row in range(frame.shape[0]):
        x0 = m[0, 1] * row + m[0, 3]
        y0 = m[1, 1] * row + m[1, 3]
        z0 = m[2, 1] * row + m[2, 3]
        first, last = columns_inside(x0, y0, z0, m, nz, ny, nx, 0, frame.shape[1] - 1)
        for column in range(first, last + 1):
            x = x0 + m[0, 0] * column
            y = y0 + m[1, 0] * column
            z = z0 + m[2, 0] * column
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            if ix < -1 or iy < -1 or iz < -1 or ix >= nx or iy >= ny or iz >= nz:
                continue
            value = np.int64(frame[row, column])
            whole = np.float64(weights[row, column]) * ONE if weighted else ONE
            bx = x - ix
            by = y - iy
            bz = (z - iz) * whole
            az = whole - bz
            ax = 1.0 - bx
            ay = 1.0 - by
            if ix >= 0 and iy >= 0 and iz >= 0 and ix < nx - 1 and iy < ny - 1 and iz < nz - 1:
                at = np.uint64(2 * ((iz * ny + iy) * nx + ix))
                zy = az * ay
                w = np.int64(zy * ax + 0.5)
                v = np.int64(zy * bx + 0.5)
                flat[at] += w
                flat[at + one] += w * value
                flat[at + two] += v
                flat[at + three] += v * value
                zy = az * by
                at += sy
                w = np.int64(zy * ax + 0.5)
                v = np.int64(zy * bx + 0.5)
                flat[at] += w
                flat[at + one] += w * value
                flat[at + two] += v
                flat[at + three] += v * value
                zy = bz * by
                at += sz
                w = np.int64(zy * ax + 0.5)
                v = np.int64(zy * bx + 0.5)
                flat[at] += w
                flat[at + one] += w * value
                flat[at + two] += v
                flat[at + three] += v * value
                zy = bz * ay
                at -= sy
                w = np.int64(zy * ax + 0.5)
                v = np.int64(zy * bx + 0.5)
                flat[at] += w
                flat[at + one] += w * value
                flat[at + two] += v
                flat[at + three] += v * value
                continue
            for dz in range(max(0, -iz), min(2, nz - iz)):
                for dy in range(max(0, -iy), min(2, ny - iy)):
                    zy = (bz if dz else az) * (by if dy else ay)
                    for dx in range(max(0, -ix), min(2, nx - ix)):
                        w = np.int64(zy * (bx if dx else ax) + 0.5)
                        sums[iz + dz, iy + dy, ix + dx, 0, 0] += w
                        sums[iz + dz, iy + dy, ix + dx, 0, 1] += w * value


@njit(cache=True, nogil=True)
def add_channels(frame: NDArray[np.float32], weights: Weights, m: Floats, nearest: bool, sums: Sums) -> None:
    """Distribute a frame (row, column, channel) of fractions or grey levels; NaN gives nothing.

    weights: of the pixels, (row, column), or empty.
    """
    nz, ny, nx = sums.shape[0], sums.shape[1], sums.shape[2]
    for row in range(frame.shape[0]):
        x0 = m[0, 1] * row + m[0, 3]
        y0 = m[1, 1] * row + m[1, 3]
        z0 = m[2, 1] * row + m[2, 3]
        first, last = columns_inside(x0, y0, z0, m, nz, ny, nx, 0, frame.shape[1] - 1)
        for column in range(first, last + 1):
            x = x0 + m[0, 0] * column
            y = y0 + m[1, 0] * column
            z = z0 + m[2, 0] * column
            whole = np.float64(weights[row, column]) * ONE if weights.size else ONE
            if nearest:
                x, y, z = float(math.floor(x + 0.5)), float(math.floor(y + 0.5)), float(math.floor(z + 0.5))
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            for dz in range(max(0, -iz), min(2, nz - iz)):
                wz = (z - iz if dz else 1.0 - (z - iz)) * whole
                for dy in range(max(0, -iy), min(2, ny - iy)):
                    wy = wz * (y - iy if dy else 1.0 - (y - iy))
                    for dx in range(max(0, -ix), min(2, nx - ix)):
                        weight = math.floor(wy * (x - ix if dx else 1.0 - (x - ix)) + 0.5)
                        if weight < LEAST:
                            continue
                        for channel in range(frame.shape[2]):
                            value = frame[row, column, channel]
                            if not math.isnan(value):
                                sums[iz + dz, iy + dy, ix + dx, channel, 0] += np.int64(weight)
                                sums[iz + dz, iy + dy, ix + dx, channel, 1] += np.int64(
                                    math.floor(weight * value + 0.5)
                                )


@njit(cache=True, nogil=True)
def finish(sums: Sums, values: NDArray[np.float32], coverage: NDArray[np.float32]) -> None:
    """Means and weights of a slab, (z, y, x, channel), where a pixel fell."""
    pairs, value, weight = sums.reshape(-1), values.reshape(-1), coverage.reshape(-1)
    for i in range(value.size):
        if pairs[2 * i] > 0:
            value[i] = np.float32(pairs[2 * i + 1] / pairs[2 * i])
            weight[i] = np.float32(pairs[2 * i] / ONE)
