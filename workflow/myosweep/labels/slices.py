"""Slices of a label volume that were not drawn, between others that were."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Grid
from myosweep.labels.fractions import UNKNOWN
from myosweep.labels.interpolation import interpolate

# What is drawn may bulge between two slices by this part of its extent, at least so many pixels.
_MARGIN_PART = 0.1
_MARGIN_PIXELS = 8
_HALF = np.nextafter(np.float32(0.5), np.float32(0))


def fill_slices(
    labels: NDArray[np.uint8], grid: Grid, structures: Mapping[str, int], method: str = "shape"
) -> NDArray[np.uint8]:
    """Fill z slices without any label that lie between labelled ones.

    Parameters
    ----------
    labels
        uint8 (z, y, x); 255 is unknown. A slice without any structure is not drawn.
    grid
        Of the labels.
    structures
        Name to label value.
    method
        A name in `methods.FRAME_WISE`.

    Returns
    -------
    A copy with the slices between labelled ones filled, jointly: the structure of the largest membership from
    0.5 on, the first in `structures` where two are equal.
    """
    values = list(structures.values())
    table = np.zeros(256, dtype=bool)
    table[values] = True
    filled = np.zeros(labels.shape, dtype=np.uint8)
    drawn = []
    for z, own in enumerate(labels):
        if own.any():
            filled[z] = own
            if table[own].any():
                drawn.append(z)
    if len(drawn) < 2:
        return filled
    poses = np.tile(grid.index_to_world, (len(labels), 1, 1))
    poses[:, :3, 3] += np.arange(len(labels))[:, None] * (grid.direction[:, 2] * grid.spacing[2])
    between = sorted(set(range(drawn[0], drawn[-1])) - set(drawn))
    valid = np.ones(len(labels), dtype=bool)
    ways = []
    for value in values:
        box = _box(labels, drawn, value)
        if box is not None:
            masks = {z: np.ascontiguousarray(labels[z][box]) for z in drawn}
            ways.append((value, box, interpolate(masks, _cropped(poses, box), valid, value, method)))
    strongest = np.empty(labels.shape[1:], dtype=np.float32)
    unknown = {z: labels[z] == UNKNOWN for z in drawn if (labels[z] == UNKNOWN).any()}
    for z in between:
        strongest[:] = _HALF
        for value, box, made in ways:
            membership = made.membership(z)
            if membership is not None:
                better = membership > strongest[box]
                np.putmask(filled[z][box], better, value)
                np.maximum(strongest[box], membership, out=strongest[box], where=better)
        after = int(np.searchsorted(drawn, z))
        for beside in drawn[after - 1 : after + 1]:
            if beside in unknown:
                filled[z][unknown[beside]] = UNKNOWN
    return filled


def _box(labels: NDArray[np.uint8], drawn: list[int], value: int) -> tuple[slice, slice] | None:
    """Around a structure in all drawn slices, with a margin."""
    seen: NDArray[np.bool_] = np.zeros(labels.shape[1:], dtype=bool)
    for z in drawn:
        seen |= labels[z] == value
    if not seen.any():
        return None
    return _wider(np.flatnonzero(seen.any(axis=1)), len(seen)), _wider(
        np.flatnonzero(seen.any(axis=0)), labels.shape[2]
    )


def _wider(hit: NDArray[np.intp], count: int) -> slice:
    margin = max(_MARGIN_PIXELS, int(_MARGIN_PART * (hit[-1] - hit[0])))
    return slice(max(0, int(hit[0]) - margin), min(count, int(hit[-1]) + margin + 1))


def _cropped(poses: NDArray[np.float64], box: tuple[slice, slice]) -> NDArray[np.float64]:
    """The poses of the same slices cut to a box."""
    moved = poses.copy()
    moved[:, :3, 3] += poses[:, :3, 0] * box[1].start + poses[:, :3, 1] * box[0].start
    return moved
