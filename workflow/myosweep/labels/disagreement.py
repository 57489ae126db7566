"""How far the sweeps of an acquisition disagree about a structure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding import compound_frames
from myosweep.geometry import Grid, Matrix
from myosweep.labels.fractions import FULL, UNKNOWN

# Squares of differences of fractions are kept in 16 bits.
_UNIT = 8
_LARGEST = np.iinfo(np.uint16).max


def disagreement_of(
    target: NDArray[np.uint8],
    fractions: NDArray[np.uint8],
    sweeps: Sequence[Iterable[tuple[NDArray[np.float32], Matrix]]],
    grid: Grid,
    gap_mm: float,
    threads: int = 1,
) -> None:
    """Write where the sweeps differ in what they call the structure.

    The value is four times the variance of the sweeps' fractions about the fraction of all frames, every
    sweep with the same weight, times 250: 0 where all agree, 250 where one half of the sweeps shows nothing
    but the structure and the other half none of it. It is written where two sweeps or more know the
    structure, and where it is larger than what stands there from another structure; elsewhere `target` stays
    255.

    Parameters
    ----------
    target
        uint8 (z, y, x), changed in place.
    fractions
        The structure's, of all sweeps together, uint8 (z, y, x).
    sweeps
        Per sweep its frames' memberships with their poses, as for `compound_frames`.
    grid
        Of target and fractions.
    gap_mm
        As for `compound_frames`.
    """
    count = np.zeros(grid.shape, dtype=np.uint8)
    total = np.zeros(grid.shape, dtype=np.uint16)
    for frames in sweeps:
        made = compound_frames(frames, grid, gap_mm=gap_mm, threads=threads)
        for z in range(grid.shape[0]):
            known = (made.coverage[z] != 0) & (fractions[z] != UNKNOWN)
            own = np.clip(made.values[z][known], 0, 1) * FULL
            square = np.rint((own - fractions[z][known].astype(np.float32)) ** 2 / _UNIT)
            total[z][known] = np.minimum(total[z][known] + square, _LARGEST).astype(np.uint16)
            count[z][known] += 1
        # Two compounded volumes of a full-size leg at a time would be 4 GB more.
        del made
    for z in range(grid.shape[0]):
        seen = count[z] > 1
        variance = total[z][seen].astype(np.float32) * _UNIT / count[z][seen]
        scaled = np.minimum(np.rint(4 * variance / FULL), FULL).astype(np.uint8)
        before = target[z][seen]
        target[z][seen] = np.where(before == UNKNOWN, scaled, np.maximum(before, scaled))
