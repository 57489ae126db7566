"""The cohort's tables: volumes of every case, structure and source, and all metrics in one long table."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from myosweep.io.files import read_json, whole_file
from myosweep.io.tables import METRIC_COLUMNS, VOLUME_COLUMNS, Case

MEASURED = "measured"
PARTIAL = "partial"
NOT_ANNOTATED = "not_annotated"
EXCLUDED = "excluded"
FAILED = "failed"

# Per cent of a structure's surface against the unknown: rough edges of a swept volume reach that much.
LARGEST_EXPOSED = 3.0

# What is known of one case by one source: structure -> volume_ml, reference_ml, status, reason.
Result = Mapping[str, Mapping[str, Any]]
Results = Mapping[tuple[str, str], Result]
Limits = tuple[float | None, float | None]


def read_results(
    evaluations: Iterable[str | Path], summaries: Iterable[str | Path] = ()
) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Gather what the stages before found.

    Parameters
    ----------
    evaluations
        Files {source}/{case}.csv with the columns structure, slice, metric, unit, value; read are the metrics
        `volume`, `reference_volume` and `exposed` of the whole volume. A structure whose surface is exposed
        by more than `LARGEST_EXPOSED` is partial, unless a summary says more.
    summaries
        Files {method}/{case}.json of merged labels: structure -> status, reason.

    Returns
    -------
    (case, source) -> structure -> `volume_ml`, `reference_ml`, `status`, `reason`, as far as they are known.
    """
    results: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for path in map(Path, evaluations):
        found = results.setdefault((path.stem, path.parent.name), {})
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = {"volume": "volume_ml", "reference_volume": "reference_ml"}.get(row["metric"])
                own = found.setdefault(row["structure"], {})
                if key and not row["slice"]:
                    own[key] = _number(row["value"])
                elif row["metric"] == "exposed" and float(row["value"] or 0) > LARGEST_EXPOSED:
                    own["status"] = PARTIAL
                    own["reason"] = f"it leaves the swept volume: {float(row['value']):.0f} % of its surface"
    for path in map(Path, summaries):
        found = results.setdefault((path.stem, f"labels_{path.parent.name}"), {})
        for structure, summary in read_json(path).items():
            if isinstance(summary, Mapping) and "status" in summary:
                own = found.setdefault(structure, {})
                own["status"] = summary["status"]
                own["reason"] = summary.get("reason") or ""
    return results


