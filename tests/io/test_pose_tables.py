from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.io.pose_tables import read_poses
from scipy.spatial.transform import Rotation
from sweep_writers import pose_columns, some_poses, write_poses, write_table

PIXELS = np.diag([0.2, 0.25, 0.2, 1])
LAYOUTS = ["matrix", "quaternion", "xyz", "xzy", "yxz", "yzx", "zxy", "zyx"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_is_read(tmp_path: Path, layout: str) -> None:
    table = read_poses(write_poses(tmp_path / "p.csv", some_poses(), layout, frame=range(6)))
    # mm: what float64 loses on the way.
    np.testing.assert_allclose(table.matrices, some_poses(), atol=1e-10)
    assert table.frames == tuple(range(6))
    assert (table.times, table.files) == (None, None)
    assert table.valid.all()


def test_euler_angles_multiply_in_the_order_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x_mm,y_mm,z_mm,rz_deg,ry_deg,rx_deg\n1,2,3,90,0,90\n")
    # Rz Ry Rx: the probe's y goes to z by Rx and stays there; its z goes to -y and on to x.
    turn = read_poses(tmp_path / "p.csv").matrices[0, :3, :3]
    np.testing.assert_allclose(turn @ (0, 1, 0), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(turn @ (0, 0, 1), (1, 0, 0), atol=1e-12)


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("cm", 10), ("m", 1000)])
@pytest.mark.parametrize("layout", ["matrix", "quaternion"])
def test_units_of_length(tmp_path: Path, unit: str, mm: float, layout: str) -> None:
    poses = some_poses()
    poses[:, :3, 3] /= mm
    columns = {name.replace("_mm", f"_{unit}"): cells for name, cells in pose_columns(poses, layout).items()}
    table = read_poses(write_table(tmp_path / "p.csv", columns))
    np.testing.assert_allclose(table.matrices, some_poses(), atol=1e-9)


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_units_of_time(tmp_path: Path, unit: str, per_second: int) -> None:
    times = [repr(i * 0.125 * per_second) for i in range(6)]
    table = read_poses(write_poses(tmp_path / "p.csv", some_poses(), **{f"time_{unit}": times}))
    assert table.times is not None
    np.testing.assert_allclose(table.times, np.arange(6) * 0.125, atol=1e-12)


def test_radians(tmp_path: Path) -> None:
    columns = {
        name.replace("_deg", "_rad"): cells for name, cells in pose_columns(some_poses(), "zyx").items()
    }
    for name in columns:
        if name.endswith("_rad"):
            columns[name] = [repr(float(np.radians(float(cell)))) for cell in columns[name]]
    table = read_poses(write_table(tmp_path / "p.csv", columns))
    np.testing.assert_allclose(table.matrices, some_poses(), atol=1e-10)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_make_of_it(tmp_path: Path, delimiter: str) -> None:
    path = write_table(
        tmp_path / "p.csv", {"Frame": range(6), **pose_columns(some_poses(), "quaternion")}, delimiter
    )
    text = path.read_text().replace("\n", f"{delimiter}\r\n").replace("qw", " QW ")
    if delimiter == ";":
        text = text.replace(".", ",")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    np.testing.assert_allclose(read_poses(path).matrices, some_poses(), atol=1e-10)
    path.write_bytes(text.encode("utf-16"))
    np.testing.assert_allclose(read_poses(path).matrices, some_poses(), atol=1e-10)


def test_columns_in_any_order_and_others_left_alone(tmp_path: Path) -> None:
    columns: dict[str, Sequence[Any]] = {"operator": ["A"] * 6, **pose_columns(some_poses(), "matrix")}
    columns["m33"], columns["time_s"] = ["1"] * 6, range(6)
    table = read_poses(write_table(tmp_path / "p.csv", dict(reversed(columns.items()))))
    np.testing.assert_allclose(table.matrices, some_poses(), atol=1e-12)


