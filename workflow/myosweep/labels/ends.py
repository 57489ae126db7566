"""What stands beyond the first and the last annotated mask of a sweep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from myosweep.labels.distance import signed_distance
from myosweep.labels.interpolation import TAPER, Interpolation


def usual_gap(memberships: Interpolation, way: NDArray[np.float64]) -> float:
    """The usual way between two annotated frames, mm: the median; 0 of a single one."""
    gaps = np.diff(way[memberships.annotated])
    return float(np.median(gaps)) if len(gaps) else 0.0


def beyond(
    memberships: Interpolation,
    way: NDArray[np.float64],
    spacing: tuple[float, float],
    side: int,
    ends: str,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Frames beyond an end that was not annotated, outwards, each with its membership.

    `capped` keeps the last mask over half the usual way between annotations. `tapered` shrinks it as if the
    next annotation, one usual way further on, were empty (`interpolation.TAPER`). There are none with `cut`,
    where the last mask is empty, or where a single frame is annotated: it knows no usual way.

    Parameters
    ----------
    memberships
        Of a structure in a sweep.
    way
        `way_of_frames` of the sweep, mm.
    spacing
        Pixel size in mm, along a row and along a column.
    side
        -1 for the first, 1 for the last annotation.
    ends
        "cut", "capped" or "tapered".

    Returns
    -------
    Frame index and float32 (row, column), NaN where unknown.
    """
    gap = usual_gap(memberships, way)
    last = memberships.annotated[0 if side < 0 else -1]
    if ends == "cut" or gap == 0 or memberships.pixels(last) == 0:
        return
    reach = gap / 2 if ends == "capped" else gap
    own = memberships.membership(last)
    assert own is not None
    unknown = np.isnan(own)
    distance = signed_distance(own == 1, spacing) if ends == "tapered" else None
    stop = len(way) if side > 0 else -1
    for index in range(last + side, stop, side):
        far = abs(float(way[index] - way[last]))
        if far > reach * (1 + 1e-6):
            return
        if not memberships.usable(index):
            continue
        if distance is None:
            values = own.copy()
        else:
            part = far / gap
            shrunk = (1 - part) * distance - part * TAPER * float(distance.max())
            values = np.clip(0.5 + shrunk / min(spacing), 0, 1).astype(np.float32)
            values[unknown] = np.nan
        yield index, values
