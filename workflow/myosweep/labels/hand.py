"""Labels drawn by hand on a volume, completely or on some slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.labels.completeness import ANNOTATED, OpenEnd
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.interpolation import interpolate

_WHERE = "labels drawn by hand"


@dataclass(frozen=True)
class Drawn:
    """One structure: fractions as `label_acquisition` makes them (uint8 (z, y, x)), and their summary."""

    fractions: NDArray[np.uint8]
    summary: dict[str, Any]


def read_hand(hand: Volume, grid: Grid, structures: Mapping[str, int], method: str) -> dict[str, Drawn]:
    """Turn hand-made labels into fractions of the structures they hold.

    A z slice without any label between labelled slices was not drawn and is interpolated. Before the first
    and after the last labelled slice there is background where the drawing is dense at that end (the slice
    next to the end one is labelled too), and nothing is known where it is not.

    Raises
    ------
    InputError
        Another grid than the base acquisition's, or a value that no structure has.
    """
    if hand.array.ndim != 3 or not hand.grid.same_as(grid):
        raise InputError(
            _WHERE,
            f"a grid of {hand.grid.size} voxels of {_spacing(hand.grid)} mm",
            f"the base acquisition's, {grid.size} voxels of {_spacing(grid)} mm, in the same place",
            "draw on the base acquisition's volume, or resample onto it (nearest neighbour)",
        )
    values = [int(value) for value in np.unique(hand.array)]
    stray = sorted(set(values) - set(structures.values()) - {0, UNKNOWN})
    if stray:
        named = ", ".join(f"{name} {value}" for name, value in structures.items())
        raise InputError(
            _WHERE,
            f"the value {stray[0]}",
            f"0, 255 or a structure's value ({named})",
            "correct the labels, or add the structure to the settings",
        )
    array = hand.array.astype(np.uint8)
    slices = [z for z in range(len(array)) if ((array[z] != 0) & (array[z] != UNKNOWN)).any()]
    return {
        name: _draw(array, slices, grid, name, value, method)
        for name, value in structures.items()
        if value in values
    }


def _draw(
    array: NDArray[np.uint8], slices: list[int], grid: Grid, name: str, value: int, method: str
) -> Drawn:
    poses = np.tile(grid.index_to_world, (len(array), 1, 1))
    poses[:, :3, 3] += np.arange(len(array))[:, None] * (grid.direction[:, 2] * grid.spacing[2])
    between = interpolate(
        {z: array[z] for z in slices}, poses, np.ones(len(array), dtype=bool), value, method
    )
    fractions = np.full(grid.shape, UNKNOWN, dtype=np.uint8)
    ends = []
    for side, end, beside, outside in (
        ("low", slices[0], slices[0] + 1, range(slices[0])),
        ("high", slices[-1], slices[-1] - 1, range(slices[-1] + 1, len(array))),
    ):
        dense = len(slices) > 1 and beside in slices
        if dense:
            fractions[outside.start : outside.stop] = 0
        pixels = int(np.count_nonzero(array[end] == value))
        if pixels and not (dense and len(outside)):
            ends.append(OpenEnd(side, f"slice {end}", pixels * grid.spacing[0] * grid.spacing[1]))
    for z in range(slices[0], slices[-1] + 1):
        membership = between.membership(z)
        if membership is not None:
            scaled = np.rint(np.nan_to_num(membership, nan=0.0) * FULL)
            fractions[z] = np.where(np.isnan(membership), UNKNOWN, scaled).astype(np.uint8)
    drawn = sum(1 for z in between.annotated if between.pixels(z))
    summary = {
        "status": ANNOTATED,
        "reason": "",
        "annotated_frames": drawn,
        "sweeps": 0,
        "axis": "z",
        "open_ends": [vars(end) for end in ends],
    }
    return Drawn(fractions, summary)


def _spacing(grid: Grid) -> str:
    return " x ".join(f"{value:.4g}" for value in grid.spacing)