def test_rows_without_a_pose(tmp_path: Path) -> None:
    poses = some_poses()
    poses[1] = np.nan
    # What a tracker writes while it sees nothing is not looked at.
    poses[2] = 0
    status = ["ok", "", "LOST", "OK", "true", "1"]
    table = read_poses(write_poses(tmp_path / "p.csv", poses, "matrix", status=status))
    assert table.problems == ("", "row 3 of p.csv has no pose", "its pose has status LOST", "", "", "")
    assert np.isnan(table.matrices[[1, 2]]).all()
    empty = pose_columns(some_poses(), "zyx")
    for cells in empty.values():
        cells[0] = ""
    table = read_poses(write_table(tmp_path / "p.csv", {"valid": [1, 1, 0, 1, 1, 1], **empty}))
    assert table.problems[:3] == ("row 2 of p.csv has no pose", "", "its pose has valid 0")


def test_matrices_of_pixels(tmp_path: Path) -> None:
    matrices = some_poses() @ PIXELS
    np.testing.assert_allclose(
        read_poses(write_poses(tmp_path / "p.csv", matrices), of_pixels=True).matrices, matrices, atol=1e-12
    )
    columns = {
        name.replace("_mm", "_m"): cells for name, cells in pose_columns(matrices / 1000, "matrix").items()
    }
    np.testing.assert_allclose(
        read_poses(write_table(tmp_path / "p.csv", columns), of_pixels=True).matrices, matrices, atol=1e-9
    )


def refused(path: Path, *words: str, of_pixels: bool = False) -> None:
    with pytest.raises(InputError) as caught:
        read_poses(path, of_pixels)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m @ np.diag([1.1, 1, 1, 1]), ["row 4", "scales", "leave the column `calibration` empty"]),
        (lambda m: m @ np.diag([-1, 1, 1, 1]), ["row 4", "mirrors"]),
        (lambda m: m * 0, ["row 4"]),
        (lambda m: m + np.diag([np.nan, 0, 0, 0]), ["row 4", "column m00", "`nan`"]),
        (lambda m: m + np.diag([0, 0, np.inf, 0]), ["row 4", "column m22", "`inf`"]),
    ],
)
def test_matrices_that_are_no_poses_are_refused(tmp_path: Path, change: Any, words: list[str]) -> None:
    poses = some_poses()
    poses[2] = change(poses[2])
    refused(write_poses(tmp_path / "p.csv", poses), "p.csv", *words)


def test_matrices_of_pixels_that_are_none_are_refused(tmp_path: Path) -> None:
    changing = some_poses() @ PIXELS
    changing[3] = changing[3] @ np.diag([1.05, 1, 1, 1])
    refused(write_poses(tmp_path / "p.csv", changing), "row 5", "same size of pixels", of_pixels=True)
    flat = some_poses() @ np.diag([0.2, 0.2, 0, 1])
    refused(write_poses(tmp_path / "p.csv", flat), "row 2", "third axis", of_pixels=True)
    refused(write_poses(tmp_path / "p.csv", some_poses()), "pixels of 1 mm", "calibration", of_pixels=True)
    for layout in ("quaternion", "zyx"):
        refused(write_poses(tmp_path / "p.csv", some_poses(), layout), "no calibration", of_pixels=True)


@pytest.mark.parametrize("factor", [0.9, 1.02, 0.0])
def test_quaternions_that_are_no_rotations_are_refused(tmp_path: Path, factor: float) -> None:
    columns = pose_columns(some_poses(), "quaternion")
    for name in ("qw", "qx", "qy", "qz"):
        columns[name][4] = repr(float(columns[name][4]) * factor)
    refused(write_table(tmp_path / "p.csv", columns), "row 6", "unit quaternion")


