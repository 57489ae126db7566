"""Frames that are images in files of their own, and how colours become grey.

Colour becomes grey by the luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B, rounded); where the three
channels are equal, as in a B-mode image that was stored in colour, that is their value exactly.
Transparency is ignored.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.companions import images_of, possible_frame_tables
from myosweep.io.pose_tables import read_table, read_times
from myosweep.io.sweeps import Frames, Rectangle

LARGEST_SIDE = 1 << 14
LARGEST_FRAME = 1 << 26
MODES = ("L", "LA", "P", "PA", "RGB", "RGBA", "1")


@dataclass(frozen=True)
class ImageSource:
    """Frames of a recording that has no poses itself.

    Attributes
    ----------
    frames
        The images.
    times
        Seconds, shape (frame,); NaN where the recording has none.
    names
        File names of a folder's images; None otherwise.
    clip
        The image area that the recording names, or None.
    pixel_mm
        Size of a pixel (along a row, along a column) that the recording names, or None.
    notes
        What is to be told, a sentence each.
    """

    frames: Frames
    times: NDArray[np.float64]
    names: tuple[str, ...] | None = None
    clip: Rectangle | None = None
    pixel_mm: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def grey(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(row, column, 3) to (row, column): BT.601 luma; equal channels keep their value."""
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(colours)).convert("L"), np.uint8)


def checked_shape(where: Path, count: int, rows: int, columns: int) -> tuple[int, int, int]:
    """The shape of frames.

    Raises
    ------
    InputError
        It is empty or absurd.
    """
    if count < 1 or not (0 < rows <= LARGEST_SIDE and 0 < columns <= LARGEST_SIDE):
        raise InputError(
            where,
            f"{count} frames of {columns} x {rows} pixels",
            f"frames of 1 to {LARGEST_SIDE} columns and rows",
            "export the recording again",
        )
    if rows * columns > LARGEST_FRAME:
        raise InputError(
            where,
            f"frames of {columns} x {rows} pixels",
            f"at most {LARGEST_FRAME} pixels",
            "export it smaller",
        )
    return count, rows, columns


def checked_index(index: int, count: int) -> int:
    """A frame's index from 0; negative ones count from the end."""
    number = operator.index(index)
    if not -count <= number < count:
        raise IndexError(f"frame {number} of {count}")
    return number % count


class ImageFiles:
    """Frames that are files of one size, each read when asked for."""

    def __init__(self, paths: tuple[Path, ...], rows: int, columns: int) -> None:
        self._paths = paths
        self._size = (rows, columns)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return len(self._paths), *self._size

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        path = self._paths[checked_index(index, len(self._paths))]
        with _opened(path) as image:
            try:
                image.load()
                colours = image if image.mode in ("L", "1") else image.convert("RGB")
                frame = np.array(colours.convert("L"), np.uint8)
            except Exception as error:
                raise _damaged(path, error) from None
        if frame.shape != self._size:
            raise _other_size(path, frame.shape, self._paths[0], self._size)
        return frame


def open_folder(folder: Path) -> ImageSource:
    """Frames and times of a folder of PNG, JPEG or TIFF images, by natural order of their names.

    Times stand in `frames.csv` in the folder (columns `file` and `time_s`), if at all.

    Raises
    ------
    InputError
        There are no images, or of several kinds or sizes, or with more than 8 bits; an image is damaged; the
        table of times does not fit the images.
    """
    paths = images_of(folder)
    if not paths:
        raise InputError(
            folder, "no images", "PNG, JPEG or TIFF files, one per frame", "correct the column `path`"
        )
    kinds = sorted({_kind(path) for path in paths})
    if len(kinds) > 1:
        raise InputError(
            folder,
            f"images of several kinds: {', '.join(kinds)}",
            "frames of one kind, and nothing but frames",
            "move what is no frame out of the folder",
        )
    rows, columns = _size_of(paths[0])
    for path in paths[1:]:
        size = _size_of(path)
        if size != (rows, columns):
            raise _other_size(path, size, paths[0], (rows, columns))
    checked_shape(paths[0], len(paths), rows, columns)
    names = tuple(path.name for path in paths)
    return ImageSource(ImageFiles(tuple(paths), rows, columns), _times(folder, names), names)


