"""One reader for every kind of recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.options import RecordingOptions, recording_options
from myosweep.io.sweeps import Sweep

PLUS = "PLUS"
STRADWIN = "Stradwin"

SUFFIXES = {
    ".mha": PLUS,
    ".mhd": PLUS,
    ".nrrd": PLUS,
    ".nhdr": PLUS,
    ".sw": STRADWIN,
}


def format_of(path: str | Path) -> str | None:
    """Which kind of recording a path names, or None."""
    return SUFFIXES.get(Path(path).suffix.lower())


def read_sweep(
    path: str | Path,
    calibration: str | Path | None = None,
    world: str = "auto",
    options: RecordingOptions | None = None,
) -> Sweep:
    """Read a recording, whatever device wrote it; its suffix says what it is.

    Parameters
    ----------
    path
        The recording: .mha, .mhd, .nrrd, .nhdr (PLUS, IGSIO), .sw (Stradwin, Stradview).
    calibration
        A PLUS configuration (.xml); "" or None where the recording carries its calibration.
    world
        The frames' coordinate system; "auto": Reference where the recording has it, else tracker.
    options
        The settings `recordings`.

    Raises
    ------
    InputError
        The recording or the calibration cannot be used.
    """
    path = Path(path)
    options = options or RecordingOptions()
    match format_of(path):
        case "PLUS":
            from myosweep.io.plus import read_plus

            return read_plus(path, calibration or None, world)
        case "Stradwin":
            from myosweep.io.stradwin import read_stradwin

            return read_stradwin(path, calibration or None, options)
    raise InputError(
        path,
        f"the suffix `{path.suffix}`",
        f"one of {', '.join(SUFFIXES)}",
        "convert the recording, or correct the column `path`",
    )


def read_sweeps(
    rows: Iterable[Mapping[str, Any]], world: str = "auto", options: Mapping[str, Any] | None = None
) -> list[Sweep]:
    """Read the recordings of rows of the table of sweeps: mappings with `path` and `calibration`.

    options: the settings `recordings` as plain values.
    """
    chosen = recording_options(options)
    return [read_sweep(row["path"], row.get("calibration"), world, chosen) for row in rows]
