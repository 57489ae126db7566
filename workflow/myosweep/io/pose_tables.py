"""Tables of poses: where the tracked probe was, one row per pose, units and order in the header.

A table is text (UTF-8) with commas, semicolons or tabs; the columns may stand in any order (but see Euler
angles), upper and lower case are the same, further columns are left alone.

When. One of these says to which frame a row belongs:

- `time_s` (or `time_ms`, `time_us`, `time_ns`): the pose's time; poses are interpolated to frames' times.
- `frame`: index of the frame, from 0.
- `file`: name of the image, in a folder of images.
- none of them: row by row the frames' poses, as many rows as frames.

With `frame` or `file`, a time column gives the frames' times.

Where. By default a pose maps probe coordinates to the world, x_world = R x_probe + t:

- matrix: `m00 m01 m02 m03_mm m10 m11 m12 m13_mm m20 m21 m22 m23_mm`, row by row; `m30` to `m33` may follow.
- quaternion: `x_mm y_mm z_mm qw qx qy qz`, a unit quaternion.
- Euler angles: `x_mm y_mm z_mm` and `rx_deg ry_deg rz_deg` (or `_rad`). Their order in the header is the
  order of the product: `rz_deg,ry_deg,rx_deg` means R = Rz Ry Rx, as trackers write azimuth, elevation, roll.

Lengths are `_mm`, `_cm` or `_m`. Without a calibration the table must be a matrix that maps a pixel index
(column, row, 0, 1), the first pixel's centre being (0, 0), to the world, so that its columns hold the size of
a pixel; all of its numbers have the unit of its translation then.

Which. `valid` or `status` (one of them): `1`, `true`, `yes`, `ok`, `valid` or an empty cell is a pose,
anything else is none, and the reason is reported. A row whose pose is left empty (or NaN) is none, too.

    time_s,x_mm,y_mm,z_mm,qw,qx,qy,qz
    0.000,10.5,-3.2,101.7,0.9998,0.0012,-0.0194,0.0021
    0.020,10.6,-3.2,102.1,0.9998,0.0013,-0.0193,0.0021

    file;x_cm;y_cm;z_cm;rz_deg;ry_deg;rx_deg;status
    frame_000.png;1,05;-0,32;10,17;12,5;0,4;-1,1;OK
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import pixel_problem, rigid_problem
from myosweep.io.delimited import RawTable, read_delimited

Floats = NDArray[np.float64]

LARGEST_TABLE = 1 << 28
MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
TIME = re.compile(r"(?:time|timestamp)_(s|ms|us|ns)")
MATRIX = re.compile(r"m([0-3])([0-3])(?:_(mm|cm|m))?")
ANGLE = re.compile(r"r([xyz])_(deg|rad)")
PLACE = re.compile(r"([xyz])_(mm|cm|m)")
QUATERNION = ("qw", "qx", "qy", "qz")
GOOD = {"", "1", "1.0", "true", "yes", "y", "ok", "valid"}
MISSING = {"", "nan", "na", "n/a", "-"}
# Trackers write quaternions of four digits and more.
QUATERNION_TOLERANCE = 0.01


@dataclass(frozen=True)
class PoseTable:
    """Poses as a table gives them.

    Attributes
    ----------
    path
        The file.
    numbers
        Each row's number in the file; the header is row 1.
    matrices
        (row, 4, 4), mm: probe, or pixel index, to world. NaN where there is no pose.
    problems
        Per row why it has no pose, or "".
    times
        Seconds, shape (row,), not decreasing; None where the table has none.
    frames, files
        The frames' indices, or the images' names; None where the table has none.
    """

    path: Path
    numbers: tuple[int, ...]
    matrices: Floats
    problems: tuple[str, ...]
    times: Floats | None
    frames: tuple[int, ...] | None
    files: tuple[str, ...] | None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Per row whether it has a pose."""
        return np.array([not problem for problem in self.problems], bool)


