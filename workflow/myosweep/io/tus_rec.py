"""Scans of the TUS-REC challenge: HDF5 with `frames` and `tforms`, landmarks of the subject beside it.

`frames` is uint8, (frame, row, column); `tforms`, (frame, 4, 4), maps the tracked tool to the optical
tracker. The challenge's validation data keep them in two files, frames/050/x.h5 and transfs/050/x.h5.
A landmark file, landmark_050.h5 for the scans in the folder 050, holds for each scan an array of rows (frame,
x, y): the frame's index from 0, x and y in pixels from 1 (see `myosweep.io.calibration_tables`). There are no
times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import apply_transform, rigid_problem
from myosweep.io.calibration import read_calibration
from myosweep.io.companions import landmarks_beside, transforms_beside
from myosweep.io.companions import tus_rec_files as tus_rec_files
from myosweep.io.image_frames import checked_index, checked_shape
from myosweep.io.sweeps import Sweep

LARGEST_COUNT = 10_000_000
LARGEST_CHUNK = 1 << 28
LARGEST_BLOCK = 1 << 27
LARGEST_LANDMARKS = 100_000
# Deflate cannot shrink by more (zlib's technical details), so a file that claims more lies.
LARGEST_RATIO = 1032
TELLS = "the challenge's layout: frames uint8 (n, rows, columns), tforms float (n, 4, 4)"


class Hdf5Frames:
    """Frames in an HDF5 file, opened for each read; the frames that a chunk holds are read together."""

    def __init__(self, path: Path, shape: tuple[int, int, int], together: int) -> None:
        self._path = path
        self._shape = shape
        self._together = together
        self._first = 0
        self._block: NDArray[np.uint8] = np.empty((0, *shape[1:]), np.uint8)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        return self._shape

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        number = checked_index(index, self._shape[0])
        if not self._first <= number < self._first + len(self._block):
            first = number - number % self._together
            with _opened(self._path) as file:
                block = _dataset(self._path, file, "frames")[first : first + self._together]
            if block.shape[1:] != self._shape[1:] or len(block) <= number - first:
                raise InputError(
                    self._path,
                    f"frames {block.shape} from {first} on",
                    f"{self._shape} as before",
                    "leave the file alone while it is used",
                )
            self._first, self._block = first, block
        frame: NDArray[np.uint8] = self._block[number - self._first].copy()
        return frame


def read_tus_rec(path: str | Path, calibration: str | Path | None) -> Sweep:
    """Read a scan of the TUS-REC challenge; its frames are read when they are asked for.

    Parameters
    ----------
    path
        The .h5 file.
    calibration
        `calib_matrix.csv` of the challenge, a plain matrix (.csv), or a PLUS configuration (.xml).

    Returns
    -------
    The sweep; its world is the tracker's. A frame whose transform is NaN throughout is a problem. Landmarks
    are named by their rows, `landmark_00` on, and lie where the frame's pose puts them.

    Raises
    ------
    InputError
        The file is damaged, holds something else, or leads to other files; a transform is not rigid; there is
        no calibration; the landmarks do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a recording", "correct the path")
    if not calibration:
        raise InputError(
            path,
            "no calibration",
            "the matrices from pixels to the tracked tool",
            "name calib_matrix.csv of the data set in the column `calibration`",
        )
    known = read_calibration(calibration)
    with _opened(path) as file:
        frames = _dataset(path, file, "frames")
        shape, together = _frame_layout(path, frames)
        tforms = _tforms(path, file) if "tforms" in file else None
    source = path
    if tforms is None:
        apart = transforms_beside(path)
        if apart is None:
            raise InputError(f"{path}, tforms", "no such data", TELLS, "add the transforms to the file")
        source = apart
        with _opened(apart) as file:
            tforms = _tforms(apart, file)
    if len(tforms) != shape[0]:
        raise InputError(
            source,
            f"{len(tforms)} transforms for {shape[0]} frames",
            "a transform for each frame",
            "export the scan again",
        )
    problems = _problems(source, tforms)
    image_to_world = np.where(np.array(problems, bool)[:, None, None], np.nan, tforms) @ known.image_to_probe
    landmarks, notes = _landmarks(path, image_to_world, shape)
    return Sweep(
        path,
        Hdf5Frames(path, shape, together),
        image_to_world,
        tuple(problems),
        np.full(shape[0], np.nan),
        known.clip,
        known.fan,
        landmarks=landmarks,
        notes=notes,
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, closed afterwards; what HDF5 finds wrong is told as an InputError."""
    import h5py

    try:
        # Locks fail on some network drives, and nobody writes here.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            path, f"no readable HDF5 ({error})"[:300], "a whole HDF5 file", "copy or download it again"
        ) from None


def _dataset(path: Path, file: Any, name: str) -> Any:
    """A data set that lies in this very file."""
    import h5py

    where = f"{path}, {name}"
    link = file.get(name, getlink=True) if name in file or name in list(file) else None
    if link is None:
        raise InputError(where, "no such data", TELLS, "convert the scan")
    outside = not isinstance(link, h5py.HardLink)
    data = None if outside else file[name]
    if data is not None and not isinstance(data, h5py.Dataset):
        raise InputError(where, "a group", TELLS, "convert the scan")
    if data is None or data.is_virtual or data.external:
        raise InputError(
            where,
            "a link to other data, or data in another file",
            "the data in the file itself",
            "copy the scan into one file (h5repack)",
        )
    return data


def _frame_layout(path: Path, frames: Any) -> tuple[tuple[int, int, int], int]:
    """The shape of frames, and how many to read together."""
    where = f"{path}, frames"
    if frames.dtype != np.uint8 or len(frames.shape or ()) != 3:
        raise InputError(where, f"{frames.dtype} {frames.shape}", TELLS, "convert the frames to 8 bits")
    count, rows, columns = (int(size) for size in frames.shape)
    if count > LARGEST_COUNT:
        raise InputError(where, f"{count} frames", f"at most {LARGEST_COUNT}", "export the scan again")
    shape = checked_shape(path, count, rows, columns)
    stored, size = int(frames.id.get_storage_size()), math.prod(shape)
    if stored * (LARGEST_RATIO if frames.chunks else 1) < size:
        raise InputError(
            where,
            f"{stored} bytes stored",
            f"{count} frames of {columns} x {rows} pixels",
            "download or export it again: it is not whole",
        )
    depth = 1
    if frames.chunks:
        if math.prod(frames.chunks) > LARGEST_CHUNK:
            raise InputError(
                where,
                f"chunks of {frames.chunks}",
                f"chunks of at most {LARGEST_CHUNK >> 20} MiB",
                "h5repack",
            )
        depth = min(int(frames.chunks[0]), count)
        if depth * rows * columns > LARGEST_BLOCK:
            depth = 1
    return shape, depth


def _tforms(path: Path, file: Any) -> NDArray[np.float64]:
    data = _dataset(path, file, "tforms")
    shape = tuple(data.shape or ())
    if data.dtype.kind != "f" or len(shape) != 3 or shape[1:] != (4, 4) or not 0 < shape[0] <= LARGEST_COUNT:
        raise InputError(f"{path}, tforms", f"{data.dtype} {shape}", TELLS, "convert the transforms")
    if int(data.id.get_storage_size()) * LARGEST_RATIO < shape[0] * 16 * data.dtype.itemsize:
        raise InputError(f"{path}, tforms", "less bytes than its size", TELLS, "download or export it again")
    return np.asarray(data[()], np.float64)


def _problems(path: Path, tforms: NDArray[np.float64]) -> list[str]:
    """Per frame why its transform cannot be used, or ""."""
    problems = []
    for frame, matrix in enumerate(tforms):
        if np.isnan(matrix).all():
            problems.append("no transform (NaN)")
            continue
        if problem := rigid_problem(matrix):
            raise InputError(
                f"{path}, frame {frame}, tforms",
                problem,
                "a rigid transform in mm, from the tracked tool to the tracker",
                "correct it, or set all of it to NaN so that the frame is left out",
            )
        problems.append("")
    if all(problems):
        raise InputError(
            path, f"no transform in {len(problems)} frames", "frames with transforms", "leave the scan out"
        )
    return problems


def _landmarks(
    path: Path, image_to_world: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[dict[str, tuple[float, float, float]], tuple[str, ...]]:
    """Points of the scan in the world, and what is to be told."""
    beside = landmarks_beside(path)
    if beside is None:
        return {}, ()
    with _opened(beside) as file:
        if path.stem not in list(file):
            return {}, (f"{beside.name} has no landmarks of {path.stem}",)
        data = _dataset(beside, file, path.stem)
        size = tuple(data.shape or ())
        if len(size) != 2 or size[1] != 3 or size[0] > LARGEST_LANDMARKS or data.dtype.kind not in "iuf":
            raise InputError(
                f"{beside}, {path.stem}",
                f"{data.dtype} {size}",
                "numbers (landmark, 3): frame from 0, x, y",
                "correct the file",
            )
        rows = np.asarray(data[()], np.float64)
    landmarks: dict[str, tuple[float, float, float]] = {}
    lost = []
    digits = max(2, len(str(max(len(rows) - 1, 0))))
    for number, (frame, x, y) in enumerate(rows):
        where = f"{beside}, {path.stem}, row {number}"
        inside = 1 <= x <= shape[2] and 1 <= y <= shape[1]
        if not (0 <= frame < shape[0] and frame == int(frame) and inside):
            raise InputError(
                where,
                f"frame {frame:g}, x {x:g}, y {y:g}",
                f"frame 0 to {shape[0] - 1}, x 1 to {shape[2]}, y 1 to {shape[1]}",
                "correct the landmark",
            )
        name = f"landmark_{number:0{digits}d}"
        point = apply_transform(image_to_world[int(frame)], (x - 1, y - 1, 0))
        if not np.isfinite(point).all():
            lost.append(name)
            continue
        landmarks[name] = (float(point[0]), float(point[1]), float(point[2]))
    return landmarks, (f"no pose at {', '.join(lost)}",) if lost else ()
