"""Volumes compounded from tracked frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.area import image_area_of
from myosweep.compounding.between import OPEN
from myosweep.compounding.grid import frame_corners, frame_gaps
from myosweep.compounding.holes import close_slits, fill_holes, in_parallel, slit_reach
from myosweep.compounding.placement import Cache, Pair, Placed, consecutive, longest_bridge, place
from myosweep.compounding.plan import Plan, make_plan
from myosweep.compounding.slabs import Slabs
from myosweep.compounding.weights import pixel_weights
from myosweep.errors import InputError
from myosweep.geometry import Grid, Matrix
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.io.volumes import Volume
from myosweep.progress import log

# Sums of a slab, bytes; a smaller slab visits frames more often, a larger one costs memory.
SLAB_BYTES = 64 << 20
# What stands for 1 in a compounded map.
MAP_LEVELS = 65535


class Maps(Protocol):
    """Maps of a sweep's frames, read when asked for."""

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """The map of one frame, 0..1, (row, column) of the whole frame."""
        ...


@dataclass(frozen=True)
class Compounded:
    """What a set of frames says of each voxel.

    Attributes
    ----------
    values
        (z, y, x), or (z, y, x, channel) for frames with channels: the mean, or what the combination asks for;
        0 where unknown.
    coverage
        float32, the same shape: pixels per voxel, each with its weight; where filled, minus the distance in
        mm to the nearest frame (between frames) or voxel with a pixel; 0 where unknown.
    unfilled
        Number of voxels that were swept, and have neither a pixel nor a filled value.
    """

    values: NDArray[Any]
    coverage: NDArray[np.float32]
    unfilled: int


def compound_frames(
    frames: Iterable[tuple[NDArray[Any], Matrix]],
    grid: Grid,
    *,
    method: str = "trilinear",
    combine: str = "mean",
    gap_mm: float | None = None,
    fill: bool | str = True,
    radius_voxels: float = 1.5,
    threads: int = 1,
) -> Compounded:
    """Compound frames into a grid.

    Parameters
    ----------
    frames
        Pairs of a frame and its image_to_world, in the order of recording. A frame is (row, column) or (row,
        column, channel), uint8 or float32; all have the same channels. A NaN gives nothing to its channel.
        Frames of floating-point numbers or with channels are distributed "trilinear" or "nearest", and the
        mean is taken.
    method, combine, fill, radius_voxels
        See `Plan`.
    gap_mm
        The longest way between consecutive frames that is filled; None: 2.5 times the way that 95 % of
        consecutive frames keep, at least 5 voxels.

    Returns
    -------
    compounded
        Values as float32. The same bytes for any number of threads and, without filling, any order of the
        frames.
    """
    placed, corners = [], []
    channels = 0
    for frame, matrix in frames:
        pixels = np.ascontiguousarray(frame)
        if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.float32):
            raise ValueError(f"frames must be uint8 or float32 (row, column[, channel]), not {pixels.dtype}")
        channels = pixels.shape[2] if pixels.ndim == 3 else 0
        _require_finite(matrix)
        whole = Rectangle(0, 0, pixels.shape[1], pixels.shape[0])
        placed.append(place(partial(_itself, pixels), matrix, grid, whole))
        corners.append((matrix @ placed[-1].corners)[:3].T)
    gaps = frame_gaps(np.array(corners)) if len(placed) > 1 else np.empty(0)
    longest = longest_bridge(gaps, grid) if gap_mm is None else gap_mm
    plan = make_plan(method, combine, fill, "none", longest / 2, radius_voxels)
    return _compound(placed, consecutive(0, gaps, longest), grid, plan, threads, np.float32, channels)


