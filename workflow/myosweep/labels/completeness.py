"""Whether all of a structure was annotated, judged on the compounded volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from myosweep.geometry import Grid

ANNOTATED = "annotated"
PARTIAL = "partial"
NOT_ANNOTATED = "not_annotated"

# Share of the surface that may lie against the unknown: rough edges of a swept volume reach that much.
LARGEST_EXPOSED_SHARE = 0.03
# Share of a last mask that must lie against the unknown for its end to count as open.
_SMALLEST_OPEN_SHARE = 0.1


@dataclass(frozen=True)
class OpenEnd:
    """A first or last annotated mask of a sweep that is not empty.

    Attributes
    ----------
    side
        "low" or "high": the end of the grid's axis that it points to.
    where
        Names the mask to the reader.
    area_mm2
        Its area.
    """

    side: str
    where: str
    area_mm2: float


@dataclass(frozen=True)
class Exposure:
    """Faces between a structure's voxels and voxels where nothing is known of it (mm2).

    low, high: at the ends of the limb's axis; side_share: of the other faces, as a share of the whole
    surface.
    """

    low_mm2: float
    high_mm2: float
    side_share: float


def exposure(structure: NDArray[np.bool_], known: NDArray[np.bool_], grid: Grid, axis: int) -> Exposure:
    """Measure where a structure touches the unknown; beyond the grid nothing is known.

    Parameters
    ----------
    structure, known
        (z, y, x) on the grid.
    axis
        Of the limb, as an index into (z, y, x).
    """
    box = find_objects(structure.view(np.uint8), max_label=1)[0]
    if box is None:
        return Exposure(0.0, 0.0, 0.0)
    inside = np.pad(structure[box], 1)
    seen = np.zeros_like(inside)
    wide = tuple(
        slice(max(0, part.start - 1), min(count, part.stop + 1))
        for part, count in zip(box, known.shape, strict=True)
    )
    offset = tuple(
        slice(whole.start - part.start + 1, whole.stop - part.start + 1)
        for whole, part in zip(wide, box, strict=True)
    )
    seen[offset] = known[wide]
    spacing = grid.spacing[::-1]
    surface = side = 0.0
    ends = {-1: 0.0, 1: 0.0}
    core = inside[1:-1, 1:-1, 1:-1]
    for along in range(3):
        face = float(np.prod(spacing) / spacing[along])
        for step in (-1, 1):
            shift = tuple(
                slice(1 + (d == along) * step, n - 1 + (d == along) * step)
                for d, n in enumerate(inside.shape)
            )
            surface += face * int(np.count_nonzero(core & ~inside[shift]))
            exposed = face * int(np.count_nonzero(core & ~seen[shift]))
            if along == axis:
                ends[step] += exposed
            else:
                side += exposed
    return Exposure(ends[-1], ends[1], side / surface)


def judge(found: Exposure, open_ends: Sequence[OpenEnd]) -> tuple[str, str]:
    """Status and reason of a structure that is annotated somewhere.

    An end is open where a sweep's first or last annotated mask is not empty and nothing is known beyond at
    least a tenth of it. A structure leaves the swept volume where more than `LARGEST_EXPOSED_SHARE` of its
    surface, the ends apart, lies against the unknown.
    """
    reasons = []
    for side, exposed in (("low", found.low_mm2), ("high", found.high_mm2)):
        candidates = [end for end in open_ends if end.side == side]
        if candidates:
            largest = max(candidates, key=lambda end: end.area_mm2)
            if exposed >= _SMALLEST_OPEN_SHARE * largest.area_mm2:
                reasons.append(
                    f"its {side} end was not annotated: the last mask ({largest.where}) has "
                    f"{largest.area_mm2:.0f} mm2"
                )
    if found.side_share > LARGEST_EXPOSED_SHARE:
        reasons.append(f"it leaves the swept volume: {100 * found.side_share:.0f} % of its surface")
    return (PARTIAL if reasons else ANNOTATED), "; ".join(reasons)


def summary_of(
    found: Exposure, open_ends: Sequence[OpenEnd], frames: int, sweeps: int, axis: int, seen: bool
) -> dict[str, Any]:
    """Plain values for JSON: status, reason and what they rest on.

    seen: whether anything is known of the structure in any voxel.
    """
    status, reason = judge(found, open_ends)
    if frames == 0:
        status, reason = NOT_ANNOTATED, "no frame of it is annotated"
    elif not seen:
        status, reason = NOT_ANNOTATED, "its annotated frames lie outside of the volume"
    return {
        "status": status,
        "reason": reason,
        "annotated_frames": frames,
        "sweeps": sweeps,
        "axis": "zyx"[axis],
        "open_ends": [vars(end) for end in open_ends],
        "exposed_low_mm2": found.low_mm2,
        "exposed_high_mm2": found.high_mm2,
        "exposed_side_percent": 100 * found.side_share,
    }
