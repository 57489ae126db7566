"""The sweep: what every reader returns, whatever the device wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class Fan:
    """The image area of a curved or sector probe, in pixels of the frame.

    Attributes
    ----------
    column, row
        The apex, where the lines meet; it may lie outside of the frame.
    first_radius, last_radius
        Distance from the apex to where the image begins and ends, pixels.
    first_angle, last_angle
        Directions of the outer lines, radians from straight down, positive towards larger columns.
    """

    column: float
    row: float
    first_radius: float
    last_radius: float
    first_angle: float
    last_angle: float


@dataclass(frozen=True)
class Contour:
    """A line that was drawn on a frame.

    Attributes
    ----------
    frame
        Index of the frame, from 0.
    name
        What was drawn, as the annotator typed it.
    points
        (point, 2): pixel index (column, row), whole numbers being centres of pixels.
    closed
        Whether the last point is joined to the first.
    """

    frame: int
    name: str
    points: NDArray[np.float64]
    closed: bool


@dataclass(frozen=True)
class Suspects:
    """Frames whose pose cannot be right, by kind, ascending; see `pose_quality.inspect`.

    Attributes
    ----------
    invalid
        Not known, or said to be invalid by the recording itself.
    frozen
        Repeated while the probe moved on.
    jumping
        Away from the frames around them.
    out_of_order
        Recorded before an earlier frame.
    """

    invalid: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()
    jumping: tuple[int, ...] = ()
    out_of_order: tuple[int, ...] = ()


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
    fan
        The fan that the calibration names, or None.
    contours
        What was drawn in the recording itself; None where its format has no contours.
    landmarks
        Points that the recording names: name to (x, y, z) in mm, in the frames' world.
    notes
        What a reader has to tell of the recording, a sentence each.
    suspects
        What was found wrong with poses, whether their frames are left out or kept.
    """

    path: Path
    frames: Frames
    image_to_world: NDArray[np.float64]
    problems: tuple[str, ...]
    timestamps: NDArray[np.float64]
    clip: Rectangle | None = None
    fan: Fan | None = None
    contours: tuple[Contour, ...] | None = None
    landmarks: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    suspects: Suspects = field(default_factory=Suspects)

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
