"""One reader for every kind of recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.calibration import read_calibration
from myosweep.io.plus import read_sequence
from myosweep.io.sweeps import Sweep

PLUS_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")


def read_sweep(path: str | Path, calibration: str | Path | None = None, world: str = "auto") -> Sweep:
    """Read a recording, whatever device wrote it; its suffix says what it is.

    Parameters
    ----------
    path
        The recording: .mha, .mhd, .nrrd, .nhdr (PLUS, IGSIO).
    calibration
        A PLUS configuration (.xml); "" or None where the recording carries its calibration.
    world
        The frames' coordinate system; "auto": Reference where the recording has it, else tracker.

    Raises
    ------
    InputError
        The recording or the calibration cannot be used.
    """
    path = Path(path)
    if path.suffix.lower() not in PLUS_SUFFIXES:
        raise InputError(
            path,
            f"the suffix `{path.suffix}`",
            f"one of {', '.join(PLUS_SUFFIXES)}",
            "convert the recording, or correct the column `path`",
        )
    if not calibration:
        return read_sequence(path, None, None, world)
    known = read_calibration(calibration)
    return read_sequence(path, known.image_to_probe, known.clip, world)


def read_sweeps(rows: Iterable[Mapping[str, Any]], world: str = "auto") -> list[Sweep]:
    """Read the recordings of rows of the table of sweeps: mappings with `path` and `calibration`."""
    return [read_sweep(row["path"], row.get("calibration"), world) for row in rows]
