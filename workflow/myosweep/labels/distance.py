"""Signed distances to the outline of a mask, and their weighted mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The way from a frame's pixels to another frame: (2, 3), (column, row, 1) to column and row there; and (3,),
(column, row, 1) to the way in mm, positive where the other frame comes first."""

# A further annotation nearer than this part of the gap would magnify the hand's tremor.
SHORTEST_OUTER_GAP = 0.5

_SAME = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_NEGLIGIBLE = 1e-7


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
    ends: Sequence[NDArray[np.float32]],
    lines: Sequence[Line],
    outer: Sequence[NDArray[np.float32]],
    outer_lines: Sequence[Line],
    edge_mm: float,
) -> NDArray[np.float32]:
    """Membership of a frame's pixels from the signed distances of frames around it.

    Parameters
    ----------
    ends
        Signed distances in mm of the frames before and after, (row, column); NaN is unknown.
    lines
        The ways to them.
    outer, outer_lines
        The same for up to two frames further out, on either side.
    edge_mm
        Width over which the membership falls from 1 to 0.

    Returns
    -------
    float32 (row, column), 0 to 1; NaN where either neighbour is unknown.
    """
    values = np.empty(ends[0].shape, dtype=np.float32)
    every = [*lines, *outer_lines]
    # A bend moves the outline by less than half of what the distances differ by.
    differences = [_largest_difference(image, ends[0]) for image in (ends[1], *outer)]
    if all(_is_parallel(line) for line in every):
        ways = np.array([line[1][2] for line in every])
        outers = [*outer, ends[0], ends[0]]
        reach = edge_mm + max(differences) / 2 if outer else 0.0
        _blend_parallel(ends[0], ends[1], (outers[0], outers[1]), ways, edge_mm, reach, values)
        return values
    _blend(
        np.stack([*ends, *outer]),
        np.stack([line[0] for line in every]),
        np.stack([line[1] for line in every]),
        edge_mm,
        edge_mm + max(differences) / 2 if outer else 0.0,
        values,
    )
    return values


def _is_parallel(line: Line) -> bool:
    """Whether pixels lie opposite pixels of the same index, all equally far."""
    same = float(np.abs(line[0] - _SAME).max()) < _NEGLIGIBLE
    return same and float(np.abs(line[1][:2]).max()) < _NEGLIGIBLE


@numba.njit(cache=True, nogil=True)
def _largest_difference(image: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Over the pixels where both are known."""
    largest = np.float32(0.0)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            difference = abs(image[row, column] - other[row, column])
            if difference > largest:
                largest = difference
    return float(largest)


@numba.njit(cache=True, nogil=True)
def _bend(value: float, here: float, there: float, at: float) -> float:
    """How much a third distance bends the straight course between two, which are at 0 and 1."""
    bend: float = (value - here - at * (there - here)) / (at * (at - 1))
    return bend


@numba.njit(cache=True, nogil=True)
def _blend_parallel(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    outer: tuple[NDArray[np.float32], NDArray[np.float32]],
    ways: NDArray[np.float64],
    edge: float,
    reach: float,
    values: NDArray[np.float32],
) -> None:
    """As `_blend`, for frames that lie pixel opposite pixel."""
    first = max(ways[0], 0.0)
    whole = first + max(-ways[1], 0.0)
    weight = np.float32(first / whole if whole > 0 else 0.5)
    before_share = np.float32(0.0)
    after_share = np.float32(0.0)
    at = np.zeros(2, np.float64)
    usable = np.zeros(2, np.bool_)
    for other in range(len(ways) - 2):
        at[other] = (first - ways[2 + other]) / whole if whole > 0 else 0.5
        usable[other] = not -SHORTEST_OUTER_GAP < at[other] < 1 + SHORTEST_OUTER_GAP
    slope = np.float32(1 / edge)
    half = np.float32(0.5)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            here = before[row, column]
            there = after[row, column]
            distance = here + weight * (there - here)
            if abs(distance) <= reach:
                before_share = after_share = np.float32(0.0)
                sides = 0
                for other in range(2):
                    if not usable[other]:
                        continue
                    bend = np.float32(_bend(outer[other][row, column], here, there, at[other]))
                    if math.isnan(bend):
                        continue
                    sides += 1
                    if at[other] < 0:
                        before_share = bend
                    else:
                        after_share = bend
                    if sides == 1:
                        before_share = after_share = bend
                distance += weight * (weight - 1) * ((1 - weight) * before_share + weight * after_share)
            value = half + distance * slope
            if value > 1:
                value = np.float32(1.0)
            elif value < 0:
                value = np.float32(0.0)
            values[row, column] = value


@numba.njit(cache=True, nogil=True)
def _look(image: NDArray[np.float32], to_image: NDArray[np.float64], x: float, y: float) -> float:
    """The image's value, linear between pixels, where (x, y) maps to; beyond its border the border's."""
    rows, columns = image.shape
    column = to_image[0, 0] * x + to_image[0, 1] * y + to_image[0, 2]
    row = to_image[1, 0] * x + to_image[1, 1] * y + to_image[1, 2]
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
    images: NDArray[np.float32],
    maps: NDArray[np.float64],
    ways: NDArray[np.float64],
    edge: float,
    reach: float,
    values: NDArray[np.float32],
) -> None:
    rows, columns = values.shape
    count = len(images)
    for row in range(rows):
        for column in range(columns):
            first = max(ways[0, 0] * column + ways[0, 1] * row + ways[0, 2], 0.0)
            second = max(-(ways[1, 0] * column + ways[1, 1] * row + ways[1, 2]), 0.0)
            whole = first + second
            weight = first / whole if whole > 0 else 0.5
            here = _look(images[0], maps[0], column, row)
            there = _look(images[1], maps[1], column, row)
            distance = here + weight * (there - here)
            bend_before = bend_after = 0.0
            sides = 0
            for other in range(2, count):
                if whole <= 0 or abs(distance) > reach:
                    break
                way = ways[other, 0] * column + ways[other, 1] * row + ways[other, 2]
                # Where the other frame lies, as 0 is the frame before and 1 the one after.
                at = (first - way) / whole
                if -SHORTEST_OUTER_GAP < at < 1 + SHORTEST_OUTER_GAP:
                    continue
                value = _look(images[other], maps[other], column, row)
                bend = (value - here - at * (there - here)) / (at * (at - 1))
                if math.isnan(bend):
                    continue
                sides += 1
                if at < 0:
                    bend_before = bend
                else:
                    bend_after = bend
                if sides == 1:
                    bend_before = bend_after = bend
            distance += weight * (weight - 1) * ((1 - weight) * bend_before + weight * bend_after)
            # Comparisons with NaN are false, so an unknown distance stays unknown.
            value = 0.5 + distance / edge
            if value > 1:
                value = 1.0
            elif value < 0:
                value = 0.0
            values[row, column] = value