def test_rounded_quaternions_are_understood(tmp_path: Path) -> None:
    columns = pose_columns(some_poses(), "quaternion")
    for name in ("qw", "qx", "qy", "qz"):
        columns[name] = [f"{float(cell):.3f}" for cell in columns[name]]
    turns = read_poses(write_table(tmp_path / "p.csv", columns)).matrices[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (6, 1, 1)), atol=1e-12)
    # Three digits turn by a tenth of a degree at most.
    apart = Rotation.from_matrix(turns @ some_poses()[:, :3, :3].transpose(0, 2, 1)).magnitude()
    assert np.degrees(apart).max() < 0.15


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("time_s,a,b", ["no pose in the columns time_s, a, b", "units"]),
        ("x_mm,y_mm,z_mm,qw,qx,qy", ["no column qz"]),
        ("x_mm,y_mm,qw,qx,qy,qz", ["no column z_mm"]),
        ("x,y,z,qw,qx,qy,qz", ["no column x_mm, y_mm, z_mm"]),
        ("x_mm,y_mm,z_cm,qw,qx,qy,qz", ["one unit"]),
        ("x_mm,y_mm,z_mm,rx_deg,ry_rad,rz_deg", ["one unit"]),
        ("x_mm,y_mm,z_mm,rx_deg,ry_deg", ["no column rz_deg"]),
        ("x_mm,y_mm,z_mm,rx_deg,ry_deg,rz_deg,qw,qx,qy,qz", ["a quaternion and Euler angles"]),
        ("m00,m01,m02,m03,m10,m11,m12,m13,m20,m21,m22,m23", ["m03, m13, m23", "m03_mm"]),
        ("m00,m01,m02,m03_mm,m10,m11,m12,m13_cm,m20,m21,m22,m23_mm", ["one unit"]),
        ("m00_mm,m01,m02,m03_mm,m10,m11,m12,m13_mm,m20,m21,m22,m23_mm", ["a unit in m00_mm"]),
        ("m00,m01,m02,m03_mm,m10,m11,m12,m13_mm,m20,m21,m23_mm", ["no column m22"]),
        ("time,x_mm,y_mm,z_mm,qw,qx,qy,qz", ["time without a unit", "time_s"]),
        ("time_s,time_ms,x_mm,y_mm,z_mm,qw,qx,qy,qz", ["time_s, time_ms"]),
        ("frame,file,x_mm,y_mm,z_mm,qw,qx,qy,qz", ["frame and file"]),
        ("valid,status,x_mm,y_mm,z_mm,qw,qx,qy,qz", ["valid and status"]),
        ("x_mm,X_MM,y_mm,z_mm,qw,qx,qy,qz", ["x_mm and X_MM"]),
        ("x_mm,x_mm,y_mm,z_mm,qw,qx,qy,qz", ["duplicate column"]),
    ],
)
def test_headers_that_are_not_understood_are_refused(tmp_path: Path, header: str, words: list[str]) -> None:
    cells = ["1" if name in ("m00", "m11", "m22", "qw") else "0" for name in header.split(",")]
    (tmp_path / "p.csv").write_text(header + "\n" + ",".join(cells) + "\n")
    refused(tmp_path / "p.csv", "p.csv", *words)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"time_s": [0, 1, 2, 1.5, 4, 5]}, ["row 5, column time_s", "1.5 after 2", "backwards"]),
        ({"time_s": [0, 1, "", 3, 4, 5]}, ["row 4, column time_s"]),
        ({"time_s": [0, 1, "12:30", 3, 4, 5]}, ["row 4, column time_s", "12:30"]),
        ({"frame": [0, 1, 2.5, 3, 4, 5]}, ["row 4, column frame", "2.5"]),
        ({"frame": [0, 1, -2, 3, 4, 5]}, ["row 4, column frame", "-2"]),
        ({"frame": [0, 1, "nan", 3, 4, 5]}, ["row 4, column frame"]),
        ({"m30": [0, 0, 0, 0, 0, 1]}, ["row 7, column m30", "last row"]),
    ],
)
def test_cells_that_make_no_sense_are_refused(
    tmp_path: Path, columns: dict[str, Any], words: list[str]
) -> None:
    refused(write_poses(tmp_path / "p.csv", some_poses(), **columns), *words)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    refused(path, "no such file")
    for data, word in (
        (b"", "empty"),
        (b"x_mm,y_mm\n", "without rows"),
        (b"PK\x03\x04", "workbook"),
        (b"\0\0", "text"),
    ):
        path.write_bytes(data)
        refused(path, word)
    with path.open("wb") as file:
        file.truncate(1 << 29)
    refused(path, "512 MiB")


@given(st.text(alphabet="mqrxyz_012346,.;-\n degnas", max_size=300))
def test_any_text_ends_in_poses_or_in_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("time_s,x_mm,y_mm,z_mm,rx_deg,ry_deg,rz_deg\n" * (len(text) % 2) + text)
    try:
        table = read_poses(path)
    except InputError:
        return
    assert np.isfinite(table.matrices[table.valid]).all()
