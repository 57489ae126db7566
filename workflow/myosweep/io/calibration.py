"""Calibration files: the XML configurations of PLUS, and matrices in CSV files."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np

from myosweep.errors import InputError
from myosweep.geometry import Matrix, pixel_problem
from myosweep.io.calibration_tables import read_matrix_table
from myosweep.io.files import write_text
from myosweep.io.sweeps import Fan, Rectangle

LARGEST = 16 << 20


@dataclass(frozen=True)
class Calibration:
    """Where the image lies on the probe.

    Attributes
    ----------
    image_to_probe
        4 x 4: pixel index (column, row, 0, 1) to mm.
    clip
        `ClipRectangleOrigin` and `ClipRectangleSize` as the file gives them, or None.
    fan
        `FanAnglesDeg`, `FanOriginPixel`, `FanRadiusStartPixel` and `FanRadiusStopPixel` (or their older names
        `FanAngles`, `FanOrigin` and `FanDepth`), or None where the file has no angles or both are 0.
    """

    image_to_probe: Matrix
    clip: Rectangle | None = None
    fan: Fan | None = None


def read_calibration(path: str | Path) -> Calibration:
    """Read where the image lies on the probe.

    Parameters
    ----------
    path
        A PLUS configuration (.xml): its transform from Image to Probe and its image area. Or a table of
        numbers (.csv), see `myosweep.io.calibration_tables`.

    Raises
    ------
    InputError
        The file is missing or not of its kind, or has no matrix that maps pixels to mm.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            path,
            "no such file",
            "a PLUS configuration (.xml) or a matrix (.csv)",
            "correct the column `calibration`",
        )
    if path.suffix.lower() == ".csv":
        return Calibration(read_matrix_table(path))
    root = _parse(path)
    transforms = [
        element
        for definitions in root.iter("CoordinateDefinitions")
        for element in definitions.iter("Transform")
        if element.get("From") == "Image" and element.get("To") == "Probe"
    ]
    if not transforms:
        others = [f"{element.get('From')} to {element.get('To')}" for element in root.iter("Transform")]
        raise InputError(
            path,
            f"transforms {', '.join(others)}" if others else "no transform",
            'CoordinateDefinitions with <Transform From="Image" To="Probe" Matrix="...">',
            "give the configuration that the probe's calibration was written to",
        )
    where = f"{path}, Transform From Image To Probe"
    image_to_probe = _numbers(where, transforms[0].get("Matrix", ""), 16).reshape(4, 4)
    if problem := pixel_problem(image_to_probe):
        raise InputError(where, problem, "a matrix that maps pixels to mm", "calibrate again")
    return Calibration(image_to_probe, _clip(path, root), _fan(path, root))


def _parse(path: Path) -> ElementTree.Element:
    size = path.stat().st_size
    if size > LARGEST:
        raise InputError(
            path, f"{size / 2**20:.0f} MiB", f"at most {LARGEST >> 20} MiB", "give the PLUS configuration"
        )
    data = path.read_bytes()
    try:
        # Entities, which can grow without bounds or name other files, are declared in a document type.
        declarations = expat.ParserCreate()
        declarations.StartDoctypeDeclHandler = _refuse
        declarations.Parse(data, True)
        return ElementTree.fromstring(data)
    except _Doctype:
        raise InputError(
            path, "a document type (DOCTYPE)", "a PLUS configuration, which has none", "delete the DOCTYPE"
        ) from None
    except (ElementTree.ParseError, expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(
            path, f"not XML ({error})", "a PLUS configuration", "export the configuration again"
        ) from None


class _Doctype(Exception):
    pass


def _refuse(*_: object) -> None:
    raise _Doctype


def _clip(path: Path, root: ElementTree.Element) -> Rectangle | None:
    element = next(root.iter("VolumeReconstruction"), None)
    if element is None or not element.get("ClipRectangleSize"):
        return None
    where = f"{path}, VolumeReconstruction"
    column, row = _numbers(f"{where}, ClipRectangleOrigin", element.get("ClipRectangleOrigin", "0 0"), 2)
    columns, rows = _numbers(f"{where}, ClipRectangleSize", element.get("ClipRectangleSize", ""), 2)
    if columns <= 0 or rows <= 0:
        return None  # PLUS: no clipping
    return Rectangle(int(column), int(row), int(columns), int(rows))


def _fan(path: Path, root: ElementTree.Element) -> Fan | None:
    """As vtkIGSIOVolumeReconstructor: newer names go before older ones, missing radii are 0 and 500."""
    element = next(root.iter("VolumeReconstruction"), None)
    if element is None:
        return None
    where = f"{path}, VolumeReconstruction"

    def read(names: Sequence[str], default: str) -> list[float]:
        given = next((name for name in names if element.get(name)), names[0])
        count = len(default.split())
        return [float(value) for value in _numbers(f"{where}, {given}", element.get(given, default), count)]

    angles = sorted(read(("FanAnglesDeg", "FanAngles"), "0 0"))
    if not any(angles):
        return None  # PLUS: no fan
    column, row = read(("FanOriginPixel", "FanOrigin"), "0 0")
    (first,) = read(("FanRadiusStartPixel",), "0")
    (last,) = read(("FanRadiusStopPixel", "FanDepth"), "500")
    if not 0 <= first < last or not -90 < angles[0] < angles[1] < 90:
        raise InputError(
            where,
            f"a fan from {angles[0]:g} to {angles[1]:g} degrees with radii {first:g} to {last:g} pixels",
            "two angles between -90 and 90; a start below the stop",
            "correct the file",
        )
    return Fan(column, row, first, last, math.radians(angles[0]), math.radians(angles[1]))


def _numbers(where: str, text: str, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    try:
        values = np.array([float(word) for word in text.split()], np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(where, f"`{' '.join(text.split())[:80]}`", f"{count} numbers", "correct the file")
    return values


def write_calibration(path: str | Path, image_to_probe: Matrix, clip: Rectangle | None = None) -> None:
    """Write a PLUS configuration that holds the calibration and, where given, the clip rectangle."""
    rows = "\n".join(
        "        " + " ".join(f"{value:.10g}" for value in row) for row in np.asarray(image_to_probe)
    )
    lines = [
        '<PlusConfiguration version="2.3">',
        "  <CoordinateDefinitions>",
        '    <Transform From="Image" To="Probe"',
        f'      Matrix="\n{rows}" />',
        "  </CoordinateDefinitions>",
    ]
    if clip is not None:
        lines += [
            "  <VolumeReconstruction",
            f'    ClipRectangleOrigin="{clip.column} {clip.row}"',
            f'    ClipRectangleSize="{clip.columns} {clip.rows}" />',
        ]
    write_text(path, "\n".join([*lines, "</PlusConfiguration>"]) + "\n")
