"""Volumes a few slices at a time, for what need not hold a whole limb in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, read_grid, read_volume

_TYPES = {
    b"MET_UCHAR": "u1",
    b"MET_SHORT": "<i2",
    b"MET_USHORT": "<u2",
    b"MET_FLOAT": "<f4",
    b"MET_DOUBLE": "<f8",
}
_LONGEST_HEADER = 1 << 16
_CHUNK = 1 << 20


def read_slabs(path: str | Path, planes: int) -> tuple[Grid, Iterator[NDArray[Any]]]:
    """A volume's grid, and its slices in slabs of `planes`, (z, y, x), from the first to the last.

    A MetaImage in one file (.mha), as this library writes it, is read as it is needed; any other file whole.

    Raises
    ------
    InputError
        The file is no 3D volume or, while slabs are taken, ends early.
    """
    path = Path(path)
    grid = read_grid(path)
    header = _header(path) if path.suffix.lower() == ".mha" else {}
    plain = header.get(b"BinaryDataByteOrderMSB", b"False") == b"False"
    if (
        plain
        and header.get(b"ElementType") in _TYPES
        and header.get(b"ElementNumberOfChannels", b"1") == b"1"
    ):
        return grid, _stream(path, header, grid, planes)
    array = read_volume(path).array
    return grid, (array[start : start + planes] for start in range(0, len(array), planes))


def slabs_of(source: Volume | str | Path, planes: int) -> tuple[Grid, Iterator[NDArray[Any]]]:
    """As `read_slabs`, of a file or of a volume in memory."""
    if not isinstance(source, Volume):
        return read_slabs(source, planes)
    array = source.array
    return source.grid, (array[start : start + planes] for start in range(0, len(array), planes))


def grid_of_source(source: Volume | str | Path) -> Grid:
    """The grid of a file, from its header alone, or of a volume in memory."""
    return source.grid if isinstance(source, Volume) else read_grid(source)


def _header(path: Path) -> dict[bytes, bytes]:
    """The fields before the data; `offset` is where these begin. Empty where the data lie elsewhere."""
    with open(path, "rb") as file:
        start = file.read(_LONGEST_HEADER)
    end = start.find(b"ElementDataFile = LOCAL\n")
    if end < 0:
        return {}
    pairs = (line.partition(b"=") for line in start[:end].splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    return {**fields, b"offset": str(end + len(b"ElementDataFile = LOCAL\n")).encode()}


def _stream(path: Path, header: dict[bytes, bytes], grid: Grid, planes: int) -> Iterator[NDArray[Any]]:
    kind = np.dtype(_TYPES[header[b"ElementType"]])
    depth, rows, columns = grid.shape
    with open(path, "rb") as file:
        file.seek(int(header[b"offset"]))
        packed = header.get(b"CompressedData", b"False") == b"True"
        pieces = _inflated(file) if packed else iter(lambda: file.read(_CHUNK), b"")
        waiting = bytearray()
        for start in range(0, depth, planes):
            count = min(planes, depth - start)
            wanted = count * rows * columns * kind.itemsize
            while len(waiting) < wanted:
                try:
                    piece = next(pieces, b"")
                except zlib.error as error:
                    raise _broken(path, f"its data cannot be decompressed ({error})") from None
                if not piece:
                    raise _broken(path, f"its data end within slice {start + count - 1}")
                waiting += piece
            yield np.frombuffer(bytes(waiting[:wanted]), dtype=kind).reshape(count, rows, columns)
            del waiting[:wanted]


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    while not stream.eof:
        packed = stream.unconsumed_tail or file.read(_CHUNK)
        if not packed:
            return
        yield stream.decompress(packed, 4 * _CHUNK)


def _broken(path: Path, found: str) -> InputError:
    return InputError(path, found, "a whole volume file", "make or export it again")
