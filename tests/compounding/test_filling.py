from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound, compound_frames
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep
from scipy.ndimage import binary_closing, distance_transform_edt

ROWS, COLUMNS, PIXEL = 60, 50, 0.5


def grey_at(points: np.ndarray) -> np.ndarray:
    """A phantom that changes evenly: 40 to 220 levels within the swept box."""
    return 40 + 2 * points[..., 0] + 1.5 * points[..., 1] + 1.2 * points[..., 2]


def sparse_sweep(gaps: list[float], tilt: float = 0.0) -> Sweep:
    poses = []
    for frame, z in enumerate(np.cumsum([0.0, *gaps])):
        turn = rotation_about((1.0, 0.5, 0), tilt * (-1) ** frame)
        poses.append(rigid_transform(turn, (0, 0, z)) @ np.diag([PIXEL, PIXEL, PIXEL, 1]))
    rows, columns = np.indices((ROWS, COLUMNS))
    pixels = np.stack([columns, rows, np.zeros_like(rows)], -1)
    frames = np.stack([np.rint(grey_at(apply_transform(pose, pixels))) for pose in poses]).astype(np.uint8)
    return Sweep(Path("s.mha"), frames, np.array(poses), ("",) * len(poses), np.arange(len(poses)) * 0.1)


def world_of(grid: Grid) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)[..., ::-1]
    return apply_transform(grid.index_to_world, index)


@pytest.mark.parametrize("spacing", [0.3, 1.0])
@pytest.mark.parametrize("method", ["trilinear", "nearest"])
@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_a_frame_every_5_mm_leaves_no_stripes(spacing: float, method: str, tilt: float) -> None:
    sweep = sparse_sweep([5.0] * 6, tilt)
    grid = case_grid([sweep], "probe", spacing, "full")
    volume, coverage, summary = compound([sweep], grid, image_area="full", method=method)
    points = world_of(grid)
    # The hull, drawn in by the tilt of its ends and by a voxel.
    margin = spacing + 30 * tilt + 1e-6
    box = np.array([(COLUMNS - 1) * PIXEL, (ROWS - 1) * PIXEL, 30.0])
    inside = ((points >= margin) & (points <= box - margin)).all(axis=-1)
    assert inside.any()
    assert (coverage.array[inside] != 0).all()
    # Half a level from each of two roundings; a voxel's pixels lie up to half a voxel (nearest) or a voxel
    # (trilinear) off its centre, where the phantom changes by 2 + 1.5 + 1.2 levels per mm.
    error = volume.array - grey_at(points)
    assert np.abs(error[inside]).max() <= 1.0 + 4.7 * spacing * (0.5 if method == "nearest" else 1.0)
    # What is between frames is as good as what is on them, so no slice stands out.
    filled = inside & (coverage.array < 0)
    assert np.abs(error[filled]).max() <= 1.0 + 4.7 * spacing * 0.75
    assert np.sqrt(np.mean(error[filled] ** 2)) <= 0.5 + 0.5 * spacing
    slices = np.flatnonzero(inside.any(axis=(1, 2)))
    offsets = [error[z][inside[z]].mean() for z in slices]
    assert np.abs(offsets).max() <= 0.25 + 1.2 * spacing
    assert summary["gap_median_mm"] == pytest.approx(5.0, abs=60 * tilt)
    assert summary["filled_percent"] > 2 * summary["covered_percent"] * (spacing < 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["trilinear", "nearest"]))
