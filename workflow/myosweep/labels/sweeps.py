"""One structure in the annotated sweeps of an acquisition, placed in the base acquisition's world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding import image_area_of
from myosweep.compounding.area import AreaSetting, ImageArea
from myosweep.compounding.grid import frame_corners, frame_gaps
from myosweep.compounding.placement import longest_bridge
from myosweep.geometry import Grid, Matrix
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.labels.completeness import OpenEnd
from myosweep.labels.ends import beyond
from myosweep.labels.interpolation import Interpolation, interpolate, way_of_frames
from myosweep.labels.surface import Slice
from myosweep.progress import log

Placed = tuple[NDArray[np.float32], Matrix]
"""A frame's membership, and its image_to_world."""


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
class Part:
    """One structure in one sweep.

    Attributes
    ----------
    number
        Of the recording among the acquisition's, from 1.
    poses
        (frame, 4, 4), pixel index to mm of the base acquisition's world.
    image
        The pixels that show anything.
    memberships
        Frame by frame.
    value
        The structure's label in the masks.
    """

    number: int
    sweep: Sweep
    poses: NDArray[np.float64]
    image: ImageArea
    memberships: Interpolation
    masks: Mapping[int, NDArray[np.uint8]]
    value: int

    @property
    def area(self) -> Rectangle:
        """Around the image."""
        return self.image.rectangle

    @property
    def count(self) -> int:
        """Frames from the first to the last annotation."""
        return self.memberships.annotated[-1] - self.memberships.annotated[0] + 1

    def longest_bridge(self, grid: Grid) -> float:
        """The gap between frames that an image of the same sweep is filled over, mm."""
        return longest_bridge(frame_gaps(frame_corners(self.sweep, self.area)[self.sweep.valid]), grid)

    def centres(self) -> NDArray[np.float64]:
        """World positions of the first and the last annotated frame's centre, (2, 3)."""
        area = self.area
        centre = (area.column + (area.columns - 1) / 2, area.row + (area.rows - 1) / 2, 0, 1)
        first, last = self.memberships.annotated[0], self.memberships.annotated[-1]
        return np.stack([self.poses[first] @ centre, self.poses[last] @ centre])[:, :3]

    def open_ends(self, grid: Grid, axis: int) -> Iterator[OpenEnd]:
        """First and last masks that show the structure; axis: of the limb, an index into (z, y, x)."""
        first, last = self.centres()
        forward = float(grid.direction[:, 2 - axis] @ (last - first)) >= 0
        annotated = self.memberships.annotated
        for index, side in zip(
            (annotated[0], annotated[-1]), ("low", "high") if forward else ("high", "low"), strict=True
        ):
            pixels = self.memberships.pixels(index)
            if pixels:
                pose = self.poses[index]
                area = float(np.linalg.norm(np.cross(pose[:3, 0], pose[:3, 1])))
                yield OpenEnd(side, f"sweep {self.number}, frame {index}", pixels * area)

    def frames(self, grid: Grid, *, constant: bool = False) -> Iterator[Placed]:
        """Memberships inside the image area from the first to the last annotation.

        constant: 1 wherever anything is known, for what the frames cover.
        """
        yield from self._placed(
            (
                (index, self.memberships.membership(index))
                for index in range(self.memberships.annotated[0], self.memberships.annotated[-1] + 1)
            ),
            grid,
            constant,
        )

    def frames_beyond(self, grid: Grid, side: int, ends: str) -> Iterator[Placed]:
        """The same beyond one end, the annotated frame first; nothing where the end stays cut."""
        way = way_of_frames(self.masks, self.poses, self.sweep.valid)
        pose = self.poses[self.memberships.annotated[0 if side < 0 else -1]]
        spacing = (float(np.linalg.norm(pose[:3, 0])), float(np.linalg.norm(pose[:3, 1])))
        added = list(beyond(self.memberships, way, spacing, side, ends))
        if added:
            last = self.memberships.annotated[0 if side < 0 else -1]
            yield from self._placed([(last, self.memberships.membership(last)), *added], grid, False)

    def _placed(
        self,
        memberships: Iterator[tuple[int, NDArray[np.float32] | None]]
        | list[tuple[int, NDArray[np.float32] | None]],
        grid: Grid,
        constant: bool,
    ) -> Iterator[Placed]:
        """Where voxels are larger than pixels, blocks of pixels that fit into a voxel are averaged first."""
        area = self.area
        across, down = (
            max(1, min(int(min(grid.spacing) / size + 1e-6), count))
            for size, count in zip(self.sweep.pixel_spacing, (area.columns, area.rows), strict=True)
        )
        columns, rows = area.columns // across, area.rows // down
        cut = np.s_[area.row : area.row + rows * down, area.column : area.column + columns * across]
        to_pixel = np.diag([across, down, 1.0, 1.0])
        to_pixel[:2, 3] = area.column + (across - 1) / 2, area.row + (down - 1) / 2
        last: Placed | None = None
        for index, membership in memberships:
            if membership is None:
                continue
            membership = membership[cut]
            if constant:
                membership = np.where(np.isnan(membership), np.nan, 1).astype(np.float32)
            if self.image.mask is not None:
                membership = np.where(self.image.mask[: rows * down, : columns * across], membership, np.nan)
            last = _block_means(membership, down, across), self.poses[index] @ to_pixel
            yield last
        if last is not None:
            # Nothing may be filled from one sweep to the next.
            yield np.full_like(last[0], np.nan), last[1]

    def slices(self) -> list[Slice]:
        """The annotated frames, cut to the image area."""
        area = self.area
        cut = np.s_[area.row : area.row + area.rows, area.column : area.column + area.columns]
        to_pixel = np.eye(4)
        to_pixel[:2, 3] = area.column, area.row
        made = []
        for index in self.memberships.annotated:
            own = self.memberships.membership(index)
            assert own is not None
            known = ~np.isnan(own[cut])
            if self.image.mask is not None:
                known &= self.image.mask
            made.append(Slice(own[cut] == 1, known, self.poses[index] @ to_pixel))
        return made


