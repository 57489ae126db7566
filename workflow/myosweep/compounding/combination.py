"""What becomes of a voxel that several frames saw, other than their mean.

Each frame has one say: the weighted mean of its pixels in the voxel. Frames that gave it less than 1/512 of
a pixel have none.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.distribution import Sums
from myosweep.compounding.spreading import SMALLEST_SHARE

MAXIMUM, FIRST, LATEST, MEDIAN = 0, 1, 2, 3
COMBINATIONS = {"maximum": MAXIMUM, "first": FIRST, "latest": LATEST, "median": MEDIAN}


@njit(cache=True, nogil=True)
def absorb(
    own: Sums,
    touched: NDArray[np.int64],
    count: int,
    how: int,
    values: NDArray[np.float32],
    weights: NDArray[np.int64],
    says: NDArray[np.int64],
) -> int:
    """Let a frame have its say on the voxels that it touched, and clear its sums.

    own: the frame's (z, y, x, 1, 2); touched: `count` flat indices; values: of the slab; weights: what they
    had in all, in units of 2^-32; says: for the median takes voxel and value in one number each.

    Returns
    -------
    How many were put into `says`.
    """
    pairs, value, weight = own.reshape(-1), values.reshape(-1), weights.reshape(-1)
    said = 0
    for k in range(count):
        i = touched[k]
        total, weighted = pairs[2 * i], pairs[2 * i + 1]
        pairs[2 * i] = 0
        pairs[2 * i + 1] = 0
        if total < SMALLEST_SHARE:
            continue
        mean = np.float32(weighted / total)
        if how == MEDIAN:
            # Grey levels are not negative, so that their bits are in the order of the numbers.
            says[said] = (i << 32) | np.int64(np.float32(mean).view(np.int32))
            said += 1
        elif weight[i] == 0 or how == LATEST or (how == MAXIMUM and mean > value[i]):
            value[i] = mean
        weight[i] += total
    return said


@njit(cache=True, nogil=True)
def take_medians(says: NDArray[np.int64], values: NDArray[np.float32]) -> None:
    """Medians from sorted says; of an even number the mean of the two in the middle."""
    value = values.reshape(-1)
    start = 0
    while start < says.size:
        voxel = says[start] >> 32
        end = start
        while end < says.size and says[end] >> 32 == voxel:
            end += 1
        low, high = (start + end - 1) // 2, (start + end) // 2
        one = np.int32(says[low] & 0xFFFFFFFF).view(np.float32)
        two = np.int32(says[high] & 0xFFFFFFFF).view(np.float32)
        value[voxel] = np.float32(0.5) * (one + two)
        start = end
