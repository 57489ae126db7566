"""The grid of a case: oriented with the probe or with the world, around all frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.area import AreaSetting, ImageArea, image_area_of
from myosweep.errors import InputError
from myosweep.geometry import Grid, apply_transform
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.memory import machine_memory

# The 8-bit volume, coverage as float32, a byte for holes; and one for what is written and read beside it.
BYTES_PER_VOXEL = 7
# Part of the machine's memory that a volume may take: accumulators, frames and the other jobs need some too.
PART_OF_MEMORY = 0.7
# Shorter ways than this have no direction that could be trusted.
SHORTEST_WAY_MM = 2.0
# Directions whose mean is shorter than this part of them have none in common.
LEAST_COMMON = 0.05


def case_grid(
    sweeps: Sequence[Sweep],
    axes: str = "probe",
    spacing_mm: float | str = "auto",
    image_area: AreaSetting = "auto",
    reference: Sequence[Sweep] | None = None,
    memory_bytes: int | None = None,
) -> Grid:
    """Choose a grid that holds all usable frames of the sweeps.

    Parameters
    ----------
    sweeps
        All sweeps of the case.
    axes
        "world": the world's axes, size round(range / spacing) + 1 (as IGSIO). "probe": x lateral, y along the
        beam, z along the sweep, right-handed; the size is rounded up.
    spacing_mm
        Edge of a voxel; "auto": the distance between frames, but 1.5 to 3 times the size of a pixel.
    image_area
        See `image_area_of`.
    reference
        The sweeps that give the probe's axes and the automatic spacing; by default all.
    memory_bytes
        What a volume may take; by default 0.7 of this machine's memory.

    Raises
    ------
    InputError
        No frame can be used, or the volume would not fit into memory.
    """
    areas = [image_area_of(sweep, image_area) for sweep in sweeps]
    outlines = np.concatenate(
        [frame_outlines(s, area)[s.valid].reshape(-1, 3) for s, area in zip(sweeps, areas, strict=True)]
    )
    if not len(outlines):
        raise InputError(
            ", ".join(str(sweep.path) for sweep in sweeps),
            "no usable frame",
            "frames with poses",
            "exclude the case",
        )
    leading = list(reference) if reference else list(sweeps)
    spacing = automatic_spacing(leading, image_area) if spacing_mm == "auto" else float(spacing_mm)
    direction = np.eye(3) if axes == "world" else probe_axes(leading)
    along = outlines @ direction
    lowest, extent = along.min(axis=0), np.ptp(along, axis=0)
    # Rounding errors of a turned world must not add a voxel.
    direction = np.asarray(direction, np.float64)
    steps = np.floor(extent / spacing + 0.5) if axes == "world" else np.ceil(extent / spacing - 1e-6)
    size = np.maximum(steps.astype(int) + 1, 1)
    grid = Grid((int(size[0]), int(size[1]), int(size[2])), (spacing,) * 3, direction @ lowest, direction)
    _check_memory(grid, extent, sweeps[0].path, memory_bytes or int(PART_OF_MEMORY * machine_memory()))
    return grid


def frame_corners(sweep: Sweep, area: Rectangle) -> NDArray[np.float64]:
    """World positions of the centres of the area's corner pixels, (frame, 4, 3) mm."""
    return frame_outlines(sweep, ImageArea(area))


def frame_outlines(sweep: Sweep, area: ImageArea) -> NDArray[np.float64]:
    """World positions of the area's outermost pixels, (frame, pixel, 3) mm; their convex hull holds all."""
    outline = area.outline
    pixels = np.concatenate([outline, np.tile([0, 1], (len(outline), 1))], axis=1).astype(np.float64)
    positions: NDArray[np.float64] = np.einsum("fij,pj->fpi", sweep.image_to_world, pixels)[:, :, :3]
    return positions


