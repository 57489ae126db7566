from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.calibration import read_calibration, write_calibration
from myosweep.io.sweeps import Rectangle

MATRIX = np.array(
    [[0.0, 0.0854, 0.001, 12.7], [-0.0853, 0.0, 0.002, 50.7], [0.002, 0.0, 0.0853, -0.5], [0, 0, 0, 1]]
)
DEFINITIONS = "<P><CoordinateDefinitions><Transform {} /></CoordinateDefinitions></P>"


@pytest.mark.parametrize("clip", [None, Rectangle(167, 62, 495, 488)])
def test_what_is_written_is_read(tmp_path: Path, clip: Rectangle | None) -> None:
    write_calibration(tmp_path / "c.xml", MATRIX, clip)
    calibration = read_calibration(tmp_path / "c.xml")
    np.testing.assert_array_equal(calibration.image_to_probe, MATRIX)
    assert calibration.clip == clip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<PlusConfiguration/>", "no transform"),
        (DEFINITIONS.format('From="Probe" To="Tool"'), "Probe to Tool"),
        (DEFINITIONS.format('From="Image" To="Probe" Matrix="1 2"'), "16 numbers"),
        ("not xml", "not XML"),
        ("", "not XML"),
    ],
)
def test_files_without_the_transform_are_refused(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "c.xml").write_text(text)
    with pytest.raises(InputError, match=word):
        read_calibration(tmp_path / "c.xml")


@pytest.mark.parametrize("change", [np.diag([0, 1, 1, 1]), np.diag([np.nan, 1, 1, 1]), np.diag([1, 1, 0, 1])])
def test_matrices_that_map_no_image_are_refused(tmp_path: Path, change: np.ndarray) -> None:
    write_calibration(tmp_path / "c.xml", MATRIX @ change)
    with pytest.raises(InputError, match="Image To Probe"):
        read_calibration(tmp_path / "c.xml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_calibration(tmp_path / "c.xml")


def test_a_real_configuration(plus_data: Path) -> None:
    calibration = read_calibration(plus_data / "configs" / "BoneUltrasound_L14_config.xml")
    assert calibration.image_to_probe[0, 1] == 0.0854272
    assert calibration.clip == Rectangle(0, 0, 820, 616)


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    path = tmp_path / "c.xml"
    path.write_text(f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><PlusConfiguration>&a9;</PlusConfiguration>')
    with pytest.raises(InputError, match="DOCTYPE"):
        read_calibration(path)


def test_a_mirrored_calibration_is_refused(tmp_path: Path) -> None:
    write_calibration(tmp_path / "c.xml", np.diag([-0.2, 0.2, 0.2, 1.0]))
    with pytest.raises(InputError, match="mirrors"):
        read_calibration(tmp_path / "c.xml")
