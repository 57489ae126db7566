"""Volumes that are larger than memory: slices in a temporary file."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError


class SliceFile:
    """Values (channel, z, y, x) in a file of which single slices are read and written; 0 at first.

    It is read by calls and not mapped, since mapped pages count as the process's memory. Where the system
    can, the file has no name, so that even a killed process leaves nothing behind.

    Parameters
    ----------
    shape
        (channel, z, y, x).
    dtype
        Of the values.
    folder
        Where it lies; by default where temporary files do (TMPDIR).

    Raises
    ------
    InputError
        There is no room for it.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], dtype: type[np.generic], folder: str | Path | None = None
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._bytes = shape[0] * math.prod(shape[2:]) * self.dtype.itemsize
        self._place = place = Path(folder or tempfile.gettempdir())
        needed = self._bytes * shape[1]
        if needed > shutil.disk_usage(place).free:
            raise self._no_room(needed)
        self._file = tempfile.TemporaryFile(dir=place, buffering=0)  # noqa: SIM115
        self._file.truncate(needed)
        # Room that is free now may be gone when the slices come: other files and other jobs want it, too.
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._file.fileno(), 0, needed)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    self._file.close()
                    raise self._no_room(needed) from None

    def _no_room(self, needed: int) -> InputError:
        return InputError(
            self._place,
            f"room for {shutil.disk_usage(self._place).free / 2**30:.1f} GiB",
            f"{needed / 2**30:.1f} GiB for a temporary file of {' x '.join(map(str, self.shape))} values",
            "make room there",
        )

    def __enter__(self) -> SliceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, z: int) -> NDArray[Any]:
        """One slice, (channel, y, x)."""
        result = np.empty((self.shape[0], *self.shape[2:]), dtype=self.dtype)
        waiting = result.data.cast("B")
        self._file.seek(z * self._bytes)
        while waiting:
            count = self._file.readinto(waiting)
            if not count:
                raise OSError(f"a temporary file in {self._place} ends within slice {z}")
            waiting = waiting[count:]
        return result

    def write(self, z: int, values: NDArray[Any]) -> None:
        """Set one slice, (channel, y, x)."""
        waiting = np.ascontiguousarray(values, dtype=self.dtype).data.cast("B")
        if len(waiting) != self._bytes:
            raise ValueError(f"a slice of {len(waiting)} bytes where {self._bytes} belong")
        self._file.seek(z * self._bytes)
        while waiting:
            waiting = waiting[self._file.write(waiting) :]

    def __getitem__(self, index: tuple[slice, int | slice]) -> NDArray[Any]:
        """`[:, z]` or `[:, low:high]`, as of an array."""
        _, part = index
        if isinstance(part, slice):
            low, high, _ = part.indices(self.shape[1])
            result = np.empty((self.shape[0], max(high - low, 0), *self.shape[2:]), dtype=self.dtype)
            for z in range(low, high):
                result[:, z - low] = self.read(z)
            return result
        return self.read(int(part))
