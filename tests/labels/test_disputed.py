"""Frames to outline where sweeps disagree."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.geometry import Grid, rigid_transform, rotation_about
from myosweep.io.annotations import write_mask
from myosweep.io.plus import write_sequence
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume
from myosweep.labels.annotation_kit import write_kit
from myosweep.labels.disputed import Dispute, disputed_frames
from myosweep.labels.fractions import FULL, UNKNOWN

COUNT = 41
GRID = Grid((30, 20, 41), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))


def recording(world=None, problems=None):
    poses = np.tile(np.diag([0.5, 0.5, 1.0, 1.0]), (COUNT, 1, 1))
    poses[:, 2, 3] = np.arange(COUNT)
    told = tuple((problems or {}).get(index, "") for index in range(COUNT))
    frames = np.zeros((COUNT, 40, 60), np.uint8)
    return Sweep(
        Path("s.mha"), frames, (np.eye(4) if world is None else world) @ poses, told, np.arange(41.0)
    )


def dispute(blocks, frames=2, world=None):
    """Blocks of full disagreement, slice to width in mm, 10 mm high."""
    array = np.full(GRID.shape, UNKNOWN, np.uint8)
    array[:, 4:16, 4:28] = 0
    for z, width in blocks.items():
        array[z, 5:15, 5 : 5 + width] = FULL
    return Dispute(Volume(array, GRID), np.eye(4) if world is None else world, frames)


def chosen(blocks, annotated=(), apart=5.0, frames=2, sweep=None, **more):
    sweep = sweep or recording()
    along = np.arange(COUNT, dtype=float)[sweep.valid]
    return disputed_frames(sweep, annotated, dispute(blocks, frames, **more), along, apart)


def test_the_largest_disputes_first_and_apart():
    blocks = {8: 6, 10: 9, 11: 8, 30: 3}
    assert chosen(blocks, frames=1) == [10]
    assert chosen(blocks) == [10, 30]
    assert chosen(blocks, apart=1.0) == [10, 11]
    assert chosen(blocks, annotated={12}) == [30]


def test_where_none_disagree_no_frame_is_chosen():
    assert chosen({}) == []
    # Less than 5 mm2.
    empty = dispute({})
    empty.volume.array[20, 5, 5:9] = FULL
    assert disputed_frames(recording(), (), empty, np.arange(COUNT, dtype=float), 5.0) == []


def test_frames_without_a_pose_are_not_chosen():
    assert chosen({20: 9, 21: 4}, sweep=recording(problems={20: "jumping"})) == [21]


def test_the_acquisition_lies_where_it_was_registered():
    motion = rigid_transform(rotation_about((1, 2, 3), 0.8), (40, -7, 300))
    assert chosen({8: 6, 30: 3}, sweep=recording(motion), world=motion) == [8, 30]
    assert chosen({8: 6, 30: 3}, sweep=recording(motion)) == []


@settings(max_examples=30, deadline=None)
@given(
    blocks=st.dictionaries(st.integers(0, COUNT - 1), st.integers(1, 20), max_size=8),
    annotated=st.sets(st.integers(0, COUNT - 1), max_size=4),
    apart=st.floats(1, 15),
    frames=st.integers(1, 6),
)
def test_chosen_frames_keep_their_distance(blocks, annotated, apart, frames):
    found = chosen(blocks, annotated, apart, frames)
    assert len(found) <= frames
    assert set(found) <= set(blocks)
    for frame in found:
        others = [*annotated, *(other for other in found if other != frame)]
        assert all(abs(frame - other) >= apart for other in others)
    if any(all(abs(frame - other) >= apart for other in annotated) for frame in blocks):
        assert found


@pytest.mark.parametrize(("blocks", "expected"), [({8: 6, 30: 3}, [8, 30]), ({}, [0, 10, 30, 40])])
def test_a_kit_of_disputed_frames(tmp_path, blocks, expected):
    sweep = recording()
    write_sequence(
        tmp_path / "s.mha", sweep.frames, {"ImageToTracker": sweep.image_to_world}, np.arange(float(COUNT))
    )
    write_mask(tmp_path / "masks" / "frame_20.png", np.full((40, 60), 7, np.uint8))
    row = {
        "case": "p01",
        "acquisition": "deep",
        "sweep": "1",
        "path": str(tmp_path / "s.mha"),
        "calibration": "",
        "annotations": str(tmp_path / "masks"),
        "structures": ("SOL",),
    }
    kit = tmp_path / "kit"
    assert write_kit(kit, row, {"SOL": 7}, 10, dispute=dispute(blocks)) == expected
    assert sorted(path.name for path in (kit / "images").iterdir()) == [
        f"frame_{n:04d}.png" for n in expected
    ]
    told = (kit / "README.txt").read_text()
    assert ("the sweeps disagree most" in told) == bool(blocks)
    assert ("10 mm" in told) != bool(blocks)