def frame_gaps(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance in mm to the next frame, where it is largest: corners (frame, 4, 3) to (frame - 1,)."""
    gaps: NDArray[np.float64] = np.linalg.norm(np.diff(corners, axis=0), axis=2).max(axis=1)
    return gaps


def automatic_spacing(sweeps: Sequence[Sweep], image_area: AreaSetting = "full") -> float:
    """The median distance of frames' image areas, held between 1.5 and 3 pixels, mm, two digits."""
    pixel = float(np.median([np.mean(sweep.pixel_spacing) for sweep in sweeps]))
    gaps = []
    for sweep in sweeps:
        area = image_area_of(sweep, image_area).rectangle
        gaps.append(frame_gaps(frame_corners(sweep, area)[sweep.valid]))
    moving = np.concatenate(gaps)
    gap = float(np.median(moving)) if len(moving) else 0.0
    return float(f"{np.clip(gap, 1.5 * pixel, 3 * pixel):.2g}")


def probe_axes(sweeps: Sequence[Sweep]) -> NDArray[np.float64]:
    """3 x 3 world directions of x (lateral), y (along the beam) and z (along the sweep) as columns.

    y is the mean direction of the image's columns (that of the first frame where sweeps from all sides cancel
    each other), z the main direction of travel made orthogonal to y, with
    the sign that makes x point along the image's rows.
    """
    lateral = np.concatenate([sweep.image_to_world[sweep.valid, :3, 0] for sweep in sweeps])
    beam = np.concatenate([sweep.image_to_world[sweep.valid, :3, 1] for sweep in sweeps])
    # A probe turned round between sweeps must not cancel the mean.
    lateral = lateral * np.where(lateral @ lateral[0] < 0, -1.0, 1.0)[:, np.newaxis]
    y = beam.mean(axis=0)
    if np.linalg.norm(y) < LEAST_COMMON * np.linalg.norm(beam, axis=1).mean():
        y = beam[0].copy()
    y /= np.linalg.norm(y)
    normal = np.cross(lateral.mean(axis=0), y)
    if np.linalg.norm(normal) < LEAST_COMMON * np.linalg.norm(lateral, axis=1).mean():
        normal = np.cross(lateral[0], beam[0])
        normal -= (normal @ y) * y
    normal /= np.linalg.norm(normal)
    ways = []
    for sweep in sweeps:
        rows, columns = sweep.frames.shape[1:]
        centres = apply_frames(sweep.image_to_world[sweep.valid], (columns - 1) / 2, (rows - 1) / 2)
        ways.append(centres - centres.mean(axis=0))
    way = np.concatenate(ways)
    way -= np.outer(way @ y, y)
    z = np.linalg.svd(way, full_matrices=False)[2][0] if len(way) > 1 else normal
    # A probe that turned on the spot, or slid within its own plane, tells no direction of travel.
    if np.ptp(way @ z) < SHORTEST_WAY_MM or abs(z @ normal) < 0.5:
        z = normal
    z = z - (z @ y) * y
    z /= np.linalg.norm(z) * (1 if z @ normal > 0 else -1)
    return np.stack([np.cross(y, z), y, z], axis=1)


def apply_frames(matrices: NDArray[np.float64], column: float, row: float) -> NDArray[np.float64]:
    """World position of one pixel in every frame, (frame, 3) mm."""
    points = [apply_transform(matrix, (column, row, 0)) for matrix in matrices]
    return np.array(points).reshape(-1, 3)


def _check_memory(grid: Grid, extent: NDArray[np.float64], path: Path, limit: int) -> None:
    needed = grid.voxels * BYTES_PER_VOXEL
    if needed <= limit:
        return
    fits = float(f"{grid.spacing[0] * (needed / limit) ** (1 / 3) * 1.05:.2g}")
    x, y, z = grid.size
    raise InputError(
        path,
        f"frames within {extent[0]:.0f} x {extent[1]:.0f} x {extent[2]:.0f} mm: "
        f"a volume of {x} x {y} x {z} voxels of {grid.spacing[0]:g} mm needs {needed / 2**30:.1f} GiB",
        f"at most {limit / 2**30:.1f} GiB",
        f"set compounding.spacing_mm to {fits:g} or more, or correct the poses if the extent is wrong",
    )
