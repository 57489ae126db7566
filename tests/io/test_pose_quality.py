"""What is wrong with poses is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.options import RecordingOptions
from myosweep.io.pose_quality import FROZEN, INVALID, JUMPING, OUT_OF_ORDER, RESIZED, inspect, kinds_of
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep

PIXELS = np.diag([0.2, 0.2, 0.2, 1.0])
KEEP = RecordingOptions(suspect_poses="keep")


class NoFrames:
    """Frames that must not be read."""

    def __init__(self, count: int) -> None:
        self.shape = (count, 300, 200)

    def __getitem__(self, index: int) -> np.ndarray:
        raise AssertionError("a frame was read")


def hand_sweep(count: int = 200, speed: float = 20.0, rate: float = 30.0, seed: int = 0) -> Sweep:
    """A hand's sweep: speed that varies, a slow turn, tremor (0.3 mm at 8 Hz), scatter (0.1 mm)."""
    rng = np.random.default_rng(seed)
    times = np.arange(count) / rate
    way = np.cumsum(speed / rate * (1 + 0.5 * np.sin(times * 1.3 + seed)))
    tremor = 0.3 * np.sin(2 * np.pi * 8 * times)
    poses = [
        rigid_transform(
            rotation_about((1, 2, 3), 0.2 * np.sin(time / 2)) @ rotation_about(rng.normal(size=3), 0.002),
            np.array((shake, 0.2 * along, along)) + rng.normal(scale=0.1, size=3),
        )
        @ PIXELS
        for time, along, shake in zip(times, way, tremor, strict=True)
    ]
    return Sweep(Path("s.mha"), NoFrames(count), np.array(poses), ("",) * count, times)


def changed(sweep: Sweep, frames: list[int] | slice, motion: np.ndarray) -> Sweep:
    matrices = sweep.image_to_world.copy()
    matrices[frames] = motion @ matrices[frames]
    return replace(sweep, image_to_world=matrices)


def shift(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    return rigid_transform(np.eye(3), (x, y, z))


def turned_over(sweep: Sweep, frames: list[int] | slice) -> Sweep:
    """The tracker interchanges the tool's axes: it turns by 180 degrees about its own y."""
    matrices = sweep.image_to_world.copy()
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    matrices[frames] = matrices[frames] @ np.linalg.inv(PIXELS) @ flip @ PIXELS
    return replace(sweep, image_to_world=matrices)


def without_times(sweep: Sweep) -> Sweep:
    return replace(sweep, timestamps=np.full(len(sweep.problems), np.nan))


def left_out(sweep: Sweep) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for frame, problem in enumerate(sweep.problems):
        if problem:
            found.setdefault(problem, []).append(frame)
    return found


@pytest.mark.parametrize("every", [1, 2, 5, 20])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("speed", [0.0, 3.0, 20.0, 80.0])
def test_a_hand_loses_no_frame(speed: float, every: int, timed: bool) -> None:
    for seed in range(4):
        sweep = hand_sweep(400, speed, seed=seed)
        part = replace(
            sweep,
            frames=NoFrames(400 // every),
            image_to_world=sweep.image_to_world[::every],
            problems=sweep.problems[::every],
            timestamps=sweep.timestamps[::every],
        )
        found = inspect(part if timed else without_times(part))
        assert left_out(found) == {}
        assert found.notes == ()
        np.testing.assert_array_equal(found.image_to_world, part.image_to_world)


@pytest.mark.parametrize(
    "moves",
    [
        [0, 0, 5] * 20,
        [0] * 40 + [6] * 5 + [0] * 40,
        [5] * 20 + [-5] * 20,
        [0, 8] * 20,
        [3] * 10 + [0] * 50,
        list(np.linspace(0, 10, 40)),
    ],
    ids=["steps", "one way", "to and fro", "stop and go", "a rest", "faster"],
)
def test_other_ways_to_move_lose_no_frame(moves: list[float]) -> None:
    poses = np.array([shift(0, 0, z) @ PIXELS for z in np.cumsum(moves)])
    count = len(moves)
    sweep = Sweep(Path("s"), NoFrames(count), poses, ("",) * count, np.arange(count) / 10)
    assert left_out(inspect(sweep)) == {}


def test_frames_that_were_lost_in_between_cost_no_others() -> None:
    sweep = hand_sweep(300)
    for timed in (True, False):
        kept = np.r_[0:80, 110:200, 240:300]
        part = replace(
            sweep,
            frames=NoFrames(len(kept)),
            image_to_world=sweep.image_to_world[kept],
            problems=("",) * len(kept),
            timestamps=sweep.timestamps[kept],
        )
        found = inspect(part if timed else without_times(part))
        assert left_out(found) == {}
        assert any("between frames 79 and 80" in note for note in found.notes) is not timed


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(
    "wrong", [[50], [50, 51, 52], [20, 60, 61, 150], list(range(10, 190, 12)), [0], [199]]
)
@pytest.mark.parametrize("size", [8.0, 40.0, 1000.0])
def test_jumps_are_found(size: float, wrong: list[int], timed: bool) -> None:
    if wrong[0] in (0, 199) and size < 10:
        pytest.skip("at an end, where neighbours are on one side only, a shorter leap may be a true one")
    sweep = changed(hand_sweep(200), wrong, shift(size, size / 2))
    found = inspect(sweep if timed else without_times(sweep))
    assert left_out(found) == {JUMPING: wrong}
    assert found.suspects.jumping == tuple(wrong)
    kept = inspect(sweep, KEEP)
    assert left_out(kept) == {}
    assert kept.suspects.jumping == tuple(wrong)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 5),
    st.sets(st.integers(1, 58), min_size=1, max_size=5),
    st.floats(0, 2 * np.pi),
    st.floats(15, 500),
)
def test_single_jumps_in_any_direction_are_found(seed: int, wrong: set[int], way: float, size: float) -> None:
    # Frames next to each other may look like a short track of their own; two leaps in line come back as one.
    frames = sorted(frame for frame in wrong if not wrong & {frame - 1, frame - 2, frame - 3})
    sweep = changed(hand_sweep(60, seed=seed), frames, shift(size * np.cos(way), size * np.sin(way)))
    assert left_out(inspect(sweep)) == {JUMPING: frames}


