"""Connected pieces and holes of what a network found, on slices that are read from a file.

In memory are two slices, and a number for each piece of each slice.
"""

from __future__ import annotations

from collections.abc import Callable

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
    parents: list[int] = []
    sizes: list[int] = []
    starts: list[int] = []
    before: NDArray[np.int64] | None = None

    def root(piece: int) -> int:
        while parents[piece] != piece:
            parents[piece] = parents[parents[piece]]
            piece = parents[piece]
        return piece

    for z in range(count):
        starts.append(len(parents))
        mask = mask_of(z)
        if not mask.any():
            before = None
            continue
        pieces, found = ndimage.label(mask)
        numbers = np.where(mask, pieces.astype(np.int64) - 1 + len(parents), -1)
        sizes += np.bincount(pieces.ravel(), minlength=found + 1)[1:].tolist()
        parents += range(len(parents), len(parents) + found)
        if before is not None:
            both = mask & (before >= 0)
            for low, high in np.unique(np.stack([before[both], numbers[both]]), axis=1).T.tolist():
                first, second = sorted((root(low), root(high)))
                parents[second] = first
        before = numbers
    roots = np.array([root(piece) for piece in range(len(parents))], dtype=np.int64)
    totals = np.bincount(roots, weights=sizes, minlength=1)
    largest = int(totals.argmax())

    def kept(z: int, mask: Mask) -> Mask:
        pieces, found = ndimage.label(mask)
        of_largest = np.concatenate([[False], roots[starts[z] : starts[z] + found] == largest])
        inside: Mask = of_largest[pieces]
        return inside

    return len(set(roots.tolist())), kept


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
