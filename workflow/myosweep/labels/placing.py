"""Labels drawn by hand, put onto the grid that they were drawn on: programs crop and pad."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from myosweep.errors import InputError
from myosweep.geometry import Grid, rotation_angle
from myosweep.io.volumes import Volume

# Two lattices are one where no voxel centre is off by more than this part of a voxel: files round what they
# store (NIfTI to 7 digits), and 5 % of the voxels in use are a tenth of what registration leaves.
TOLERANCE_VOXELS = 0.05
# A drawing may reach beyond the volume by as much as the volume is wide; files that say more are not read.
_LARGEST = 2

_REMEDY = "draw on the base acquisition's volume, or resample onto it (nearest neighbour)"


def offset_in(drawn: Grid, grid: Grid, where: str | Path) -> tuple[int, int, int]:
    """Index (x, y, z) in `grid` of the first voxel of `drawn`, which must be a part of the same lattice.

    Raises
    ------
    InputError
        Other spacing, turned or mirrored axes, shifted by a part of a voxel, or far larger. `where` names
        the file.
    """
    relative = grid.world_to_index @ drawn.index_to_world
    offset = np.rint(relative[:3, 3]) if np.isfinite(relative).all() else np.zeros(3)
    corners = np.array(np.meshgrid(*[(0, count - 1) for count in drawn.size])).reshape(3, -1).T
    mapped = corners @ relative[:3, :3].T + relative[:3, 3]
    error = float(np.abs(mapped - corners - offset).max())
    if not error <= TOLERANCE_VOXELS:
        _refuse(drawn, grid, where, f"{_difference(drawn, grid, error)}")
    if any(count > _LARGEST * most for count, most in zip(drawn.size, grid.size, strict=True)):
        _refuse(drawn, grid, where, "far larger")
    return int(offset[0]), int(offset[1]), int(offset[2])


def _difference(drawn: Grid, grid: Grid, error: float) -> str:
    """Why two grids are not parts of one lattice, in words."""
    steps = np.abs(np.array(drawn.spacing) - grid.spacing) * np.maximum(np.array(drawn.size) - 1, 1)
    if (steps > TOLERANCE_VOXELS * np.array(grid.spacing)).any():
        return "other spacing"
    turn = np.asarray(grid.direction).T @ drawn.direction
    if np.linalg.det(turn) < 0:
        return "mirrored axes"
    if (angle := float(np.degrees(rotation_angle(turn)))) > 1e-3:
        return f"axes turned by {angle:.3g} degrees"
    return f"shifted by a part of a voxel ({error:.2f})"


def _refuse(drawn: Grid, grid: Grid, where: str | Path, what: str) -> None:
    raise InputError(
        where,
        f"a grid of {drawn.size} voxels of {_spacing(drawn)} mm: {what}",
        f"the base acquisition's, {grid.size} voxels of {_spacing(grid)} mm, in the same place, or a part",
        _REMEDY,
    )


def place_on(drawn: Volume, grid: Grid, where: str | Path, unknown: int) -> Volume:
    """Labels on `grid`: padded with 0 where the drawing was cropped, cut where it says nothing beyond.

    Parameters
    ----------
    drawn
        Labels (z, y, x) on a part of the lattice of `grid`.
    where
        Names the file in messages.
    unknown
        The value that says nothing, and may be lost outside of `grid`, as 0 may.

    Raises
    ------
    InputError
        As `offset_in`; several values per voxel; labels outside of `grid`.
    """
    if drawn.array.ndim != 3:
        raise InputError(
            where,
            f"{drawn.array.shape[-1]} values per voxel",
            "one label per voxel",
            "export a label map, or save a .seg.nrrd in 3D Slicer",
        )
    offset = offset_in(drawn.grid, grid, where)
    if offset == (0, 0, 0) and drawn.grid.size == grid.size:
        return Volume(drawn.array, grid, drawn.metadata)
    inside: list[slice] = []
    source: list[slice] = []
    for start, count, most in zip(offset[::-1], drawn.array.shape, grid.shape, strict=True):
        first, last = max(0, start), max(0, min(most, start + count))
        inside.append(slice(min(first, last), last))
        source.append(slice(min(first, last) - start, last - start) if last > first else slice(0, 0))
    part = drawn.array[tuple(source)]
    lost = _labelled(drawn, unknown) - _labelled(Volume(part, grid), unknown)
    if lost:
        raise InputError(
            where,
            f"{lost} labelled voxels outside of the base acquisition's volume",
            f"labels within its {grid.size} voxels",
            "erase them, or check that the drawing belongs to this case",
        )
    array = np.zeros(grid.shape, dtype=drawn.array.dtype)
    if part.size:
        array[tuple(inside)] = part
    return Volume(array, grid, drawn.metadata)


def _labelled(volume: Volume, unknown: int) -> int:
    return sum(int(np.count_nonzero((plane != 0) & (plane != unknown))) for plane in volume.array)


def _spacing(grid: Grid) -> str:
    return " x ".join(f"{value:.4g}" for value in grid.spacing)