def test_turns_that_flip_are_found() -> None:
    for frames in ([33], list(range(60, 75))):
        assert left_out(inspect(turned_over(hand_sweep(), frames))) == {JUMPING: frames}
    # A flip that stays: the longer part is taken for true.
    assert left_out(inspect(turned_over(hand_sweep(), slice(120, None)))) == {JUMPING: list(range(120, 200))}
    assert left_out(inspect(turned_over(hand_sweep(), slice(0, 70)))) == {JUMPING: list(range(70))}


def test_a_world_that_moved_is_told_and_kept() -> None:
    found = inspect(changed(hand_sweep(), slice(90, None), shift(0, 60)))
    assert left_out(found) == {}
    assert "between frames 89 and 90" in found.notes[0]


@pytest.mark.parametrize("timed", [True, False])
def test_frozen_poses_are_found(timed: bool) -> None:
    sweep = hand_sweep(200)
    matrices = sweep.image_to_world.copy()
    matrices[51:80] = matrices[50]
    sweep = replace(sweep, image_to_world=matrices)
    found = inspect(sweep if timed else without_times(sweep))
    assert left_out(found) == {FROZEN: list(range(51, 80))}
    assert found.suspects.frozen == tuple(range(51, 80))
    assert left_out(inspect(sweep, KEEP)) == {}


def test_poses_that_repeat_are_no_frozen_ones() -> None:
    sweep = hand_sweep(300)
    # A tracker three times slower than the frames.
    slow = replace(sweep, image_to_world=np.repeat(sweep.image_to_world[::3], 3, axis=0)[:300])
    assert left_out(inspect(slow)) == {}
    # A probe that rests on a robust tracker, then goes on from where it was.
    resting = np.concatenate([sweep.image_to_world[:100]] + [sweep.image_to_world[99:100]] * 100)
    resting = np.concatenate([resting, sweep.image_to_world[100:200]])
    assert left_out(inspect(replace(sweep, image_to_world=resting))) == {}
    still = np.repeat(sweep.image_to_world[:1], 300, axis=0)
    assert left_out(inspect(replace(sweep, image_to_world=still))) == {}


