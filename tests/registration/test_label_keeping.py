"""A registration places labels; it neither adds nor loses volume."""

from pathlib import Path

import numpy as np
import pytest
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.volumes import AnnotatedSweep, label_acquisition

GRID = Grid((152, 128, 192), (0.5, 0.5, 0.5), np.array([-38.0, -12.0, -8.0]), np.eye(3))
CENTRE, HALF = np.array([0.0, 20.0, 40.0]), np.array([17.0, 12.0, 32.0])


class Black:
    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, index):
        return np.zeros(self.shape[1:], np.uint8)


def annotated_sweep():
    rows, columns, spacing = 100, 110, 0.4
    poses = np.array(
        [rigid_transform(np.eye(3), (-22, 0, z)) @ np.diag([spacing, spacing, 1, 1]) for z in range(80)]
    )
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    pixels = np.stack([column, row, 0 * row], axis=-1)
    masks = {
        index: ((((apply_transform(pose, pixels) - CENTRE) / HALF) ** 2).sum(axis=-1) < 1).astype(np.uint8)
        for index, pose in enumerate(poses)
    }
    recording = Sweep(Path("x.mha"), Black((80, rows, columns)), poses, ("",) * 80, np.arange(80.0) / 20)
    return AnnotatedSweep(recording, masks, ("GM",))


@pytest.mark.parametrize(("axis", "degrees"), [((0, 0, 1), 8), ((1, 0.5, 0.2), 6)])
def test_a_known_transform_keeps_a_label_volume(axis, degrees):
    turn = rotation_about(axis, np.deg2rad(degrees))
    motion = rigid_transform(turn, CENTRE - turn @ CENTRE + (3.3, -2.7, 1.9))
    annotated = annotated_sweep()
    fractions, _ = label_acquisition([annotated], GRID, motion, {"GM": 1}, "shape", "full")
    found = fractions.array[..., 0]
    found = np.where(found == UNKNOWN, 0, found)
    # Pixels of 0.4 mm on frames 1 mm apart.
    drawn_ml = sum(int(mask.sum()) for mask in annotated.masks.values()) * 0.4 * 0.4 / 1000
    decided_ml = np.count_nonzero(found >= FULL // 2) * GRID.voxel_ml
    assert decided_ml == pytest.approx(drawn_ml, rel=2e-3)
    assert found.sum(dtype=np.float64) / FULL * GRID.voxel_ml == pytest.approx(drawn_ml, rel=2e-3)
