from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.calibration import read_calibration, write_calibration
from myosweep.io.plus import read_plus, write_sequence
from myosweep.io.sweeps import Fan, Rectangle

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


def with_fan(folder: Path, attributes: str) -> Path:
    write_calibration(folder / "c.xml", MATRIX, Rectangle(192, 16, 420, 580))
    text = (
        (folder / "c.xml").read_text().replace("<VolumeReconstruction", f"<VolumeReconstruction {attributes}")
    )
    (folder / "c.xml").write_text(text)
    return folder / "c.xml"


@pytest.mark.parametrize(
    "attributes",
    [
        'FanAnglesDeg="-45 40" FanOriginPixel="380 20" FanRadiusStartPixel="120" FanRadiusStopPixel="360"',
        'FanAngles="-45 40" FanOrigin="380 20" FanRadiusStartPixel="120" FanDepth="360"',
        'FanAnglesDeg="40 -45" FanAngles="1 2" FanOriginPixel="380 20" FanOrigin="1 2" '
        'FanRadiusStartPixel="120" FanRadiusStopPixel="360" FanDepth="7"',
    ],
)
def test_a_fan_has_older_and_newer_names(tmp_path: Path, attributes: str) -> None:
    path = with_fan(tmp_path, attributes)
    degree = math.pi / 180
    assert read_calibration(path).fan == Fan(380, 20, 120, 360, -45 * degree, 40 * degree)
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (2, 1, 1))
    frames = rng.integers(0, 255, (2, 600, 640)).astype(np.uint8)
    write_sequence(tmp_path / "s.mha", frames, {"ProbeToTracker": poses}, np.arange(2.0))
    assert read_plus(tmp_path / "s.mha", path, "auto").fan == read_calibration(path).fan


def test_a_fan_without_angles_is_none(tmp_path: Path) -> None:
    assert read_calibration(with_fan(tmp_path, 'FanAnglesDeg="0 0" FanOriginPixel="380 20"')).fan is None
    assert read_calibration(with_fan(tmp_path, 'FanOriginPixel="380 20" FanDepth="300"')).fan is None
    assert read_calibration(with_fan(tmp_path, 'FanAngles="-10 10"')).fan == Fan(
        0, 0, 0, 500, math.radians(-10), math.radians(10)
    )


@pytest.mark.parametrize(
    "attributes",
    [
        'FanAnglesDeg="-45"',
        'FanAnglesDeg="-45 nan"',
        'FanAnglesDeg="-95 45"',
        'FanAnglesDeg="10 10"',
        'FanAnglesDeg="-45 45" FanRadiusStartPixel="600"',
        'FanAnglesDeg="-45 45" FanOriginPixel="a b"',
    ],
)
def test_fans_that_are_none_are_refused(tmp_path: Path, attributes: str) -> None:
    with pytest.raises(InputError, match="VolumeReconstruction"):
        read_calibration(with_fan(tmp_path, attributes))