def test_nothing_is_filled_outside_of_what_was_swept(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    sweep = sparse_sweep(rng.uniform(2, 6, 5).tolist(), tilt=rng.uniform(0, 0.1))
    larger = case_grid([sweep], "world", 1.0, "full")
    grid = Grid(
        (larger.size[0] + 8, larger.size[1] + 8, larger.size[2] + 8),
        larger.spacing,
        larger.origin - 4,
        np.eye(3),
    )
    _, coverage, _ = compound([sweep], grid, image_area="full", method=method)
    hull = np.zeros(grid.shape, bool)
    for before, after in zip(sweep.image_to_world[:-1], sweep.image_to_world[1:], strict=True):
        for part in np.linspace(0, 1, 60):
            rows, columns = np.indices((ROWS, COLUMNS))
            pixels = np.stack([columns, rows, np.zeros_like(rows)], -1).reshape(-1, 3)
            matrix = grid.world_to_index @ ((1 - part) * before + part * after)
            voxel = apply_transform(matrix, pixels)
            for corner in np.ndindex(2, 2, 2):  # a pixel touches the eight voxels around it
                x, y, z = (np.floor(voxel).astype(int) + corner).T
                hull[z, y, x] = True
    # A notch that is open for less than five voxels is closed.
    closed = hull | np.any(
        [binary_closing(hull, np.ones(np.roll([5, 1, 1], axis))) for axis in range(3)], axis=0
    )
    assert not (coverage.array[~closed] != 0).any()
    assert (coverage.array < 0).any()


def test_coverage_says_how_far_the_data_are() -> None:
    sweep = sparse_sweep([5.0, 3.0, 6.0], tilt=0.05)
    grid = case_grid([sweep], "probe", 0.7, "full")
    _, coverage, _ = compound([sweep], grid, image_area="full")
    points = world_of(grid)[coverage.array < 0]
    away = np.abs(
        np.stack(
            [apply_transform(np.linalg.inv(pose), points)[:, 2] * PIXEL for pose in sweep.image_to_world]
        )
    )
    found = -coverage.array[coverage.array < 0]
    # The nearest frame, except where a slit between two is closed from voxels around.
    exact = np.isclose(found, away.min(axis=0), atol=1e-4)
    assert exact.mean() > 0.99
    expected = distance_transform_edt(coverage.array <= 0, sampling=0.7)[coverage.array < 0]
    # A voxel that has a pixel lies up to a voxel's diagonal away from that frame.
    assert np.abs(found - expected).max() < 0.7 * np.sqrt(3) + 1e-3


def test_a_lost_tracker_is_not_bridged() -> None:
    sweep = sparse_sweep([2.0] * 10 + [25.0] + [2.0] * 10)
    grid = case_grid([sweep], "probe", 1.0, "full")
    _, coverage, _ = compound([sweep], grid, image_area="full")
    assert not coverage.array[23:42].any()
    assert coverage.array[2:19, 2:-2, 2:-2].all()
    frames = [(sweep.frames[i], sweep.image_to_world[i]) for i in range(len(sweep.problems))]
    assert compound_frames(frames, grid, gap_mm=30.0).coverage[23:42, 2:-2, 2:-2].all()


def test_a_lost_frame_is_bridged_and_sweeps_are_not() -> None:
    sweep = sparse_sweep([5.0, 5.0, 5.0, 5.0])
    holed = Sweep(sweep.path, sweep.frames, sweep.image_to_world, ("", "", "lost", "", ""), sweep.timestamps)
    grid = case_grid([sweep], "probe", 1.0, "full")
    _, coverage, summary = compound([holed], grid, image_area="full")
    assert coverage.array[10, 5, 5] < -3
    frames = [(sweep.frames[i], sweep.image_to_world[i]) for i in range(5)]
    assert not compound_frames(frames, grid, gap_mm=4.0).coverage[7:9].any()
    assert summary["left_out"] == [{"recording": "s.mha", "frames": "2", "reason": "lost"}]
    parts = [
        Sweep(sweep.path, sweep.frames[i : i + 2], sweep.image_to_world[i : i + 2], ("", ""), np.zeros(2))
        for i in (0, 3)
    ]
    _, coverage, _ = compound(parts, grid, image_area="full")
    assert not coverage.array[7:14].any()


def test_voxels_finer_than_pixels_leave_no_holes(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(step=0.2, wobble=0.0)
    grid = case_grid([sweep], "probe", 0.2, "full")
    _, coverage, _ = compound([sweep], grid, method="nearest", image_area="full")
    assert coverage.array[4:-4, 4:-4, 4:-4].all()  # 0.1 mm of jitter at the border
