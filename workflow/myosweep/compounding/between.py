"""Voxels between two consecutive frames of a sweep: along the probe's way from one to the other.

A voxel that lies between two frames is divided by its distances to them; its place in the image is that of
its feet in both planes, mixed in this ratio, and so is its grey level, taken bilinearly from each frame at
this place (Coupe, Hellier, Azzabou and Barillot 2005, "3D freehand ultrasound reconstruction based on probe
trajectory", section 2.2). For frames that move without turning this is exactly the frame that the probe
would have seen there; turned ones differ in the second order of the turn. What was never swept stays unknown,
however sparse or tilted the frames are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.distribution import ONE, Floats, Sums, Weights, span

# What marks a voxel that was swept but has no value yet.
OPEN = np.float32(-np.inf)
WHERE_OPEN, EVERYWHERE, MARK = 0, 1, 2
# Pixels end half a pixel beyond their centres.
EDGE = 0.5


@njit(cache=True, inline="always")
def columns_between(
    z: int, y: int, a: Floats, b: Floats, rows: int, columns: int, nx: int
) -> tuple[int, int]:
    """The voxels of a row that may lie between two frames and within their images, a superset."""
    first, last = 0, nx - 1
    a0 = a[2, 2] * z + a[2, 1] * y + a[2, 3]
    b0 = b[2, 2] * z + b[2, 1] * y + b[2, 3]
    a1, b1 = a0 + a[2, 0] * last, b0 + b[2, 0] * last
    if (a0 >= 0) == (b0 >= 0) and (a1 >= 0) == (b1 >= 0):
        if (a0 >= 0) == (a1 >= 0):
            return 1, 0
        # Both planes are crossed: between the crossings.
        one, two = -a0 / a[2, 0], -b0 / b[2, 0]
        if one > two:
            one, two = two, one
        first, last = max(first, math.floor(one) - 1), min(last, math.ceil(two) + 1)
    for axis, count in ((0, columns), (1, rows)):
        a0 = a[axis, 2] * z + a[axis, 1] * y + a[axis, 3]
        b0 = b[axis, 2] * z + b[axis, 1] * y + b[axis, 3]
        half = 0.5 * max(abs(a0 - b0), abs(a0 - b0 + (a[axis, 0] - b[axis, 0]) * (nx - 1))) + EDGE
        middle, step = 0.5 * (a0 + b0), 0.5 * (a[axis, 0] + b[axis, 0])
        if first <= last:
            first, last = span(middle, step, -half, count - 1 + half, first, last)
    return first, last


@njit(cache=True, inline="always")
def rows_between(z: int, a: Floats, b: Floats, ny: int, nx: int) -> tuple[int, int]:
    """The rows of a slice that may hold voxels between two planes, a superset."""
    if a[2, 1] * b[2, 1] < 1e-12:
        return 0, ny - 1
    low, high = float(ny), -1.0
    for x in (0, nx - 1):
        one = -(a[2, 2] * z + a[2, 0] * x + a[2, 3]) / a[2, 1]
        two = -(b[2, 2] * z + b[2, 0] * x + b[2, 3]) / b[2, 1]
        low, high = min(low, one, two), max(high, one, two)
    return math.floor(max(low, 0.0)), math.ceil(min(high, ny - 1.0))


@njit(cache=True, inline="always")
def _bilinear(image: NDArray[Any], row: float, column: float, channel: int) -> float:
    """A grey level between pixels; beyond the outermost centres that of the edge. NaN counts for nothing."""
    row = min(max(row, 0.0), image.shape[0] - 1.0)
    column = min(max(column, 0.0), image.shape[1] - 1.0)
    r, c = int(row), int(column)
    below, right = min(r + 1, image.shape[0] - 1), min(c + 1, image.shape[1] - 1)
    v, u = row - r, column - c
    one, two = float(image[r, c, channel]), float(image[r, right, channel])
    three, four = float(image[below, c, channel]), float(image[below, right, channel])
    value = (1 - v) * ((1 - u) * one + u * two) + v * ((1 - u) * three + u * four)
    if not math.isnan(value):
        return value
    total = weights = 0.0
    for known, weight in (
        (one, (1 - v) * (1 - u)),
        (two, (1 - v) * u),
        (three, v * (1 - u)),
        (four, v * u),
    ):
        if not math.isnan(known):
            total += weight * known
            weights += weight
    return total / weights if weights > 0 else math.nan


@njit(cache=True, nogil=True)
def add_between(
    before: NDArray[Any],
    after: NDArray[Any],
    weights: Weights,
    later: Weights,
    a: Floats,
    b: Floats,
    bottom: int,
    mode: int,
    coverage: NDArray[np.float32],
    sums: Sums,
    distance: NDArray[np.float32],
) -> None:
    """Add what two consecutive frames say of the voxels between them to the sums of a slab, or mark these.

    before, after: frames (row, column, channel), NaN where unknown; weights: of their pixels, or empty;
    later: those of the frame after, empty where they are the same; a, b: 3 x 4, voxel index to column, row
    and mm in front of each frame; bottom: the slab's first slice; mode: WHERE_OPEN, where coverage (z, y, x,
    channel) has no pixels; EVERYWHERE; MARK, mark what is unknown as OPEN in coverage. distance: the smallest
    distance to a frame that was used, mm, like coverage.
    """
    nz, ny, nx, channels = coverage.shape
    rows, columns = before.shape[0], before.shape[1]
    weighted = weights.size > 0
    for k in range(nz):
        z = k + bottom
        low, high = rows_between(z, a, b, ny, nx)
        for y in range(low, high + 1):
            first, last = columns_between(z, y, a, b, rows, columns, nx)
            if first > last:
                continue
            # The same sums in the same order for a frame in both of its pairs: no voxel twice, none left out.
            a0 = a[0, 2] * z + a[0, 1] * y + a[0, 3]
            a1 = a[1, 2] * z + a[1, 1] * y + a[1, 3]
            a2 = a[2, 2] * z + a[2, 1] * y + a[2, 3]
            b0 = b[0, 2] * z + b[0, 1] * y + b[0, 3]
            b1 = b[1, 2] * z + b[1, 1] * y + b[1, 3]
            b2 = b[2, 2] * z + b[2, 1] * y + b[2, 3]
            for x in range(first, last + 1):
                da, db = a2 + a[2, 0] * x, b2 + b[2, 0] * x
                if (da >= 0) == (db >= 0):
                    continue
                t = da / (da - db)
                column = (1 - t) * (a0 + a[0, 0] * x) + t * (b0 + b[0, 0] * x)
                row = (1 - t) * (a1 + a[1, 0] * x) + t * (b1 + b[1, 0] * x)
                if not (-EDGE <= column <= columns - 1 + EDGE and -EDGE <= row <= rows - 1 + EDGE):
                    continue
                weight, u = ONE, t
                if weighted:
                    r = min(max(int(row + 0.5), 0), rows - 1)
                    c = min(max(int(column + 0.5), 0), columns - 1)
                    part = np.float64(weights[r, c])
                    if later.size:
                        other = t * np.float64(later[r, c])
                        part = (1 - t) * part + other
                        u = other / part if part > 0 else t
                    weight *= part
                    if weight == 0:
                        continue
                if mode == MARK:
                    for channel in range(channels):
                        if coverage[k, y, x, channel] == 0:
                            coverage[k, y, x, channel] = OPEN
                    continue
                near = np.float32(min(abs(da), abs(db)))
                for channel in range(channels):
                    if coverage[k, y, x, channel] > 0 and mode == WHERE_OPEN:
                        continue
                    value = (1 - u) * _bilinear(before, row, column, channel) + u * _bilinear(
                        after, row, column, channel
                    )
                    if math.isnan(value):
                        continue
                    sums[k, y, x, channel, 0] += np.int64(weight)
                    sums[k, y, x, channel, 1] += np.int64(math.floor(weight * value + 0.5))
                    distance[k, y, x, channel] = min(distance[k, y, x, channel], near)


@njit(cache=True, nogil=True)
def finish_between(
    sums: Sums,
    distance: NDArray[np.float32],
    within_mm: float,
    values: NDArray[np.float32],
    coverage: NDArray[np.float32],
) -> None:
    """Means of a slab where no pixel fell.

    Coverage is the weight where the distance is at most within_mm, else minus the distance.
    """
    pairs, value, weight = sums.reshape(-1), values.reshape(-1), coverage.reshape(-1)
    far = distance.reshape(-1)
    for i in range(value.size):
        if pairs[2 * i] > 0 and weight[i] <= 0:
            value[i] = np.float32(pairs[2 * i + 1] / pairs[2 * i])
            weight[i] = (
                np.float32(pairs[2 * i] / ONE) if far[i] <= within_mm else -max(far[i], np.float32(1e-6))
            )