def test_a_tracker_that_froze_for_good_is_told() -> None:
    sweep = hand_sweep(200)
    matrices = sweep.image_to_world.copy()
    matrices[121:] = matrices[120]
    found = inspect(replace(sweep, image_to_world=matrices))
    assert left_out(found) == {}
    assert found.notes == ("the last 80 usable frames have one pose: the probe rested, or the tracker froze",)


def test_invalid_poses_are_left_out_whatever_the_options() -> None:
    sweep = hand_sweep(30)
    matrices = sweep.image_to_world.copy()
    matrices[3] = np.nan
    matrices[4, 0, 3] = np.inf
    matrices[5, :, 2] = matrices[5, :, 1]
    matrices[6, 1, 3] = 1e300
    matrices[8, :3, 0] = matrices[8, :3, 1] * 2
    matrices[9, 3, 3] = 2
    matrices[11, :3, :3] *= 1.1
    problems = ["", "the image is INVALID", *[""] * 28]
    found = inspect(replace(sweep, image_to_world=matrices, problems=tuple(problems)), KEEP)
    assert left_out(found) == {
        "the image is INVALID": [1],
        INVALID: [3, 4, 6, 8, 9],
        RESIZED: [11],
    }
    assert dict(kinds_of(found.suspects)) == {"invalid": (1, 3, 4, 6, 8, 9, 11)}
    with pytest.raises(InputError, match="not one of 30"):
        inspect(replace(sweep, image_to_world=np.full((30, 4, 4), np.nan)))


def test_a_mirrored_image_is_told() -> None:
    sweep = hand_sweep(30)
    assert (
        "mirrored"
        in inspect(replace(sweep, image_to_world=sweep.image_to_world @ np.diag([1, -1, 1, 1]))).notes[0]
    )


def test_a_stray_frame_in_time_is_left_out() -> None:
    sweep = hand_sweep(100)
    times = sweep.timestamps.copy()
    times[40], times[70], times[71] = 0.5, 9.0, times[70]
    found = inspect(replace(sweep, timestamps=times))
    assert left_out(found) == {OUT_OF_ORDER: [40, 70]}
    assert left_out(inspect(replace(sweep, timestamps=times), KEEP)) == {}
    equal = np.repeat(sweep.timestamps[::2], 2)
    assert left_out(inspect(replace(sweep, timestamps=equal))) == {}


@pytest.mark.parametrize(
    "times",
    [
        np.arange(100.0)[::-1],
        np.r_[0:50.0, 0:50.0],
        np.tile([1.0, 0.0], 50),
        np.r_[2.0, 1.0, np.arange(3.0, 11.0)],
    ],
    ids=["backwards", "set back", "to and fro", "a short one"],
)
def test_times_that_run_backwards_are_refused(times: np.ndarray) -> None:
    sweep = hand_sweep(len(times))
    with pytest.raises(InputError, match=r"s\.mha, frame \d+") as caught:
        inspect(replace(sweep, timestamps=times))
    assert "out of order" in str(caught.value)


def test_smoothing_takes_scatter_away_and_keeps_the_way() -> None:
    count = 200
    times = np.arange(count) / 30
    true = np.array(
        [rigid_transform(rotation_about((0, 1, 0), 0.1 * t), (0, 0, 20 * t)) @ PIXELS for t in times]
    )
    rng = np.random.default_rng(1)
    noisy = np.array(
        [
            matrix_of @ rigid_transform(rotation_about(rng.normal(size=3), 0.01 * rng.normal()), np.zeros(3))
            for matrix_of in true
        ]
    )
    noisy[:, :3, 3] += rng.normal(scale=0.3, size=(count, 3))
    sweep = Sweep(Path("s"), NoFrames(count), noisy, ("",) * count, times)
    found = inspect(sweep, RecordingOptions(pose_smoothing_s=0.2)).image_to_world
    corners = np.array([(0, 0, 0, 1), (199, 0, 0, 1), (0, 299, 0, 1), (199, 299, 0, 1)], float).T
    before, after = (
        np.linalg.norm(((each - true) @ corners)[:, :3], axis=1).mean(axis=1) for each in (noisy, found)
    )
    # 15 frames' worth of neighbours: scatter falls to a quarter, and at the ends nothing is drawn inwards.
    assert after.mean() < 0.4 * before.mean()
    assert after[[0, -1]].max() < 1.0
    np.testing.assert_allclose(np.linalg.norm(found[:, :3, :3], axis=1), 0.2, rtol=1e-9)
    exact = inspect(replace(sweep, image_to_world=true), RecordingOptions(pose_smoothing_s=0.2))
    # The way is an arc: the line through its neighbours passes a hundredth of a millimetre beside it.
    np.testing.assert_allclose(exact.image_to_world, true, atol=1e-2)


