"""Labels of one acquisition: memberships of its frames, compounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding import compound_frames, image_area_of
from myosweep.compounding.area import AreaSetting, ImageArea
from myosweep.compounding.grid import frame_corners, frame_gaps
from myosweep.compounding.placement import longest_bridge
from myosweep.geometry import Grid, Matrix
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.io.volumes import Volume
from myosweep.labels.completeness import Exposure, OpenEnd, exposure, summary_of
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.interpolation import Interpolation, interpolate
from myosweep.progress import track


@dataclass(frozen=True)
class AnnotatedSweep:
    """A sweep and what was drawn on it.

    Attributes
    ----------
    sweep
        The recording.
    masks
        Frame index to mask, uint8 (row, column): label values, 0 background, 255 unknown.
    structures
        Names of the structures that were annotated; the masks say nothing about any other.
    """

    sweep: Sweep
    masks: Mapping[int, NDArray[np.uint8]]
    structures: Sequence[str]


@dataclass(frozen=True)
class _Part:
    """One structure in one sweep, placed in the base acquisition's world."""

    number: int
    sweep: Sweep
    poses: NDArray[np.float64]
    image: ImageArea
    memberships: Interpolation

    @property
    def area(self) -> Rectangle:
        """Around the image."""
        return self.image.rectangle


