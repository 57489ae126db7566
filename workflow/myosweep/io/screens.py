"""The tables that screening leaves: screen.tsv, a row per recording, and excluded.tsv, a row per lost case.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from myosweep.io.files import write_text

Json = dict[str, Any]

SCREEN_COLUMNS = (
    "case",
    "acquisition",
    "sweep",
    "format",
    "status",
    "frames",
    "usable_frames",
    "left_out",
    "suspect_poses",
    "image_columns",
    "image_rows",
    "pixel_width_mm",
    "pixel_height_mm",
    "gap_median_mm",
    "gap_95_mm",
    "gap_max_mm",
    "length_mm",
    "annotated_frames",
    "landmarks",
    "notes",
    "reason",
)
EXCLUDED_COLUMNS = ("case", "reason")

USABLE = "usable"
EXCLUDED = "excluded"


def gather_screen(
    screens: Iterable[Json], excluded: Mapping[str, str] | None = None
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Rows of screen.tsv and of excluded.tsv.

    Parameters
    ----------
    screens
        What `screen_case` returned, in the order of the table.
    excluded
        Cases that the table itself excludes, with their reasons; they follow the others.

    Returns
    -------
    Rows by column: one per recording (one per case where the table excludes it), and one per excluded case.
    """
    screen_rows: list[dict[str, str]] = []
    excluded_rows: list[dict[str, str]] = []
    for screen in screens:
        for sweep in screen["sweeps"]:
            screen_rows.append(_screen_row(screen, sweep))
        if screen["status"] == EXCLUDED:
            excluded_rows.append({"case": screen["case"], "reason": screen["reason"]})
    for case, reason in (excluded or {}).items():
        screen_rows.append({"case": case, "status": EXCLUDED, "reason": reason})
        excluded_rows.append({"case": case, "reason": reason})
    return screen_rows, excluded_rows


def _screen_row(screen: Json, sweep: Json) -> dict[str, str]:
    row = {
        "case": screen["case"],
        "acquisition": sweep["acquisition"],
        "sweep": sweep["sweep"],
        "status": screen["status"],
        "left_out": "; ".join(f"{part['reason']} ({part['frames']})" for part in sweep.get("left_out", [])),
        "format": sweep.get("format", ""),
        "suspect_poses": "; ".join(_suspicion(part) for part in sweep.get("suspect_poses", [])),
        "notes": "; ".join(sweep.get("notes", [])),
        "annotated_frames": ",".join(
            f"{name}:{counts['annotated']}" for name, counts in sweep.get("annotated_frames", {}).items()
        ),
        "reason": sweep["reason"],
    }
    for column in ("frames", "usable_frames", "image_columns", "image_rows", "landmarks"):
        if column in sweep:
            row[column] = str(sweep[column])
    for column in SCREEN_COLUMNS:
        if column.endswith("_mm") and sweep.get(column) is not None:
            row[column] = f"{sweep[column]:.4f}" if column.startswith("pixel") else f"{sweep[column]:.2f}"
    return row


def _suspicion(part: Json) -> str:
    kept = f", {part['kept']} kept" if part["kept"] else ""
    return f"{part['kind'].replace('_', ' ')}: {part['count']}{kept} ({part['frames']})"


def write_screens(
    screens: Iterable[Json],
    excluded: Mapping[str, str],
    screen_path: str | Path,
    excluded_path: str | Path,
) -> None:
    """Write screen.tsv and excluded.tsv from what `gather_screen` makes of the same arguments."""
    screen_rows, excluded_rows = gather_screen(screens, excluded)
    _write_rows(screen_path, SCREEN_COLUMNS, screen_rows)
    _write_rows(excluded_path, EXCLUDED_COLUMNS, excluded_rows)


def _write_rows(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    lines = ["\t".join(columns)]
    lines += ["\t".join(" ".join(row.get(column, "").split()) for column in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def read_excluded(path: str | Path) -> dict[str, str]:
    """Case and reason from excluded.tsv."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()[1:]
    return {case: reason for case, _, reason in (line.partition("\t") for line in lines)}
