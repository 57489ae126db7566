"""Recordings of Stradwin and Stradview: text (.sw), and frames in .sxi, DICOM or image files.

A pixel (column, row) lies in the room at F_isocentre F_frame F_calibration p, where p is
((column + 0.5) xscale, (row + 0.5) yscale, 0) cm from the image's top left corner, and every F is
translation(x, y, z) Rz(azimuth) Ry(elevation) Rx(roll) (the makers' page "Stradwin files", and public readers
of it). Points of contours are taken from that same corner: the middle of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Matrix
from myosweep.io.calibration import read_calibration
from myosweep.io.options import RecordingOptions
from myosweep.io.stradwin_files import stradwin_files
from myosweep.io.stradwin_frames import open_frames
from myosweep.io.stradwin_text import Drawn, StradwinText, read_text
from myosweep.io.sweeps import Contour, Sweep

__all__ = ["euler_transform", "read_stradwin", "stradwin_files"]

MM_PER_CM = 10.0
# Points so many image sizes beyond the image's edge are no drawing.
_FARTHEST = 1.0
# How far beyond the edge, in parts of the image, centimetres are still believed.
_BESIDE = 0.1
# With pixels this large (cm) the same points may be centimetres or pixels.
_COARSE_CM = 0.1


def read_stradwin(
    path: str | Path, calibration: str | Path | None = None, options: RecordingOptions | None = None
) -> Sweep:
    """Read a recording's text; the frames are read when they are asked for.

    The world is Stradwin's room. Where the probe is at the bottom (RES_INVERT_BSCAN), frames are handed out
    upside down, so that rows run away from the probe; poses and contours follow.

    Parameters
    ----------
    path
        The .sw file.
    calibration
        A PLUS configuration whose ImageToProbe maps the frames that are handed out to the position sensor; it
        goes before the recording's own lines, scales included. "" or None: these.
    options
        `contour_unit`: "pixels", "cm", or "auto": cm where all points of all contours then lie in the image,
        else pixels.

    Raises
    ------
    InputError
        A file is missing, leads out of the recording's folder, or is not as long as the text says; a line is
        missing or wrong; positions were not recorded or entered by hand; the data are radio-frequency or
        Doppler; a contour belongs to no frame, to no object, or lies far outside of the image.
    """
    path = Path(path)
    text = read_text(path)
    notes = _refusals_and_notes(text)
    invert, dicom = text.flag("RES_INVERT_BSCAN"), text.flag("RES_BUF_DICOM")
    frames = open_frames(path, text.values, text.shape, dicom, invert)
    given = read_calibration(calibration) if calibration else None
    contours, unit = _contours(text, invert, (options or RecordingOptions()).contour_unit)
    if contours:
        notes.append(f"points of contours are taken as {unit}")
    return Sweep(
        path,
        frames,
        _poses(text) @ (_image_to_sensor(text, invert) if given is None else given.image_to_probe),
        ("",) * text.shape[0],
        _timestamps(text.images[:, 0]),
        clip=None if given is None else given.clip,
        fan=None if given is None else given.fan,
        contours=contours,
        landmarks={
            name: (x * MM_PER_CM, y * MM_PER_CM, z * MM_PER_CM) for name, (x, y, z) in text.landmarks.items()
        },
        notes=tuple(notes),
    )


def _refusals_and_notes(text: StradwinText) -> list[str]:
    """What a reader of the results must know; refuses what no volume can be made of."""
    for keyword, default, bad, why, remedy in (
        ("RES_POS_REC", True, False, "no positions were recorded", "record with the position sensor"),
        (
            "RES_POS_MANUAL",
            False,
            True,
            "positions were entered by hand: nothing measured where the frames lie",
            "record with the position sensor, or leave the recording out",
        ),
        (
            "RES_BUF_RF",
            False,
            True,
            "radio-frequency data, not images",
            "save the recording in Stradwin as B-scans",
        ),
        (
            "RES_BUF_DOPPLER",
            False,
            True,
            "colour (Doppler) frames, whose layout is not published and whose colour is no grey level",
            "record B-mode, or export the frames as grey images",
        ),
    ):
        if text.flag(keyword, default) is bad:
            raise InputError(
                f"{text.path}, {keyword}",
                f"{str(bad).lower()}: {why}",
                f"{keyword} {str(not bad).lower()}",
                remedy,
            )
    notes = []
    if text.flag("RES_CORRECTED_PRESSURE"):
        notes.append("its images were corrected for the probe's pressure by their own content")
    if text.flag("RES_CORRECTED_POS"):
        notes.append("its positions were corrected by the content of its images")
    if text.flag("RES_MASKED_DATA"):
        notes.append("its images were masked: what is not image was set to 0")
    return notes


def euler_transform(six: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Stradwin's F: x, y, z (cm), azimuth, elevation, roll (degrees), (..., 6), to rigid (..., 4, 4), mm."""
    values = np.asarray(six, np.float64)
    (cz, cy, cx), (sz, sy, sx) = (
        np.moveaxis(f(np.deg2rad(values[..., 3:6])), -1, 0) for f in (np.cos, np.sin)
    )
    result = np.zeros((*values.shape[:-1], 4, 4))
    result[..., 0, :3] = np.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx], axis=-1)
    result[..., 1, :3] = np.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx], axis=-1)
    result[..., 2, :3] = np.stack([-sy, cy * sx, cy * cx], axis=-1)
    result[..., :3, 3] = MM_PER_CM * values[..., :3]
    result[..., 3, 3] = 1
    return result