def compound(
    sweeps: Sequence[Sweep],
    grid: Grid,
    *,
    image_area: Any = "auto",
    method: str = "between_frames",
    combine: str = "mean",
    fill: bool | str = True,
    blending: str = "feather",
    fill_reach_mm: float | str = "auto",
    radius_voxels: float = 1.5,
    confidence: Sequence[Maps] | None = None,
    threads: int = 1,
) -> tuple[Volume, Volume, dict[str, Any]]:
    """Compound the usable frames of all sweeps of one acquisition.

    Parameters
    ----------
    image_area
        See `image_area_of`.
    method, combine, fill, blending, radius_voxels
        See `Plan`; gaps are bridged within a sweep, never from one to the next.
    fill_reach_mm
        How far from data a hole may be filled, that is: half the longest way between frames that is bridged.
        "auto": 1.25 times the way that 95 % of a sweep's consecutive frames keep, at least 2.5 voxels.

    confidence
        Per sweep the maps of its frames, for the blending "confidence" alone.

    Returns
    -------
    volume
        uint8, 0 where nothing is known.
    coverage
        float32, see `Compounded`.
    summary
        Plain values: sweeps, frames, frames_used, left_out (recording, frames, reason), gap_median_mm and
        gap_95_mm between consecutive frames, fill_reach_mm, gaps_not_bridged (recording, frames, mm),
        covered_percent and filled_percent of the grid's voxels, unfilled_percent of the swept voxels (None
        without filling).

    Raises
    ------
    InputError
        No frame of any sweep can be used, or the settings do not go together.
    """
    plan = make_plan(method, combine, fill, blending, 0.0, radius_voxels)
    scene = _set(sweeps, grid, plan, image_area, fill_reach_mm, confidence)
    for item in scene.left_out:
        log(f"{item['recording']}: frames {item['frames']} left out: {item['reason']}")
    for gap in scene.not_bridged:
        log(f"{gap['recording']}: frames {gap['frames']} are {gap['mm']} mm apart; not filled between")
    plan = replace(plan, reach_mm=scene.reach_mm)
    result = _compound(scene.placed, scene.pairs, grid, plan, threads, np.uint8, 0)
    way = scene.gaps
    covered = int(np.count_nonzero(result.coverage > 0))
    filled = int(np.count_nonzero(result.coverage < 0))
    swept = covered + filled + result.unfilled
    summary = {
        "sweeps": len(sweeps),
        "frames": sum(sweep.frames.shape[0] for sweep in sweeps),
        "frames_used": len(scene.placed),
        "left_out": scene.left_out,
        "gap_median_mm": round(float(np.median(way)), 4) if len(way) else None,
        "gap_95_mm": round(float(np.percentile(way, 95)), 4) if len(way) else None,
        "fill_reach_mm": round(scene.reach_mm, 4),
        "gaps_not_bridged": scene.not_bridged,
        "covered_percent": round(100 * covered / grid.voxels, 4),
        "filled_percent": round(100 * filled / grid.voxels, 4),
        "unfilled_percent": round(100 * result.unfilled / max(swept, 1), 4) if plan.fill != "none" else None,
    }
    return Volume(result.values, grid), Volume(result.coverage, grid), summary


def compound_maps(
    sweeps: Sequence[Sweep],
    maps: Sequence[Maps],
    grid: Grid,
    *,
    image_area: Any = "auto",
    method: str = "between_frames",
    combine: str = "mean",
    fill: bool | str = True,
    blending: str = "feather",
    fill_reach_mm: float | str = "auto",
    radius_voxels: float = 1.5,
    threads: int = 1,
) -> NDArray[np.uint16]:
    """Compound maps of the sweeps' frames just as the frames themselves.

    Parameters
    ----------
    maps
        Per sweep the maps of its frames, 0..1; each counts with the weight that its frame's pixel has in the
        volume, with the blending "confidence" with the map itself.
    image_area, method, fill, blending, fill_reach_mm, radius_voxels
        As in `compound`, whose known voxels these are, too.
    combine
        As in `compound`; whatever it is, the mean of the maps is taken.

    Returns
    -------
    levels
        uint16, (z, y, x), in units of 1 / MAP_LEVELS; 0 where unknown: half of the memory of fractions.
    """
    make_plan(method, combine, fill, blending, 0.0, radius_voxels)
    plan = make_plan(method, "mean", fill, blending if combine == "mean" else "none", 0.0, radius_voxels)
    confidence = maps if plan.blending == "confidence" else None
    scene = _set(sweeps, grid, plan, image_area, fill_reach_mm, confidence, maps)
    plan = replace(plan, reach_mm=scene.reach_mm)
    return _compound(scene.placed, scene.pairs, grid, plan, threads, np.uint16, 0).values


@dataclass(frozen=True)
class _Scene:
    """All usable frames in a grid, and what is to be told of them."""

    placed: list[Placed]
    pairs: list[Pair]
    gaps: NDArray[np.float64]
    reach_mm: float
    left_out: list[dict[str, str]]
    not_bridged: list[dict[str, Any]]


