"""Volumes compounded from tracked frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.area import image_area_of
from myosweep.compounding.distribution import Sums, add_channels, add_nearest, add_trilinear, finish
from myosweep.compounding.filling import (
    OPEN,
    add_between,
    fill_holes,
    mark_holes,
    measure_distance,
    slices_to_data,
)
from myosweep.compounding.grid import frame_corners, frame_gaps
from myosweep.errors import InputError
from myosweep.geometry import Grid, Matrix
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.io.volumes import Volume
from myosweep.progress import log, track

# Sums of a slab, bytes; a smaller slab visits frames more often, a larger one costs memory.
SLAB_BYTES = 128 << 20
# A gap is bridged up to this many times the gap that 95 % of the frames keep: one lost frame is, a lost
# tracker is not.
LONGEST_BRIDGE = 2.5
SHORTEST_BRIDGE_VOXELS = 5
# Frames closer than this many voxels leave nothing between them.
CLOSE_VOXELS = 0.9

Area = tuple[int, int, int, int]


@dataclass(frozen=True)
class Compounded:
    """What a set of frames says of each voxel.

    Attributes
    ----------
    values
        float32, (z, y, x), or (z, y, x, channel) for frames with channels: the mean; 0 where unknown.
    coverage
        float32, the same shape: pixels per voxel; where filled, minus the distance in mm to the nearest voxel
        with a pixel; 0 where unknown.
    """

    values: NDArray[np.float32]
    coverage: NDArray[np.float32]


@dataclass(frozen=True)
class _Placed:
    """A frame, its used area (first and last column, first and last row) and its way to the grid."""

    pixels: NDArray[Any]
    area: Area
    image_to_index: Matrix


@dataclass(frozen=True)
class _Pair:
    """Two neighbouring frames and the number of steps from one to the other."""

    first: int
    second: int
    steps: int


def compound_frames(
    frames: Iterable[tuple[NDArray[Any], Matrix]],
    grid: Grid,
    *,
    method: str = "trilinear",
    combine: str = "mean",
    gap_mm: float | None = None,
    fill: bool = True,
    threads: int = 1,
) -> Compounded:
    """Compound frames into a grid.

    Parameters
    ----------
    frames
        Pairs of a frame and its image_to_world, in the order of recording. A frame is (row, column) or (row,
        column, channel), uint8 or float32; all have the same channels. A NaN gives nothing to its channel.
    method
        "trilinear": each pixel to the eight voxels around it, by distance. "nearest": to the nearest voxel.
    combine
        "mean": the weighted mean, exact to the rounding of float32.
    gap_mm
        The longest way between consecutive frames that is filled; None: 2.5 times the way that 95 % of
        consecutive frames keep, at least 5 voxels.
    fill
        Whether to fill between frames.

    Returns
    -------
    compounded
        The same bytes for any number of threads and, without filling, any order of the frames.
    """
    placed = [_place(np.asarray(frame), matrix, grid, None) for frame, matrix in frames]
    corners = _corners([item.pixels.shape for item in placed], [item.image_to_index for item in placed], grid)
    gaps = frame_gaps(corners) if len(placed) > 1 else np.empty(0)
    longest = _longest_bridge(gaps, grid) if gap_mm is None else gap_mm
    pairs = _pairs(0, gaps, longest, grid) if fill else []
    return _compound(placed, pairs, grid, method, combine, fill, threads)


def compound(
    sweeps: Sequence[Sweep],
    grid: Grid,
    *,
    image_area: str | Sequence[int] = "auto",
    method: str = "trilinear",
    combine: str = "mean",
    fill: bool = True,
    threads: int = 1,
) -> tuple[Volume, Volume, dict[str, Any]]:
    """Compound the usable frames of all sweeps of one acquisition.

    Parameters
    ----------
    image_area
        See `image_area_of`.
    method, combine, fill
        See `compound_frames`; gaps are bridged within a sweep, never from one to the next.

    Returns
    -------
    volume
        uint8, 0 where nothing is known.
    coverage
        float32, see `Compounded`.
    summary
        Plain values: sweeps, frames, frames_used, left_out (recording, frames, reason), gap_median_mm and
        gap_95_mm between consecutive frames, covered_percent and filled_percent of the grid's voxels.

    Raises
    ------
    InputError
        No frame of any sweep can be used.
    """
    placed: list[_Placed] = []
    pairs: list[_Pair] = []
    left_out: list[dict[str, str]] = []
    all_gaps = []
    for sweep in sweeps:
        area = image_area_of(sweep, image_area).rectangle
        usable = np.flatnonzero(sweep.valid)
        left_out += _left_out(sweep)
        gaps = frame_gaps(frame_corners(sweep, area)[usable])
        all_gaps.append(gaps)
        if fill:
            pairs += _pairs(len(placed), gaps, _longest_bridge(gaps, grid), grid)
        for frame in usable.tolist():
            placed.append(_place(sweep.frames[frame], sweep.image_to_world[frame], grid, area))
    if not placed:
        raise InputError(
            ", ".join(str(sweep.path) for sweep in sweeps),
            "no usable frame",
            "frames with poses",
            "exclude the case",
        )
    for item in left_out:
        log(f"{item['recording']}: frames {item['frames']} left out: {item['reason']}")
    result = _compound(placed, pairs, grid, method, combine, fill, threads)
    way = np.concatenate(all_gaps)
    summary = {
        "sweeps": len(sweeps),
        "frames": sum(sweep.frames.shape[0] for sweep in sweeps),
        "frames_used": len(placed),
        "left_out": left_out,
        "gap_median_mm": round(float(np.median(way)), 4) if len(way) else None,
        "gap_95_mm": round(float(np.percentile(way, 95)), 4) if len(way) else None,
        "covered_percent": round(100 * float(np.count_nonzero(result.coverage > 0)) / grid.voxels, 4),
        "filled_percent": round(100 * float(np.count_nonzero(result.coverage < 0)) / grid.voxels, 4),
    }
    rounded = np.empty(grid.shape, np.uint8)
    for z in range(grid.size[2]):
        rounded[z] = np.rint(result.values[z])
    return Volume(rounded, grid), Volume(result.coverage, grid), summary


def _left_out(sweep: Sweep) -> list[dict[str, str]]:
    """Which frames of a sweep cannot be used, by reason."""
    by_reason: dict[str, list[int]] = {}
    for frame, problem in enumerate(sweep.problems):
        if problem:
            by_reason.setdefault(problem, []).append(frame)
    return [
        {"recording": str(sweep.path), "frames": _ranges(frames), "reason": reason}
        for reason, frames in by_reason.items()
    ]


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in words: 3-7, 12."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _place(pixels: NDArray[Any], matrix: Matrix, grid: Grid, area: Rectangle | None) -> _Placed:
    if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.float32):
        raise ValueError(f"frames must be uint8 or float32 (row, column[, channel]), not {pixels.dtype}")
    if not np.isfinite(matrix).all():
        raise ValueError("the pose of a frame is not finite; leave frames out that cannot be used")
    if area is None:
        bounds = (0, pixels.shape[1] - 1, 0, pixels.shape[0] - 1)
    else:
        bounds = (area.column, area.column + area.columns - 1, area.row, area.row + area.rows - 1)
    return _Placed(np.ascontiguousarray(pixels), bounds, grid.world_to_index @ matrix)


def _corners(
    shapes: Sequence[tuple[int, ...]], matrices: Sequence[Matrix], grid: Grid
) -> NDArray[np.float64]:
    """Corners of whole frames, (frame, 4, 3) mm."""
    corners = np.empty((len(shapes), 4, 3))
    for index, (shape, matrix) in enumerate(zip(shapes, matrices, strict=True)):
        columns, rows = shape[1] - 1, shape[0] - 1
        pixels = np.array([(0, 0, 0, 1), (columns, 0, 0, 1), (0, rows, 0, 1), (columns, rows, 0, 1)], float)
        corners[index] = (grid.index_to_world @ matrix @ pixels.T)[:3].T
    return corners


def _longest_bridge(gaps: NDArray[np.float64], grid: Grid) -> float:
    usual = float(np.percentile(gaps, 95)) if len(gaps) else 0.0
    return max(LONGEST_BRIDGE * usual, SHORTEST_BRIDGE_VOXELS * min(grid.spacing))


def _pairs(offset: int, gaps: NDArray[np.float64], longest: float, grid: Grid) -> list[_Pair]:
    """Neighbouring frames that leave voxels open between them, not farther apart than `longest` mm."""
    voxel = min(grid.spacing)
    return [
        _Pair(offset + i, offset + i + 1, max(2, math.ceil(gap / voxel)))
        for i, gap in enumerate(gaps.tolist())
        if CLOSE_VOXELS * voxel < gap <= longest
    ]


def _compound(
    placed: Sequence[_Placed],
    pairs: Sequence[_Pair],
    grid: Grid,
    method: str,
    combine: str,
    fill: bool,
    threads: int,
) -> Compounded:
    if method not in ("trilinear", "nearest"):
        raise InputError("compounding.method", method, "trilinear or nearest", "correct compounding.method")
    if combine != "mean":
        raise InputError("compounding.combine", combine, "mean", "correct compounding.combine")
    flat = all(item.pixels.ndim == 2 for item in placed)
    channels = 1 if flat else placed[0].pixels.shape[2]
    nz, ny, nx = grid.shape
    values = np.zeros((nz, ny, nx, channels), np.float32)
    coverage = np.zeros((nz, ny, nx, channels), np.float32)
    ranges = np.array([_slices(item) for item in placed]).reshape(-1, 2)
    depth = max(1, min(nz, SLAB_BYTES // (ny * nx * channels * 16)))

    def make(bottom: int) -> None:
        top = min(bottom + depth, nz)
        sums = np.zeros((top - bottom, ny, nx, channels, 2), np.int64)
        # A voxel beyond the slab, as far as a trilinear pixel reaches.
        touching = (ranges[:, 0] < top) & (ranges[:, 1] > bottom - 1)
        for index in np.flatnonzero(touching).tolist():
            _add(placed[index], bottom, method, sums)
        near = [
            pair
            for pair in pairs
            if min(ranges[pair.first, 0], ranges[pair.second, 0]) < top
            and max(ranges[pair.first, 1], ranges[pair.second, 1]) > bottom - 1
        ]
        between = np.zeros(sums.shape if near else (0, 0, 0, channels, 2), np.int64)
        for pair in near:
            _add_between(placed[pair.first], placed[pair.second], pair.steps, bottom, sums, between)
        finish(sums, between, values[bottom:top], coverage[bottom:top])

    _in_parallel(make, range(0, nz, depth), threads, "slabs compounded")
    if fill:
        reach = _reach(placed, pairs, grid)
        for channel in range(channels):
            if _coarse(placed, method):
                _close_holes(values[..., channel], coverage[..., channel])
            _measure(coverage[..., channel], grid, reach, threads)
    if flat:
        return Compounded(values[..., 0], coverage[..., 0])
    return Compounded(values, coverage)


def _in_parallel(work: Any, items: range, threads: int, what: str) -> None:
    if threads <= 1:
        for item in track(items, len(items), what):
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in track(pool.map(work, items), len(items), what):
            pass


def _slices(item: _Placed) -> tuple[float, float]:
    """The lowest and highest slice index that a frame's area reaches."""
    row = item.image_to_index[2]
    ends = [row[0] * c + row[1] * r + row[3] for c in item.area[:2] for r in item.area[2:]]
    return min(ends), max(ends)


