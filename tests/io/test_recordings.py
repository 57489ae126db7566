from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.recordings import read_sweep, read_sweeps
from myosweep.io.sweeps import Rectangle


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


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.xyz"):
        read_sweep(tmp_path / "s.xyz", "")
