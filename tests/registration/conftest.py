"""Two recordings of one small limb."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from limb import recording
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.volumes import write_volume
from myosweep.registration import shrink


@pytest.fixture
def shrunk(tmp_path):
    """Shrinks volumes through files, as the workflow does."""

    def through_files(volume, coverage, spacing_mm=1.0):
        write_volume(tmp_path / "volume.mha", volume)
        write_volume(tmp_path / "coverage.mha", coverage)
        return shrink(tmp_path / "volume.mha", tmp_path / "coverage.mha", spacing_mm)

    return through_files


@pytest.fixture(scope="session")
def motion():
    centre = np.array([0, 28, 28])
    rotation = rotation_about((1, 0.5, 2), np.deg2rad(4))
    return rigid_transform(rotation, centre - rotation @ centre + (3, -2, 2))


@pytest.fixture(scope="session")
def pair(motion):
    # A point p of the base lies at motion(p) in the other recording.
    return *recording(np.eye(4), 1), *recording(np.linalg.inv(motion), 2)