def test_smoothing_stops_at_frames_left_out_and_at_pauses() -> None:
    count = 90
    times = np.arange(count) / 30.0
    times[60:] += 10
    poses = np.array([shift(0, 0, 0.5 * i) @ PIXELS for i in range(count)])
    # Each stretch lies on a straight line of its own; mixing them would bend its ends.
    poses[30:60, 0, 3] += 1.0
    poses[60:, 0, 3] += 30.0
    problems = tuple("lost" if i == 30 else "" for i in range(count))
    sweep = Sweep(Path("s"), NoFrames(count), poses, problems, times)
    found = inspect(sweep, RecordingOptions(pose_smoothing_s=0.3))
    np.testing.assert_allclose(found.image_to_world, poses, atol=1e-9)


def test_smoothing_of_frames_kept_out_of_order_goes_by_their_number() -> None:
    sweep = hand_sweep(100)
    times = sweep.timestamps.copy()
    times[40] = 0.0
    options = RecordingOptions(suspect_poses="keep", pose_smoothing_s=0.2)
    found = inspect(replace(sweep, timestamps=times), options)
    assert "without times in order" in found.notes[0]
    assert left_out(found) == {}
    steps = np.linalg.norm(np.diff(found.image_to_world[:, :3, 3], axis=0), axis=1)
    assert steps.max() < np.linalg.norm(np.diff(sweep.image_to_world[:, :3, 3], axis=0), axis=1).max()


def test_smoothing_without_times_says_so() -> None:
    found = inspect(without_times(hand_sweep()), RecordingOptions(pose_smoothing_s=0.1))
    assert "without times" in found.notes[0]
    assert not np.array_equal(found.image_to_world, hand_sweep().image_to_world)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 0.1]))
def test_any_matrices_and_times_end_in_a_sweep_or_an_error(seed: int, count: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    matrices = np.array([shift(*rng.normal(scale=50, size=3)) @ PIXELS for _ in range(count)])
    where = rng.random(matrices.shape) < 0.02
    matrices[where] = rng.choice([0.0, np.nan, np.inf, -np.inf, 1e308, -1e-308, 1e7], where.sum())
    times = (
        rng.choice([np.nan, 0.0, 1.0, 1e308, -1e308, np.inf], count)
        if rng.random() < 0.3
        else np.arange(count)
    )
    sweep = Sweep(Path("s"), NoFrames(count), matrices, ("",) * count, times.astype(float))
    try:
        found = inspect(sweep, RecordingOptions(pose_smoothing_s=smoothing))
    except InputError:
        return
    assert np.isfinite(found.image_to_world[found.valid]).all()


@pytest.mark.parametrize("every", [1, 2, 4])
def test_real_recordings_lose_no_frame(plus_data: Path, every: int) -> None:
    configs = {
        "Bone": "BoneUltrasound_L14_config.xml",
        "Spine": "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml",
        "Nwire": "PlusDeviceSet_NwirePhantomFreehand_vtkVolumeReconstructorTest2.xml",
    }
    for path in sorted((plus_data / "sequences").iterdir()):
        config = next(value for key, value in configs.items() if path.name.startswith(key))
        for world in ("auto", "Tracker"):
            sweep = read_sweep(path, plus_data / "configs" / config, world)
            assert left_out(sweep) == {}
            assert sweep.notes == ()
            part = replace(
                sweep,
                frames=NoFrames(len(sweep.problems[::every])),
                image_to_world=sweep.image_to_world[::every],
                problems=sweep.problems[::every],
                timestamps=sweep.timestamps[::every],
            )
            assert left_out(inspect(part)) == {}
            assert left_out(inspect(without_times(part))) == {}