def places_of_names(table_path: Path, rows: list[tuple[str, str]], names: tuple[str, ...]) -> list[int]:
    """Which image each row of a table names.

    Parameters
    ----------
    rows
        The row's place for a message, and the name in it.
    names
        The images' names in their order.

    Raises
    ------
    InputError
        A name is no image of the folder, or is named twice.
    """
    places = {name: place for place, name in enumerate(names)}
    found: list[int] = []
    seen: dict[str, str] = {}
    for where, name in rows:
        if name not in places:
            raise InputError(
                where,
                f"`{name[:80]}`, which is no image of the folder",
                f"the name of one of its images, like {names[0]}",
                "correct the name (without a folder), or delete the row",
            )
        if name in seen:
            raise InputError(
                where, f"{name} for the second time (first in {seen[name]})", "every image once", "delete one"
            )
        seen[name] = where.removeprefix(f"{table_path}, ")
        found.append(places[name])
    return found


def _times(folder: Path, names: tuple[str, ...]) -> NDArray[np.float64]:
    tables = [path for path in possible_frame_tables(folder) if path.is_file()]
    times = np.full(len(names), np.nan)
    if not tables:
        return times
    if len(tables) > 1:
        raise InputError(
            folder,
            f"several tables of times: {', '.join(path.name for path in tables)}",
            "one of them",
            "move the other out of the folder",
        )
    table = read_table(tables[0])
    column = next((name for name in table.columns if name.casefold() == "file"), None)
    given = read_times(table)
    if column is None or given is None:
        raise InputError(
            f"{tables[0]}, row 1",
            f"the columns {', '.join(table.columns)[:200]}",
            "the columns `file` and `time_s` (or time_ms, time_us, time_ns)",
            "name the columns so",
        )
    rows = [(table.where(row, column), row[column]) for row in table.rows]
    places = places_of_names(tables[0], rows, names)
    times[places] = given
    if lost := np.flatnonzero(np.isnan(times)).tolist():
        raise InputError(
            tables[0],
            f"no row for {names[lost[0]]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else ""),
            "a row for each image of the folder",
            "add the rows, or move the images out of the folder",
        )
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        raise InputError(
            tables[0],
            f"{names[back[0] + 1]} ({times[back[0] + 1]:g} s) before {names[back[0]]} "
            f"({times[back[0]]:g} s), which comes first by name",
            "names in the order of time, by their numbers",
            "rename the images",
        )
    return times


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        # Named formats alone: a file that only calls itself .png reaches no other decoder.
        return Image.open(path, formats=("PNG", "JPEG", "TIFF"))
    except Exception as error:
        raise _damaged(path, error) from None


def _size_of(path: Path) -> tuple[int, int]:
    """(rows, columns) by the header, which must be of 8-bit grey or colour."""
    with _opened(path) as image:
        columns, rows = image.size
        try:
            bits = _bits(path, image)
            frames = getattr(image, "n_frames", 1)
        except Exception as error:
            raise _damaged(path, error) from None
        mode = image.mode
    if bits > 8 or mode not in MODES:
        raise InputError(
            path,
            f"an image of {bits} bits" if bits > 8 else f"an image of the mode {mode}",
            "8-bit grey or colour, as the scanner shows it: how to map more to grey levels is not known",
            "export the images with 8 bits",
        )
    if frames != 1:
        raise InputError(
            path, f"{frames} images in one file", "a file for each frame", "export single images"
        )
    checked_shape(path, 1, rows, columns)
    return rows, columns


def _bits(path: Path, image: Any) -> int:
    """Bits per channel as stored: Pillow hands out colours of 16 bits as if they had 8."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, 1)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        path,
        f"no readable image ({error})"[:300],
        "a whole PNG, JPEG or TIFF file",
        "copy or export it again",
    )


def _other_size(path: Path, size: tuple[int, ...], first: Path, first_size: tuple[int, int]) -> InputError:
    return InputError(
        path,
        f"{size[1]} x {size[0]} pixels",
        f"{first_size[1]} x {first_size[0]} pixels, as in {first.name}",
        "give images of one size: one scanner setting, one folder",
    )
