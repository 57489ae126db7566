"""What stands for an acquisition's labels: its annotated sweeps, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from myosweep.geometry import Grid
from myosweep.io.annotations import read_annotations_by_structure
from myosweep.io.options import recording_options
from myosweep.io.recordings import read_sweep
from myosweep.io.volumes import Volume
from myosweep.labels.fractions import UNKNOWN
from myosweep.labels.volumes import AnnotatedSweep, Labelled


def read_annotated_sweeps(
    rows: Iterable[Mapping[str, Any]],
    structures: Mapping[str, int],
    world: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> list[AnnotatedSweep]:
    """Read recordings and masks of rows of the table of sweeps; rows without annotations are left out.

    Contours give one entry per structure: each structure has its own frames.

    options: the settings `recordings` as plain values.
    """
    chosen = recording_options(options)
    sweeps = []
    for row in rows:
        if row["annotations"]:
            sweep = read_sweep(row["path"], row["calibration"], world, chosen)
            names = list(row["structures"])
            found = read_annotations_by_structure(
                row["annotations"], sweep, dict(structures), names, chosen.contour_names
            )
            sweeps += [AnnotatedSweep(sweep, masks, about) for about, masks in found]
    return sweeps


def unknown_acquisition(
    rows: Iterable[Mapping[str, Any]], grid: Grid, structures: Mapping[str, int], reason: str
) -> Labelled:
    """Labels that know nothing, for an acquisition whose registration was refused.

    Structures that were annotated in it have the status `failed` and the reason in the summaries.
    """
    annotated = {name for row in rows for name in row["structures"]}
    summaries = {
        name: (
            {"status": "failed", "reason": f"registration refused: {reason}", "annotated_frames": 0}
            if name in annotated
            else {"status": "not_annotated", "reason": "", "annotated_frames": 0}
        )
        for name in structures
    }
    array = np.full((*grid.shape, len(structures)), UNKNOWN, dtype=np.uint8)
    return Labelled(Volume(array, grid), summaries, Volume(array[..., 0], grid))