def read_poses(path: str | Path, of_pixels: bool = False) -> PoseTable:
    """Read a table of poses; see the module's text for its layouts.

    Parameters
    ----------
    of_pixels
        Whether the matrices map pixel indices, not probe coordinates (where there is no calibration).

    Raises
    ------
    InputError
        The table cannot be read or its header is not understood; a pose is not rigid (`of_pixels`: maps no
        image, or changes the size of pixels), not complete or not finite; times run backwards.
    """
    path = Path(path)
    table = read_table(path)
    columns = _by_name(table)
    kind, names, unit = _layout(table, columns, of_pixels)
    reasons = _reasons(table, columns)
    values = numbers_of(table, names)
    gone = np.isnan(values).all(axis=1)
    for index in np.flatnonzero(gone):
        reasons[index] = reasons[index] or f"row {table.rows[index].number} of {path.name} has no pose"
    used = np.array([not reason for reason in reasons])
    bad = np.argwhere(~np.isfinite(values) & used[:, None])
    if len(bad):
        row, column = table.rows[bad[0][0]], names[bad[0][1]]
        raise InputError(
            table.where(row, column),
            f"`{row[column]}` in a pose whose other cells hold numbers",
            "a finite number",
            "correct the cell, or leave the whole pose empty so that its frame is left out",
        )
    matrices = np.full((len(values), 4, 4), np.nan)
    if used.any():
        matrices[used] = _matrices(table, np.flatnonzero(used), kind, names, values[used], unit, of_pixels)
    _check(table, kind, matrices, used, of_pixels)
    return PoseTable(
        path,
        tuple(row.number for row in table.rows),
        matrices,
        tuple(reasons),
        read_times(table),
        _frame_indices(table, columns),
        tuple(row[columns["file"]] for row in table.rows) if "file" in columns else None,
    )


def read_table(path: Path) -> RawTable:
    """The cells of a table that has a header and rows.

    Raises
    ------
    InputError
        It is no table, or too large to be one of a sweep.
    """
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise InputError(
                path,
                f"{path.stat().st_size >> 20} MiB",
                f"at most {LARGEST_TABLE >> 20} MiB",
                "give the poses of this sweep alone",
            )
    except OSError:
        pass  # told below
    problems: list[InputError] = []
    table = read_delimited(path, (), (), problems)
    if problems:
        raise problems[0]
    assert table is not None
    if not table.rows:
        raise InputError(path, "a header without rows", "a row for each pose or image", "fill the table")
    return table


def read_times(table: RawTable) -> Floats | None:
    """The times of a table's rows in seconds, (row,); None where it has no column of times.

    Raises
    ------
    InputError
        There are two such columns, one without a unit, a cell without a number, or times run backwards.
    """
    columns = _by_name(table)
    names = [name for name in columns if TIME.fullmatch(name)]
    bare = [name for name in columns if name in ("time", "timestamp", "t")]
    if len(names) > 1 or (bare and not names):
        raise InputError(
            f"{table.path}, row 1",
            f"the columns {', '.join(names)}" if names else f"the column {bare[0]} without a unit",
            "one column of times with its unit: time_s, time_ms, time_us or time_ns",
            "delete or rename the others" if names else "rename it, to time_s if it holds seconds",
        )
    if not names:
        return None
    column, match = columns[names[0]], TIME.fullmatch(names[0])
    assert match is not None
    times = numbers_of(table, [column])[:, 0]
    lost = np.flatnonzero(~np.isfinite(times))
    if len(lost):
        row = table.rows[lost[0]]
        raise InputError(
            table.where(row, column), f"`{row[column]}`", "a time", "fill the cell, or delete the row"
        )
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        before, row = table.rows[back[0]], table.rows[back[0] + 1]
        raise InputError(
            table.where(row, column),
            f"{row[column]} after {before[column]}: time runs backwards",
            "rows in the order of time, of one recording",
            "sort the rows, or give this sweep's rows alone",
        )
    return times * SECONDS[match[1]]


def numbers_of(table: RawTable, columns: Sequence[str]) -> Floats:
    """Cells as numbers, (row, column); NaN where a cell is empty, NaN or NA.

    Raises
    ------
    InputError
        A cell holds something else.
    """
    comma = table.delimiter == ";"
    values = np.empty((len(table.rows), len(columns)))
    for index, row in enumerate(table.rows):
        for place, column in enumerate(columns):
            cell = row[column]
            try:
                # Spreadsheets that separate cells by semicolons write decimal commas.
                values[index, place] = float(cell.replace(",", ".") if comma else cell)
            except ValueError:
                if cell.casefold() not in MISSING:
                    raise InputError(
                        table.where(row, column),
                        f"`{cell[:80]}`",
                        "a number with a point as decimal sign",
                        "correct the cell",
                    ) from None
                values[index, place] = np.nan
    return values


def _by_name(table: RawTable) -> dict[str, str]:
    """Columns by their names in lower case."""
    columns: dict[str, str] = {}
    for column in table.columns:
        name = column.casefold()
        if name in columns:
            raise InputError(
                f"{table.path}, row 1, column {column}",
                f"the columns {columns[name]} and {column}",
                "every column once (upper and lower case are the same)",
                "delete or rename one of them",
            )
        columns[name] = column
    return columns


