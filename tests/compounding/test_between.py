"""Voxels looked up in frames, against float64 twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound, compound_frames
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.sweeps import Sweep
from scipy.ndimage import map_coordinates

seeds = st.integers(0, 2**32 - 1)


def frames_of(sweep: Sweep) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(sweep.frames[i], sweep.image_to_world[i]) for i in range(sweep.frames.shape[0])]


def feet(matrix: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row and distance in mm of world points (n, 3) to a frame."""
    across, down = matrix[:3, 0], matrix[:3, 1]
    normal = np.cross(across, down)
    full = np.column_stack([across, down, normal / np.linalg.norm(normal)])
    column, row, away = np.linalg.solve(full, (points - matrix[:3, 3]).T)
    return column, row, away


def world_of(grid: Grid) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)[..., ::-1]
    return index.reshape(-1, 3) @ grid.index_to_world[:3, :3].T + grid.index_to_world[:3, 3]


def between_twin(sweep: Sweep, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Mean over pairs of consecutive frames, and the smallest distance to a frame that was used."""
    points = world_of(grid)
    rows, columns = sweep.frames.shape[1:]
    total, count = np.zeros(len(points)), np.zeros(len(points))
    near = np.full(len(points), np.inf)
    for k in range(sweep.frames.shape[0] - 1):
        (ca, ra, da), (cb, rb, db) = (feet(sweep.image_to_world[i], points) for i in (k, k + 1))
        t = np.divide(da, da - db, out=np.zeros_like(da), where=da != db)
        c, r = (1 - t) * ca + t * cb, (1 - t) * ra + t * rb
        inside = (da >= 0) != (db >= 0)
        inside &= (c >= -0.5) & (c <= columns - 0.5) & (r >= -0.5) & (r <= rows - 0.5)
        at = [np.clip(r, 0, rows - 1)[inside], np.clip(c, 0, columns - 1)[inside]]
        one, two = (map_coordinates(sweep.frames[i].astype(float), at, order=1) for i in (k, k + 1))
        total[inside] += (1 - t[inside]) * one + t[inside] * two
        count[inside] += 1
        near[inside] = np.minimum(near[inside], np.minimum(np.abs(da), np.abs(db))[inside])
    means = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return means.reshape(grid.shape), np.where(count > 0, near, np.inf).reshape(grid.shape)


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_between_frames_is_its_float64_twin(wobbling_sweep: Callable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sweep = wobbling_sweep(
        seed=seed, count=6, step=float(rng.uniform(0.4, 4)), wobble=float(rng.uniform(0, 0.15))
    )
    grid = case_grid([sweep], "probe", 0.6, "full")
    ours = compound_frames(frames_of(sweep), grid, method="between_frames", gap_mm=100.0)
    means, near = between_twin(sweep, grid)
    inside = np.isfinite(near)
    assert inside.mean() > 0.1
    np.testing.assert_allclose(ours.values[inside], means[inside], atol=0.01)
    filled = inside & (near > 0.3)
    np.testing.assert_allclose(-ours.coverage[filled], near[filled], atol=1e-4)
    assert (ours.coverage[inside & (near < 0.3)] >= 1).all()


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_nearest_voxel_is_its_float64_twin(wobbling_sweep: Callable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sweep = wobbling_sweep(seed=seed, count=6, step=float(rng.uniform(0.4, 3)))
    grid = case_grid([sweep], "probe", 0.6, "full")
    ours = compound_frames(frames_of(sweep), grid, method="voxel_nearest", gap_mm=100.0)
    points = world_of(grid)
    best, value = np.full(len(points), np.inf), np.zeros(len(points))
    for pixels, matrix in frames_of(sweep):
        column, row, away = feet(matrix, points)
        c, r = np.floor(column + 0.5).astype(int), np.floor(row + 0.5).astype(int)
        inside = (c >= 0) & (c < pixels.shape[1]) & (r >= 0) & (r < pixels.shape[0])
        square = away**2 + (0.5 * (column - c)) ** 2 + (0.5 * (row - r)) ** 2
        nearer = inside & (square < best)
        best[nearer], value[nearer] = square[nearer], pixels[r[nearer], c[nearer]]
    _, near = between_twin(sweep, grid)
    swept = np.isfinite(near).ravel()
    # At the rim of a turned frame a swept voxel may have no foot in any frame.
    swept &= np.isfinite(best)
    ties = np.isclose(ours.values.ravel()[swept], value[swept], atol=1e-3)
    assert ties.mean() > 0.995  # two pixels may be equally near, to rounding
    known = ours.coverage.ravel()[swept]
    assert (known != 0).mean() > 0.999
    np.testing.assert_allclose(-known[known < 0], np.sqrt(best[swept][known < 0]), atol=1e-4)


def test_a_frame_of_a_sweep_that_stands_alone_is_not_lost(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(count=1)
    grid = case_grid([sweep], "probe", 0.6, "full")
    volume, coverage, _ = compound([sweep], grid, image_area="full", blending="none")
    plain, _, _ = compound([sweep], grid, image_area="full", method="trilinear", fill=False, blending="none")
    known = coverage.array > 0
    assert known.any()
    np.testing.assert_array_equal(volume.array[known], plain.array[known])


def test_without_filling_only_voxels_at_frames_are_kept(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(step=3.0, wobble=0.0)
    grid = case_grid([sweep], "probe", 0.5, "full")
    for method in ("between_frames", "voxel_nearest"):
        volume, coverage, summary = compound([sweep], grid, image_area="full", method=method, fill=False)
        assert summary["filled_percent"] == 0
        assert summary["unfilled_percent"] is None
        assert summary["covered_percent"] > 5
        assert coverage.array.min() == 0
        assert not volume.array[coverage.array == 0].any()


def test_what_stays_unfilled_is_told(wobbling_sweep: Callable) -> None:
    first, second = wobbling_sweep(wobble=0.0), wobbling_sweep(wobble=0.0, seed=1)
    moved = second.image_to_world.copy()
    moved[:, 2, 3] += 20.0
    both = replace(
        first,
        frames=np.concatenate([first.frames, second.frames]),
        image_to_world=np.concatenate([first.image_to_world, moved]),
        problems=("",) * 24,
        timestamps=np.arange(24.0),
    )
    grid = case_grid([both], "probe", 0.6, "full")
    for fill in ("between", "gaussian", "nearest", "distance"):
        method = "trilinear" if fill != "between" else "between_frames"
        _, coverage, summary = compound([both], grid, image_area="full", method=method, fill=fill)
        # 11.2 of 28.8 mm lie between the two parts, where only the ends reach a voxel or 1.5 mm into.
        least = 11.2 - 2 * (0.6 if fill == "between" else 1.5 + 0.6)
        assert 100 * least / 28.8 - 2 < summary["unfilled_percent"] < 100 * 11.2 / 28.8 + 2
        assert not np.isinf(coverage.array).any()
        assert [gap["frames"] for gap in summary["gaps_not_bridged"]] == ["11-12"]
    _, _, summary = compound([both], grid, image_area="full", fill_reach_mm=8.0)
    assert summary["unfilled_percent"] == 0


@pytest.mark.parametrize("method", ["between_frames", "voxel_nearest"])
def test_combinations_need_pixels_that_are_given_to_voxels(wobbling_sweep: Callable, method: str) -> None:
    sweep = wobbling_sweep()
    grid = case_grid([sweep], "probe", 0.6, "full")
    with pytest.raises(InputError, match="looks from the voxel"):
        compound([sweep], grid, image_area="full", method=method, combine="median")


@pytest.mark.parametrize("forward", [0.0, 0.01])
def test_a_probe_that_slides_in_its_plane_loses_no_frame(wobbling_sweep: Callable, forward: float) -> None:
    sweep = wobbling_sweep(count=30, wobble=0.0)
    poses = np.tile(sweep.image_to_world[0], (30, 1, 1))
    poses[:, :3, 3] = np.arange(30)[:, None] * (1.0, 0.0, forward)
    sweep = replace(sweep, image_to_world=poses)
    grid = case_grid([sweep], "world", 0.5, "full")
    shares = [
        compound([sweep], grid, image_area="full", method=method)[2]["covered_percent"]
        for method in ("between_frames", "trilinear")
    ]
    assert shares[0] == shares[1] > 95
