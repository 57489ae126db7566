from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.pose_times import estimate_offset, poses_at, usual_interval
from myosweep.phantom.population import draw_leg, seed_of
from myosweep.phantom.probe import noisy_poses
from myosweep.phantom.scanner import Scanner, prepare_body, scan
from myosweep.phantom.skin import wrap_leg
from sweep_writers import some_poses

PATH = Path("sweep.mp4")
FRAME_S = 0.05


def turning(times: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Constant speed along a line and constant turning about an axis."""
    return np.array(
        [rigid_transform(rotation_about((1, 2, -1), 0.7 * t) * scale, (5 * t, -3 * t, 20 * t)) for t in times]
    )


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_steady_motion_is_interpolated_exactly(scale: float) -> None:
    pose_times = np.array([0, 0.1, 0.25, 0.3, 0.42])
    times = np.array([0.05, 0.1, 0.2, 0.26, 0.4199999])
    found, problems = poses_at(times, pose_times, turning(pose_times, scale), 1.0)
    assert problems == [""] * 5
    np.testing.assert_allclose(found, turning(times, scale), atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_interpolated_poses_are_rigid_and_lie_between(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose_times = np.cumsum(rng.uniform(0.01, 0.1, 6))
    poses = some_poses(6, seed)
    times = np.sort(rng.uniform(pose_times[0], pose_times[-1], 20))
    found, problems = poses_at(times, pose_times, poses, 1.0)
    assert not any(problems)
    turns = found[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    assert (np.diff(found[:, 2, 3]) > 0).all()
    # At a pose's own time it is that pose, bit by bit.
    np.testing.assert_array_equal(poses_at(pose_times, pose_times, poses, 0.0)[0], poses)


def test_nothing_is_extrapolated_and_no_gap_bridged() -> None:
    pose_times = np.array([1.0, 1.1, 1.2, 1.8, 1.9])
    times = np.array([0.5, 0.9999995, 1.05, 1.2, 1.5, 1.8, 1.9000005, 1.91])
    found, problems = poses_at(times, pose_times, turning(pose_times), 0.3)
    assert [bool(problem) for problem in problems] == [True, False, False, False, True, False, False, True]
    assert "no pose at its time" in problems[0]
    assert "0.600 s" in problems[4]
    assert np.isnan(found[[0, 4, 7]]).all()
    assert np.isfinite(found[[1, 2, 3, 5, 6]]).all()


def test_a_single_pose() -> None:
    found, problems = poses_at(np.array([0.9, 1.0]), np.array([1.0]), turning(np.array([1.0])), 0.0)
    assert [bool(problem) for problem in problems] == [True, False]
    np.testing.assert_array_equal(found[1], turning(np.array([1.0]))[0])


def test_bursts_do_not_shorten_the_usual_interval() -> None:
    times = np.cumsum([0.001, 0.001, 0.048] * 50)
    assert usual_interval(times) == pytest.approx(0.048)


@pytest.fixture(scope="module")
def body():
    rng = np.random.default_rng(1)
    leg = draw_leg("right", np.random.default_rng(seed_of(1, "a", 0)))
    return prepare_body(leg, wrap_leg(leg, rng), rng)


def sweep_of(body, speed: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames of the phantom at a speed (mm/s, every 5 ms), and poses of a tracker of 60 per second."""
    rng = np.random.default_rng(seed)
    fine = np.arange(len(speed)) * 0.005
    z = 100 + np.concatenate([[0], np.cumsum(speed[:-1] * 0.005)])

    def poses(times: np.ndarray) -> np.ndarray:
        matrices = np.tile(np.diag([0.8, 0.8, 0.8, 1.0]), (len(times), 1, 1))
        matrices[:, :3, 3] = np.column_stack(
            [np.full(len(times), -20.0), times * 0, np.interp(times, fine, z)]
        )
        return matrices

    times = np.arange(0.5, fine[-1] - 0.5, FRAME_S)
    frames = scan(body, Scanner(5.0, 45.0), poses(times), (64, 48), 0.8, rng)
    pose_times = np.arange(0, fine[-1], 1 / 60) + rng.uniform(
        -0.002, 0.002, len(np.arange(0, fine[-1], 1 / 60))
    )
    return frames, times, pose_times, noisy_poses(rng, poses(pose_times), 0.03, 0.02)


def by_hand(seconds: float, seed: int = 3) -> np.ndarray:
    """The speed of a hand, mm/s: it changes irregularly within a second."""
    from scipy.ndimage import gaussian_filter1d

    noise = gaussian_filter1d(np.random.default_rng(seed).normal(size=int(seconds / 0.005)), 40)
    return np.maximum(15 + 10 * noise / noise.std(), 0.5)


@pytest.mark.parametrize("offset", [0.0, 0.137, -0.42, 1.5])
def test_a_known_offset_is_found(body, offset: float) -> None:
    frames, times, pose_times, poses = sweep_of(body, by_hand(12, seed=6))
    found = estimate_offset(PATH, frames, times, pose_times - offset, poses, 0.06)
    # Half a frame interval; a clock of the tracker that runs behind by 0.137 s needs 0.137 s added.
    assert abs(found.seconds - offset) < FRAME_S / 2
    assert found.correlation > 0.7


@pytest.mark.parametrize(
    ("speed", "offset"),
    [
        (np.full(1800, 15.0), 0.1),
        (15 + 10 * np.sin(np.arange(1800) * 0.005 * 2 * np.pi / 0.8), 0.1),
        (by_hand(9), 2.6),
    ],
    ids=["steady", "periodic", "far"],
)
def test_an_offset_that_cannot_be_told_is_refused(body, speed: np.ndarray, offset: float) -> None:
    frames, times, pose_times, poses = sweep_of(body, speed)
    with pytest.raises(InputError, match=r"recordings\.time_offset_s"):
        estimate_offset(PATH, frames, times, pose_times - offset, poses, 0.06)


def test_too_few_frames_or_no_overlap_is_refused(body) -> None:
    frames, times, pose_times, poses = sweep_of(body, by_hand(9))
    for some, there, tracked in (
        (frames[:30], times[:30], pose_times),
        (frames, times, pose_times + 100),
        (np.zeros_like(frames), times, pose_times),
    ):
        with pytest.raises(InputError, match=r"recordings\.time_offset_s"):
            estimate_offset(PATH, some, there, tracked, poses, 0.06)
