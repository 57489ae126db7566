"""One reader for every kind of recording.

Read whenever the workflow is planned, so what is heavy is imported where it is needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.io.companions import DICOM_SUFFIXES, VIDEO_SUFFIXES
from myosweep.io.options import RecordingOptions, recording_options

if TYPE_CHECKING:
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

# A job watches so many files of one recording; of more, only those that hold text (headers, tables of poses).
FEW_FILES = 16
TEXT_SUFFIXES = {".csv", ".json", ".mhd", ".nhdr", ".sw", ".tsv", ".txt", ".xml"}
# Of the others so many bytes at the end are looked at.
LAST_BYTES = 1024


def format_of(path: str | Path) -> str | None:
    """Which kind of recording a path names, or None; a folder is one of images."""
    return IMAGES if os.path.isdir(path) else SUFFIXES.get(Path(path).suffix.lower())


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
    from myosweep.io.pose_quality import inspect

    path, options = Path(path), options or RecordingOptions()
    try:
        sweep = _read(path, calibration, world, options)
    except OSError as error:
        raise InputError(
            error.filename or path,
            error.strerror or str(error),
            "a file that can be read",
            "look at the disk",
        ) from None
    return inspect(sweep, options)


def _read(path: Path, calibration: str | Path | None, world: str, options: RecordingOptions) -> Sweep:
    """A recording as its reader hands it out."""
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


def recording_files(path: str | Path) -> list[Path]:
    """The files that a recording consists of: header, data, poses; the one that is named comes first.

    Read from the header alone. Where that cannot be read, or is not there yet, the path itself is all.
    """
    path = Path(path)
    try:
        match format_of(path):
            case "PLUS" if path.suffix.lower() in (".mhd", ".nhdr"):
                from myosweep.io.plus import plus_files

                return plus_files(path)
            case "Stradwin":
                from myosweep.io.stradwin_files import stradwin_files

                return stradwin_files(path)
            case "HDF5":
                from myosweep.io.companions import tus_rec_files

                return tus_rec_files(path)
            case "images":
                from myosweep.io.companions import posed_image_files

                return posed_image_files(path) or [path]
    except (InputError, OSError):
        pass
    return [path]


def is_file_to_watch(path: Path, among: int) -> bool:
    """Whether a file of a recording is watched by itself; of many files only those that hold text are."""
    return among <= FEW_FILES or path.suffix.lower() in TEXT_SUFFIXES


@cache
def recording_inputs(path: str) -> tuple[str, ...]:
    """Those files of a recording that are worth an input of a job each: all of a few, tables of many."""
    files = recording_files(path)
    return tuple(str(file) for file in files if is_file_to_watch(file, len(files)) and not file.is_dir())


@cache
def recording_digest(path: str) -> str:
    """Digest of the files that `recording_inputs` leaves out; "" where there is none.

    Of names, sizes and last bytes: to read all of many files whenever the workflow is planned would take too
    long, and a PNG that shows something else has another size or another checksum at its end.
    """
    files = recording_files(path)
    others = [file for file in files if not is_file_to_watch(file, len(files))]
    if not others:
        return ""
    digest = hashlib.sha256()
    for file in sorted(others):
        name = os.path.relpath(file, Path(path).parent).encode(errors="surrogateescape")
        digest.update(b"%b\0%b\0" % (name, _size_and_end(file)))
    return digest.hexdigest()


def _size_and_end(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - LAST_BYTES))
            return b"%d\0%b" % (size, opened.read())
    except OSError:
        return b"-1"


def read_sweeps(
    rows: Iterable[Mapping[str, Any]], world: str = "auto", options: Mapping[str, Any] | None = None
) -> list[Sweep]:
    """Read the recordings of rows of the table of sweeps: mappings with `path` and `calibration`.

    options: the settings `recordings` as plain values.
    """
    chosen = recording_options(options)
    return [read_sweep(row["path"], row.get("calibration"), world, chosen) for row in rows]
