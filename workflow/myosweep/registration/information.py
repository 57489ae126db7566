"""Mutual information and correlation of sampled points, with their derivatives by a rigid motion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 32
# Bins beyond the range on either side, into which the cubic spline reaches.
EDGE = 2

Slope = NDArray[np.float64]


def mutual_information(joint: NDArray[np.float64]) -> tuple[float, Slope]:
    """Mutual information in nats of a joint distribution, and its derivative by the cells."""
    first, second = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    ratio = np.zeros_like(joint)
    np.divide(joint, first * second, out=ratio, where=filled)
    np.log(ratio, out=ratio, where=filled)
    return float((joint * ratio).sum()), ratio


def squared_correlation(joint: NDArray[np.float64]) -> tuple[float, Slope]:
    """The squared correlation of the bins of a joint distribution, and its derivative by the cells."""
    rows, columns = np.ogrid[: joint.shape[0], : joint.shape[1]]
    rows = rows - (joint * rows).sum()
    columns = columns - (joint * columns).sum()
    both = float((joint * rows * columns).sum())
    first, second = float((joint * rows**2).sum()), float((joint * columns**2).sum())
    if first <= 0 or second <= 0:
        return 0.0, np.zeros_like(joint)
    value = both * both / (first * second)
    slope = 2 * both / (first * second) * rows * columns
    return value, slope - value / first * rows**2 - value / second * columns**2


METRICS: dict[str, Callable[[NDArray[np.float64]], tuple[float, Slope]]] = {
    "mutual_information": mutual_information,
    "correlation": squared_correlation,
}


@njit(cache=True)  # type: ignore[untyped-decorator]
def sample(
    image: NDArray[np.float32],
    known: NDArray[np.uint8],
    index: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Linear interpolation at continuous indices (x, y, z), shape (n, 3).

    Returns
    -------
    values
        float32, shape (n,).
    inside
        Whether all eight neighbours are known.
    """
    count = len(index)
    values = np.zeros(count, np.float32)
    inside = np.zeros(count, np.bool_)
    depth, rows, columns = image.shape
    for n in range(count):
        x, y, z = index[n]
        if not (x >= 0 and y >= 0 and z >= 0 and x < columns - 1 and y < rows - 1 and z < depth - 1):
            continue
        i, j, k = int(x), int(y), int(z)
        fx, fy, fz = x - i, y - j, z - k
        whole = True
        total = 0.0
        for c in range(2):
            for b in range(2):
                for a in range(2):
                    if known[k + c, j + b, i + a] == 0:
                        whole = False
                    weight = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if c else 1 - fz)
                    total += weight * image[k + c, j + b, i + a]
        values[n] = total
        inside[n] = whole
    return values, inside


@njit(cache=True)  # type: ignore[untyped-decorator]
def moved_sums(
    bins: NDArray[np.int16],
    points: NDArray[np.float64],
    image: NDArray[np.float32],
    known: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    scale: tuple[float, float],
    derive: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The joint histogram of fixed and moved values, and its derivative by an affine motion.

    The fixed values lie in whole bins, the moved ones are spread by a cubic B-spline (Mattes et al. 2003,
    eq. 20 and 24).

    Parameters
    ----------
    bins
        Of the fixed values, shape (n,), 0 to BINS - 1.
    points
        Where they lie, shape (n, 3).
    image, known
        The moving volume, (z, y, x), and where it is known.
    matrix
        4 x 4, from `points` to continuous indices of the moving volume.
    scale
        A moved value v lies at bin (v - scale[0]) * scale[1].
    derive
        Whether `change` is wanted; otherwise it has no cells.

    Returns
    -------
    joint
        (BINS, BINS + 2 EDGE): fixed bin, moved bin; its sum is `count`.
    change
        The same and 12: the derivative of `joint` by the last column of `matrix`, then by its other entries,
        row after row.
    count
        Points of which all eight neighbours are known.
    """
    depth, rows, columns = image.shape
    width = BINS + 2 * EDGE
    joint = np.zeros((BINS, width))
    change = np.zeros((BINS if derive else 0, width, 12))
    count = 0
    low, per = scale
    top = BINS - 1.0
    weights = np.empty(4)
    slopes = np.empty(4)
    for n in range(len(points)):
        px, py, pz = points[n]
        x = matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]
        y = matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]
        z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
        if not (x >= 0 and y >= 0 and z >= 0 and x < columns - 1 and y < rows - 1 and z < depth - 1):
            continue
        i, j, k = int(x), int(y), int(z)
        if not (
            known[k, j, i]
            and known[k, j, i + 1]
            and known[k, j + 1, i]
            and known[k, j + 1, i + 1]
            and known[k + 1, j, i]
            and known[k + 1, j, i + 1]
            and known[k + 1, j + 1, i]
            and known[k + 1, j + 1, i + 1]
        ):
            continue
        fx, fy, fz = x - i, y - j, z - k
        a000, a001 = image[k, j, i], image[k, j, i + 1]
        a010, a011 = image[k, j + 1, i], image[k, j + 1, i + 1]
        a100, a101 = image[k + 1, j, i], image[k + 1, j, i + 1]
        a110, a111 = image[k + 1, j + 1, i], image[k + 1, j + 1, i + 1]
        c00, c01 = a000 + fx * (a001 - a000), a010 + fx * (a011 - a010)
        c10, c11 = a100 + fx * (a101 - a100), a110 + fx * (a111 - a110)
        d0, d1 = c00 + fy * (c01 - c00), c10 + fy * (c11 - c10)
        value = d0 + fz * (d1 - d0)
        count += 1
        place = (value - low) * per
        clipped = False
        if place < 0:
            place, clipped = 0.0, True
        elif place > top:
            place, clipped = top, True
        whole = int(place)
        f = place - whole
        g = 1 - f
        weights[0], weights[3] = g * g * g / 6, f * f * f / 6
        weights[1] = (4 - 6 * f * f + 3 * f * f * f) / 6
        weights[2] = 1 - weights[0] - weights[1] - weights[3]
        row = bins[n]
        first = whole + EDGE - 1
        for b in range(4):
            joint[row, first + b] += weights[b]
        if clipped or not derive:
            continue
        slopes[0], slopes[3] = -g * g / 2, f * f / 2
        slopes[1] = -2 * f + 1.5 * f * f
        slopes[2] = -(slopes[0] + slopes[1] + slopes[3])
        e0 = (a001 - a000) + fy * ((a011 - a010) - (a001 - a000))
        e1 = (a101 - a100) + fy * ((a111 - a110) - (a101 - a100))
        gx = per * (e0 + fz * (e1 - e0))
        gy = per * ((c01 - c00) + fz * ((c11 - c10) - (c01 - c00)))
        gz = per * (d1 - d0)
        for b in range(4):
            s = slopes[b]
            sx, sy, sz = s * gx, s * gy, s * gz
            cell = change[row, first + b]
            cell[0] += sx
            cell[1] += sy
            cell[2] += sz
            cell[3] += sx * px
            cell[4] += sx * py
            cell[5] += sx * pz
            cell[6] += sy * px
            cell[7] += sy * py
            cell[8] += sy * pz
            cell[9] += sz * px
            cell[10] += sz * py
            cell[11] += sz * pz
    return joint, change, count
