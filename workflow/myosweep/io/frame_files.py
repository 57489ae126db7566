"""MetaImage and NRRD files of 8-bit frames: headers with all their fields, pixels on demand.

ITK reads these formats too, but it decompresses all pixels to hand out a field.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.files import whole_file

LONGEST_HEADER = 1 << 28
CHUNK = 1 << 20
# Deflate cannot shrink by more (zlib's technical details), so a header that claims more lies.
LARGEST_RATIO = 1032

NAMES_OF_UINT8 = {"met_uchar", "uchar", "unsigned char", "uint8", "uint8_t"}


@dataclass(frozen=True)
class Header:
    """What a file says of its frames.

    Attributes
    ----------
    path, data_path
        The header's file and the one that holds the pixels.
    shape
        (frames, rows, columns).
    offset
        Where the pixels begin, bytes.
    compressed
        "" (raw), "zlib" or "gzip".
    fields
        The format's own fields, names in lower case without blanks.
    custom
        All other fields, names as written.
    """

    path: Path
    data_path: Path
    shape: tuple[int, int, int]
    offset: int
    compressed: str
    fields: dict[str, str]
    custom: dict[str, str]


class StoredFrames:
    """Frames of a file: mapped where they are raw, decompressed once at the first access where not."""

    def __init__(self, header: Header, flip_rows: bool = False, flip_columns: bool = False) -> None:
        self._header = header
        self._rows = slice(None, None, -1 if flip_rows else 1)
        self._columns = slice(None, None, -1 if flip_columns else 1)
        self._pixels: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return self._header.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        if self._pixels is None:
            self._pixels = read_pixels(self._header)
        frame: NDArray[np.uint8] = self._pixels[index][self._rows, self._columns]
        return frame


def read_header(path: Path) -> Header:
    """Read the header of a file of frames, and check that the file is as long as it says.

    Raises
    ------
    InputError
        The file is missing, ends early, or holds something else than 8-bit grey frames.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "a recording", "correct the path")
    suffix = path.suffix.lower()
    if suffix in (".mha", ".mhd"):
        header = _metaimage(path)
    elif suffix in (".nrrd", ".nhdr"):
        header = _nrrd(path)
    else:
        raise InputError(path, f"the suffix {suffix}", ".mha, .mhd, .nrrd or .nhdr", "convert the recording")
    _check_length(header)
    return header


def _head(path: Path, end: re.Pattern[bytes], all_text: bool = False) -> tuple[str, int]:
    """A file's text up to `end`, and where the data begin; `all_text`: the file's end will do."""
    text = bytearray()
    with path.open("rb") as file:
        while len(text) < LONGEST_HEADER:
            before = len(text)
            text += file.read(CHUNK)
            # The pattern may straddle two chunks.
            match = end.search(text, max(0, before - 4096))
            if match:
                return bytes(text[: match.end()]).decode("utf-8", "replace"), match.end()
            if all_text and len(text) == before:
                return bytes(text).decode("utf-8", "replace"), before
            if len(text) == before or b"\0" in text[before : before + 4096]:
                break
    raise InputError(
        path, "no end of the header", "a MetaImage or NRRD header", "export or copy the recording again"
    )


