from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound_frames
from myosweep.compounding.placement import most_in_a_voxel, place
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.sweeps import Rectangle, Sweep

METHODS = ["trilinear", "nearest"]
seeds = st.integers(0, 2**32 - 1)


def frames_of(sweep: Sweep) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(sweep.frames[i], sweep.image_to_world[i]) for i in range(sweep.frames.shape[0])]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_means_are_those_of_float64(
    wobbling_sweep: Callable, brute_force: Callable, method: str, seed: int
) -> None:
    sweep = wobbling_sweep(seed=seed)
    grid = case_grid([sweep], "probe", 0.6, "full")
    smaller = Grid((12, 9, 7), grid.spacing, grid.origin + 1.0, grid.direction)
    for box in (grid, smaller):
        ours = compound_frames(frames_of(sweep), box, method=method, fill=False)
        means, weights, _ = brute_force(frames_of(sweep), box, method)
        # Weights are kept to 2^-32; below 1e-6 a rounded weight may move the mean of several pixels.
        counts = weights > 1e-6
        np.testing.assert_allclose(ours.values[counts], means[counts], atol=0.01)
        np.testing.assert_allclose(ours.coverage, weights, atol=1e-5, rtol=1e-6)


def test_means_of_tiny_weights_are_exact() -> None:
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    pose = np.eye(4)
    pose[:3, 3] = 1 / 8 - 1e-3  # the far corner weighs 0.00191, less than 1/512
    frames = [(np.array([[value]], np.uint8), pose) for value in (255, 3)]
    ours = compound_frames(frames, grid, fill=False)
    assert 0 < ours.coverage[1, 1, 1] < 2 / 512
    np.testing.assert_allclose(ours.values[1, 1, 1], 129, atol=0.01)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_order_threads_and_slabs_change_no_byte(
    wobbling_sweep: Callable, monkeypatch_slabs: Callable, method: str, seed: int
) -> None:
    sweep = wobbling_sweep(seed=seed)
    grid = case_grid([sweep], "probe", 0.6, "full")
    frames = frames_of(sweep)
    usual = compound_frames(frames, grid, method=method, fill=False)
    order = np.random.default_rng(seed).permutation(len(frames))
    shuffled = compound_frames([frames[i] for i in order], grid, method=method, fill=False)
    filled = compound_frames(frames, grid, method=method)
    with monkeypatch_slabs(slices=3, grid=grid):
        slabs = compound_frames(frames, grid, method=method, fill=False, threads=3)
        filled_in_slabs = compound_frames(frames, grid, method=method, threads=2)
    for other in (shuffled, slabs):
        assert usual.values.tobytes() == other.values.tobytes()
        assert usual.coverage.tobytes() == other.coverage.tobytes()
    assert filled.values.tobytes() == filled_in_slabs.values.tobytes()
    assert filled.coverage.tobytes() == filled_in_slabs.coverage.tobytes()
    backwards = compound_frames(frames[::-1], grid, method=method)
    assert filled.values.tobytes() == backwards.values.tobytes()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_doubled_frames_have_the_same_mean(wobbling_sweep: Callable, method: str, seed: int) -> None:
    sweep = wobbling_sweep(seed=seed)
    grid = case_grid([sweep], "world", 0.6, "full")
    once = compound_frames(frames_of(sweep), grid, method=method, fill=False)
    twice = compound_frames(frames_of(sweep) * 2, grid, method=method, fill=False)
    np.testing.assert_array_equal(once.values, twice.values)
    np.testing.assert_array_equal(2 * once.coverage, twice.coverage)


@pytest.mark.parametrize("method", METHODS)
def test_fractions_and_channels_follow_the_8_bit_way(wobbling_sweep: Callable, method: str) -> None:
    sweep = wobbling_sweep()
    grid = case_grid([sweep], "probe", 0.6, "full")
    frames = frames_of(sweep)
    grey = compound_frames(frames, grid, method=method, fill=True)
    as_float = compound_frames([(f.astype(np.float32), m) for f, m in frames], grid, method=method)
    np.testing.assert_allclose(as_float.values, grey.values, atol=1e-4)
    # Fractions leave weights below 2^-20 out.
    np.testing.assert_allclose(as_float.coverage, grey.coverage, atol=1e-5)
    channels = [np.stack([f / 255, np.full(f.shape, np.nan)], -1).astype(np.float32) for f, _ in frames]
    channels[3][:, :, 1] = 0.25
    both = compound_frames([(c, m) for c, (_, m) in zip(channels, frames, strict=True)], grid, method=method)
    np.testing.assert_allclose(both.values[..., 0] * 255, grey.values, atol=1e-3)
    alone = compound_frames(frames[3:4], grid, method=method)
    np.testing.assert_allclose(both.coverage[..., 1], alone.coverage, atol=1e-5)
    quarter = both.values[..., 1][both.coverage[..., 1] > 0]
    np.testing.assert_allclose(quarter, 0.25, atol=2e-4)


@pytest.mark.parametrize("method", ["nearest", "trilinear", "gaussian"])
def test_more_pixels_than_a_sum_holds_are_refused(method: str) -> None:
    frame = np.full((300, 300), 250, np.uint8)
    # Ten million pixels in one voxel and its neighbours, then a tenth of them.
    poses = [np.diag([0.01, 0.01, 0.01, 1.0])] * 120
    grid = Grid((2, 2, 2), (4.0,) * 3, np.zeros(3), np.eye(3))
    with pytest.raises(InputError, match=r"11 million pixels each.*\n.*\n.*smaller voxels"):
        compound_frames([(frame, pose) for pose in poses], grid, method=method, fill=False)
    made = compound_frames([(frame, pose) for pose in poses[:12]], grid, method=method, fill=False)
    assert made.values.max() == made.values[made.coverage > 0].min() == 250


@pytest.mark.parametrize("axis", range(3))
def test_only_frames_that_meet_in_a_voxel_add_up(axis: int) -> None:
    """300 frames 1 mm apart, whatever the axis they lie along: five of them within 4 mm."""
    grid = Grid((9, 9, 9), (2.0,) * 3, np.zeros(3), np.eye(3))
    poses = np.tile(np.eye(4), (300, 1, 1))
    poses[:, :3, :3] = 0.05 * np.roll(np.eye(3), axis, axis=0)
    poses[:, :3, 3] = np.arange(300)[:, None] * np.roll(np.eye(3), axis, axis=0)[:, 2]
    placed = [place(lambda: np.empty(0), pose, grid, Rectangle(0, 0, 400, 400)) for pose in poses]
    # A cut through 2 voxels is 4 sqrt(3) / 0.05 = 139 pixels long at most; 162 are reckoned with.
    assert 3 * 80**2 < most_in_a_voxel(placed, 2.0) <= 5 * 162**2
