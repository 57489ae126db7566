"""Frames of a Stradwin recording, read one by one: raw bytes (.sxi), DICOM or image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.image_frames import grey
from myosweep.io.stradwin_files import frame_list, image_files, kind_of, path_inside, pixel_file

IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
GREY_MODES = ("L", "P", "RGB", "RGBA")


class RawFrames:
    """8-bit grey frames of a .sxi file.

    Read at each access: nothing stays open or mapped, and a file that is cut short meanwhile ends in an error
    where a mapping would end the process.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], flip: bool) -> None:
        self._path = path
        self._shape = shape
        self._flip = flip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return self._shape

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        at, size = _checked(index, self._shape[0]), self._shape[1] * self._shape[2]
        try:
            pixels = np.fromfile(self._path, np.uint8, size, offset=at * size)
        except OSError as error:
            raise InputError(
                self._path, f"no pixels of frame {at} ({error})", "the frames", "copy the file again"
            ) from None
        if len(pixels) != size:
            raise InputError(
                self._path,
                f"{len(pixels)} bytes of frame {at}",
                f"{size} bytes",
                "copy the file again: it is not whole",
            )
        return _turned(pixels.reshape(self._shape[1:]), self._flip)


class ImageFrames:
    """Frames of DICOM or image files: per frame the file, and the index of the frame within it."""

    def __init__(self, sources: Sequence[tuple[Path, int]], size: tuple[int, int], flip: bool) -> None:
        self._sources = tuple(sources)
        self._size = size
        self._flip = flip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return len(self._sources), *self._size

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        path, inner = self._sources[_checked(index, len(self._sources))]
        try:
            pixels = _decode(path, inner)
        except InputError:
            raise
        # Decoders raise whatever they like on damaged files.
        except Exception as error:
            raise _unreadable(path, error) from None
        if pixels.shape != self._size or pixels.dtype != np.uint8:
            raise InputError(
                path,
                f"an image of shape {pixels.shape} and type {pixels.dtype}",
                f"8-bit grey of {self._size[1]} x {self._size[0]} pixels, as RES_BUF_WIDTH and _HEIGHT say",
                "put the recording's own images there",
            )
        return _turned(pixels, self._flip)


def open_frames(
    path: Path, values: Mapping[str, str], shape: tuple[int, int, int], dicom: bool, flip: bool
) -> RawFrames | ImageFrames:
    """Find the frames of a recording and compare them with its text, without reading a pixel.

    Parameters
    ----------
    values
        The text's RES_ lines.
    shape
        (frames, rows, columns), as the text says.
    dicom
        Whether they are DICOM or image files.
    flip
        Whether rows are handed out from the last to the first.

    Raises
    ------
    InputError
        A file is missing or leads out of the recording's folder; it does not hold what the text says.
    """
    if dicom:
        return ImageFrames(_sources(path, values, shape), shape[1:], flip)
    data_path = pixel_file(path, values)
    there, expected = data_path.stat().st_size if data_path.is_file() else 0, shape[0] * shape[1] * shape[2]
    if there != expected:
        # Also where it is longer: then the frames are larger than the text says, and each would be sheared.
        raise InputError(
            data_path,
            f"{there} bytes",
            f"{expected} bytes: {shape[0]} frames of {shape[2]} x {shape[1]} pixels, as {path.name} says",
            "copy both files of the recording again, or save it again with 8-bit grey images",
        )
    return RawFrames(data_path, shape, flip)


def _sources(path: Path, values: Mapping[str, str], shape: tuple[int, int, int]) -> list[tuple[Path, int]]:
    count = shape[0]
    numbers = frame_list(values)
    where = f"{path}, RES_DICOM_FRAME_LIST"
    if numbers is None and "RES_DICOM_FRAME_LIST" in values:
        text = values["RES_DICOM_FRAME_LIST"]
        raise InputError(where, f"`{text[:80]}`", "whole numbers from 0 on", "save the recording again")
    numbers = list(range(count)) if numbers is None else numbers
    if len(numbers) != count:
        raise InputError(
            where,
            f"{len(numbers)} numbers, but RES_BUF_FRAMES {count}",
            "one number for every frame",
            "save the recording again",
        )
    named = path_inside(path, values.get("RES_BIN_IM_FILENAME", ""))
    files = image_files(path, values)
    if named.is_file() and _look(named).frames > 1:
        files = [named]
    frames = _look(files[0]).frames if len(files) == 1 else len(files)
    if max(numbers) >= frames:
        what = (
            f"{frames} frames in {files[0].name}" if len(files) == 1 else f"{frames} files like {named.name}"
        )
        raise InputError(
            where,
            f"the number {max(numbers)}, but {what}",
            f"numbers from 0 to {frames - 1}",
            "put all images of the recording there",
        )
    if len(files) == 1:
        _require(files[0], shape)
        return [(files[0], number) for number in numbers]
    if named.is_file() and named not in (files[0], files[min(numbers)]):
        raise InputError(
            f"{path}, RES_BIN_IM_FILENAME",
            f"{named.name}, but number 0 is {files[0].name} and number {min(numbers)} is "
            f"{files[min(numbers)].name}",
            "the first image file of its folder, or the first that belongs to the recording",
            "put the recording's own images alone into the folder",
        )
    _require_order([_require(files[number], shape) for number in numbers], numbers)
    return [(files[number], 0) for number in numbers]


