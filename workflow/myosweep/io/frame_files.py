"""MetaImage and NRRD files of 8-bit frames: headers with all their fields, pixels on demand.

ITK reads these formats too, but it decompresses all pixels to hand out a field.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
# Compressed frames that take more than this go to a temporary file instead of memory.
LARGEST_IN_MEMORY = 256 << 20
LONGEST_NAME = 4096

NAMES_OF_UINT8 = {"met_uchar", "uchar", "unsigned char", "uint8", "uint8_t"}


@dataclass(frozen=True)
class Header:
    """What a file says of its frames.

    Attributes
    ----------
    path
        The header's file.
    data_paths
        The files that hold the pixels, in their order; each holds as many frames.
    shape
        (frames, rows, columns) as stored.
    channels
        Values per pixel: 1 (grey) or 3 (red, green, blue, next to each other).
    offset
        Where the pixels begin in each file, bytes.
    compressed
        "" (raw), "zlib" or "gzip".
    fields
        The format's own fields, names in lower case without blanks.
    custom
        All other fields, names as written.
    """

    path: Path
    data_paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    channels: int
    offset: int
    compressed: str
    fields: dict[str, str]
    custom: dict[str, str]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """(frames, rows, columns), or (frames, rows, columns, 3) in colour."""
        return self.shape if self.channels == 1 else (*self.shape, self.channels)

    @property
    def size(self) -> int:
        """Bytes of all pixels."""
        return math.prod(self.stored_shape)


@dataclass(frozen=True)
class PixelOrder:
    """How stored pixels lie against those that are handed out: transposed first, then turned round."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def shape(self, stored: tuple[int, int, int]) -> tuple[int, int, int]:
        """(frames, rows, columns) as handed out."""
        count, rows, columns = stored
        return (count, columns, rows) if self.transposed else stored

    def hand_out(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A stored frame (row, column[, channel]) in the order of the others."""
        if self.transposed:
            frame = frame.swapaxes(0, 1)
        return frame[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def store(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The inverse for frames (frame, row, column)."""
        frames = frames[:, :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return frames.swapaxes(1, 2) if self.transposed else frames


class StoredFrames:
    """Frames of a file, (row, column) uint8: read one by one where they are raw, unpacked once where not."""

    def __init__(self, header: Header, order: PixelOrder | None = None) -> None:
        self._header = header
        self._order = order or PixelOrder()
        self._pixels: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return self._order.shape(self._header.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        header = self._header
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        if not header.compressed and len(header.data_paths) > 1:
            frame = _one_frame(header, index % len(self))
        else:
            if self._pixels is None:
                self._pixels = read_pixels(header)
            frame = self._pixels[index]
        return self._order.hand_out(frame if header.channels == 1 else _grey(frame))


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of red, green and blue (ITU-R BT.601), rounded; exact where the three are equal."""
    red, green, blue = (frame[..., channel].astype(np.uint32) for channel in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)


def read_header(path: Path, check: bool = True) -> Header:
    """Read the header of a file of frames, and (with `check`) whether the file is as long as it says.

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
    if check:
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
    for line in text.split("\n"):
        key, sign, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not sign:
            continue
        if key.startswith("Seq_") or key.endswith("Transform"):
            custom[key] = value
        else:
            fields[key.lower()] = value
    channels = _whole(path, fields.get("elementnumberofchannels", "1"))
    shape = _shape(path, fields.get("dimsize", "").split(), channels)
    _require_uint8(path, fields.get("elementtype", "nothing"))
    if fields.get("binarydata", "True").lower() in ("false", "0"):
        raise InputError(f"{path}, BinaryData", "pixels written as text", "binary pixels", "export it again")
    compressed = "zlib" if fields.get("compresseddata", "False").lower() in ("true", "1") else ""
    name = fields["elementdatafile"]
    if name.upper() == "LOCAL":
        return Header(path, (path,), shape, channels, offset, compressed, fields, custom)
    dimensions = len(fields["dimsize"].split())
    data_paths = _data_files(path, name, _lines_from(path, offset), shape[0], dimensions)
    skip = _whole(path, fields.get("headersize", "0"))
    if skip < 0:
        skip = _from_the_end(path, data_paths, math.prod(shape) * channels, compressed)
    return Header(path, data_paths, shape, channels, skip, compressed, fields, custom)


def _nrrd(path: Path) -> Header:
    text, offset = _head(path, re.compile(rb"\r?\n\r?\n"), path.suffix.lower() == ".nhdr")
    if not text.startswith("NRRD"):
        raise InputError(path, "no NRRD signature", "a NRRD file", "export the recording again")
    fields, custom = {}, {}
    lines = iter(text.split("\n")[1:])
    for line in lines:
        if line.startswith("#"):
            continue
        key, sign, value = line.partition(":=")
        if sign and not key.lower().startswith("ultrasound"):
            custom[key.strip()] = value.strip()
            continue
        key, _, value = line.partition(":")
        key = key.replace(" ", "").lower()
        fields[key] = value.lstrip("=").strip()
        if key == "datafile" and fields[key].upper().startswith("LIST"):
            break
    sizes = fields.get("sizes", "").split()
    dimensions = len(sizes)
    channels = 1
    kinds = fields.get("kinds", "").lower().split()
    if len(sizes) in (4, 5) and sizes[0] == "1":
        sizes = sizes[1:]
    elif len(sizes) in (4, 5) and kinds and kinds[0] not in ("domain", "space"):
        channels = _whole(path, sizes.pop(0))
    shape = _shape(path, sizes, channels)
    _require_uint8(path, fields.get("type", "nothing"))
    encoding = fields.get("encoding", "raw").lower()
    if encoding not in ("raw", "gz", "gzip"):
        raise InputError(f"{path}, encoding", encoding, "raw or gzip", "export the recording again")
    compressed = "gzip" if encoding != "raw" else ""
    skip = _whole(path, fields.get("byteskip", "0"))
    if _whole(path, fields.get("lineskip", "0")) != 0 or (compressed and skip != 0) or skip < -1:
        raise InputError(
            path, "lines or bytes to skip before the pixels", "pixels that follow at once", "export it again"
        )
    name = fields.get("datafile", "")
    if not name:
        if skip == -1:
            skip = _from_the_end(path, (path,), math.prod(shape) * channels, compressed) - offset
        return Header(path, (path,), shape, channels, offset + skip, compressed, fields, custom)
    data_paths = _data_files(path, name, lines, shape[0], dimensions)
    if skip == -1:
        skip = _from_the_end(path, data_paths, math.prod(shape) * channels, compressed)
    return Header(path, data_paths, shape, channels, skip, compressed, fields, custom)


def _from_the_end(path: Path, data_paths: Sequence[Path], size: int, compressed: str) -> int:
    """Where the pixels begin if they are the file's last bytes."""
    if compressed:
        raise InputError(
            path, "a header of unknown length before compressed pixels", "the length", "export it again"
        )
    return max(0, data_paths[0].stat().st_size - size // len(data_paths))


def _data_files(
    path: Path, text: str, following: Iterable[str], count: int, dimensions: int
) -> tuple[Path, ...]:
    """The files of pixels that a header names: one, a list, or a pattern with a range.

    A list (`LIST`) stands in the following lines, a name in each; a pattern is one of C's printf and is
    followed by the first number, the last and the step. A number behind says how many axes a file holds.
    """
    words = text.split()
    if words and words[0].upper() == "LIST":
        axes, names = words[1:], _listed(path, following, count)
    elif words and "%" in words[0]:
        names, axes = _numbered(path, words, count), words[4:]
    else:
        return (_beside(path, text),)
    inner = axes[0].upper().removesuffix("D") if axes else str(dimensions - 1)
    per_frame = inner == str(dimensions - 1)
    if len(axes) > 1 or not (per_frame or inner == str(dimensions)):
        raise InputError(
            path, f"`{text}`", "files of one or of several whole frames", "export it as one file"
        )
    if (per_frame and len(names) != count) or not names or count % len(names):
        raise InputError(
            path,
            f"{len(names)} files of pixels for {count} frames",
            "as many files as frames",
            "export it again",
        )
    return tuple(_beside(path, name) for name in names)


def _lines_from(path: Path, offset: int) -> Iterator[str]:
    with path.open("rb") as file:
        file.seek(offset)
        while line := file.readline(LONGEST_NAME + 1):
            yield line.decode("utf-8", "replace")


def _listed(path: Path, lines: Iterable[str], count: int) -> list[str]:
    names = []
    for line in lines:
        if name := line.strip():
            names.append(name)
        if len(line) > LONGEST_NAME or len(names) > count:
            raise InputError(
                path, "a list of files that does not end", f"at most {count} names", "export it again"
            )
    return names


def _numbered(path: Path, words: Sequence[str], count: int) -> list[str]:
    pattern = words[0]
    match = re.fullmatch(r"([^%]*)%(0?)([0-9]?)[diu]([^%]*)", pattern)
    given = [_whole(path, word) for word in words[1:4]]
    first, last, step = (given + [1, count, 1][len(given) :])[:3]
    if match is None or step == 0 or (last - first) // step + 1 > count:
        raise InputError(
            path,
            f"`{' '.join(words)}`",
            f"a pattern like frame%04d.raw with first, last and step for at most {count} files",
            "list the files instead, or export the recording as one file",
        )
    before, zero, width, after = match.groups()
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return [f"{before}{number:{zero}{width}d}{after}" for number in numbers]


def _shape(path: Path, words: Sequence[str], channels: int) -> tuple[int, int, int]:
    text = " ".join(words)
    sizes = [int(word) for word in words if re.fullmatch(r"[0-9]{1,18}", word)]
    if len(sizes) != len(words) or len(sizes) not in (2, 3, 4) or 0 in sizes:
        raise InputError(
            f"{path}, size",
            f"`{text[:80]}`",
            "columns, rows and frames, each a whole number",
            "export it again",
        )
    if len(sizes) == 4 and sizes[2] == 1:
        sizes.pop(2)
    if len(sizes) == 2:
        sizes.append(1)
    if len(sizes) == 4:
        raise InputError(
            path, f"3D frames ({text})", "2D frames", "export B-mode images of a 2D acquisition, not volumes"
        )
    if channels not in (1, 3):
        raise InputError(
            path,
            f"{channels} values per pixel",
            "grey (1) or red, green and blue (3)",
            "export B-mode images",
        )
    return sizes[2], sizes[1], sizes[0]


def _require_uint8(path: Path, name: str) -> None:
    if name.lower() not in NAMES_OF_UINT8:
        raise InputError(f"{path}, type", f"pixels of type {name}", "8-bit grey", "export B-mode images")


def _whole(path: Path, text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        raise InputError(path, f"`{text[:80]}`", "a whole number", "export the recording again")
    return int(text)


def _beside(path: Path, name: str) -> Path:
    """A file that a header names, which must lie in the header's folder or below."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise InputError(
            path, f"the file {name[:200]}", "a file in the folder of the header", "copy it beside the header"
        )
    data_path = path.parent / name
    if "\0" in name or len(name) > LONGEST_NAME or not os.path.isfile(data_path):
        raise InputError(
            path, f"no file {str(data_path)[:200]!r}", "a file of pixels", "copy it beside the header"
        )
    return data_path


def _check_length(header: Header) -> None:
    """Compare the files' lengths with what the header promises, without keeping anything decompressed."""
    each = header.size // len(header.data_paths)
    for path in header.data_paths:
        there = path.stat().st_size - header.offset
        if not header.compressed:
            if there < each:
                raise _early(path, f"{max(there, 0)} bytes of pixels", f"{each} bytes for {_words(header)}")
            continue
        promised = header.fields.get("compresseddatasize", "") if len(header.data_paths) == 1 else ""
        if promised and there < _whole(header.path, promised):
            raise _early(path, f"{there} bytes of compressed pixels", f"{promised} bytes, as its header says")
        if each > LARGEST_RATIO * (there + 64):
            raise _early(path, f"{there} bytes", f"{_words(header)}, which never become so small")
        if header.compressed == "gzip" and there >= 4:
            with path.open("rb") as file:
                file.seek(-4, os.SEEK_END)
                # A gzip stream ends with its length (RFC 1952, 2.3.1). Bytes behind it are legal, though.
                if int.from_bytes(file.read(4), "little") != each % 2**32:
                    for _ in _unpacked(header, path):
                        pass


def _words(header: Header) -> str:
    frames, rows, columns = header.shape
    return f"{frames} frames of {columns} x {rows} pixels"


def _early(path: Path, found: str, expected: str) -> InputError:
    return InputError(path, found, expected, "copy or export it again: it is not whole")


def _one_frame(header: Header, index: int) -> NDArray[np.uint8]:
    """A raw frame out of one of several files."""
    count, size = header.shape[0], header.size
    per_file, frame_bytes = count // len(header.data_paths), size // count
    path = header.data_paths[index // per_file]
    at = header.offset + index % per_file * frame_bytes
    values = np.fromfile(path, np.uint8, frame_bytes, offset=at)
    if len(values) < frame_bytes:
        raise _early(path, f"{len(values)} bytes of frame {index}", f"{frame_bytes} bytes")
    return values.reshape(header.stored_shape[1:])


def read_pixels(header: Header) -> NDArray[np.uint8]:
    """All pixels, (frame, row, column[, channel]), as stored.

    Raw pixels of one file are mapped. Others become an array in memory or, beyond `LARGEST_IN_MEMORY`, one
    that is mapped from a temporary file without a name (in TMPDIR), which goes with the array.

    Raises
    ------
    InputError
        The pixels are damaged or too few, or the temporary file has no room.
    """
    if not header.compressed and len(header.data_paths) == 1:
        return np.memmap(header.data_paths[0], np.uint8, "c", header.offset, header.stored_shape)
    if not header.compressed:
        return np.stack([_one_frame(header, index) for index in range(header.shape[0])])
    blocks = (block for path in header.data_paths for block in _unpacked(header, path))
    if header.size > LARGEST_IN_MEMORY:
        return _in_a_file(header, blocks)
    pixels = np.empty(header.size, np.uint8)
    done = 0
    for block in blocks:
        pixels[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    return pixels.reshape(header.stored_shape)


def _in_a_file(header: Header, blocks: Iterable[bytes]) -> NDArray[np.uint8]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    where = f"{header.path}, compressed"
    expected = f"{header.size / 2**30:.1f} GiB there for {_words(header)}"
    remedy = "set TMPDIR to a folder with more room, or store the recording uncompressed"
    if header.size > free:
        raise InputError(where, f"{free / 2**30:.1f} GiB free in {folder}", expected, remedy)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            for block in blocks:
                file.write(block)
            file.flush()
        except OSError as error:
            raise InputError(where, f"{folder}: {error.strerror}", expected, remedy) from None
        return np.memmap(file, np.uint8, "c", 0, header.stored_shape)


def _unpacked(header: Header, path: Path) -> Iterator[bytes]:
    """The decompressed pixels of one file in blocks; exactly as many as the header says."""
    expected = header.size // len(header.data_paths)
    # 32: zlib and gzip streams alike.
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    done = 0
    try:
        with path.open("rb") as file:
            file.seek(header.offset)
            while not stream.eof and (block := stream.unconsumed_tail or file.read(CHUNK)):
                # One byte more than expected shows what is too much, and the end's checksum is compared.
                part = stream.decompress(block, min(CHUNK, expected - done + 1))
                done += len(part)
                if done > expected:
                    raise _early(path, "more pixels", f"{_words(header)}, as its header says")
                yield part
    except zlib.error as error:
        raise _early(path, f"compressed pixels that are damaged ({error})", "a whole data block") from None
    if done < expected or not stream.eof:
        raise _early(path, f"{done} bytes, then the end", f"{_words(header)}, {expected} bytes")


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
