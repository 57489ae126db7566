"""Filling of all holes of a volume, on several threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.between import OPEN
from myosweep.compounding.filling import (
    FILLINGS,
    NOWHERE,
    SLIT,
    add_slice,
    blur_slice,
    divide,
    finish_holes,
    mark_slits,
    nearest_known,
    slices_to_known,
)
from myosweep.progress import track

SLICES_AT_ONCE = 24


def in_parallel(
    work: Callable[[Any], Any], items: Iterable[Any], count: int, threads: int, what: str
) -> None:
    """Do the work for each item, with progress told as `what`."""
    if threads <= 1:
        for item in track(items, count, what):
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in track(pool.map(work, items), count, what):
            pass


def close_slits(coverage: NDArray[np.float32], threads: int) -> bool:
    """Mark as OPEN what has known voxels at most SLIT away on both sides; whether there was any."""
    marked = []
    in_parallel(
        lambda z: marked.append(mark_slits(coverage, z, min(z + SLICES_AT_ONCE, len(coverage)))),
        range(0, len(coverage), SLICES_AT_ONCE),
        math.ceil(len(coverage) / SLICES_AT_ONCE),
        threads,
        "parts searched for slits",
    )
    return any(marked)


def fill_holes(
    values: NDArray[Any],
    coverage: NDArray[np.float32],
    spacing: tuple[float, float, float],
    reach_mm: float,
    method: str,
    threads: int = 1,
) -> None:
    """Fill voxels whose coverage is OPEN from known ones at most reach_mm away; the others stay OPEN.

    Parameters
    ----------
    values
        uint8, uint16 or float32, (z, y, x); changed in place.
    coverage
        float32, the same shape: 0 unknown, OPEN to be filled, anything else known; becomes minus the
        distance to data where filled.
    spacing
        Of voxels along x, y, z, mm.
    reach_mm
        How far a hole may be from what is known; at most 126 voxels count.
    method
        One of FILLINGS: "gaussian", "nearest", "distance".
    """
    nz, ny, nx = coverage.shape
    reach = min(max(1, int(reach_mm / min(spacing) + 1e-6)), NOWHERE - 1)
    offsets = np.empty(coverage.shape, np.int8)
    bands = np.linspace(0, ny, min(ny, 8) + 1).astype(int)
    in_parallel(
        lambda band: slices_to_known(coverage, offsets, reach, bands[band], bands[band + 1]),
        range(len(bands) - 1),
        len(bands) - 1,
        threads,
        "parts looked through for what is known",
    )
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / (reach / 2)) ** 2).astype(np.float32)
    number = FILLINGS.index(method)

    def fill(first: int) -> None:
        last = min(first + SLICES_AT_ONCE, nz)
        if not (coverage[first:last] == OPEN).any():
            return
        found = np.empty((ny, nx), np.int64)
        square = np.empty((ny, nx), np.float32)
        means = np.empty((ny, nx), np.float32)
        blurred: dict[int, NDArray[np.float32]] = {}
        for z in range(first, last):
            count = nearest_known(coverage, offsets, spacing, reach_mm, z, found, square)
            if not count:
                continue
            if method == "gaussian":
                blurred = {other: one for other, one in blurred.items() if other >= z - reach}
                total = np.zeros((2, ny, nx), np.float32)
                for other in range(max(0, z - reach), min(nz, z + reach + 1)):
                    if other not in blurred:
                        blurred[other] = np.empty((2, ny, nx), np.float32)
                        blur_slice(values, offsets, other, kernel, blurred[other])
                    add_slice(blurred[other], kernel[other - z + reach], total)
                divide(total, means)
            whole = values.dtype.kind == "u"
            finish_holes(values, coverage, offsets, found, means, spacing, reach, number, whole, z)

    in_parallel(
        fill, range(0, nz, SLICES_AT_ONCE), math.ceil(nz / SLICES_AT_ONCE), threads, "parts with holes filled"
    )


def slit_reach(spacing: tuple[float, float, float]) -> float:
    """How far the middle of a slit can be from what is known, mm."""
    return SLIT * max(spacing)
