from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import apply_transform, rigid_transform, rotation_about
from myosweep.io.calibration import read_calibration
from sweep_writers import SCALING, SPATIAL, write_challenge_calibration, write_matrix

MATRIX = rigid_transform(rotation_about((1, 2, 3), 0.8), (12.5, -90.25, 3)) @ np.diag([0.2, 0.22, 0.2, 1])
RIGID = rigid_transform(rotation_about((3, -2, 1), 1.8), (-70.5, 3.25, 8))
SCALES = np.diag([0.229389, 0.220980, 1, 1])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", ", "])
def test_a_plain_matrix(tmp_path: Path, delimiter: str) -> None:
    path = write_matrix(tmp_path / "c.csv", MATRIX, delimiter)
    calibration = read_calibration(path)
    np.testing.assert_array_equal(calibration.image_to_probe, MATRIX)
    assert calibration.clip is None


def test_what_a_spreadsheet_makes_of_it(tmp_path: Path) -> None:
    text = write_matrix(tmp_path / "c.csv", MATRIX, ";").read_text().replace(".", ",").replace("\n", ";;\r\n")
    (tmp_path / "C.CSV").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    np.testing.assert_array_equal(read_calibration(tmp_path / "C.CSV").image_to_probe, MATRIX)


@pytest.mark.parametrize("tail", ["", ",,,"])
def test_the_challenges_layout(tmp_path: Path, tail: str) -> None:
    path = write_challenge_calibration(tmp_path / "calib_matrix.csv", SCALES, RIGID)
    path.write_text(path.read_text().replace("mm\n", f"mm{tail}\n"))
    found = read_calibration(path).image_to_probe
    # The first pixel is (1, 1) there and (0, 0) here.
    expected = apply_transform(RIGID @ SCALES, [(1, 1, 0), (640, 1, 0), (1, 480, 0)])
    np.testing.assert_allclose(
        apply_transform(found, [(0, 0, 0), (639, 0, 0), (0, 479, 0)]), expected, atol=1e-12
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no numbers"]),
        ("1,0,0,0\n0,1,0,0\n0,0,1,0\n", ["3 rows"]),
        ("1,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,1\n", ["row 1", "4 numbers"]),
        ("1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,1.2.3,1\n", ["row 4", "1.2.3"]),
        ("0.2,0,0,0\n0,0.2,0,0\n0,0,nan,0\n0,0,0,1\n", ["not finite"]),
        ("0.2,0,0,0\n0,0,0,0\n0,0,0.2,0\n0,0,0,1\n", ["line or a point"]),
        ("0.2,0,0,5\n0,0.2,0,5\n0,0,0.2,5\n1,1,1,1\n", ["last row"]),
        ("my matrix\n0.2,0,0,5\n0,0.2,0,5\n0,0,0.2,5\n0,0,0,1\n", ["my matrix", SCALING]),
        (f"{SCALING}\n0.2,0,0,0\n0,0.2,0,0\n0,0,1,0\n0,0,0,1\n", [SPATIAL]),
        ("1,2,3,4\n" * 10000, ["many pages"]),
        ("\xff", ["UTF-8"]),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "c.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_calibration(tmp_path / "c.csv")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("change", [np.diag([1.1, 1, 1, 1]), np.diag([-1.0, 1, 1, 1])])
def test_a_spatial_calibration_that_is_not_rigid_is_refused(tmp_path: Path, change: np.ndarray) -> None:
    path = write_challenge_calibration(tmp_path / "c.csv", SCALES, RIGID @ change)
    with pytest.raises(InputError, match="spatial_calibration"):
        read_calibration(path)