def label_acquisition(
    sweeps: Sequence[AnnotatedSweep],
    grid: Grid,
    base_to_acquisition: Matrix,
    structures: Mapping[str, int],
    method: str,
    image_area: AreaSetting = "auto",
    *,
    threads: int = 1,
) -> tuple[Volume, dict[str, dict[str, Any]]]:
    """Compound the interpolated masks of all sweeps of an acquisition.

    A frame outside the first and last annotation of a structure in its sweep says nothing about that
    structure. Gaps between frames are filled as they are in images.

    Parameters
    ----------
    sweeps
        The acquisition's sweeps; those without masks may be among them.
    grid
        The base acquisition's.
    base_to_acquisition
        4 x 4, points of the base acquisition's world to points of this one's, mm.
    structures
        All structures, name to label value.
    method
        A name in `interpolation.METHODS`.
    image_area
        As for compounding.
    threads
        For compounding; does not change the result.

    Returns
    -------
    fractions
        uint8 (z, y, x, structure): 0 to 250 for the fraction of what was seen there that is the structure,
        255 where unknown.
    summaries
        Per structure: status (annotated, partial, not_annotated), reason, annotated_frames, and the measures
        behind them.
    """
    acquisition_to_base: Matrix = np.linalg.inv(base_to_acquisition).astype(np.float64)
    fractions = np.full((*grid.shape, len(structures)), UNKNOWN, dtype=np.uint8)
    summaries = {}
    for component, (name, value) in enumerate(structures.items()):
        parts = list(_parts(sweeps, name, value, method, acquisition_to_base, image_area))
        frames = sum(len(part.memberships.annotated) for part in parts)
        axis = _axis(parts, grid)
        found, seen = Exposure(0.0, 0.0, 0.0), False
        if frames:
            total = sum(_count(part) + 1 for part in parts)
            made = compound_frames(
                track(_frames(parts, grid), total, f"frames of {name} placed"),
                grid,
                gap_mm=max(_longest_bridge(part, grid) for part in parts),
                threads=threads,
            )
            known = made.coverage != 0
            seen = bool(known.any())
            target = fractions[..., component]
            for z in range(grid.shape[0]):
                scaled = np.rint(np.clip(made.values[z], 0, 1) * FULL)
                target[z] = np.where(known[z], scaled, UNKNOWN).astype(np.uint8)
            found = exposure((target >= FULL // 2) & known, known, grid, axis)
        ends = [end for part in parts for end in _open_ends(part, grid, axis)]
        summaries[name] = summary_of(found, ends, frames, len(parts), axis, seen)
    return Volume(fractions, grid), summaries


def _parts(
    sweeps: Sequence[AnnotatedSweep],
    name: str,
    value: int,
    method: str,
    acquisition_to_base: Matrix,
    image_area: AreaSetting,
) -> Iterator[_Part]:
    numbers: dict[int, int] = {}
    for annotated in sweeps:
        sweep = annotated.sweep
        # A recording may stand here more than once, with other structures.
        number = numbers.setdefault(id(sweep), len(numbers) + 1)
        if name not in annotated.structures or not annotated.masks:
            continue
        poses = acquisition_to_base @ sweep.image_to_world
        memberships = interpolate(annotated.masks, poses, sweep.valid, value, method)
        if memberships.annotated:
            yield _Part(number, sweep, poses, image_area_of(sweep, image_area), memberships)


def _count(part: _Part) -> int:
    return part.memberships.annotated[-1] - part.memberships.annotated[0] + 1


def _frames(parts: Sequence[_Part], grid: Grid) -> Iterator[tuple[NDArray[np.float32], Matrix]]:
    """Memberships inside the image area, with the poses of the cut frames.

    Where voxels are larger than pixels, blocks of pixels that fit into a voxel are averaged first.
    """
    for part in parts:
        area = part.area
        across, down = (
            max(1, min(int(min(grid.spacing) / size + 1e-6), count))
            for size, count in zip(part.sweep.pixel_spacing, (area.columns, area.rows), strict=True)
        )
        columns, rows = area.columns // across, area.rows // down
        cut = np.s_[area.row : area.row + rows * down, area.column : area.column + columns * across]
        to_pixel = np.diag([across, down, 1.0, 1.0])
        to_pixel[:2, 3] = area.column + (across - 1) / 2, area.row + (down - 1) / 2
        for index in range(part.memberships.annotated[0], part.memberships.annotated[-1] + 1):
            membership = part.memberships.membership(index)
            if membership is not None:
                membership = membership[cut]
                if part.image.mask is not None:
                    membership = np.where(
                        part.image.mask[: rows * down, : columns * across], membership, np.nan
                    )
                last = _block_means(membership, down, across), part.poses[index] @ to_pixel
                yield last
        # Nothing may be filled from one sweep to the next.
        yield np.full_like(last[0], np.nan), last[1]


def _block_means(image: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    parts = [image[row::down, column::across] for row in range(down) for column in range(across)]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total / np.float32(len(parts))


def _longest_bridge(part: _Part, grid: Grid) -> float:
    """The gap between frames that an image of the same sweep is filled over, mm."""
    return longest_bridge(frame_gaps(frame_corners(part.sweep, part.area)[part.sweep.valid]), grid)


def _centres(part: _Part) -> NDArray[np.float64]:
    """World positions of the first and the last annotated frame's centre, (2, 3)."""
    area = part.area
    centre = (area.column + (area.columns - 1) / 2, area.row + (area.rows - 1) / 2, 0, 1)
    first, last = part.memberships.annotated[0], part.memberships.annotated[-1]
    return np.stack([part.poses[first] @ centre, part.poses[last] @ centre])[:, :3]


def _axis(parts: Sequence[_Part], grid: Grid) -> int:
    """The grid's axis along which the sweeps ran, as an index into (z, y, x)."""
    travelled = np.zeros(3)
    for part in parts:
        first, last = _centres(part)
        travelled += np.abs(grid.direction.T @ (last - first))
    return 2 - int(np.argmax(travelled)) if travelled.any() else 0


def _open_ends(part: _Part, grid: Grid, axis: int) -> Iterator[OpenEnd]:
    first, last = _centres(part)
    forward = float(grid.direction[:, 2 - axis] @ (last - first)) >= 0
    annotated = part.memberships.annotated
    for index, side in zip(
        (annotated[0], annotated[-1]), ("low", "high") if forward else ("high", "low"), strict=True
    ):
        pixels = part.memberships.pixels(index)
        if pixels:
            pose = part.poses[index]
            area = float(np.linalg.norm(np.cross(pose[:3, 0], pose[:3, 1])))
            yield OpenEnd(side, f"sweep {part.number}, frame {index}", pixels * area)
