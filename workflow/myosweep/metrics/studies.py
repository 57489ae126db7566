"""Tables of studies: for every network and structure the mean and standard deviation over cases."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from myosweep.errors import InputError
from myosweep.io.files import read_json, whole_file

# Columns by metric, as `evaluate.DEFINITIONS` has them.
MEASURES = {
    "dice": "dice",
    "hausdorff_95": "hausdorff_95_mm",
    "surface_distance": "surface_distance_mm",
    "absolute_volume_error_percent": "volume_error_percent",
    "iou": "iou",
    "hausdorff": "hausdorff_mm",
    "precision": "precision",
    "recall": "recall",
}
COLUMNS = [
    "model",
    "structure",
    "cases",
    "steps",
    "weights",
    "given_slices",
    *(f"{measure}_{part}" for measure in MEASURES.values() for part in ("mean", "sd")),
]
MEAN = "mean"

# case -> structure -> metric -> value
Evaluations = Mapping[str, Mapping[str, Mapping[str, float]]]

# What a layer counts while it learns, and does not learn.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Training:
    """A trained network.

    Attributes
    ----------
    structures
        What it learned.
    steps
        How many examples it was shown.
    weights
        How many numbers it learned.
    """

    structures: tuple[str, ...]
    steps: int
    weights: int


@dataclass(frozen=True)
class Subject:
    """A model of a study.

    Attributes
    ----------
    model
        Its name in the table.
    structures
        What is measured of it.
    given_slices
        How many slices of a measured case's own labels it was given.
    trainings
        Its networks: one, or one per fold, per structure, or both.
    evaluations
        What was measured.
    """

    model: str
    structures: Sequence[str]
    given_slices: int
    trainings: Sequence[Training]
    evaluations: Evaluations


def read_training(folder: str | Path, cases: int) -> Training:
    """Read model.json and the weights' shapes of a network that learned from so many cases."""
    from safetensors import safe_open

    description = read_json(Path(folder) / "model.json")
    examples = cases * int(description["training_settings"].get("patches", 1))
    weights = 0
    with safe_open(Path(folder) / "weights.safetensors", framework="numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            if name.rpartition(".")[2] not in _STATISTICS:
                weights += math.prod(tensors.get_slice(name).get_shape())
    steps = examples * int(description["training"]["epochs"])
    return Training(tuple(description["structures"]), steps, weights)


def read_evaluations(paths: Iterable[str | Path]) -> dict[str, Evaluations]:
    """Files {source}/{case}.csv, as `evaluate` makes their rows, by source; of whole volumes."""
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for path in map(Path, paths):
        case = found.setdefault(path.parent.name, {}).setdefault(path.stem, {})
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if not row["slice"] and row["metric"] in MEASURES and row["value"]:
                    case.setdefault(row["structure"], {})[row["metric"]] = float(row["value"])
    return dict(found)


def study_rows(subjects: Iterable[Subject]) -> list[dict[str, Any]]:
    """A row per model and structure, and one per model of several structures for their mean.

    In the row `mean` every case counts with the mean over its structures. Standard deviations are those over
    cases with n - 1, None of one case. A value that is no finite number is left out, such as the error in per
    cent of a structure that the reference does not have.

    `steps` are the examples that each of the row's networks was shown, `weights` the numbers that those which
    segment one case together learned; both are means over folds.

    Raises
    ------
    InputError
        Nothing was measured of a model.
    """
    rows = []
    for subject in subjects:
        if not subject.evaluations:
            raise InputError(
                f"study, model {subject.model}",
                "no case that could be used",
                "at least one to measure it on",
                "see results/excluded.tsv for the reasons",
            )
        parts = [(name, [name]) for name in subject.structures]
        if len(subject.structures) > 1:
            parts.append((MEAN, list(subject.structures)))
        rows += [_row(subject, title, names) for title, names in parts]
    return rows


def _row(subject: Subject, title: str, structures: Sequence[str]) -> dict[str, Any]:
    shown = [training for training in subject.trainings if set(training.structures) & set(structures)]
    together = len({training.structures for training in shown})
    row: dict[str, Any] = {
        "model": subject.model,
        "structure": title,
        "cases": len(subject.evaluations),
        "steps": round(fmean(training.steps for training in shown)),
        "weights": round(together * fmean(training.weights for training in shown)),
        "given_slices": subject.given_slices,
    }
    for metric, column in MEASURES.items():
        values = [
            fmean(known)
            for case in subject.evaluations.values()
            if (known := _finite(case.get(name, {}).get(metric) for name in structures))
        ]
        row[f"{column}_mean"] = fmean(values) if values else None
        row[f"{column}_sd"] = stdev(values) if len(values) > 1 else None
    return row


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def write_study(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the table as CSV, four decimals, empty where a value is None."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in row.items()})


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
