"""Radial weights and combinations, against float64 twins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound_frames
from myosweep.geometry import Grid

seeds = st.integers(0, 2**32 - 1)
RADIUS = 1.5


def shares(points: np.ndarray, grid: Grid, method: str) -> np.ndarray:
    """Weight of every point (n, 3; voxel index) for every voxel, (n, voxels), float64."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    voxels = np.stack([x.ravel(), y.ravel(), z.ravel()], -1)
    if method == "nearest":
        return (np.floor(points + 0.5)[:, None] == voxels[None]).all(-1).astype(float)
    difference = np.abs(points[:, None] - voxels[None])
    if method == "trilinear":
        return np.clip(1 - difference, 0, None).prod(-1)
    square = (difference**2).sum(-1)
    if method == "gaussian":
        weight = np.exp(-square / (2 * (RADIUS / 2) ** 2))
    else:
        weight = (0.5 / (np.sqrt(square) + 0.5)) ** 2
    return np.where(square <= RADIUS**2, weight, 0)


def per_frame(sweep: object, grid: Grid, method: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sums of weights and weighted values of every frame, (voxels,)."""
    found = []
    for pixels, matrix in zip(sweep.frames, sweep.image_to_world, strict=True):  # type: ignore[attr-defined]
        rows, columns = np.indices(pixels.shape).reshape(2, -1)
        points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).astype(float)
        weights = shares(((grid.world_to_index @ matrix)[:3] @ points).T, grid, method)
        found.append((weights.sum(0), weights.T @ pixels.ravel().astype(float)))
    return found


@pytest.mark.parametrize("method", ["squared_distance", "gaussian"])
@settings(max_examples=6, deadline=None)
@given(seeds)
def test_radial_means_are_those_of_float64(wobbling_sweep: Callable, method: str, seed: int) -> None:
    sweep = wobbling_sweep(seed=seed, count=4, rows=9, columns=8)
    grid = case_grid([sweep], "probe", 0.6, "full")
    ours = compound_frames(
        list(zip(sweep.frames, sweep.image_to_world, strict=True)), grid, method=method, fill=False
    )
    sums = per_frame(sweep, grid, method)
    weights, totals = sum(w for w, _ in sums), sum(t for _, t in sums)
    known = weights > 1e-6
    np.testing.assert_allclose(
        ours.values.ravel()[known], (totals / np.maximum(weights, 1e-9))[known], atol=0.01
    )
    np.testing.assert_allclose(ours.coverage.ravel(), weights, atol=1e-5)


@pytest.mark.parametrize("method", ["nearest", "trilinear", "gaussian"])
@pytest.mark.parametrize("combine", ["median", "maximum", "first", "latest"])
@settings(max_examples=4, deadline=None)
@given(seeds)
def test_combinations_are_those_of_float64(
    wobbling_sweep: Callable, method: str, combine: str, seed: int
) -> None:
    sweep = wobbling_sweep(seed=seed, count=5, rows=9, columns=8, step=0.2)
    grid = case_grid([sweep], "probe", 0.6, "full")
    frames = list(zip(sweep.frames, sweep.image_to_world, strict=True))
    ours = compound_frames(frames, grid, method=method, combine=combine, fill=False)
    sums = per_frame(sweep, grid, method)
    means = np.array([np.where(w >= 1 / 512, t / np.maximum(w, 1e-12), np.nan) for w, t in sums])
    # A frame whose weight is 1/512 to rounding may or may not have a say.
    sure = ~np.any([np.abs(w - 1 / 512) < 1e-8 for w, _ in sums], axis=0) & np.isfinite(means).any(axis=0)
    means = means[:, sure]
    expected = {
        "median": lambda: np.nanmedian(means, axis=0),
        "maximum": lambda: np.nanmax(means, axis=0),
        "first": lambda: means[np.isfinite(means).argmax(axis=0), np.arange(means.shape[1])],
        "latest": lambda: means[::-1][np.isfinite(means[::-1]).argmax(axis=0), np.arange(means.shape[1])],
    }[combine]()
    np.testing.assert_allclose(ours.values.ravel()[sure], expected, atol=0.01)
    if combine in ("median", "maximum"):
        shuffled = compound_frames(frames[::-1], grid, method=method, combine=combine, fill=False)
        assert shuffled.values.tobytes() == ours.values.tobytes()
        assert shuffled.coverage.tobytes() == ours.coverage.tobytes()
