"""One reader for every kind of recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.companions import DICOM_SUFFIXES, VIDEO_SUFFIXES
from myosweep.io.options import RecordingOptions, recording_options
from myosweep.io.sweeps import Sweep

PLUS = "PLUS"
STRADWIN = "Stradwin"
TUS_REC = "HDF5"
IMAGES = "images"

SUFFIXES = {
    ".mha": PLUS,
    ".mhd": PLUS,
    ".nrrd": PLUS,
    ".nhdr": PLUS,
    ".sw": STRADWIN,
    ".h5": TUS_REC,
    ".hdf5": TUS_REC,
    **dict.fromkeys((*VIDEO_SUFFIXES, *DICOM_SUFFIXES), IMAGES),
}


def format_of(path: str | Path) -> str | None:
    """Which kind of recording a path names, or None; a folder is one of images."""
    return IMAGES if Path(path).is_dir() else SUFFIXES.get(Path(path).suffix.lower())


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
        The recording: .mha, .mhd, .nrrd, .nhdr (PLUS, IGSIO); .sw (Stradwin, Stradview); .h5, .hdf5
        (TUS-REC); a folder of images, a video or a .dcm file with a table of poses beside it.
    calibration
        A PLUS configuration (.xml) or a matrix (.csv); "" or None where the recording carries it itself.
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
        case "HDF5":
            from myosweep.io.tus_rec import read_tus_rec

            return read_tus_rec(path, calibration or None)
        case "images":
            from myosweep.io.posed_images import read_posed_images

            return read_posed_images(path, calibration or None, options)
    raise InputError(
        path,
        f"the suffix `{path.suffix}`",
        f"a folder of images, or one of {', '.join(SUFFIXES)}",
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
