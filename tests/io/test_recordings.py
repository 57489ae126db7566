from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.recordings import (
    read_sweep,
    read_sweeps,
    recording_digest,
    recording_files,
    recording_inputs,
)
from myosweep.io.sweeps import Rectangle
from sweep_writers import write_images


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    transforms = {"ProbeToTracker": np.tile(np.eye(4), (2, 1, 1))}
    write_sequence(tmp_path / "s.MHA".lower(), np.zeros((2, 3, 4), np.uint8), transforms, np.arange(2.0))
    write_calibration(tmp_path / "c.xml", np.diag([2.0, 2, 2, 1]), Rectangle(0, 0, 2, 2))
    return tmp_path / "s.mha"


def test_the_calibration_is_applied(recording: Path) -> None:
    sweep = read_sweep(recording, recording.with_name("c.xml"))
    np.testing.assert_array_equal(sweep.image_to_world[0], np.diag([2.0, 2, 2, 1]))
    assert sweep.clip == Rectangle(0, 0, 2, 2)
    rows = [{"path": str(recording), "calibration": str(recording.with_name("c.xml")), "sweep": "1"}]
    assert read_sweeps(rows)[0].path == recording


def test_a_recording_without_calibration_says_so(recording: Path) -> None:
    for nothing in ("", None):
        with pytest.raises(InputError, match="column `calibration`"):
            read_sweep(recording, nothing)


def test_a_file_that_the_disk_does_not_give_is_an_error(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(recording))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(InputError, match="Permission denied"):
        read_sweep(recording, recording.with_name("c.xml"))


def test_the_files_of_a_recording(recording: Path, tmp_path: Path) -> None:
    assert recording_files(recording) == [recording]
    assert recording_files(tmp_path / "not there yet.mhd") == [tmp_path / "not there yet.mhd"]
    write_sequence(
        tmp_path / "two.mhd", np.zeros((1, 3, 4), np.uint8), {"ProbeToTracker": np.eye(4)[None]}, np.zeros(1)
    )
    assert recording_files(tmp_path / "two.mhd") == [tmp_path / "two.mhd", tmp_path / "two.zraw"]
    assert recording_inputs(str(tmp_path / "two.mhd")) == (
        str(tmp_path / "two.mhd"),
        str(tmp_path / "two.zraw"),
    )
    assert recording_digest(str(tmp_path / "two.mhd")) == ""


def test_of_many_files_only_those_with_text_are_inputs(tmp_path: Path) -> None:
    count = 40
    names = [f"f{frame}.raw" for frame in range(count)]
    path = tmp_path / "many.mhd"
    poses = {"ProbeToTracker": np.tile(np.eye(4), (count, 1, 1))}
    write_sequence(path, np.zeros((count, 3, 4), np.uint8), poses, np.zeros(count), compress=False)
    path.write_text(path.read_text().replace("many.raw", "LIST\n" + "\n".join(names)))
    for name in names:
        (tmp_path / name).write_bytes(bytes(12))
    assert len(recording_files(path)) == count + 1
    assert recording_inputs(str(path)) == (str(path),)
    digest = recording_digest(str(path))
    (tmp_path / "f3.raw").touch()
    recording_digest.cache_clear()
    assert recording_digest(str(path)) == digest != ""
    (tmp_path / "f3.raw").write_bytes(bytes(13))
    recording_digest.cache_clear()
    assert recording_digest(str(path)) != digest
    (tmp_path / "f3.raw").unlink()
    recording_digest.cache_clear()
    assert recording_digest(str(path)) != digest


def test_an_image_of_the_same_size_that_shows_something_else_is_noticed(tmp_path: Path) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (20, 60, 50)).astype(np.uint8)
    folder = write_images(tmp_path / "images", frames)
    digest = recording_digest(str(folder))
    path = folder / "frame_7.png"
    size = path.stat().st_size
    frames[7, 3, 4] ^= 1
    write_images(folder, frames[7:8], "frame_7.png")
    assert path.stat().st_size == size
    recording_digest.cache_clear()
    assert recording_digest(str(folder)) != digest


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from myosweep.io.recordings import recording_inputs; recording_inputs('a.mha');"
        "print([name for name in ('numpy', 'h5py', 'av', 'pydicom', 'scipy') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.xyz"):
        read_sweep(tmp_path / "s.xyz", "")
