"""One reader for every kind of recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.options import RecordingOptions, recording_options
from myosweep.io.sweeps import Sweep

PLUS = "PLUS"

SUFFIXES = {
    ".mha": PLUS,
    ".mhd": PLUS,
    ".nrrd": PLUS,
    ".nhdr": PLUS,
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
    """Read a recording, whatever device wrote it, and look whether its poses can be right.

    Its suffix says what it is; `pose_quality.inspect` leaves out frames whose poses cannot be used.

    Parameters
    ----------
    path
        The recording: .mha, .mhd, .nrrd, .nhdr (PLUS, IGSIO).
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
    from myosweep.io.pose_quality import inspect

    options = options or RecordingOptions()
    return inspect(_read(Path(path), calibration, world, options), options)


def _read(path: Path, calibration: str | Path | None, world: str, options: RecordingOptions) -> Sweep:
    """A recording as its reader hands it out."""
    match format_of(path):
        case "PLUS":
            from myosweep.io.plus import read_plus

            return read_plus(path, calibration or None, world)
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
