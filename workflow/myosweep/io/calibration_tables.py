"""Calibrations as numbers in a CSV file.

Two layouts are understood, with commas, semicolons, tabs or blanks between the numbers:

- Four rows of four numbers: the matrix that maps a pixel index (column, row, 0, 1), the first pixel's centre
  being (0, 0), to millimetres on the probe (the tracked tool).
- `calib_matrix.csv` of the TUS-REC challenge: below the title `scaling_from_pixel_to_mm` the matrix S, below
  the title `spatial_calibration_from_image_coordinate_system_to_tracking_tool_coordinate_system` the rigid
  matrix C. A pixel lies at C S (x, y, 0, 1), and the challenge counts pixels from 1: the first pixel's centre
  is (1, 1) (its baseline's `reference_image_points`; Li et al. 2024).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from myosweep.errors import InputError
from myosweep.geometry import Matrix, pixel_problem, rigid_problem

SCALING = "scaling_from_pixel_to_mm"
SPATIAL = "spatial_calibration_from_image_coordinate_system_to_tracking_tool_coordinate_system"
LARGEST_FILE = 1 << 16
# From pixel indices from 0 to the challenge's coordinates.
FROM_ONE = np.array([[1.0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])


def read_matrix_table(path: Path) -> Matrix:
    """The matrix that maps a pixel index (column, row, 0, 1), counted from 0, to mm on the probe.

    Raises
    ------
    InputError
        The file is of neither layout, or its matrices map no image to mm.
    """
    blocks = _blocks(path)
    if list(blocks) == [""]:
        matrix = _matrix(path, blocks[""])
    elif set(blocks) == {SCALING, SPATIAL}:
        scaling = _matrix(f"{path}, {SCALING}", blocks[SCALING])
        spatial = _matrix(f"{path}, {SPATIAL}", blocks[SPATIAL])
        if problem := rigid_problem(spatial):
            raise InputError(f"{path}, {SPATIAL}", problem, "a rigid transform in mm", "calibrate again")
        matrix = spatial @ scaling @ FROM_ONE
    else:
        found = ", ".join(title[:80] for title in blocks if title) or "no numbers"
        raise InputError(
            path,
            f"the titles {found}" if any(blocks) else found,
            f"four rows of four numbers, or {SCALING} and {SPATIAL} with four rows each",
            "write the matrix from pixel to probe without a title",
        )
    if problem := pixel_problem(matrix):
        raise InputError(path, problem, "a matrix that maps pixels to mm", "calibrate again")
    return matrix


def _blocks(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """Rows of numbers (row in the file, cells) below each title; "" where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, f"no text in UTF-8 ({error})", "a matrix as text", "export the calibration as CSV"
        ) from None
    if len(data) > LARGEST_FILE:
        raise InputError(
            path, "a file of many pages", "a matrix", "name the calibration in the column `calibration`"
        )
    blocks: dict[str, list[tuple[int, list[str]]]] = {}
    title = ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = line.strip(" \t;,\ufeff")
        if not line:
            continue
        if re.search(r"[a-df-z]", line.casefold().replace("nan", "")):
            title = line.strip('"').casefold()
            blocks.setdefault(title, [])
        else:
            blocks.setdefault(title, []).append((number, _cells(line)))
    return blocks


def _cells(line: str) -> list[str]:
    if ";" in line:
        # A spreadsheet that separates cells by semicolons may write decimal commas.
        return [cell.strip().replace(",", ".") for cell in line.split(";")]
    return [cell.strip() for cell in line.split(",")] if "," in line else line.split()


def _matrix(where: str | Path, rows: list[tuple[int, list[str]]]) -> Matrix:
    if len(rows) != 4:
        raise InputError(where, f"{len(rows)} rows of numbers", "4 rows of 4 numbers", "correct the file")
    matrix = np.empty((4, 4))
    for place, (number, cells) in enumerate(rows):
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            values = []
        if len(values) != 4:
            raise InputError(
                f"{where}, row {number}",
                f"`{' '.join(cells)[:80]}`",
                "4 numbers with points as decimal signs",
                "correct the file",
            )
        matrix[place] = values
    return matrix
