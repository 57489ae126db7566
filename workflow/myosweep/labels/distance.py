"""Signed distances to the outline of a mask, and their weighted mean."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt


def signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Distance from each pixel's centre to the outline, positive inside.

    The outline runs half a (smaller) pixel from the centres of the pixels that it separates. The image's
    border is no outline: the mask goes on beyond it as if its edge pixels were repeated. That needs no
    padding, as the nearest pixel of the other kind among repeated ones is always the one that is repeated.

    Parameters
    ----------
    mask
        (row, column).
    spacing
        mm along a row and along a column.

    Returns
    -------
    float32 (row, column), mm; plus or minus the image's diagonal where the mask is full or empty.
    """
    sampling = (spacing[1], spacing[0])
    if mask.all() or not mask.any():
        diagonal = math.hypot(mask.shape[0] * sampling[0], mask.shape[1] * sampling[1])
        return np.full(mask.shape, diagonal if mask.all() else -diagonal, dtype=np.float32)
    half = min(spacing) / 2
    inside = np.asarray(distance_transform_edt(mask, sampling=sampling))
    outside = np.asarray(distance_transform_edt(~mask, sampling=sampling))
    return np.where(mask, inside - half, half - outside).astype(np.float32)


def blend(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    to_before: NDArray[np.float64],
    to_after: NDArray[np.float64],
    from_before: NDArray[np.float64],
    from_after: NDArray[np.float64],
    edge_mm: float,
) -> NDArray[np.float32]:
    """Membership from the signed distances of two frames, weighted by nearness.

    Parameters
    ----------
    before, after
        Signed distances in mm, (row, column); NaN is unknown.
    to_before, to_after
        (2, 3): (column, row, 1) of the frame to column and row of the other frames; outside them their edge
        counts.
    from_before, from_after
        (3,): (column, row, 1) to the distances from the other frames, mm.
    edge_mm
        Width over which the membership falls from 1 to 0.

    Returns
    -------
    float32 (row, column), 0 to 1; NaN where either frame is unknown.
    """
    values = np.empty(before.shape, dtype=np.float32)
    _blend(before, after, to_before, to_after, from_before, from_after, edge_mm, values)
    return values


@numba.njit(cache=True, nogil=True)
def _sample(image: NDArray[np.float32], column: float, row: float) -> float:
    rows, columns = image.shape
    column = min(max(column, 0.0), columns - 1.0)
    row = min(max(row, 0.0), rows - 1.0)
    left = min(int(column), max(columns - 2, 0))
    top = min(int(row), max(rows - 2, 0))
    right = min(left + 1, columns - 1)
    bottom = min(top + 1, rows - 1)
    across = column - left
    down = row - top
    upper = image[top, left] + across * (image[top, right] - image[top, left])
    lower = image[bottom, left] + across * (image[bottom, right] - image[bottom, left])
    value: float = upper + down * (lower - upper)
    return value


@numba.njit(cache=True, nogil=True)
def _blend(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    to_before: NDArray[np.float64],
    to_after: NDArray[np.float64],
    from_before: NDArray[np.float64],
    from_after: NDArray[np.float64],
    edge: float,
    values: NDArray[np.float32],
) -> None:
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            first = max(from_before[0] * column + from_before[1] * row + from_before[2], 0.0)
            second = max(from_after[0] * column + from_after[1] * row + from_after[2], 0.0)
            weight = first / (first + second) if first + second > 0 else 0.5
            here = _sample(
                before,
                to_before[0, 0] * column + to_before[0, 1] * row + to_before[0, 2],
                to_before[1, 0] * column + to_before[1, 1] * row + to_before[1, 2],
            )
            there = _sample(
                after,
                to_after[0, 0] * column + to_after[0, 1] * row + to_after[0, 2],
                to_after[1, 0] * column + to_after[1, 1] * row + to_after[1, 2],
            )
            distance = here + weight * (there - here)
            # Comparisons with NaN are false, so an unknown distance stays unknown.
            value = 0.5 + distance / edge
            if value > 1:
                value = 1.0
            elif value < 0:
                value = 0.0
            values[row, column] = value