def _metaimage(path: Path) -> Header:
    text, offset = _head(path, re.compile(rb"^ElementDataFile[ \t]*=[^\n]*\n", re.MULTILINE))
    fields, custom = {}, {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not sign:
            continue
        if key.startswith("Seq_") or key.endswith("Transform"):
            custom[key] = value
        else:
            fields[key.lower()] = value
    shape = _shape(path, fields.get("dimsize", ""), _whole(path, fields.get("elementnumberofchannels", "1")))
    _require_uint8(path, fields.get("elementtype", "nothing"))
    compressed = "zlib" if fields.get("compresseddata", "False").lower() in ("true", "1") else ""
    name = fields["elementdatafile"]
    if name.upper() == "LOCAL":
        return Header(path, path, shape, offset, compressed, fields, custom)
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(
            f"{path}, ElementDataFile", name, "LOCAL or one file", "export the recording as one file"
        )
    data_path = _beside(path, name)
    skip = _whole(path, fields.get("headersize", "0"))
    if skip < 0:
        skip = max(0, data_path.stat().st_size - math.prod(shape))
    return Header(path, data_path, shape, skip, compressed, fields, custom)


def _nrrd(path: Path) -> Header:
    text, offset = _head(path, re.compile(rb"\r?\n\r?\n"), path.suffix.lower() == ".nhdr")
    if not text.startswith("NRRD"):
        raise InputError(path, "no NRRD signature", "a NRRD file", "export the recording again")
    fields, custom = {}, {}
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        key, sign, value = line.partition(":=")
        if sign and not key.lower().startswith("ultrasound"):
            custom[key.strip()] = value.strip()
        else:
            key, _, value = line.partition(":")
            fields[key.replace(" ", "").lower()] = value.lstrip("=").strip()
    sizes = fields.get("sizes", "").split()
    channels = 1
    if len(sizes) == 4 and sizes[0] == "1":
        sizes = sizes[1:]
    elif len(sizes) == 4 and fields.get("kinds", "").split()[:1] in (["vector"], ["list"], ["RGB-color"]):
        channels = _whole(path, sizes.pop(0))
    shape = _shape(path, " ".join(sizes), channels)
    _require_uint8(path, fields.get("type", "nothing"))
    encoding = fields.get("encoding", "raw").lower()
    if encoding not in ("raw", "gz", "gzip"):
        raise InputError(f"{path}, encoding", encoding, "raw or gzip", "export the recording again")
    compressed = "gzip" if encoding != "raw" else ""
    name = fields.get("datafile", "")
    if not name:
        return Header(path, path, shape, offset, compressed, fields, custom)
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path}, data file", name, "one file", "export the recording as one file")
    return Header(path, _beside(path, name), shape, 0, compressed, fields, custom)


def _shape(path: Path, text: str, channels: int) -> tuple[int, int, int]:
    sizes = [int(word) for word in text.split() if word.isdigit()]
    if len(sizes) != len(text.split()) or len(sizes) not in (2, 3, 4) or 0 in sizes:
        raise InputError(
            f"{path}, size", f"`{text}`", "columns, rows and frames, each a whole number", "export it again"
        )
    if len(sizes) == 4 and sizes[2] == 1:
        sizes.pop(2)
    if len(sizes) == 2:
        sizes.append(1)
    if len(sizes) == 4 or channels != 1:
        what = f"3D frames ({text})" if len(sizes) == 4 else f"{channels} values per pixel"
        raise InputError(path, what, "2D frames with one grey level per pixel", "export B-mode images")
    return sizes[2], sizes[1], sizes[0]


def _require_uint8(path: Path, name: str) -> None:
    if name.lower() not in NAMES_OF_UINT8:
        raise InputError(f"{path}, type", f"pixels of type {name}", "8-bit grey", "export B-mode images")


