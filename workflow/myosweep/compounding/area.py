"""Which part of a frame is image, not border, scale or text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.sweeps import Rectangle, Sweep

SAMPLED_FRAMES = 24
# A row or column of the image has at least this part of the most living one's pixels; a clock has fewer.
ALIVE = 0.1


@dataclass(frozen=True)
class ImageArea:
    """The pixels of a frame that are image.

    Attributes
    ----------
    rectangle
        Around them.
    mask
        bool, (row, column) within the rectangle; None: all of it.
    """

    rectangle: Rectangle
    mask: NDArray[np.bool_] | None = None


def image_area_of(sweep: Sweep, setting: str | Sequence[int]) -> ImageArea:
    """The pixels that are used.

    Parameters
    ----------
    setting
        "auto": the rectangle around what changes from frame to frame, inside the calibration's rectangle if
        there is one. "calibration": the calibration's rectangle; its far corner, origin plus size, belongs to
        it where the frame has such pixels, as in IGSIO (vtkIGSIOVolumeReconstructor, AddFrame). "full": all.
        Four numbers: first column, first row, columns, rows.

    Raises
    ------
    InputError
        The calibration has no rectangle, or the rectangle does not fit the frames.
    """
    rows, columns = sweep.frames.shape[1:]
    full = Rectangle(0, 0, columns, rows)
    if setting == "full":
        return ImageArea(full)
    if setting == "calibration":
        if sweep.clip is None:
            raise InputError(
                sweep.path,
                "no clip rectangle in its calibration",
                "ClipRectangleOrigin and ClipRectangleSize in VolumeReconstruction",
                "set compounding.image_area to auto, or give the rectangle there",
            )
        return ImageArea(_with_far_corner(sweep, full))
    if setting == "auto":
        return ImageArea(_changing(sweep, full if sweep.clip is None else _with_far_corner(sweep, full)))
    if isinstance(setting, str) or len(setting) != 4:
        raise InputError(
            "compounding.image_area", f"`{setting}`", "auto, calibration, full or four numbers", "correct it"
        )
    area = Rectangle(*(int(value) for value in setting))
    inside = area.column >= 0 and area.row >= 0 and area.columns >= 1 and area.rows >= 1
    if not inside or area.column + area.columns > columns or area.row + area.rows > rows:
        raise InputError(
            f"{sweep.path}, compounding.image_area",
            f"the rectangle {list(setting)} in frames of {columns} x {rows} pixels",
            "a rectangle [column, row, columns, rows] inside the frames",
            "correct compounding.image_area",
        )
    return ImageArea(area)


def _with_far_corner(sweep: Sweep, full: Rectangle) -> Rectangle:
    clip = sweep.clip
    assert clip is not None
    column, row = max(clip.column, 0), max(clip.row, 0)
    last_column = min(clip.column + clip.columns, full.columns - 1)
    last_row = min(clip.row + clip.rows, full.rows - 1)
    if last_column < column or last_row < row:
        raise InputError(
            sweep.path,
            f"a clip rectangle of the calibration outside of frames of {full.columns} x {full.rows} pixels",
            "a calibration made at this image size",
            "give the calibration of this recording, or set compounding.image_area",
        )
    return Rectangle(column, row, last_column - column + 1, last_row - row + 1)


def _changing(sweep: Sweep, within: Rectangle) -> Rectangle:
    """The rectangle around the pixels that differ between frames; those not black where nothing differs."""
    usable = np.flatnonzero(sweep.valid)
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, SAMPLED_FRAMES).astype(int))]
    part = np.s_[within.row : within.row + within.rows, within.column : within.column + within.columns]
    low = high = sweep.frames[int(chosen[0])][part]
    for frame in chosen[1:]:
        pixels = sweep.frames[int(frame)][part]
        low, high = np.minimum(low, pixels), np.maximum(high, pixels)
    alive = high != low
    if not alive.any():
        alive = high > 0
    column, columns = _extent(alive.mean(axis=0))
    row, rows = _extent(alive.mean(axis=1))
    return Rectangle(within.column + column, within.row + row, columns, rows)


def _extent(alive: NDArray[np.float64]) -> tuple[int, int]:
    """First index and length of what is alive; everything where nothing is."""
    indices = np.flatnonzero(alive > ALIVE * alive.max())
    if not len(indices):
        return 0, len(alive)
    return int(indices[0]), int(indices[-1] - indices[0] + 1)