def _number(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def volume_rows(
    cases: Sequence[Case],
    structures: Sequence[str],
    sources: Sequence[str],
    results: Results,
    excluded: Mapping[str, str],
    models: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[dict[str, str]]:
    """Rows of volumes.csv: every case has one for each structure and source, whatever happened.

    Parameters
    ----------
    cases
        All cases of the table, in its order.
    structures, sources
        In the order of the settings; labels before models.
    results
        What `read_results` returns.
    excluded
        Case to reason.
    models
        The sources that are networks, and the participants from whom they learned elsewhere: these cases'
        split is train in a network's rows. Errors on cases that it was trained on say nothing about new ones,
        so the limits leave those out.

    Returns
    -------
    Text by column: ml with 3 decimals, per cent with 2, "" where a value is not known; then the study's own
    columns.
    """
    limits = _all_limits(cases, structures, sources, results, excluded, models)
    return [
        _row(
            _as_seen(case, source, models),
            structure,
            source,
            results.get((case.case, source)),
            excluded,
            limits,
        )
        for case in cases
        for structure in structures
        for source in sources
    ]


def _as_seen(case: Case, source: str, models: Mapping[str, Collection[str]]) -> Case:
    return replace(case, split="train") if case.participant in models.get(source, ()) else case


def _row(
    case: Case,
    structure: str,
    source: str,
    result: Result | None,
    excluded: Mapping[str, str],
    limits: Mapping[tuple[str, str], Any],
) -> dict[str, str]:
    known = {} if case.case in excluded or result is None else dict(result.get(structure, {}))
    status, reason = _status(case, structure, source, result, excluded)
    volume = known.get("volume_ml") if status in (MEASURED, PARTIAL) else None
    reference = known.get("reference_ml")
    error = 100 * (volume - reference) / reference if volume is not None and reference else None
    low, high = (
        _interval(volume, limits.get((source, structure)))
        if status == MEASURED and volume is not None
        else (None, None)
    )
    return {
        "case": case.case,
        "participant": case.participant,
        "session": case.session,
        "side": case.side,
        "split": case.split,
        "structure": structure,
        "source": source,
        "status": status,
        "volume_ml": _text(volume, 3),
        "low_ml": _text(low, 3),
        "high_ml": _text(high, 3),
        "reference_ml": _text(reference, 3),
        "error_percent": _text(error, 2),
        "reason": " ".join(reason.split()),
        **case.extra,
    }


def _status(
    case: Case, structure: str, source: str, result: Result | None, excluded: Mapping[str, str]
) -> tuple[str, str]:
    if case.case in excluded:
        return EXCLUDED, excluded[case.case]
    labels = source.startswith("labels_")
    if result is None:
        return (
            (NOT_ANNOTATED, "nothing of this case is annotated") if labels else (FAILED, "there is no result")
        )
    known = result.get(structure, {})
    status = known.get("status", NOT_ANNOTATED if labels else MEASURED)
    reason = str(known.get("reason") or "")
    if status == NOT_ANNOTATED:
        return NOT_ANNOTATED, reason or "not annotated in any sweep"
    if status == FAILED or known.get("volume_ml") is None:
        return FAILED, reason or "there is no volume"
    return (PARTIAL if status == PARTIAL else MEASURED), reason


def _all_limits(
    cases: Sequence[Case],
    structures: Sequence[str],
    sources: Sequence[str],
    results: Results,
    excluded: Mapping[str, str],
    models: Mapping[str, Collection[str]],
) -> dict[tuple[str, str], Any]:
    """Agreement of measured volumes with references by source and structure."""
    from myosweep.metrics.statistics import agreement

    limits = {}
    for source in sources:
        for structure in structures:
            pairs = []
            for case in cases:
                learned = source in models and _as_seen(case, source, models).split == "train"
                if case.case in excluded or learned:
                    continue
                result = results.get((case.case, source))
                known = result.get(structure, {}) if result else {}
                status, _ = _status(case, structure, source, result, excluded)
                if status == MEASURED and known.get("reference_ml"):
                    pairs.append((known["volume_ml"], known["reference_ml"]))
            measured, reference = ([pair[side] for pair in pairs] for side in (0, 1))
            limits[source, structure] = agreement(measured, reference, relative=True)
    return limits


def _interval(volume: float, agreed: Any) -> Limits:
    from myosweep.metrics.statistics import true_volume_interval

    bounds = true_volume_interval(volume, agreed) if agreed is not None else None
    return bounds or (None, None)


def _text(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _writer(file: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    return csv.DictWriter(file, columns, restval="", extrasaction="raise", lineterminator="\n")


def write_volumes(
    path: str | Path, rows: Sequence[Mapping[str, str]], extra_columns: Sequence[str] = ()
) -> None:
    """Write volumes.csv with the study's own columns behind ours (also where there is no row)."""
    own = [name for row in rows[:1] for name in row if name not in VOLUME_COLUMNS]
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = _writer(file, [*VOLUME_COLUMNS, *(own or extra_columns)])
        writer.writeheader()
        writer.writerows(rows)


def write_metrics(path: str | Path, evaluations: Iterable[str | Path]) -> None:
    """Write metrics.csv from the files {source}/{case}.csv, in their order, their values as written."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = _writer(file, METRIC_COLUMNS)
        writer.writeheader()
        for evaluation in map(Path, evaluations):
            with open(evaluation, encoding="utf-8", newline="") as source_file:
                for row in csv.DictReader(source_file):
                    writer.writerow({"case": evaluation.stem, "source": evaluation.parent.name, **row})
