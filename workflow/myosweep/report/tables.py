"""What the report reads: tables as text, so that `01` stays `01`, and numbers where they are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from myosweep.io.tables import METRIC_COLUMNS, VOLUME_COLUMNS

ROWS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Measurement:
    """One row of volumes.csv; what is not known is nan or empty."""

    structure: str
    source: str
    status: str
    volume_ml: float
    low_ml: float
    high_ml: float
    reference_ml: float
    error_percent: float
    reason: str


@dataclass
class Case:
    """Everything that volumes.csv says of one case."""

    name: str
    participant: str = ""
    session: str = ""
    side: str = ""
    split: str = ""
    own: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """Sources of its rows; a row without one counts as the source ``."""
        return list(dict.fromkeys(row.source for row in self.measurements))

    def find(self, source: str, structure: str) -> Measurement | None:
        """The row of a structure in a source."""
        return next(
            (row for row in self.measurements if row.source == source and row.structure == structure), None
        )


def read_text_table(path: str | Path | None, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """A table as text; one that is not there, or empty, has the columns and no rows."""
    if path is None or not Path(path).is_file() or Path(path).stat().st_size == 0:
        return pd.DataFrame(columns=list(columns), dtype=str)
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    for column in columns:
        if column not in table:
            table[column] = ""
    return table


def read_metrics(path: str | Path | None) -> pd.DataFrame:
    """The rows of metrics.csv that hold for whole volumes; those of slices are dropped while reading."""
    empty = pd.DataFrame(columns=list(METRIC_COLUMNS), dtype=str)
    if path is None or not Path(path).is_file() or Path(path).stat().st_size == 0:
        return empty
    parts = [empty]
    for part in pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=ROWS_AT_ONCE):
        whole = part[part["slice"].str.strip() == ""] if "slice" in part else part
        if len(whole):
            parts.append(whole)
    table = pd.concat(parts, ignore_index=True) if len(parts) > 1 else empty
    table["value"] = pd.to_numeric(table["value"], errors="coerce")
    return table


def number(text: object) -> float:
    """A number, or nan where the text is none."""
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def cases_of(volumes: pd.DataFrame) -> dict[str, Case]:
    """The rows of volumes.csv by case, in the table's order."""
    own_columns = [column for column in volumes if column not in VOLUME_COLUMNS]
    cases: dict[str, Case] = {}
    for row in volumes.to_dict("records"):
        name = str(row["case"])
        case = cases.get(name)
        if case is None:
            case = cases[name] = Case(
                name,
                str(row["participant"]),
                str(row["session"]),
                str(row["side"]),
                str(row["split"]),
                {str(column): str(row[column]) for column in own_columns if str(row[column])},
            )
        case.measurements.append(
            Measurement(
                str(row["structure"]),
                str(row["source"]),
                str(row["status"]) or "unknown",
                number(row["volume_ml"]),
                number(row["low_ml"]),
                number(row["high_ml"]),
                number(row["reference_ml"]),
                number(row["error_percent"]),
                str(row["reason"]),
            )
        )
    return cases


def rows_by_case(table: pd.DataFrame) -> dict[str, list[dict[str, str]]]:
    """Rows of any table that has a column `case`."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in table.to_dict("records"):
        found.setdefault(str(row.get("case", "")), []).append(
            {str(key): str(value) for key, value in row.items()}
        )
    return found
