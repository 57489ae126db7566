"""The sweep: what every reader returns, whatever the device wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Frames(Protocol):
    """B-mode frames, read when asked for."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One frame, (row, column), uint8."""
        ...


@dataclass(frozen=True)
class Rectangle:
    """Pixels from (column, row) on, `columns` wide and `rows` high; corners included."""

    column: int
    row: int
    columns: int
    rows: int


@dataclass(frozen=True)
class Sweep:
    """One continuous recording of tracked frames.

    Attributes
    ----------
    path
        The recording.
    frames
        The images.
    image_to_world
        (frame, 4, 4): pixel index (column, row, 0, 1), at the pixel's centre, to mm. NaN where not known.
    problems
        Per frame why it cannot be used, or "".
    timestamps
        Seconds, shape (frame,); NaN where the recording has none.
    clip
        The image area that the calibration names, or None.
    """

    path: Path
    frames: Frames
    image_to_world: NDArray[np.float64]
    problems: tuple[str, ...]
    timestamps: NDArray[np.float64]
    clip: Rectangle | None = None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Per frame whether it can be used."""
        return np.array([not problem for problem in self.problems])

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """Size of a pixel in mm, (along a row, along a column); the median over usable frames."""
        matrices = self.image_to_world[self.valid]
        return (
            float(np.median(np.linalg.norm(matrices[:, :3, 0], axis=1))),
            float(np.median(np.linalg.norm(matrices[:, :3, 1], axis=1))),
        )