def _set(
    sweeps: Sequence[Sweep],
    grid: Grid,
    plan: Plan,
    image_area: Any,
    fill_reach_mm: float | str,
    confidence: Sequence[Maps] | None,
    shown: Sequence[Maps] | None = None,
) -> _Scene:
    """Place the sweeps' frames, or what is `shown` in place of them."""
    placed: list[Placed] = []
    pairs: list[Pair] = []
    left_out: list[dict[str, str]] = []
    not_bridged: list[dict[str, Any]] = []
    all_gaps, reach = [], 0.0
    cache = Cache()
    if plan.blending == "confidence" and confidence is None:
        raise ValueError("the blending `confidence` needs the maps of the frames")
    for number, sweep in enumerate(sweeps):
        area = image_area_of(sweep, image_area)
        usable = np.flatnonzero(sweep.valid)
        left_out += _left_out(sweep)
        gaps = frame_gaps(frame_corners(sweep, area.rectangle)[usable])
        all_gaps.append(gaps)
        longest = longest_bridge(gaps, grid) if fill_reach_mm == "auto" else 2 * float(fill_reach_mm)
        reach = max(reach, longest / 2)
        own = consecutive(len(placed), gaps, longest)
        if plan.fill != "none" or plan.method == "between_frames":
            not_bridged += [
                {
                    "recording": str(sweep.path),
                    "frames": f"{usable[pair.first - len(placed)]}-{usable[pair.second - len(placed)]}",
                    "mm": round(pair.gap_mm, 2),
                }
                for pair in own
                if not pair.bridged
            ]
        pairs += own
        weights = pixel_weights(area, plan.blending if plan.combine == "mean" else "none")
        frames = sweep.frames if shown is None else shown[number]
        for frame in usable.tolist():
            pose = sweep.image_to_world[frame]
            _require_finite(pose)
            read = partial(cache.read, frames, area, number, frame)
            trust = None
            if plan.blending == "confidence" and confidence is not None:
                trust = partial(cache.read, confidence[number], area, len(sweeps) + number, frame)
            placed.append(place(read, pose, grid, area.rectangle, weights, trust))
    if not placed:
        raise InputError(
            ", ".join(str(sweep.path) for sweep in sweeps),
            "no usable frame",
            "frames with poses",
            "exclude the case",
        )
    way = np.concatenate(all_gaps) if all_gaps else np.empty(0)
    return _Scene(placed, pairs, way, reach, left_out, not_bridged)


def _require_finite(matrix: Matrix) -> None:
    if not np.isfinite(matrix).all():
        raise ValueError("the pose of a frame is not finite; leave frames out that cannot be used")


def _itself(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels


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


def _compound(
    placed: Sequence[Placed],
    pairs: Sequence[Pair],
    grid: Grid,
    plan: Plan,
    threads: int,
    dtype: type[np.uint8] | type[np.uint16] | type[np.float32],
    channels: int,
) -> Compounded:
    nz, ny, nx = grid.shape
    slabs = Slabs(placed, pairs, grid.shape, min(grid.spacing), plan, channels)
    shape = (nz, ny, nx, channels) if channels else (nz, ny, nx)
    values, coverage = np.zeros(shape, dtype), np.zeros(shape, np.float32)
    levels = np.float32(MAP_LEVELS if dtype == np.uint16 else 1)
    depth = max(1, min(nz, SLAB_BYTES // (ny * nx * max(1, channels) * 16)))

    def make(bottom: int) -> None:
        top = min(bottom + depth, nz)
        made, coverage[bottom:top] = slabs.make(bottom, top)
        values[bottom:top] = made if dtype == np.float32 else np.rint(made * levels)

    in_parallel(make, range(0, nz, depth), math.ceil(nz / depth), threads, "slabs compounded")
    if plan.fill == "none":
        return Compounded(values, coverage, 0)
    if not channels:
        return Compounded(values, coverage, _fill(values, coverage, grid, plan, threads))
    unfilled = 0
    for channel in range(channels):
        own_values = np.ascontiguousarray(values[..., channel])
        own_coverage = np.ascontiguousarray(coverage[..., channel])
        unfilled += _fill(own_values, own_coverage, grid, plan, threads)
        values[..., channel], coverage[..., channel] = own_values, own_coverage
    return Compounded(values, coverage, unfilled)


def _fill(values: NDArray[Any], coverage: NDArray[np.float32], grid: Grid, plan: Plan, threads: int) -> int:
    """Fill what is OPEN, and slits; the number of swept voxels that stay unknown."""
    if plan.fill != "between":
        fill_holes(values, coverage, grid.spacing, plan.reach_mm, plan.fill, threads)
    unfilled = _clear(coverage)
    if close_slits(coverage, threads):
        fill_holes(values, coverage, grid.spacing, slit_reach(grid.spacing), "gaussian", threads)
        _clear(coverage)
    return unfilled


def _clear(coverage: NDArray[np.float32]) -> int:
    """Make what is still OPEN unknown, and count it."""
    count = 0
    for z in range(len(coverage)):
        still = coverage[z] == OPEN
        here = int(np.count_nonzero(still))
        if here:
            coverage[z][still] = 0
            count += here
    return count