def _layout(table: RawTable, columns: dict[str, str], of_pixels: bool) -> tuple[str, list[str], float]:
    """Which layout a header means, its columns in the order that `_matrices` takes, and mm per unit."""
    where = f"{table.path}, row 1"
    angles = [(name, match) for name in columns if (match := ANGLE.fullmatch(name))]
    cells = {
        (int(match[1]), int(match[2])): (name, match[3])
        for name in columns
        if (match := MATRIX.fullmatch(name))
    }
    kinds = {
        "a matrix": bool(cells),
        "a quaternion": any(name in columns for name in QUATERNION),
        "Euler angles": bool(angles),
    }
    found = [kind for kind, there in kinds.items() if there]
    if len(found) != 1:
        seen = ", ".join(table.columns)[:200]
        raise InputError(
            where,
            f"{' and '.join(found)} in one table" if found else f"no pose in the columns {seen}",
            "a matrix (m00 m01 m02 m03_mm to m23_mm), or x_mm y_mm z_mm with a quaternion (qw qx qy qz) or "
            "Euler angles (rz_deg ry_deg rx_deg)",
            "keep the columns of one of them" if found else "name the columns so in the header, with units",
        )
    if of_pixels and not cells:
        raise InputError(
            where,
            f"{found[0]}, and no calibration of the image",
            "poses of the probe and a calibration, or a matrix that maps pixels to mm",
            "name the calibration (.xml or .csv) in the column `calibration`",
        )
    if cells:
        wanted = [(row, column) for row in range(3) for column in range(4)]
        missing = [f"m{r}{c}" + ("_mm" if c == 3 else "") for r, c in wanted if (r, c) not in cells]
        units = {unit for (row, column), (_, unit) in cells.items() if column == 3 and row < 3}
        stray = [name for (r, c), (name, unit) in cells.items() if unit and (c != 3 or r == 3)]
        _complete(where, missing, stray)
        if None in units or len(units) != 1:
            names = ", ".join(cells[row, 3][0] for row in range(3))
            raise InputError(
                where,
                f"the columns {names}",
                "one unit of the translation in the header: m03_mm m13_mm m23_mm, or _cm, or _m",
                "rename these columns",
            )
        ordered = [columns[cells[place][0]] for place in wanted]
        _check_last_row(table, [columns[cells[3, c][0]] if (3, c) in cells else "" for c in range(4)])
        return "matrix", ordered, MM[units.pop()]
    places = {match[1]: (name, match[2]) for name in columns if (match := PLACE.fullmatch(name))}
    missing = [f"{axis}_mm" for axis in "xyz" if axis not in places]
    if found[0] == "a quaternion":
        missing += [name for name in QUATERNION if name not in columns]
        turns, kind = [columns[name] for name in QUATERNION if name in columns], "quaternion"
    else:
        missing += [f"r{axis}_deg" for axis in "xyz" if axis not in {match[1] for _, match in angles}]
        turns = [columns[name] for name, _ in angles]
        kind = "".join(match[1] for _, match in angles).upper() + " " + angles[0][1][2]
    _complete(where, missing, [])
    if len({unit for _, unit in places.values()}) > 1 or len({match[2] for _, match in angles}) > 1:
        seen = ", ".join([name for name, _ in places.values()] + [name for name, _ in angles])
        raise InputError(where, f"the columns {seen}", "one unit for all", "convert and rename columns")
    return kind, [columns[places[axis][0]] for axis in "xyz"] + turns, MM[places["x"][1]]


def _complete(where: str, missing: list[str], stray: list[str]) -> None:
    if missing or stray:
        raise InputError(
            where,
            f"no column {', '.join(missing)}" if missing else f"a unit in {', '.join(stray)}",
            "all columns of a pose, with units for lengths and angles alone",
            "add or rename columns: x_mm y_mm z_mm qw qx qy qz, x_mm y_mm z_mm rz_deg ry_deg rx_deg, or "
            "m00 m01 m02 m03_mm to m23_mm",
        )


def _check_last_row(table: RawTable, names: list[str]) -> None:
    for place, name in enumerate(names):
        if not name:
            continue
        values = numbers_of(table, [name])[:, 0]
        bad = np.flatnonzero(~np.isnan(values) & (values != (place == 3)))
        if len(bad):
            row = table.rows[bad[0]]
            raise InputError(
                table.where(row, name),
                f"`{row[name]}` in the matrix's last row",
                "0 0 0 1",
                "write the matrices row by row: m03, m13 and m23 are the translation",
            )


