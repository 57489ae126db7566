"""Every way of interpolating labels against the phantom's truth, over the effort of annotating."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from myosweep.geometry import Grid
from myosweep.io.files import whole_file
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume, resample
from myosweep.labels.merging import merge_labels
from myosweep.labels.methods import NEED_IMAGE
from myosweep.labels.volumes import AnnotatedSweep, label_structures
from myosweep.metrics.evaluate import evaluate
from myosweep.phantom.anatomy import LABELS
from myosweep.phantom.cohort import STRUCTURES
from myosweep.phantom.redrawing import Redrawing
from myosweep.progress import track

MEASURES = {
    "dice": "dice",
    "iou": "iou",
    "volume_error_percent": "volume_error_percent",
    "absolute_volume_error_percent": "absolute_volume_error_percent",
    "hausdorff": "hausdorff_mm",
}
COLUMNS = [
    "case",
    "structure",
    "interpolation",
    "every_frames",
    "wobble_mm",
    "annotated_frames",
    *MEASURES.values(),
    "seconds",
    "peak_mb",
]


def compare(
    descriptions: Iterable[Mapping[str, Any]],
    methods: Sequence[str],
    every_frames: Sequence[int],
    wobble_mm: Sequence[float],
    spacing_mm: float,
    images: Mapping[tuple[str, str], Volume] | None = None,
    *,
    smoothing_voxels: int = 7,
    smoothing: str = "twicing",
    smooth_3d: bool = True,
    ends: str = "cut",
) -> pd.DataFrame:
    """Annotate simulated cases again in every way, interpolate with every method, and measure.

    Poses are the true ones and nothing is registered: what is measured is the error of the annotations and
    of what lies between them. Labels are merged and smoothed as they are elsewhere.

    Parameters
    ----------
    descriptions
        What `simulate_case` wrote to truth.json of each case.
    methods
        Names in `methods.METHODS`.
    every_frames
        Distances between annotated frames; frames at the structures' ends are annotated, too, where the case
        was simulated so.
    wobble_mm
        Strengths of the wobble of the expert's hand.
    spacing_mm
        Voxel edge of the labels and of the truth.
    images
        Compounded volume by case and acquisition, for `methods.NEED_IMAGE`.

    Returns
    -------
    `COLUMNS`, a row per case, structure, method, distance and wobble. seconds (CPU) and peak_mb (memory
    beyond what was held before; empty where the system does not tell) are those of making the structure's
    labels in one acquisition; all other columns are the same in every run.
    """
    _warm_up(methods)
    tasks = [
        (description, every, wobble)
        for description in descriptions
        for every in every_frames
        for wobble in wobble_mm
    ]
    rows: list[dict[str, Any]] = []
    for description, every, wobble in track(tasks, len(tasks), "annotations compared"):
        rows += _compare_one(
            description,
            every,
            wobble,
            methods,
            spacing_mm,
            images or {},
            {"smoothing_voxels": smoothing_voxels, "smoothing": smoothing, "smooth_3d": smooth_3d},
            ends,
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def write_comparison(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table as CSV."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")


def _compare_one(
    description: Mapping[str, Any],
    every: int,
    wobble: float,
    methods: Sequence[str],
    spacing_mm: float,
    images: Mapping[tuple[str, str], Volume],
    smoothed: Mapping[str, Any],
    ends: str,
) -> Iterator[dict[str, Any]]:
    case = Redrawing(description)
    name = str(description["case"])
    truth = case.truth(spacing_mm)
    drawn = {acquisition: case.sweeps(acquisition, every, wobble) for acquisition in STRUCTURES}
    for method in methods:
        fractions, summaries = [], []
        costs: dict[str, tuple[float, float | None]] = {}
        for acquisition, structures in STRUCTURES.items():
            image = None
            if method in NEED_IMAGE:
                image = resample(images[name, acquisition], truth.grid, case.leg_to_world[acquisition])
            for structure in structures:
                sweeps = [AnnotatedSweep(sweep, masks, [structure]) for sweep, masks in drawn[acquisition]]
                meter = _Meter()
                made = label_structures(
                    sweeps,
                    truth.grid,
                    np.eye(4),
                    {structure: LABELS[structure]},
                    method,
                    "full",
                    ends=ends,
                    image=image,
                    disagreement=False,
                )
                costs[structure] = meter.read()
                fractions.append(made.fractions)
                summaries.append(made.summaries)
        labels, _ = merge_labels(
            *_spread(fractions, summaries),
            truth.grid,
            LABELS,
            **smoothed,
        )
        measured = evaluate(labels, truth, LABELS)
        frames = {
            structure: about["annotated_frames"]
            for summary in summaries
            for structure, about in summary.items()
        }
        for structure in LABELS:
            own = measured[(measured["structure"] == structure) & (measured["slice"] == "")]
            values = own.set_index("metric")["value"]
            yield {
                "case": name,
                "structure": structure,
                "interpolation": method,
                "every_frames": every,
                "wobble_mm": wobble,
                "annotated_frames": frames[structure],
                **{column: values[metric] for metric, column in MEASURES.items()},
                "seconds": costs[structure][0],
                "peak_mb": costs[structure][1],
            }


def _spread(
    fractions: Sequence[Volume], summaries: Sequence[Mapping[str, Any]]
) -> tuple[list[Volume], list[dict[str, Any]]]:
    """Volumes of one structure each, as volumes of all structures that know only their own."""
    volumes, complete = [], []
    nothing = {"status": "not_annotated", "reason": "", "annotated_frames": 0}
    for volume, summary in zip(fractions, summaries, strict=True):
        # The other structures are not annotated in it, so their fractions are never looked at.
        shape = (*volume.array.shape[:3], len(LABELS))
        volumes.append(Volume(np.broadcast_to(volume.array, shape), volume.grid))
        complete.append({name: summary.get(name, nothing) for name in LABELS})
    return volumes, complete


def _warm_up(methods: Sequence[str]) -> None:
    """Let every method load and compile what its first use needs, so that no row pays for it."""
    masks = {index: np.zeros((8, 8), dtype=np.uint8) for index in (0, 4)}
    for index, mask in masks.items():
        mask[2:5, 2 : 5 + index // 4] = 1
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 2, 3] = np.arange(5)
    grid = Grid((8, 8, 5), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    sweep = Sweep(Path("warm-up"), np.zeros((5, 8, 8), np.uint8), poses, ("",) * 5, np.arange(5.0))
    image = Volume(np.zeros(grid.shape, dtype=np.uint8), grid)
    for method in methods:
        label_structures(
            [AnnotatedSweep(sweep, masks, ["a"])], grid, np.eye(4), {"a": 1}, method, "full", image=image
        )


class _Meter:
    """CPU seconds and the peak of memory from its making on."""

    def __init__(self) -> None:
        self._held = _reset_peak()
        self._start = time.process_time()

    def read(self) -> tuple[float, float | None]:
        """Seconds, and megabytes beyond what was held at the start."""
        seconds = time.process_time() - self._start
        peak = _status_mb("VmHWM") if self._held is not None else None
        return seconds, None if peak is None or self._held is None else max(0.0, peak - self._held)


def _reset_peak() -> float | None:
    """Let the system count the peak anew (Linux); what is held now, MB, or None where it does not tell."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # What earlier work has freed goes back to the system, or it would hide what is needed now (glibc).
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status_mb("VmRSS")


def _status_mb(key: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{key}:")]
    return float(found[0][1]) / 1024 if found else None
