"""Maps of the frames of several sweeps in one file, written and read one frame at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.files import whole_file

# Levels above 0 of a stored map, 0..1, in 16 bits.
LEVELS = 65535
# A zip file's first day: its bytes must not tell when it was made.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_frame_maps(path: str | Path, maps: Iterable[tuple[int, int, NDArray[np.floating]]]) -> None:
    """Write maps, 0..1, with the numbers of their sweep and frame, each when it comes.

    The file is what numpy calls npz: `numpy.load(path)["2/17"]` is frame 17 of sweep 2, both counted from 0,
    uint16 (row, column), 65535 for 1.
    """
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as file:
        for sweep, frame, values in maps:
            stored = BytesIO()
            np.save(stored, np.rint(values * LEVELS).astype("<u2"))
            member = zipfile.ZipInfo(f"{sweep}/{frame}.npy", NO_TIME)
            file.writestr(member, stored.getvalue(), zipfile.ZIP_DEFLATED, 1)


class FrameMaps:
    """The maps of one sweep's frames in a file, read when asked for."""

    def __init__(self, path: Path, file: zipfile.ZipFile, sweep: int) -> None:
        self._path, self._file, self._sweep = path, file, sweep

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """The map of a frame, float32 (row, column), 0..1.

        Raises
        ------
        InputError
            The file has no sound map of this frame.
        """
        try:
            stored = np.load(BytesIO(self._file.read(f"{self._sweep}/{index}.npy")), allow_pickle=False)
        except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise InputError(
                self._path,
                f"no map of frame {index} of sweep {self._sweep} ({error})",
                "a map of every usable frame",
                "make it again",
            ) from None
        levels: NDArray[np.float32] = stored.astype(np.float32) / np.float32(LEVELS)
        return levels


def read_frame_maps(path: str | Path, sweeps: int) -> list[FrameMaps]:
    """The maps of each of several sweeps; nothing is read yet.

    Raises
    ------
    InputError
        The file is not there, or no zip file.
    """
    path = Path(path)
    try:
        file = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            path, f"no readable maps of frames ({error})", "an npz file", "make it again"
        ) from None
    return [FrameMaps(path, file, sweep) for sweep in range(sweeps)]
