"""Which files a recording of images or of the TUS-REC challenge consists of.

Asked whenever the workflow is planned, so it imports nothing heavy and never raises.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
VIDEO_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".wmv")
DICOM_SUFFIXES = (".dcm",)
TABLE_SUFFIXES = (".csv", ".tsv")


def natural_key(name: str) -> tuple[str | int, ...]:
    """A key that sorts `frame_9` before `frame_10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def images_of(folder: Path) -> list[Path]:
    """The images in a folder by natural order of their names; hidden files are none."""
    try:
        entries = [
            entry.name
            for entry in os.scandir(folder)
            if not entry.name.startswith(".") and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
        ]
    except OSError:
        return []
    return [folder / name for name in sorted(entries, key=lambda name: (natural_key(name), name))]


def possible_pose_tables(path: Path) -> list[Path]:
    """Where the poses of a folder of images, a video or a DICOM file may be."""
    if path.is_dir():
        name = path.name or path.absolute().name
        inside = [path / f"poses{suffix}" for suffix in TABLE_SUFFIXES]
        return inside + [_up(path) / f"{name}{suffix}" for suffix in TABLE_SUFFIXES]
    return [path.with_suffix(suffix) for suffix in TABLE_SUFFIXES]


def possible_frame_tables(folder: Path) -> list[Path]:
    """Where the times of a folder's images may be."""
    return [folder / f"frames{suffix}" for suffix in TABLE_SUFFIXES]


def transforms_beside(path: Path) -> Path | None:
    """The file of `tforms` where the challenge keeps them apart: frames/050/x.h5, transfs/050/x.h5."""
    subject = path.parent
    if _name(_up(subject)) != "frames":
        return None
    return next(_existing([_up(_up(subject)) / "transfs" / _name(subject) / path.name]), None)


def landmarks_beside(path: Path) -> Path | None:
    """The subject's landmarks, landmark_050.h5 for 050/x.h5: beside it or in a folder `landmark(s)` above."""
    subject = path.parent
    name = f"landmark_{_name(subject)}.h5"
    above = _up(subject)
    folders = [subject, above]
    folders += [root / folder for root in (above, _up(above)) for folder in ("landmarks", "landmark")]
    return next(_existing(folder / name for folder in folders), None)


def posed_image_files(path: str | Path) -> list[Path]:
    """All files of a recording of images and poses: the images, their times, the poses.

    path: a folder of images, a video or a DICOM file. Files that are not there are not named; the recording
    itself is, if it is a file.
    """
    path = Path(path)
    tables = list(_existing(possible_pose_tables(path)))
    if path.is_dir():
        return [*images_of(path), *_existing(possible_frame_tables(path)), *tables]
    return [path, *tables]


def tus_rec_files(path: str | Path) -> list[Path]:
    """All files of a scan of the TUS-REC challenge: frames, transforms where they are apart, landmarks."""
    path = Path(path)
    return [path, *(file for file in (transforms_beside(path), landmarks_beside(path)) if file)]


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        # os.path.isfile answers where Path.is_file raises: names that are too long, or hold a null.
        if os.path.isfile(path):
            yield path


def _up(folder: Path) -> Path:
    return folder.parent if folder.name not in ("", "..") else Path(os.path.abspath(folder)).parent


def _name(folder: Path) -> str:
    return folder.name if folder.name not in ("", "..") else Path(os.path.abspath(folder)).name