def _poses(text: StradwinText) -> NDArray[np.float64]:
    """Position sensor to room, (frame, 4, 4), mm."""
    isocentre = text.six("ISOCENTRE_")
    frames = euler_transform(text.images[:, 1:])
    return frames if isocentre is None else euler_transform(isocentre) @ frames


def _image_to_sensor(text: StradwinText, invert: bool) -> Matrix:
    calibration = text.six("")
    if calibration is None:
        raise InputError(
            text.path,
            "no calibration (RES_XTRANS, RES_YTRANS, ... RES_ROLL)",
            "where the image lies on the position sensor",
            "name a calibration file in the column `calibration`, or add the lines (all 0 where "
            "positions are those of the image's top left corner)",
        )
    across, down = (MM_PER_CM * scale for scale in text.scales())
    # Nothing lies off the image's plane; a third axis makes the matrix right-handed.
    pixels = np.diag([across, down, across, 1.0])
    pixels[:2, 3] = across / 2, down / 2
    if invert:
        pixels = pixels @ _upside_down(text.shape[1])
    return euler_transform(calibration) @ pixels


def _upside_down(rows: int) -> Matrix:
    """Rows of a frame that is handed out to rows of the file."""
    turned = np.diag([1.0, -1.0, -1.0, 1.0])
    turned[1, 3] = rows - 1
    return turned


def _timestamps(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds; a file of other makers with one time for all frames knows none."""
    return np.full(len(times), np.nan) if len(times) > 1 and np.ptp(times) == 0 else times.copy()


def _contours(text: StradwinText, invert: bool, unit: str) -> tuple[tuple[Contour, ...], str]:
    """Contours in pixel indices of the frames that are handed out, and the unit they were drawn in."""
    frames, rows, _ = text.shape
    for drawn in text.drawn:
        where = f"{text.path}, line {drawn.line}"
        if drawn.frame >= frames:
            raise InputError(
                where,
                f"a contour of frame {drawn.frame}",
                f"a frame from 0 to {frames - 1}",
                "remove the line",
            )
        if drawn.number not in text.objects:
            raise InputError(
                where,
                f"a contour of object {drawn.number}, for which there is no line OBJECT",
                f"one of the objects {', '.join(str(number) for number in sorted(text.objects)) or '(none)'}",
                "add the line OBJECT, or remove the contour",
            )
    if not text.drawn:
        return (), ""
    scales = np.array([1.0, 1.0])
    if unit == "auto":
        unit = _unit(text)
    if unit == "cm":
        scales = np.array(text.scales())
    contours = []
    for drawn in text.drawn:
        points = drawn.points / scales
        _require_near(text, drawn, points, unit)
        points = points - 0.5
        if invert:
            points[:, 1] = rows - 1 - points[:, 1]
        contours.append(Contour(drawn.frame, text.objects[drawn.number], points, drawn.closed))
    return tuple(contours), unit


def _unit(text: StradwinText) -> str:
    """Public readers take pixels; centimetres where every point then lies in the image, as pixels never do.

    Pixels would all lie in the image's first corner, as many centimetres as the image has.
    """
    if "RES_XSCALE" not in text.values or "RES_YSCALE" not in text.values:
        return "pixels"
    scales = np.array(text.scales())
    _, rows, columns = text.shape
    low = np.min([drawn.points.min(axis=0) for drawn in text.drawn], axis=0)
    high = np.max([drawn.points.max(axis=0) for drawn in text.drawn], axis=0)
    size = scales * (columns, rows)
    if not ((low >= -_BESIDE * size).all() and (high <= (1 + _BESIDE) * size).all()):
        return "pixels"
    if scales.max() > _COARSE_CM:
        raise InputError(
            f"{text.path}, line {text.drawn[0].line}",
            f"contours up to {high[0]:g}, {high[1]:g}, which may be cm or pixels",
            f"points beyond the image's {size[0]:.3g} x {size[1]:.3g} cm, if they are pixels",
            "set recordings.contour_unit to cm or pixels",
        )
    return "cm"


def _require_near(text: StradwinText, drawn: Drawn, points: NDArray[np.float64], unit: str) -> None:
    size = np.array([text.shape[2], text.shape[1]])
    beyond = np.flatnonzero(((points < -_FARTHEST * size) | (points > (1 + _FARTHEST) * size)).any(axis=1))
    if len(beyond):
        x, y = drawn.points[beyond[0]]
        raise InputError(
            f"{text.path}, line {drawn.line}",
            f"a contour on frame {drawn.frame} with the point {x:g}, {y:g} {unit}",
            f"points in or near an image of {size[0]} x {size[1]} pixels",
            "correct the line, or set recordings.contour_unit",
        )
