"""Cohort tables: volumes and accuracy as mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from myosweep.figures.cohort import Unseen, counted_rows, is_model

# What is measured of a mask alone, or of the reference alone, says nothing of accuracy.
WITHOUT_REFERENCE = ("volume", "exposed", "reference_volume", "area", "reference_area")


@dataclass(frozen=True)
class Statistic:
    """Mean and standard deviation (n - 1) over cases; `sd` is nan where there is one case."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class AccuracyTable:
    """One source: for each metric its unit, and a statistic (or None) for each structure."""

    source: str
    cases: str
    structures: list[str]
    rows: list[tuple[str, str, list[Statistic | None]]]


def statistic(values: pd.Series) -> Statistic | None:
    """Of the finite values; None where there are none."""
    finite = values.to_numpy(dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return None
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")
    return Statistic(len(finite), float(finite.mean()), spread)


def accuracy_tables(metrics: pd.DataFrame, unseen: Unseen, structures: Sequence[str]) -> list[AccuracyTable]:
    """A table for each source: labels over all cases with a reference, models over test cases alone."""
    if metrics.empty:
        return []
    counted = counted_rows(metrics[~metrics["metric"].isin(WITHOUT_REFERENCE)], unseen)
    tables = []
    if counted.empty:
        return []
    for source in dict.fromkeys(metrics["source"]):
        part = counted[counted["source"] == source]
        found = part.groupby(["metric", "structure"], sort=False)["value"]
        statistics = {key: statistic(values) for key, values in found}
        units = dict(zip(part["metric"], part["unit"], strict=True))
        rows = [
            (metric, unit, [statistics.get((metric, structure)) for structure in structures])
            for metric, unit in units.items()
        ]
        cases = "test cases only" if is_model(source) else "all cases with a reference"
        tables.append(AccuracyTable(source, cases, list(structures), rows))
    return tables


def volume_statistics(
    volumes: pd.DataFrame, structures: Sequence[str], sources: Sequence[str]
) -> list[tuple[str, list[Statistic | None]]]:
    """Volumes of whole structures (status measured) for each source and structure, over all cases."""
    table = volumes[volumes["status"] == "measured"].copy()
    table["volume_ml"] = pd.to_numeric(table["volume_ml"], errors="coerce")
    found = table.groupby(["source", "structure"], sort=False)["volume_ml"]
    statistics = {key: statistic(values) for key, values in found}
    return [(source, [statistics.get((source, structure)) for structure in structures]) for source in sources]
