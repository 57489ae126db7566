"""Labels drawn by hand on a volume, completely or on some slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.segmentations import read_labels
from myosweep.io.volumes import Volume, read_grid
from myosweep.labels.completeness import ANNOTATED, OpenEnd
from myosweep.labels.ends import beyond
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.interpolation import interpolate
from myosweep.labels.methods import FRAME_WISE
from myosweep.labels.placing import offset_in, place_on
from myosweep.progress import log

_WHERE = "labels drawn by hand"
# For slices that were not drawn, where a method needs sweeps in space.
_FALLBACK = "shape"


@dataclass(frozen=True)
class Drawn:
    """One structure: fractions as `label_acquisition` makes them (uint8 (z, y, x)), and their summary."""

    fractions: NDArray[np.uint8]
    summary: dict[str, Any]


def read_drawn_labels(
    path: str | Path, grid: Grid, structures: Mapping[str, int], names: Mapping[str, str] | None = None
) -> Volume:
    """Read a file of labels drawn by hand and put it onto the base acquisition's grid.

    A segmentation of 3D Slicer is known by its fields, whatever its suffix, and read by the segments' names;
    in any other volume the values count.

    Parameters
    ----------
    path
        `.seg.nrrd`, `.nrrd`, `.nii.gz`, `.mha` or what else ITK reads.
    grid
        The base acquisition's. The file's grid must be a part of its lattice: see `placing`.
    structures
        Label value of every structure.
    names
        What annotators typed as names of segments: see `segmentations.segment_labels`.

    Returns
    -------
    Labels (z, y, x) on `grid`; 0 where a cropped file does not reach.

    Raises
    ------
    InputError
        Names the file: another grid, labels outside of it, merged, overlapping or unnamed segments, a value
        that no structure has.
    """
    # The header tells a wrong grid, before its voxels cost memory.
    offset_in(read_grid(path), grid, path)
    placed = place_on(read_labels(path, structures, names), grid, path, UNKNOWN)
    _values(placed.array, structures, path)
    return placed


def read_hand(
    hand: Volume, grid: Grid, structures: Mapping[str, int], method: str, ends: str = "cut"
) -> dict[str, Drawn]:
    """Turn hand-made labels into fractions of the structures they hold.

    A z slice without any structure between slices with one was not drawn and is interpolated, by `method` or,
    where that works on sweeps only, by `shape`. What is 255 there stays unknown.

    Before the first and after the last drawn slice there is background where the drawing is dense at that end
    (the slice next to the end one is drawn too), and nothing is known where it is not, but for what `ends`
    adds (`ends.beyond`). Labels that hold a 255 anywhere say themselves what is not known: there every 0 is
    background.

    Raises
    ------
    InputError
        Another lattice than the base acquisition's, or a value that no structure has.
    """
    placed = place_on(hand, grid, _WHERE, UNKNOWN)
    values = _values(placed.array, structures, _WHERE)
    array = placed.array.astype(np.uint8)
    slices = [z for z in range(len(array)) if ((array[z] != 0) & (array[z] != UNKNOWN)).any()]
    chosen = method if method in FRAME_WISE else _FALLBACK
    if slices and (gaps := slices[-1] - slices[0] + 1 - len(slices)):
        log(f"{_WHERE}: {len(slices)} slices drawn, {gaps} between them interpolated ({chosen})")
    return {
        name: _draw(array, slices, grid, name, value, chosen, UNKNOWN in values, ends)
        for name, value in structures.items()
        if value in values
    }


def _values(array: NDArray[Any], structures: Mapping[str, int], where: str | Path) -> set[int]:
    """The label values that occur, all of them a structure's, 0 or 255."""
    allowed = {0, UNKNOWN, *structures.values()}
    found: set[int] = set()
    for plane in array:
        if plane.dtype == np.uint8:
            values = np.flatnonzero(np.bincount(plane.ravel(), minlength=256))
        else:
            values = np.unique(plane)
        if stray := [value for value in values[: len(allowed) + 1].tolist() if value not in allowed]:
            named = ", ".join(f"{name} {value}" for name, value in structures.items())
            raise InputError(
                where,
                f"the value {stray[0]:g}",
                f"0, 255 or a structure's value ({named})",
                "give the labels these values, or save a .seg.nrrd in 3D Slicer, where names count; "
                "or add the structure to the settings",
            )
        found.update(int(value) for value in values)
    return found


def _draw(
    array: NDArray[np.uint8],
    slices: list[int],
    grid: Grid,
    name: str,
    value: int,
    method: str,
    explicit: bool,
    ends: str,
) -> Drawn:
    poses = np.tile(grid.index_to_world, (len(array), 1, 1))
    poses[:, :3, 3] += np.arange(len(array))[:, None] * (grid.direction[:, 2] * grid.spacing[2])
    between = interpolate(
        {z: array[z] for z in slices}, poses, np.ones(len(array), dtype=bool), value, method
    )
    fractions = np.full(grid.shape, UNKNOWN, dtype=np.uint8)
    open_ends = []
    exposed = {"low": 0.0, "high": 0.0}
    way: NDArray[np.float64] = np.arange(len(array), dtype=np.float64) * grid.spacing[2]
    for side, step, end, beside, outside in (
        ("low", -1, slices[0], slices[0] + 1, range(slices[0])),
        ("high", 1, slices[-1], slices[-1] - 1, range(slices[-1] + 1, len(array))),
    ):
        told = explicit or (len(slices) > 1 and beside in slices)
        if told:
            part = slice(outside.start, outside.stop)
            fractions[part] = np.where(array[part] == UNKNOWN, UNKNOWN, 0)
        pixels = int(np.count_nonzero(array[end] == value))
        closed = told and len(outside) and bool((array[end + step] != UNKNOWN).any())
        if pixels and not closed:
            exposed[side] = pixels * grid.spacing[0] * grid.spacing[1]
            open_ends.append(OpenEnd(side, f"slice {end}", exposed[side]))
        if not told:
            for z, added in beyond(between, way, grid.spacing[:2], step, ends):
                fractions[z] = _fractions(added)
    for z in range(slices[0], slices[-1] + 1):
        membership = between.membership(z)
        if membership is not None:
            fractions[z] = np.where(array[z] == UNKNOWN, UNKNOWN, _fractions(membership))
    drawn = sum(1 for z in between.annotated if between.pixels(z))
    summary = {
        "status": ANNOTATED,
        "reason": "",
        "annotated_frames": drawn,
        "sweeps": 0,
        "axis": "z",
        "open_ends": [vars(end) for end in open_ends],
        "exposed_low_mm2": exposed["low"],
        "exposed_high_mm2": exposed["high"],
        "ends": ends,
    }
    return Drawn(fractions, summary)


def _fractions(membership: NDArray[np.float32]) -> NDArray[np.uint8]:
    scaled = np.rint(np.nan_to_num(membership, nan=0.0) * FULL)
    return np.where(np.isnan(membership), UNKNOWN, scaled).astype(np.uint8)
