"""Confidence maps of a sweep's frames, each along its own beam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding import MAP_LEVELS, ImageArea, compound_maps, image_area_of
from myosweep.compounding.area import AreaSetting
from myosweep.confidence.dissection import Memory
from myosweep.confidence.in_order import in_order
from myosweep.confidence.maps import DEFAULTS, confidence_map
from myosweep.confidence.options import ConfidenceOptions
from myosweep.confidence.roles import longest_beam
from myosweep.geometry import Grid
from myosweep.io.frame_maps import FrameMaps, write_frame_maps
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import write_planes
from myosweep.progress import track


def map_frames(
    sweep: Sweep,
    options: ConfidenceOptions = DEFAULTS,
    *,
    image_area: AreaSetting = "auto",
    depth_mm: float | None = None,
    threads: int = 1,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Confidence maps of a sweep's usable frames, one after the other.

    The graph holds the image area alone and follows the beam of the area's fan where it has one.

    Parameters
    ----------
    options
        How the maps are made.
    image_area
        As in compounding; see `image_area_of`.
    depth_mm
        What counts as the whole depth; default: the longest beam of the image area, one for all frames.
    threads
        How many maps are made at a time; they are the same for any number.

    Yields
    ------
    frame, map
        The frame's number, and float64 (row, column) of the whole frame, 0..1; 0 outside of the image area.

    Raises
    ------
    InputError
        The image area does not fit the frames, or a map cannot be made with these options.
    """
    area = image_area_of(sweep, image_area)
    usable = np.flatnonzero(sweep.valid).tolist()
    frames = ((frame, np.array(sweep.frames[frame])) for frame in usable)
    depth = None if depth_mm is None else max(1.0, depth_mm / sweep.pixel_spacing[1])
    yield from in_order(partial(_map, area=area, options=options, depth=depth), frames, threads)


def _map(
    numbered: tuple[int, NDArray[np.uint8]],
    memory: Memory,
    *,
    area: ImageArea,
    options: ConfidenceOptions,
    depth: float | None,
) -> tuple[int, NDArray[np.float64]]:
    number, frame = numbered
    of, fan = area.rectangle, area.fan
    part = np.s_[of.row : of.row + of.rows, of.column : of.column + of.columns]
    if fan is not None:
        fan = replace(fan, column=fan.column - of.column, row=fan.row - of.row)
    whole = np.zeros(frame.shape)
    whole[part] = confidence_map(frame[part], options, known=area.mask, fan=fan, depth=depth, memory=memory)
    return number, whole


def write_maps_of_frames(
    path: str | Path,
    sweeps: Sequence[Sweep],
    options: ConfidenceOptions = DEFAULTS,
    *,
    image_area: AreaSetting = "auto",
    threads: int = 1,
) -> None:
    """Write the maps of all usable frames of an acquisition, each as soon as it is made; see `map_frames`.

    Where the normalisation is fixed, one depth counts for all sweeps.
    """
    count = sum(int(sweep.valid.sum()) for sweep in sweeps)
    depth_mm = None
    if options.normalisation == "fixed" and count:
        depth_mm = max(_depth_mm(sweep, image_area) for sweep in sweeps if sweep.valid.any())
    made = (
        (number, frame, map_)
        for number, sweep in enumerate(sweeps)
        for frame, map_ in map_frames(
            sweep, options, image_area=image_area, depth_mm=depth_mm, threads=threads
        )
    )
    write_frame_maps(path, track(made, count, "frames mapped"))


def _depth_mm(sweep: Sweep, image_area: AreaSetting) -> float:
    """Length of the longest beam of a sweep's image area."""
    area = image_area_of(sweep, image_area)
    if area.fan is not None:
        pixels = area.fan.last_radius - area.fan.first_radius
    else:
        pixels = area.rectangle.rows - 1 if area.mask is None else longest_beam(area.mask)
    return float(pixels * sweep.pixel_spacing[1])


def write_compounded_maps(
    path: str | Path, sweeps: Sequence[Sweep], maps: Sequence[FrameMaps], grid: Grid, **settings: Any
) -> None:
    """Compound maps of frames as `compound_maps` does, and write them as float32, 0..1."""
    levels = compound_maps(sweeps, maps, grid, **settings)
    planes = (plane.astype(np.float32) / np.float32(MAP_LEVELS) for plane in levels)
    write_planes(path, grid, np.dtype(np.float32), planes)
