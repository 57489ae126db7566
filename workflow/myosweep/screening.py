"""Screening: what the recordings of a case show before any stage spends time on them.

Read whenever the workflow is planned (for the list of excluded cases): heavy imports only inside functions.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError, InputErrors
from myosweep.io.files import write_text
from myosweep.progress import log

if TYPE_CHECKING:
    from myosweep.io.sweeps import Sweep

Json = dict[str, Any]

SCREEN_COLUMNS = (
    "case",
    "acquisition",
    "sweep",
    "status",
    "frames",
    "usable_frames",
    "left_out",
    "image_columns",
    "image_rows",
    "pixel_width_mm",
    "pixel_height_mm",
    "gap_median_mm",
    "gap_95_mm",
    "gap_max_mm",
    "length_mm",
    "annotated_frames",
    "reason",
)
EXCLUDED_COLUMNS = ("case", "reason")

USABLE = "usable"
EXCLUDED = "excluded"


def screen_case(
    case: str,
    sweeps: Sequence[Mapping[str, Any]],
    structures: Mapping[str, int],
    world: str = "auto",
    volumes: Sequence[str] = (),
) -> Json:
    """Read headers, poses and annotations of a case's recordings, but no image; never raises for a bad case.

    Parameters
    ----------
    case
        The case's id.
    sweeps
        Its rows of the table of sweeps as plain values: `acquisition`, `sweep`, `path`, `calibration`,
        `annotations`, `structures`.
    structures
        Name and label value of every structure.
    world
        The setting `world`.
    volumes
        Its volumes of labels (drawn by hand, reference), whose headers are read.

    Returns
    -------
    Plain values: `case`, `status` ("usable" or "excluded"), `reason` (one line, or "") and per recording,
    under `sweeps`, what was found; lengths in mm, frames counted from 0.
    """
    reasons: list[str] = []
    rows = []
    for row in sweeps:
        found: Json = {"acquisition": row["acquisition"], "sweep": row["sweep"], "path": str(row["path"])}
        try:
            found |= _screen_sweep(row, structures, world)
            found["reason"] = ""
        except Exception as error:
            found["reason"] = _one_line(error)
            reasons.append(found["reason"])
        rows.append(found)
    for path in volumes:
        try:
            _screen_volume(path)
        except Exception as error:
            reasons.append(_one_line(error))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return {
        "case": case,
        "status": EXCLUDED if reasons else USABLE,
        "reason": reasons[0] + more if reasons else "",
        "sweeps": rows,
    }


def _screen_volume(path: str) -> None:
    from myosweep.io.volumes import read_grid

    read_grid(path)


def _screen_sweep(row: Mapping[str, Any], structures: Mapping[str, int], world: str) -> Json:
    from myosweep.io.recordings import read_sweep

    sweep = read_sweep(row["path"], row["calibration"] or None, world)
    count, image_rows, image_columns = sweep.frames.shape
    usable = sweep.valid
    left_out = [(frame, problem) for frame, problem in enumerate(sweep.problems) if problem]
    width, height = sweep.pixel_spacing
    log(f"{row['path']}: {int(usable.sum())} of {count} frames can be used")
    return {
        "frames": count,
        "usable_frames": int(usable.sum()),
        "left_out": [
            {"reason": reason, "frames": frame_ranges([frame for frame, own in left_out if own == reason])}
            for reason in dict.fromkeys(reason for _, reason in left_out)
        ],
        "image_columns": image_columns,
        "image_rows": image_rows,
        "pixel_width_mm": width,
        "pixel_height_mm": height,
        **_path_of(sweep),
        "annotated_frames": _annotated_frames(row, sweep, structures),
    }


def _path_of(sweep: Sweep) -> Json:
    """Gaps and length of the path of the image's centre over the usable frames; None for a single frame."""
    import numpy as np

    _, rows, columns = sweep.frames.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0])
    positions = (sweep.image_to_world[sweep.valid] @ centre)[:, :3]
    gaps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if not len(gaps):
        return dict.fromkeys(("gap_median_mm", "gap_95_mm", "gap_max_mm", "length_mm"))
    return {
        "gap_median_mm": float(np.median(gaps)),
        "gap_95_mm": float(np.percentile(gaps, 95)),
        "gap_max_mm": float(gaps.max()),
        "length_mm": float(gaps.sum()),
    }


def _annotated_frames(row: Mapping[str, Any], sweep: Sweep, structures: Mapping[str, int]) -> Json:
    """Per annotated structure usable frames with a mask, those that show it, and masks of unusable frames."""
    if not row["annotations"]:
        return {}
    from myosweep.io.annotations import read_annotations

    masks = read_annotations(row["annotations"], sweep, dict(structures), list(row["structures"]))
    usable = {frame: mask for frame, mask in masks.items() if not sweep.problems[frame]}
    return {
        name: {
            "annotated": len(usable),
            "drawn": sum(bool((mask == structures[name]).any()) for mask in usable.values()),
            "unusable": len(masks) - len(usable),
        }
        for name in row["structures"]
    }


def _one_line(error: Exception) -> str:
    """The reason in one line; a failure of the reader itself leaves its trace in the log."""
    if isinstance(error, InputErrors):
        error = error.problems[0]
    if isinstance(error, InputError):
        log(str(error))
        text = f"{error.where}: {error.found}; expected {error.expected}; {error.remedy}"
    else:
        log("".join(traceback.format_exception(error)))
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def frame_ranges(frames: Iterable[int]) -> str:
    """Ascending frame numbers in short: "3-7,12"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


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
        "annotated_frames": ",".join(
            f"{name}:{counts['annotated']}" for name, counts in sweep.get("annotated_frames", {}).items()
        ),
        "reason": sweep["reason"],
    }
    for column in ("frames", "usable_frames", "image_columns", "image_rows"):
        if column in sweep:
            row[column] = str(sweep[column])
    for column in SCREEN_COLUMNS:
        if column.endswith("_mm") and sweep.get(column) is not None:
            row[column] = f"{sweep[column]:.4f}" if column.startswith("pixel") else f"{sweep[column]:.2f}"
    return row


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
