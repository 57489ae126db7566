"""Frames of a sweep on which the sweeps disagree most about what was drawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Matrix, apply_transform
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume
from myosweep.labels.fractions import FULL, UNKNOWN

_STEP_MM = 1.0
# What is under this area, a thin line along an outline, is the hand's tremor.
_LEAST_MM2 = 5.0


@dataclass(frozen=True)
class Dispute:
    """Where sweeps disagree, and how many frames shall be outlined for it.

    Attributes
    ----------
    volume
        See `disagreement.disagreement_of`, on the base acquisition's grid.
    base_to_acquisition
        4 x 4, points of the base acquisition's world to points of the sweep's, mm.
    frames
        At most so many of each sweep.
    """

    volume: Volume
    base_to_acquisition: Matrix
    frames: int


def disputed_frames(
    sweep: Sweep,
    annotated: Collection[int],
    dispute: Dispute,
    along_mm: NDArray[np.float64],
    apart_mm: float,
) -> list[int]:
    """Choose frames, the one with the largest disputed area first, then the next that is far enough from it.

    Parameters
    ----------
    sweep
        The recording.
    annotated
        Frames that have a mask.
    along_mm
        Length of the probe's path up to each usable frame.
    apart_mm
        Distance along the path that a frame keeps from annotated and chosen ones.

    Returns
    -------
    Ascending frame indices; none where no area of 5 mm2 is disputed, as where no other sweep was annotated.
    """
    usable = np.flatnonzero(sweep.valid)
    areas = np.array([_disputed_mm2(sweep, frame, dispute) for frame in usable.tolist()])
    taken = [along_mm[at] for at, frame in enumerate(usable.tolist()) if frame in annotated]
    chosen: list[int] = []
    # The largest first, of equal ones the earliest.
    for at in np.argsort(-areas, kind="stable").tolist():
        if len(chosen) == dispute.frames or areas[at] < _LEAST_MM2:
            break
        if all(abs(along_mm[at] - place) >= apart_mm for place in taken):
            chosen.append(int(usable[at]))
            taken.append(along_mm[at])
    return sorted(chosen)


def _disputed_mm2(sweep: Sweep, frame: int, dispute: Dispute) -> float:
    """Area of a frame, every part weighted by how much the sweeps disagree there (0 to 1)."""
    _, rows, columns = sweep.frames.shape
    pose = sweep.image_to_world[frame]
    across, down = (float(np.linalg.norm(pose[:3, axis])) for axis in (0, 1))
    column, row = np.meshgrid(
        np.arange(0, columns, max(1.0, _STEP_MM / across)), np.arange(0, rows, max(1.0, _STEP_MM / down))
    )
    pixels = np.stack([column.ravel(), row.ravel(), np.zeros(column.size)], axis=-1)
    to_index = dispute.volume.grid.world_to_index @ np.linalg.inv(dispute.base_to_acquisition) @ pose
    index = np.rint(apply_transform(to_index, pixels)).astype(int)
    inside = ((index >= 0) & (index < dispute.volume.grid.size)).all(axis=1)
    x, y, z = index[inside].T
    values = dispute.volume.array[z, y, x].astype(np.float64)
    share = values[values != UNKNOWN].sum() / FULL
    return float(share * max(across, _STEP_MM) * max(down, _STEP_MM))