def _reasons(table: RawTable, columns: dict[str, str]) -> list[str]:
    marks = [columns[name] for name in ("valid", "status") if name in columns]
    if len(marks) > 1:
        raise InputError(
            f"{table.path}, row 1", f"the columns {' and '.join(marks)}", "one of them", "delete the other"
        )
    if not marks:
        return [""] * len(table.rows)
    cells = [row[marks[0]] for row in table.rows]
    return ["" if cell.casefold() in GOOD else f"its pose has {marks[0]} {cell[:40]}" for cell in cells]


def _frame_indices(table: RawTable, columns: dict[str, str]) -> tuple[int, ...] | None:
    if "frame" not in columns:
        return None
    if "file" in columns:
        raise InputError(
            f"{table.path}, row 1", "the columns frame and file", "one of them", "delete the other"
        )
    name = columns["frame"]
    values = numbers_of(table, [name])[:, 0]
    for row, value in zip(table.rows, values, strict=True):
        if not (0 <= value < 2**31 and value == int(value)):
            raise InputError(
                table.where(row, name), f"`{row[name]}`", "a frame's index, from 0", "correct the cell"
            )
    return tuple(int(value) for value in values)


def _matrices(
    table: RawTable,
    used: NDArray[np.intp],
    kind: str,
    names: list[str],
    values: Floats,
    unit: float,
    of_pixels: bool,
) -> Floats:
    from scipy.spatial.transform import Rotation

    matrices = np.tile(np.eye(4), (len(values), 1, 1))
    if kind == "matrix":
        matrices[:, :3] = values.reshape(-1, 3, 4)
        matrices[:, :3, 0 if of_pixels else 3 :] *= unit
        return matrices
    matrices[:, :3, 3] = values[:, :3] * unit
    if kind == "quaternion":
        lengths = np.linalg.norm(values[:, 3:], axis=1)
        bad = np.flatnonzero(np.abs(lengths - 1) > QUATERNION_TOLERANCE)
        if len(bad):
            row = table.rows[used[bad[0]]]
            cells = " ".join(row[name] for name in names[3:])
            raise InputError(
                table.where(row, "qw"),
                f"the quaternion {cells} of length {lengths[bad[0]]:.4g}",
                "a unit quaternion (length 1)",
                "correct it, or leave the pose empty where the probe was not seen",
            )
        matrices[:, :3, :3] = Rotation.from_quat(values[:, [4, 5, 6, 3]]).as_matrix()
        return matrices
    order, _, angle_unit = kind.partition(" ")
    turns = Rotation.from_euler(order, values[:, 3:], degrees=angle_unit == "deg")
    matrices[:, :3, :3] = turns.as_matrix()
    return matrices


def _check(table: RawTable, kind: str, matrices: Floats, used: NDArray[np.bool_], of_pixels: bool) -> None:
    """Refuse matrices that are no poses. Quaternions and angles always are."""
    if kind != "matrix" or not used.any():
        return
    rows = np.flatnonzero(used)
    if not of_pixels:
        for index in rows[_suspect(matrices[rows])]:
            if problem := rigid_problem(matrices[index]):
                raise InputError(
                    f"{table.path}, row {table.rows[index].number}",
                    f"a matrix that is no pose: {problem}",
                    "a rigid matrix from probe to world, with a calibration",
                    "correct it, or mark the row in a column `valid`; if it maps pixels, leave the column "
                    "`calibration` empty",
                )
        return
    first = matrices[rows[0]]
    where = f"{table.path}, row {table.rows[rows[0]].number}"
    if problem := pixel_problem(first):
        raise InputError(where, problem, "a matrix that maps pixels to mm", "correct the matrix")
    if rigid_problem(first, 1e-6) is None:
        raise InputError(
            where,
            "a rigid matrix (pixels of 1 mm), and no calibration of the image",
            "poses of the probe and a calibration, or a matrix that maps pixels to mm",
            "name the calibration (.xml or .csv) in the column `calibration`",
        )
    to_first = matrices[rows] @ np.linalg.inv(first)
    for index in rows[_suspect(to_first)]:
        if problem := rigid_problem(matrices[index] @ np.linalg.inv(first)):
            raise InputError(
                f"{table.path}, row {table.rows[index].number}",
                f"a matrix that does not move the image of the first row rigidly: {problem}",
                "the same size of pixels in all rows",
                "correct it, or mark the row in a column `valid`",
            )


def _suspect(matrices: Floats) -> NDArray[np.bool_]:
    """Which matrices are worth a closer look by `rigid_problem`."""
    turns = matrices[:, :3, :3]
    errors = np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    suspect: NDArray[np.bool_] = ~((errors < 1e-3) & (np.linalg.det(turns) > 0))
    return suspect