@dataclass(frozen=True)
class _Look:
    """What a file's header says."""

    path: Path
    frames: int
    rows: int
    columns: int
    problem: str
    instance: int | None = None


def _look(path: Path) -> _Look:
    try:
        return _look_at_dicom(path) if kind_of(path) == "DICOM" else _look_at_image(path)
    except Exception as error:
        raise _unreadable(path, error) from None


def _look_at_image(path: Path) -> _Look:
    from PIL import Image

    with Image.open(path, formats=IMAGE_FORMATS) as image:
        problem = "" if image.mode in GREY_MODES else f"an image of mode {image.mode}"
        return _Look(path, int(getattr(image, "n_frames", 1)), image.height, image.width, problem)


def _look_at_dicom(path: Path) -> _Look:
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, force=False)
    bits, samples = header.get("BitsAllocated"), header.get("SamplesPerPixel", 1)
    colours = str(header.get("PhotometricInterpretation", ""))
    problem = ""
    if bits != 8 or samples not in (1, 3) or colours.startswith("PALETTE"):
        problem = f"{colours or 'pixels'} of {bits} bits, {samples} per pixel"
    instance = header.get("InstanceNumber")
    return _Look(
        path,
        int(header.get("NumberOfFrames") or 1),
        int(header.get("Rows", 0)),
        int(header.get("Columns", 0)),
        problem,
        None if instance is None else int(instance),
    )


def _require(path: Path, shape: tuple[int, int, int]) -> _Look:
    found = _look(path)
    if found.problem or (found.rows, found.columns) != shape[1:]:
        size = f"{found.columns} x {found.rows} pixels"
        raise InputError(
            path,
            found.problem or size,
            f"8-bit images of {shape[2]} x {shape[1]} pixels, as RES_BUF_WIDTH and RES_BUF_HEIGHT say",
            "put the recording's own images there, or save it with its images as .sxi",
        )
    return found


def _require_order(looks: Sequence[_Look], numbers: Sequence[int]) -> None:
    """Refuse DICOM files whose own numbers contradict the order of their names."""
    for look in looks:
        if look.frames > 1:
            raise InputError(
                look.path,
                f"{look.frames} frames in one of several files",
                "files with one frame each, or one file with all frames",
                "save the recording with its images as .sxi",
            )
    order = [look.instance for _, look in sorted(zip(numbers, looks, strict=True), key=lambda pair: pair[0])]
    known = [instance for instance in order if instance is not None]
    if len(set(known)) == len(known) == len(order) and known not in (sorted(known), sorted(known)[::-1]):
        raise InputError(
            looks[0].path.parent,
            "DICOM files whose names are in another order than their InstanceNumber",
            "files that are counted in one order only",
            "save the recording with its images as .sxi",
        )


def _decode(path: Path, index: int) -> NDArray[np.uint8]:
    from PIL import Image

    if kind_of(path) == "DICOM":
        import pydicom
        import pydicom.pixels

        header = pydicom.Dataset()
        read: Any = pydicom.pixels
        pixels = read.pixel_array(path, index=index, ds_out=header)
        if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
            pixels = 255 - pixels
        if pixels.ndim == 3 and pixels.dtype == np.uint8:
            pixels = grey(pixels)
        return np.asarray(pixels)
    with Image.open(path, formats=IMAGE_FORMATS) as image:
        image.seek(index)
        if image.mode not in GREY_MODES:
            raise InputError(
                path, f"an image of mode {image.mode}", "8-bit grey or colour", "save the images as .sxi"
            )
        # A palette's index is no grey level.
        return np.array(image, np.uint8) if image.mode == "L" else grey(np.array(image.convert("RGB")))


def _unreadable(path: Path, error: Exception) -> InputError:
    text = " ".join(str(error).split())[:200]
    return InputError(
        path,
        f"not a readable image ({type(error).__name__}: {text})",
        "a DICOM, PNG, JPEG, TIFF or BMP file",
        "export it again",
    )


def _checked(index: int, count: int) -> int:
    if not -count <= index < count:
        raise IndexError(f"frame {index} of {count}")
    return int(index) % count


def _turned(pixels: NDArray[np.uint8], flip: bool) -> NDArray[np.uint8]:
    return pixels[::-1] if flip else pixels
