"""Confidence maps of the slices of a volume's file, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.confidence.dissection import Memory
from myosweep.confidence.in_order import in_order
from myosweep.confidence.maps import DEFAULTS, confidence_map
from myosweep.confidence.options import ConfidenceOptions
from myosweep.confidence.roles import longest_beam
from myosweep.errors import InputError
from myosweep.io.slabs import read_slabs
from myosweep.io.volumes import write_planes
from myosweep.progress import track

Slice = tuple[NDArray[Any], NDArray[Any]]


def write_maps_of_slices(
    path: str | Path,
    volume: str | Path,
    coverage: str | Path,
    options: ConfidenceOptions = DEFAULTS,
    *,
    threads: int = 1,
) -> None:
    """Write `confidence_volume` of two files, of which no more than a few slices are held at a time.

    Raises
    ------
    InputError
        A file cannot be read, the two do not fit together, or a map cannot be made with these options.
    """
    grid, grey = read_slabs(volume, 1)
    other, covered = read_slabs(coverage, 1)
    if not grid.same_as(other):
        raise InputError(coverage, "another grid than that of its volume", "the same grid", "make both again")
    depth: int | None = None
    if options.normalisation == "fixed":
        depth = max(longest_beam(plane[0] != 0) for plane in read_slabs(coverage, 1)[1])
    slices: Iterator[Slice] = ((a[0], b[0]) for a, b in zip(grey, covered, strict=True))
    made = in_order(partial(_map, options=options, depth=depth), slices, threads)
    planes = track(made, grid.shape[0], "slices mapped")
    write_planes(path, grid, np.dtype(np.float32), planes)


def _map(one: Slice, memory: Memory, *, options: ConfidenceOptions, depth: int | None) -> NDArray[np.float32]:
    values, covered = one
    return confidence_map(values, options, known=covered != 0, depth=depth, memory=memory).astype(np.float32)
