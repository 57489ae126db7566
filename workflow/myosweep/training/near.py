"""Where an image is known within a distance, slice by slice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numba
import numpy as np
from numpy.typing import NDArray


def far_slices(
    known: Callable[[int], NDArray[np.bool_]],
    shape: Sequence[int],
    spacing: Sequence[float],
    reach_mm: float,
) -> Iterator[NDArray[np.bool_]]:
    """Voxels farther than `reach_mm` from every known one, by the Euclidean distance of their centres.

    In memory are the slices within that distance alone.

    Parameters
    ----------
    known
        The known voxels (y, x) of a slice.
    shape, spacing
        Voxels and their size in mm along (z, y, x).

    Yields
    ------
    (y, x) of each slice in order.
    """
    steps = [int(min(reach_mm / voxel + 1, count)) for voxel, count in zip(spacing, shape, strict=True)]
    planes: deque[NDArray[np.float64]] = deque()
    first = 0
    for z in range(shape[0]):
        if z - first > steps[0]:
            planes.popleft()
            first += 1
        while first + len(planes) < min(z + steps[0] + 1, shape[0]):
            planes.append(_in_plane(known(first + len(planes)), spacing[1], spacing[2], steps[1]))
        nearest = planes[z - first].copy()
        if nearest.any():
            for index, plane in enumerate(planes, start=first):
                if index != z:
                    np.minimum(nearest, ((index - z) * spacing[0]) ** 2 + plane, out=nearest)
        yield np.sqrt(nearest) > reach_mm


@numba.njit(cache=True)
def _in_plane(known, edge_y, edge_x, steps):  # type: ignore[no-untyped-def]
    """Squared distance to the nearest known voxel of a slice as far as `steps` rows, infinite beyond."""
    rows, columns = known.shape
    along = np.full((rows, columns), np.inf)
    for j in range(rows):
        last = -1
        for i in range(columns):
            if known[j, i]:
                last = i
            if last >= 0:
                along[j, i] = ((i - last) * edge_x) ** 2
        last = -1
        for i in range(columns - 1, -1, -1):
            if known[j, i]:
                last = i
            if last >= 0:
                along[j, i] = min(along[j, i], ((last - i) * edge_x) ** 2)
    result = along.copy()
    for j in range(rows):
        for b in range(max(j - steps, 0), min(j + steps + 1, rows)):
            away = ((b - j) * edge_y) ** 2
            for i in range(columns):
                result[j, i] = min(result[j, i], away + along[b, i])
    return result
