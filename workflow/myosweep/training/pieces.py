"""Connected pieces and holes of what a network found, on slices that are read from a file.

In memory are two slices, and 16 bytes for each piece of each slice.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.progress import log
from myosweep.training.slice_files import SliceFile

Mask = NDArray[np.bool_]


def largest_piece(mask_of: Callable[[int], Mask], count: int) -> tuple[int, Callable[[int, Mask], Mask]]:
    """The number of pieces of a mask (6 neighbours), and what tells the voxels of a slice in the largest.

    Of pieces that are equally large it is the first one in the order of slices, rows and columns.

    Parameters
    ----------
    mask_of
        The mask (y, x) of a slice.
    count
        Number of slices.
    """
    parents = np.empty(1024, dtype=np.int64)
    sizes = np.empty(1024, dtype=np.int64)
    starts = [0]
    before: NDArray[np.int64] | None = None
    for z in range(count):
        mask = mask_of(z)
        pieces, found = ndimage.label(mask)
        low, high = starts[-1], starts[-1] + found
        starts.append(high)
        if high > len(parents):
            parents, sizes = (np.resize(array, 2 * high) for array in (parents, sizes))
        parents[low:high] = np.arange(low, high)
        sizes[low:high] = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
        numbers = np.where(mask, pieces + np.int64(low - 1), -1)
        if before is not None and found:
            both = mask & (before >= 0)
            _join(parents, before[both], numbers[both])
        before = numbers
    parents, sizes = parents[: starts[-1]], sizes[: starts[-1]]
    number = _settle(parents, sizes)
    largest = int(np.where(parents == np.arange(len(parents)), sizes, 0).argmax()) if number else 0

    def kept(z: int, mask: Mask) -> Mask:
        pieces, _ = ndimage.label(mask)
        of_largest = np.concatenate([[False], parents[starts[z] : starts[z + 1]] == largest])
        inside: Mask = of_largest[pieces]
        return inside

    return number, kept


@numba.njit(cache=True)
def _join(parents, below, above):  # type: ignore[no-untyped-def]
    """Pieces that lie on one another become one; its root is its first piece."""
    for index in range(len(below)):
        first, second = below[index], above[index]
        while parents[first] != first:
            parents[first] = parents[parents[first]]
            first = parents[first]
        while parents[second] != second:
            parents[second] = parents[parents[second]]
            second = parents[second]
        parents[max(first, second)] = min(first, second)


@numba.njit(cache=True)
def _settle(parents, sizes):  # type: ignore[no-untyped-def]
    """Give every piece its root and every root the size of all; the number of roots."""
    number = 0
    for piece in range(len(parents)):
        # A parent comes before its children, and has its root already.
        parents[piece] = parents[parents[piece]]
        if parents[piece] == piece:
            number += 1
        else:
            sizes[parents[piece]] += sizes[piece]
    return number


def keep_largest(scores: SliceFile, winners: SliceFile, names: list[str]) -> None:
    """Keep the largest connected piece of each structure.

    Parameters
    ----------
    scores
        Probabilities (class, z, y, x); those of a structure become 0 where a smaller piece of it lay.
    winners
        The most probable class (1, z, y, x), uint8; what lay in smaller pieces goes to the next probable.
    names
        Of the classes from 1 on.
    """
    depth = scores.shape[1]
    for index, name in enumerate(names, start=1):

        def mask_of(z: int, index: int = index) -> Mask:
            mask: Mask = winners.read(z)[0] == index
            return mask

        count, kept = largest_piece(mask_of, depth)
        if count < 2:
            continue
        voxels = lost_voxels = 0
        for z in range(depth):
            mask = mask_of(z)
            lost = mask & ~kept(z, mask)
            voxels += int(mask.sum())
            if lost.any():
                lost_voxels += int(lost.sum())
                plane, best = scores.read(z), winners.read(z)
                plane[index][lost] = 0
                best[0][lost] = plane[:, lost].argmax(axis=0)
                scores.write(z, plane)
                winners.write(z, best)
        log(f"{name}: {count - 1} smaller pieces left out, {lost_voxels} voxels of {voxels}")


def fill_holes(scores: SliceFile, winners: SliceFile, names: list[str]) -> None:
    """Give a structure the background that it encloses within a slice; see `keep_largest`.

    Structure and background exchange their probabilities there, so that a structure of another network that
    lies in a hole keeps it.
    """
    for z in range(scores.shape[1]):
        best = winners.read(z)
        filled = {index: enclosed(best[0] == index) & (best[0] == 0) for index in range(1, len(names) + 1)}
        if not any(holes.any() for holes in filled.values()):
            continue
        plane = scores.read(z)
        # Of structures within one another the inner one comes first.
        for index in sorted(filled, key=lambda index: int(filled[index].sum())):
            holes = filled[index] & (best[0] == 0)
            plane[0][holes], plane[index][holes] = plane[index][holes], plane[0][holes]
            best[0][holes] = index
        scores.write(z, plane)
        winners.write(z, best)


def enclosed(mask: Mask) -> Mask:
    """What a mask (y, x) encloses: voxels outside it from which no 4 neighbours lead to the edge."""
    holes: Mask = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        pieces, _ = ndimage.label(np.pad(~mask[box], 1, constant_values=True))
        holes[box] = (pieces > 0)[1:-1, 1:-1] & (pieces != pieces[0, 0])[1:-1, 1:-1]
    return holes
