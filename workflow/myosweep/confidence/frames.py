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
    threads: int = 1,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Confidence maps of a sweep's usable frames, one after the other.

    The graph holds the image area alone and follows the beam of the area's fan where it has one. All frames
    of a sweep have one depth, so that their maps can be compared.

    Parameters
    ----------
    options
        How the maps are made.
    image_area
        As in compounding; see `image_area_of`.
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
    yield from in_order(partial(_map, area=area, options=options), frames, threads)


def _map(
    numbered: tuple[int, NDArray[np.uint8]], memory: Memory, *, area: ImageArea, options: ConfidenceOptions
) -> tuple[int, NDArray[np.float64]]:
    number, frame = numbered
    of, fan = area.rectangle, area.fan
    part = np.s_[of.row : of.row + of.rows, of.column : of.column + of.columns]
    if fan is not None:
        fan = replace(fan, column=fan.column - of.column, row=fan.row - of.row)
    whole = np.zeros(frame.shape)
    whole[part] = confidence_map(frame[part], options, known=area.mask, fan=fan, memory=memory)
    return number, whole


def write_maps_of_frames(
    path: str | Path,
    sweeps: Sequence[Sweep],
    options: ConfidenceOptions = DEFAULTS,
    *,
    image_area: AreaSetting = "auto",
    threads: int = 1,
) -> None:
    """Write the maps of all usable frames of an acquisition, each as soon as it is made; see `map_frames`."""
    count = sum(int(sweep.valid.sum()) for sweep in sweeps)
    made = (
        (number, frame, map_)
        for number, sweep in enumerate(sweeps)
        for frame, map_ in map_frames(sweep, options, image_area=image_area, threads=threads)
    )
    write_frame_maps(path, track(made, count, "frames mapped"))


def write_compounded_maps(
    path: str | Path, sweeps: Sequence[Sweep], maps: Sequence[FrameMaps], grid: Grid, **settings: Any
) -> None:
    """Compound maps of frames as `compound_maps` does, and write them as float32, 0..1."""
    levels = compound_maps(sweeps, maps, grid, **settings)
    planes = (plane.astype(np.float32) / np.float32(MAP_LEVELS) for plane in levels)
    write_planes(path, grid, np.dtype(np.float32), planes)