def parts_of(
    sweeps: Sequence[AnnotatedSweep],
    name: str,
    value: int,
    method: str,
    acquisition_to_base: Matrix,
    image_area: AreaSetting,
) -> Iterator[Part]:
    """One structure in every sweep where a usable frame says something of it.

    What is missing or odd in a sweep's annotations is told in the log.
    """
    numbers: dict[int, int] = {}
    for annotated in sweeps:
        sweep = annotated.sweep
        # A recording may stand here more than once, with other structures.
        number = numbers.setdefault(id(sweep), len(numbers) + 1)
        if name not in annotated.structures or not annotated.masks:
            continue
        poses = acquisition_to_base @ sweep.image_to_world
        memberships = interpolate(annotated.masks, poses, sweep.valid, value, method)
        _tell(annotated, name, value, memberships)
        if memberships.annotated:
            image = image_area_of(sweep, image_area)
            yield Part(number, sweep, poses, image, memberships, annotated.masks, value)


def _tell(annotated: AnnotatedSweep, name: str, value: int, memberships: Interpolation) -> None:
    """Say what of a sweep's annotations cannot be used, or will surprise."""
    path, sweep = annotated.sweep.path, annotated.sweep
    lost = [index for index in sorted(annotated.masks) if not sweep.valid[index]]
    for index in lost:
        log(f"{path}: the annotation of frame {index} is not used: {sweep.problems[index]}")
    if not memberships.annotated:
        log(f"{path}: no usable annotated frame says anything of {name}; it stays unknown in this sweep")
        return
    drawn = [index for index in memberships.annotated if memberships.pixels(index)]
    if not drawn:
        log(f"{path}: {name} is on none of {len(memberships.annotated)} annotated frames; taken as absent")
    elif len(memberships.annotated) == 1:
        log(
            f"{path}: {name} is annotated on frame {drawn[0]} alone; nothing can be interpolated, and "
            "this one frame is all that the sweep says; annotate at least two frames"
        )
    border = [index for index in drawn if _only_on_the_border(annotated.masks[index] == value)]
    if border:
        numbers = ", ".join(str(index) for index in border)
        log(
            f"{path}: the mask of {name} lies on the image's outermost pixels alone in frames {numbers}; "
            "look whether they were drawn by accident"
        )


def _only_on_the_border(mask: NDArray[np.bool_]) -> bool:
    return min(mask.shape) > 2 and not mask[1:-1, 1:-1].any()


def _block_means(image: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    parts = [image[row::down, column::across] for row in range(down) for column in range(across)]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total / np.float32(len(parts))


def axis_of(parts: Sequence[Part], grid: Grid) -> int:
    """The grid's axis along which the sweeps ran, as an index into (z, y, x)."""
    travelled = np.zeros(3)
    for part in parts:
        first, last = part.centres()
        travelled += np.abs(grid.direction.T @ (last - first))
    return 2 - int(np.argmax(travelled)) if travelled.any() else 0