def _shifted(matrix: Matrix, bottom: int) -> Matrix:
    shifted = matrix.copy()
    shifted[2, 3] -= bottom
    return shifted


def _add(item: _Placed, bottom: int, method: str, sums: Sums) -> None:
    matrix = _shifted(item.image_to_index, bottom)
    if item.pixels.dtype == np.uint8 and item.pixels.ndim == 2:
        add = add_nearest if method == "nearest" else add_trilinear
        add(item.pixels, item.area, matrix, sums)
        return
    add_channels(_with_channels(item.pixels), item.area, matrix, method == "nearest", sums)


def _with_channels(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32, copy=False).reshape(pixels.shape[0], pixels.shape[1], -1)


def _add_between(one: _Placed, two: _Placed, steps: int, bottom: int, sums: Sums, between: Sums) -> None:
    if one.pixels.shape != two.pixels.shape or one.area != two.area:
        return
    # Three pixels along two voxels are enough, as each reaches the eight voxels around it.
    sizes = np.linalg.norm(one.image_to_index[:3, :2], axis=0)
    stride = (max(1, int(2 / 3 / sizes[0])), max(1, int(2 / 3 / sizes[1])))
    shape = (*one.pixels.shape[:2], -1)
    add_between(
        one.pixels.reshape(shape),
        two.pixels.reshape(shape),
        one.area,
        _shifted(one.image_to_index, bottom),
        _shifted(two.image_to_index, bottom),
        steps,
        stride,
        sums,
        between,
    )


