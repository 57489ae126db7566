"""Which part of a frame is image, not border, scale or text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.compounding.detection import cut, find_image
from myosweep.compounding.fan import draw_fan
from myosweep.compounding.outline import hull_points
from myosweep.errors import InputError
from myosweep.io.sweeps import Fan, Rectangle, Sweep

# A word, a rectangle as four numbers, or a fan as a mapping; see `image_area_of`.
AreaSetting = str | Sequence[int] | Mapping[str, Any]

FORMS = (
    "auto, calibration, full, a rectangle [column, row, columns, rows] in whole pixels, "
    "or a fan {apex: [column, row], radii: [first, last], angles_degrees: [left, right]}"
)


@dataclass(frozen=True)
class ImageArea:
    """The pixels of a frame that are image.

    Attributes
    ----------
    rectangle
        Around them.
    mask
        bool, (row, column) within the rectangle; None: all of it.
    fan
        The fan that the calibration or the setting names, in pixels of the frame; None: there is none.
    """

    rectangle: Rectangle
    mask: NDArray[np.bool_] | None = None
    fan: Fan | None = None

    @property
    def outline(self) -> NDArray[np.int64]:
        """Pixels whose convex hull holds the area: (point, 2) as (column, row) of the frame."""
        area = self.rectangle
        if self.mask is not None:
            corners: NDArray[np.int64] = hull_points(self.mask) + np.array([area.column, area.row])
            return corners
        columns = (area.column, area.column + area.columns - 1)
        rows = (area.row, area.row + area.rows - 1)
        return np.array([(column, row) for row in rows for column in columns], np.int64)

    @property
    def rim(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixels of the rectangle that lie next to the area, and for each the nearest pixel of the area.

        Flat indices. Between pixels levels are interpolated: what is written beside the image must not reach
        into it.
        """
        if self.mask is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        beside = ndimage.binary_dilation(self.mask, np.ones((3, 3), bool)) & ~self.mask
        nearest = ndimage.distance_transform_edt(~self.mask, return_distances=False, return_indices=True)
        inside = np.ravel_multi_index((nearest[0][beside], nearest[1][beside]), self.mask.shape)
        return np.flatnonzero(beside), np.asarray(inside, np.int64)


def image_area_of(sweep: Sweep, setting: AreaSetting) -> ImageArea:
    """The pixels that are used.

    Parameters
    ----------
    setting
        "auto": what moves from frame to frame, inside the calibration's rectangle and fan if there are any;
        see `find_image`. Rather than to let text in it loses pixels at the border, but what is written inside
        the image itself, such as a name, it cannot find. "calibration": the calibration's rectangle and fan,
        as far as it has them; the rectangle's far corner, origin plus size, belongs to it where the frame has
        such pixels, as in IGSIO (vtkIGSIOVolumeReconstructor, AddFrame). "full": all. Four numbers: first
        column, first row, columns, rows. A mapping: a fan with `apex` (column and row where its lines meet,
        also outside of the frame), `radii` (distances from the apex at which the image begins and ends,
        pixels) and `angles_degrees` (of its lines, from straight down, positive towards larger columns).

    Raises
    ------
    InputError
        The calibration has neither rectangle nor fan, or what is given does not fit the frames.
    """
    rows, columns = sweep.frames.shape[1:]
    full = Rectangle(0, 0, columns, rows)
    if isinstance(setting, Mapping):
        where = f"{sweep.path}, compounding.image_area"
        return _within_fan(full, _fan_of(setting), where, "correct compounding.image_area", full)
    if setting == "full":
        return ImageArea(full)
    if setting in ("calibration", "auto"):
        known = _calibrated(sweep, full)
        if setting == "auto":
            return _found(sweep, known or ImageArea(full))
        if known is None:
            raise InputError(
                sweep.path,
                "no clip rectangle and no fan in its calibration",
                "ClipRectangleOrigin and ClipRectangleSize, or FanAnglesDeg, in VolumeReconstruction",
                "set compounding.image_area to auto, or give the rectangle there",
            )
        return known
    if isinstance(setting, str) or len(setting) != 4:
        raise InputError("compounding.image_area", f"`{setting}`", FORMS, "correct it")
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


def _calibrated(sweep: Sweep, full: Rectangle) -> ImageArea | None:
    """The rectangle and the fan that the calibration names."""
    area = full if sweep.clip is None else _with_far_corner(sweep, full)
    if sweep.fan is None:
        return None if sweep.clip is None else ImageArea(area)
    remedy = "give the calibration of this recording, or set compounding.image_area"
    return _within_fan(area, sweep.fan, f"{sweep.path}, the calibration's fan", remedy, full)


def _found(sweep: Sweep, known: ImageArea) -> ImageArea:
    """What changes, within what is known of the image."""
    usable = np.flatnonzero(sweep.valid).tolist()
    if not usable:
        return known
    found = find_image(sweep.frames, usable, known.rectangle)
    area = ImageArea(found.rectangle, found.mask)
    if known.mask is None:
        return replace(area, fan=known.fan)
    both = _drawn(area, known.rectangle) & known.mask
    return replace(_cut(both, known.rectangle), fan=known.fan) if both.any() else known


def _drawn(area: ImageArea, around: Rectangle) -> NDArray[np.bool_]:
    """An area as a mask of a rectangle around it."""
    mask = np.zeros((around.rows, around.columns), bool)
    own = area.rectangle
    column, row = own.column - around.column, own.row - around.row
    mask[row : row + own.rows, column : column + own.columns] = True if area.mask is None else area.mask
    return mask


def _cut(mask: NDArray[np.bool_], within: Rectangle) -> ImageArea:
    found = cut(mask, within)
    return ImageArea(found.rectangle, found.mask)


def _fan_of(setting: Mapping[str, Any]) -> Fan:
    """A fan from plain values."""
    try:
        if set(setting) != {"apex", "radii", "angles_degrees"}:
            raise ValueError
        column, row = (float(value) for value in setting["apex"])
        first, last = (float(value) for value in setting["radii"])
        left, right = (float(value) for value in setting["angles_degrees"])
    except (TypeError, ValueError):
        column = row = first = last = left = right = math.nan
    finite = all(math.isfinite(value) for value in (column, row, first, last, left, right))
    if not finite or not 0 <= first < last or not -180 <= left < right <= 180:
        raise InputError(
            "compounding.image_area",
            f"`{dict(setting)}`",
            "a fan {apex: [column, row], radii: [first, last], angles_degrees: [left, right]} "
            "with first < last and left < right",
            "correct it",
        )
    return Fan(column, row, first, last, math.radians(left), math.radians(right))


def _within_fan(area: Rectangle, fan: Fan, where: str, remedy: str, full: Rectangle) -> ImageArea:
    part = np.s_[area.row : area.row + area.rows, area.column : area.column + area.columns]
    mask = draw_fan(fan, full.rows, full.columns)[part]
    if not mask.any():
        clipped = "" if area == full else ", or of its clip rectangle"
        raise InputError(
            where,
            f"a fan (apex {fan.column:g}, {fan.row:g}; radii {fan.first_radius:g} to {fan.last_radius:g}) "
            f"outside of frames of {full.columns} x {full.rows} pixels{clipped}",
            "a fan that holds pixels of the frames",
            remedy,
        )
    return replace(_cut(mask, area), fan=fan)


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