def _whole(path: Path, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(path, f"`{text}`", "a whole number", "export the recording again") from None


def _beside(path: Path, name: str) -> Path:
    data_path = path.parent / name
    if not data_path.is_file():
        raise InputError(path, f"no file {data_path}", "a file of pixels", "copy it beside the header")
    return data_path


def _check_length(header: Header) -> None:
    """Compare the file's length with what its header promises, without decompressing anything."""
    there = header.data_path.stat().st_size - header.offset
    expected = math.prod(header.shape)
    if not header.compressed:
        if there < expected:
            raise _early(header, f"{there} bytes of pixels", f"{expected} bytes for {_words(header)}")
        return
    promised = header.fields.get("compresseddatasize", "")
    if promised and there < _whole(header.path, promised):
        raise _early(header, f"{there} bytes of compressed pixels", f"{promised} bytes, as its header says")
    if expected > LARGEST_RATIO * (there + 64):
        raise _early(header, f"{there} bytes", f"{_words(header)}, which never become so small")
    if header.compressed == "gzip" and there >= 4:
        with header.data_path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            # A gzip stream ends with its length (RFC 1952, 2.3.1). Bytes after the stream are legal, though.
            if int.from_bytes(file.read(4), "little") != expected % 2**32:
                read_pixels(header)


def _words(header: Header) -> str:
    frames, rows, columns = header.shape
    return f"{frames} frames of {columns} x {rows} pixels"


def _early(header: Header, found: str, expected: str) -> InputError:
    return InputError(header.data_path, found, expected, "copy or export it again: it is not whole")


def read_pixels(header: Header) -> NDArray[np.uint8]:
    """All pixels, (frame, row, column), as stored: mapped, or decompressed into one array."""
    if not header.compressed:
        return np.memmap(header.data_path, np.uint8, "c", header.offset, header.shape)
    pixels = np.empty(header.shape, np.uint8)
    target = pixels.reshape(-1).data
    # 32: zlib and gzip streams alike.
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    done = 0
    try:
        with header.data_path.open("rb") as file:
            file.seek(header.offset)
            while done < len(target) and not stream.eof:
                block = stream.unconsumed_tail or file.read(CHUNK)
                if not block:
                    break
                part = stream.decompress(block, min(CHUNK, len(target) - done))
                target[done : done + len(part)] = part
                done += len(part)
            if done == len(target) and not stream.eof:
                # What follows the last pixel is the checksum; without this it would not be compared.
                while not stream.eof and (block := stream.unconsumed_tail or file.read(CHUNK)):
                    if stream.decompress(block, 1):
                        raise _early(header, "more pixels", f"{_words(header)}, as its header says")
    except zlib.error as error:
        raise _early(header, f"compressed pixels that are damaged ({error})", "a whole data block") from None
    if done < len(target) or not stream.eof:
        raise _early(header, f"{done} bytes, then the end", f"{_words(header)}, {len(target)} bytes")
    return pixels


def write_frames(
    path: Path,
    frames: NDArray[np.uint8],
    orientation: str,
    fields: Sequence[tuple[str, str]],
    compress: bool = True,
) -> None:
    """Write frames (frame, row, column) with further header fields; files appear only when whole."""
    count, rows, columns = frames.shape
    suffix = path.suffix.lower()
    if suffix not in (".mha", ".mhd", ".nrrd", ".nhdr"):
        raise ValueError(f"{path}: the suffix must be .mha, .mhd, .nrrd or .nhdr")
    nrrd = suffix in (".nrrd", ".nhdr")
    # 31: a gzip stream, which has no name and no time in it.
    packer = zlib.compressobj(1, wbits=31 if nrrd else 15)
    data = (
        b"".join([*(packer.compress(frame.tobytes()) for frame in frames), packer.flush()])
        if compress
        else np.ascontiguousarray(frames).data
    )
    length = len(data) if compress else count * rows * columns
    apart = path.with_suffix((".raw.gz" if nrrd else ".zraw") if compress else ".raw")
    if nrrd:
        lines = [
            "NRRD0004",
            "type: uint8",
            "dimension: 3",
            "space dimension: 2",
            f"sizes: {columns} {rows} {count}",
            "space directions: (1,0) (0,1) none",
            "kinds: domain domain list",
            "endian: little",
            f"encoding: {'gzip' if compress else 'raw'}",
            "space origin: (0,0)",
            *([f"data file: {apart.name}"] if suffix == ".nhdr" else []),
            f"ultrasound image orientation:={orientation}",
            "ultrasound image type:=BRIGHTNESS",
            *(f"{key}:={value}" for key, value in fields),
            "",
        ]
    else:
        lines = [
            "ObjectType = Image",
            "NDims = 3",
            "AnatomicalOrientation = RAI",
            "BinaryData = True",
            "BinaryDataByteOrderMSB = False",
            "CenterOfRotation = 0 0 0",
            f"CompressedData = {compress}",
            *([f"CompressedDataSize = {length}"] if compress else []),
            f"DimSize = {columns} {rows} {count}",
            "Kinds = domain domain list",
            "ElementNumberOfChannels = 1",
            "ElementSpacing = 1 1 1",
            "ElementType = MET_UCHAR",
            "Offset = 0 0 0",
            "TransformMatrix = 1 0 0 0 1 0 0 0 1",
            f"UltrasoundImageOrientation = {orientation}",
            "UltrasoundImageType = BRIGHTNESS",
            *(f"{key} = {value}" for key, value in fields),
            f"ElementDataFile = {apart.name if suffix == '.mhd' else 'LOCAL'}",
        ]
    head = ("\n".join(lines) + "\n").encode()
    if suffix in (".mhd", ".nhdr"):
        with whole_file(apart) as temporary:
            temporary.write_bytes(data)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(head)
        if suffix in (".mha", ".nrrd"):
            file.write(data)