def _reach(placed: Sequence[_Placed], pairs: Sequence[_Pair], grid: Grid) -> float:
    """How far a filled voxel may be from data, mm: half the widest gap and the reach of the hole filling."""
    return (max((pair.steps for pair in pairs), default=0) / 2 + 6) * max(grid.spacing)


def _coarse(placed: Sequence[_Placed], method: str) -> bool:
    """Whether pixels are so far apart that voxels between them get nothing."""
    sizes = [np.linalg.norm(item.image_to_index[:3, :2], axis=0).max() for item in placed]
    return max(sizes, default=0.0) > (0.5 if method == "nearest" else 1.0) + 1e-6


def _close_holes(values: NDArray[np.float32], coverage: NDArray[np.float32]) -> None:
    nz = coverage.shape[0]
    # A hole that is open along all axes is closed after its neighbours, at most three times over.
    for _ in range(3):
        if not sum(mark_holes(coverage, z, z + 1) for z in range(nz)):
            break
        for z in range(nz):
            fill_holes(values, coverage, z, z + 1)
        coverage[coverage == OPEN] = -1.0


def _measure(coverage: NDArray[np.float32], grid: Grid, reach: float, threads: int) -> None:
    """Write the distance to data into the coverage of filled voxels."""
    if not (coverage < 0).any():
        return
    distance = np.empty(coverage.shape, np.uint8)
    slices_to_data(coverage, distance)
    _in_parallel(
        lambda z: measure_distance(coverage, distance, grid.spacing, reach, z, z + 1),
        range(grid.size[2]),
        threads,
        "slices of distances measured",
    )
