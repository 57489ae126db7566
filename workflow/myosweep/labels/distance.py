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
    bend_mm: float,
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
    bend_mm
        How far the frames further out can move the outline: half the `largest_difference` of their distances
        and the others'.

    Returns
    -------
    float32 (row, column), 0 to 1; NaN where either neighbour is unknown.
    """
    values = np.empty(ends[0].shape, dtype=np.float32)
    every = [*lines, *outer_lines]
    if all(_is_parallel(line) for line in every):
        ways = np.array([line[1][2] for line in every])
        _blend_parallel([*ends, *outer], ways, edge_mm, values)
        return values
    _blend(
        np.stack([*ends, *outer]),
        np.stack([line[0] for line in every]),
        np.stack([line[1] for line in every]),
        edge_mm,
        edge_mm + bend_mm if outer else 0.0,
        values,
    )
    return values


def _is_parallel(line: Line) -> bool:
    """Whether pixels lie opposite pixels of the same index, all equally far."""
    same = float(np.abs(line[0] - _SAME).max()) < _NEGLIGIBLE
    return same and float(np.abs(line[1][:2]).max()) < _NEGLIGIBLE


@numba.njit(cache=True, nogil=True)
def largest_difference(image: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Over the pixels where both are known."""
    largest = np.float32(0.0)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            difference = abs(image[row, column] - other[row, column])
            if difference > largest:
                largest = difference
    return float(largest)


def _shares(ways: NDArray[np.float64], usable: list[bool]) -> NDArray[np.float32]:
    """What the frame before, the one after and the further ones count in a frame between, as in `_blend`."""
    first = max(float(ways[0]), 0.0)
    whole = first + max(-float(ways[1]), 0.0)
    weight = first / whole if whole > 0 else 0.5
    shares = np.zeros(4)
    shares[:2] = 1 - weight, weight
    bends = []
    for other, use in enumerate(usable):
        at = (first - float(ways[2 + other])) / whole if whole > 0 else 0.5
        if use and not -SHORTEST_OUTER_GAP < at < 1 + SHORTEST_OUTER_GAP:
            # bend = (value - here - at (there - here)) / (at (at - 1))
            bend = np.array([at - 1, -at, 0.0, 0.0])
            bend[2 + other] = 1.0
            bends.append((at, bend / (at * (at - 1))))
    for at, bend in bends:
        part = 1.0 if len(bends) == 1 else (1 - weight if at < 0 else weight)
        shares += weight * (weight - 1) * part * bend
    return shares.astype(np.float32)


def _blend_parallel(
    images: list[NDArray[np.float32]],
    ways: NDArray[np.float64],
    edge_mm: float,
    values: NDArray[np.float32],
) -> None:
    """As `_blend`, for frames that lie pixel opposite pixel: one weighted sum."""
    count = len(images) - 2
    four = (*images, *images[:2])[:4]
    slope = np.float32(1.0 / edge_mm)
    missing = _weighted(four, _shares(ways, [True] * count), slope, values)
    for usable in ([True, False], [False, True], [False, False]) if missing and count else ():
        # Further frames that are unknown in a pixel leave it to the others.
        if missing and len(usable[:count]) == count:
            again = np.empty_like(values)
            known = _weighted(_silenced(four, usable), _shares(ways, usable[:count]), slope, again)
            unknown = np.isnan(values)
            values[unknown] = again[unknown]
            missing = known


def _silenced(four: tuple[NDArray[np.float32], ...], usable: list[bool]) -> tuple[NDArray[np.float32], ...]:
    """The images with those that are not used replaced, as nothing times unknown is unknown."""
    return (*four[:2], four[2] if usable[0] else four[0], four[3] if usable[1] else four[0])


@numba.njit(cache=True, nogil=True)
def _weighted(
    images: tuple[NDArray[np.float32], ...],
    shares: NDArray[np.float32],
    slope: np.float32,
    values: NDArray[np.float32],
) -> int:
    """Membership of the weighted sum of four images; how many pixels are unknown."""
    missing = 0
    one, two, three, four = shares
    zero, half, full = np.float32(0.0), np.float32(0.5), np.float32(1.0)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            distance = (
                one * images[0][row, column]
                + two * images[1][row, column]
                + three * images[2][row, column]
                + four * images[3][row, column]
            )
            value = half + distance * slope
            missing += value != value
            value = full if value > full else value
            values[row, column] = zero if value < zero else value
    return missing


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
