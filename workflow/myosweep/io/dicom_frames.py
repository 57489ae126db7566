"""Frames of a multi-frame DICOM file, each decoded from the file when asked for.

Read are the pixels (8-bit grey, palette or colour; uncompressed, RLE, or JPEG as far as pydicom decodes it
with Pillow), FrameTimeVector, FrameTime or CineRate, and the one ultrasound region that shows tissue: its
place is the image area, its scale is compared with the calibration. Windows and look-up tables for display,
and all that is said of the patient, are not.
"""

from __future__ import annotations

import math
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.image_frames import ImageSource, checked_index, checked_shape, grey
from myosweep.io.sweeps import Rectangle

UNDEFINED = 0xFFFFFFFF
ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
PIXELS = b"\xe0\x7f\x10\x00"
COLOURS = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3}
JPEG_COLOURS = {"YBR_ICT": 3, "YBR_RCT": 3}
LARGEST_COUNT = 10_000_000
# The header's pixels are not read; more than this is no header.
LARGEST_HEADER = 1 << 28
CENTIMETRES, TISSUE, PLANE = 3, 1, 1

Span = tuple[int, int]


class DicomFrames:
    """Frames of one file; `spans` are each frame's pieces: first byte and length."""

    def __init__(self, path: Path, header: Any, spans: list[tuple[Span, ...]], encapsulated: bool) -> None:
        self._path = path
        self._header = header
        self._spans = spans
        self._encapsulated = encapsulated

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return len(self._spans), int(self._header.Rows), int(self._header.Columns)

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        number = checked_index(index, len(self._spans))
        with self._path.open("rb") as file:
            pieces = []
            for offset, length in self._spans[number]:
                file.seek(offset)
                pieces.append(file.read(length))
        try:
            frame = self._decode(pieces)
        except Exception as error:
            raise InputError(
                f"{self._path}, frame {number}",
                f"pixels that cannot be decoded ({error})"[:300],
                "a whole frame that is uncompressed, or compressed by RLE or JPEG",
                "export it uncompressed, or convert it (dcmdjpeg, gdcmconv --raw)",
            ) from None
        if frame.shape != self.shape[1:]:
            raise InputError(
                f"{self._path}, frame {number}",
                f"{frame.shape[::-1]} pixels",
                f"{self.shape[2]} x {self.shape[1]} pixels, as its header says",
                "export it again",
            )
        return frame

    def _decode(self, pieces: list[bytes]) -> NDArray[np.uint8]:
        from pydicom.encaps import itemize_fragment
        from pydicom.pixels.processing import apply_color_lut
        from pydicom.pixels.utils import pixel_array

        header = self._header
        if not self._encapsulated:
            data = b"".join(pieces)
            if len(data) < self._spans[0][0][1]:
                raise ValueError("the file ends early")
            header.PixelData = data + b"\0" * (len(data) % 2)
        else:
            framed = [itemize_fragment(piece + b"\0" * (len(piece) % 2)) for piece in pieces]
            header.PixelData = b"".join([itemize_fragment(b""), *framed, END + b"\0\0\0\0"])
        header["PixelData"].is_undefined_length = self._encapsulated
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = pixel_array(header)
        finally:
            del header.PixelData
        kind = str(header.PhotometricInterpretation)
        if kind == "PALETTE COLOR":
            colours = apply_color_lut(pixels, header)
            pixels = (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
        if pixels.dtype != np.uint8:
            raise ValueError(f"pixels of the type {pixels.dtype}")
        if pixels.ndim == 3:
            return grey(pixels)
        return 255 - pixels if kind == "MONOCHROME1" else np.array(pixels, np.uint8)


def open_dicom(path: Path) -> ImageSource:
    """Frames and times of a DICOM file; times count from the first frame.

    Raises
    ------
    InputError
        The file is no DICOM file with 8-bit pictures, ends early, or says something that cannot be.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "a recording", "correct the path")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = _header(path, file)
            count = int(header.get("NumberOfFrames") or 1)
            samples = _samples(path, header)
            if count > LARGEST_COUNT:
                raise InputError(
                    path, f"{count} frames", f"at most {LARGEST_COUNT} frames", "export it again"
                )
            _, rows, columns = checked_shape(path, count, int(header.Rows), int(header.Columns))
            spans, encapsulated = _spans(path, file, header, count, rows * columns * samples)
            times, notes = _times(path, header, count)
            clip, pixel_mm = _region(header, rows, columns)
            # What the decoder needs, and nothing of the patient.
            kept = header.group_dataset(0x0028)
            kept.file_meta = header.file_meta
            kept.NumberOfFrames = 1
            kept.set_original_encoding(*header.original_encoding)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            path,
            f"no readable DICOM file ({error})"[:300],
            "a multi-frame ultrasound image",
            "export it again",
        ) from None
    return ImageSource(DicomFrames(path, kept, spans, encapsulated), times, None, clip, pixel_mm, notes)


def _header(path: Path, file: BinaryIO) -> Any:
    """All but the pixels; the file stands where they begin."""
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

    # What is wholly compressed would be decompressed to be looked at.
    syntax = getattr(read_file_meta_info(path), "TransferSyntaxUID", None)
    if syntax is None or syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian) or syntax.is_private:
        raise InputError(
            path,
            f"the transfer syntax {syntax.name if syntax else 'unknown'}",
            "little endian, RLE or JPEG",
            "convert it (dcmconv +te, gdcmconv --raw)",
        )
    if "MPEG" in syntax.name or "HEVC" in syntax.name:
        raise InputError(
            path,
            f"a video in DICOM ({syntax.name})",
            "frames that stand alone: uncompressed, RLE or JPEG",
            "export it as .mp4, or convert it",
        )
    # A length that lies must not become memory: whatever is long is left in the file.
    header = dcmread(file, stop_before_pixels=True, defer_size=1 << 20)
    if file.tell() > LARGEST_HEADER:
        raise InputError(path, "a header of more than 256 MiB", "a DICOM image", "export it again")
    return header


def _samples(path: Path, header: Any) -> int:
    kind = str(header.get("PhotometricInterpretation", "nothing"))
    samples = int(header.get("SamplesPerPixel", 1))
    colours = {**COLOURS, **JPEG_COLOURS}
    if colours.get(kind) != samples:
        raise InputError(
            path,
            f"{samples} values per pixel of the kind {kind}",
            f"one of {', '.join(COLOURS)}",
            "export B-mode images",
        )
    bits = [int(header.get(name, 0)) for name in ("BitsAllocated", "BitsStored")]
    if bits != [8, 8] or int(header.get("PixelRepresentation", 0)) != 0:
        sign = "signed " if int(header.get("PixelRepresentation", 0)) else ""
        raise InputError(
            path,
            f"{sign}pixels of {bits[1]} bits in {bits[0]}",
            "unsigned 8-bit pixels, as the scanner shows them: how to map more to grey levels is not known",
            "export the images with 8 bits",
        )
    return samples


def _spans(
    path: Path, file: BinaryIO, header: Any, count: int, frame_bytes: int
) -> tuple[list[tuple[Span, ...]], bool]:
    """Where each frame's bytes are, and whether they are encapsulated (compressed)."""
    size = path.stat().st_size
    if header.original_encoding[0]:
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
    else:
        head = file.read(12)
        length = int.from_bytes(head[8:12], "little")
    start = file.tell()
    if head[:4] != PIXELS or len(head) < 8:
        raise InputError(path, "no pixels", "a multi-frame ultrasound image", "export it again")
    if header.file_meta.TransferSyntaxUID.is_compressed != (length == UNDEFINED):
        raise InputError(
            path, "pixels that are not stored as the header says", "a DICOM image", "export it again"
        )
    if length == UNDEFINED:
        return _fragments(path, file, size, count), True
    if str(header.PhotometricInterpretation) == "YBR_FULL_422":
        frame_bytes = frame_bytes // 3 * 2
    if min(length, size - start) < frame_bytes * count:
        raise InputError(
            path,
            f"{min(length, size - start)} bytes of pixels",
            f"{frame_bytes * count} bytes for {count} frames",
            "copy or export it again: it is not whole",
        )
    return [((start + frame * frame_bytes, frame_bytes),) for frame in range(count)], False


def _fragments(path: Path, file: BinaryIO, size: int, count: int) -> list[tuple[Span, ...]]:
    """Pieces of compressed frames (PS3.5, annex A.4): by the offset table, or one piece per frame."""
    spans: list[Span] = []
    while True:
        head = file.read(8)
        if len(head) < 8 or head[:4] == END:
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] != ITEM or length == UNDEFINED or file.tell() + length > size:
            raise InputError(
                path, "compressed pixels that end early", "whole frames", "copy or export it again"
            )
        spans.append((file.tell(), length))
        file.seek(length, 1)
    if not spans:
        raise InputError(path, "no compressed pixels", f"{count} frames", "export it again")
    (table_at, table_bytes), *pieces = spans
    if len(pieces) == count:
        return [(piece,) for piece in pieces]
    if count == 1 and pieces:
        return [tuple(pieces)]
    file.seek(table_at)
    offsets = struct.unpack(f"<{table_bytes // 4}I", file.read(table_bytes // 4 * 4)) if table_bytes else ()
    if len(offsets) != count or len(pieces) < count:
        raise InputError(
            path,
            f"{len(pieces)} pieces of compressed pixels, and {len(offsets)} frames in their table",
            f"{count} frames, as the header says",
            "export it again, uncompressed if possible",
        )
    first = pieces[0][0]
    starts = {offset + first: frame for frame, offset in enumerate(offsets)}
    frames: list[list[Span]] = [[] for _ in range(count)]
    frame = -1
    for piece in pieces:
        frame = starts.get(piece[0], frame)
        frames[max(frame, 0)].append(piece)
    if not all(frames):
        raise InputError(
            path,
            f"no pixels for frame {frames.index([])} in the table of offsets",
            "a piece for each frame",
            "export it again",
        )
    return [tuple(item) for item in frames]


def _times(path: Path, header: Any, count: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Seconds from the first frame; NaN where the file does not say."""
    vector = header.get("FrameTimeVector")
    if vector is not None and vector != "":
        steps = np.array([float(value) for value in np.atleast_1d(np.array(vector, object))])
        if len(steps) == count - 1:
            steps = np.concatenate([[0.0], steps])
        if len(steps) != count or not np.isfinite(steps).all() or (steps < 0).any():
            raise InputError(
                f"{path}, FrameTimeVector",
                f"{len(steps)} times between {count} frames, from {steps.min():g} to {steps.max():g} ms",
                "a time for each frame, none negative",
                "export it again",
            )
        # The first value is the first frame's, which is 0 (PS3.3, C.7.6.5).
        return np.cumsum(np.concatenate([[0.0], steps[1:]])) / 1000, ()
    for name in ("FrameTime", "CineRate"):
        value = header.get(name)
        if value is None or value == "":
            continue
        if not (math.isfinite(float(value)) and float(value) > 0):
            raise InputError(f"{path}, {name}", str(value), "a positive number", "export it again")
        if name == "FrameTime":
            return np.arange(count) * float(value) / 1000, ()
        return np.arange(count) / float(value), (f"times of frames are from CineRate ({value} per second)",)
    return np.full(count, np.nan), ()


def _region(header: Any, rows: int, columns: int) -> tuple[Rectangle | None, tuple[float, float] | None]:
    """Place and scale of the one region that shows tissue (PS3.3, C.8.5.5); None where there is not one."""
    regions = [
        region
        for region in header.get("SequenceOfUltrasoundRegions") or []
        if region.get("RegionSpatialFormat") == PLANE and region.get("RegionDataType") == TISSUE
    ]
    if len(regions) != 1:
        return None, None
    region = regions[0]
    names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    edges = [region.get(name) for name in names]
    clip = None
    if all(edge is not None for edge in edges):
        left, top, right, bottom = (int(edge) for edge in edges)
        if 0 <= left < right < columns and 0 <= top < bottom < rows:
            # A clip's far corner, origin plus size, belongs to it.
            clip = Rectangle(left, top, right - left, bottom - top)
    units = [region.get(name) for name in ("PhysicalUnitsXDirection", "PhysicalUnitsYDirection")]
    scale = [region.get(name) for name in ("PhysicalDeltaX", "PhysicalDeltaY")]
    if units != [CENTIMETRES, CENTIMETRES] or not all(scale):
        return clip, None
    return clip, (abs(float(scale[0])) * 10, abs(float(scale[1])) * 10)
