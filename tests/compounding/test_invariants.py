"""What must not change a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound
from myosweep.compounding.plan import METHODS
from myosweep.geometry import Grid, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep

seeds = st.integers(0, 2**32 - 1)
VARIANTS = [
    *({"method": method} for method in METHODS),
    {"method": "trilinear", "combine": "median"},
    {"method": "nearest", "combine": "maximum"},
    {"method": "trilinear", "fill": "gaussian"},
    {"method": "nearest", "fill": "nearest", "blending": "none"},
    {"method": "trilinear", "fill": "distance"},
]


def two_sweeps(wobbling_sweep: Callable, seed: int) -> list[Sweep]:
    first, second = wobbling_sweep(seed=seed), wobbling_sweep(seed=seed + 1, step=1.1, count=8)
    moved = second.image_to_world.copy()
    moved[:, 0, 3] += 4.0
    return [first, replace(second, image_to_world=moved)]


@contextmanager
def slabs_of(slices: int, grid: Grid) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        name = "myosweep.compounding.frames.SLAB_BYTES"
        patch.setattr(name, slices * grid.size[0] * grid.size[1] * 16)
        yield


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
@settings(max_examples=4, deadline=None)
@given(seeds)
def test_order_of_sweeps_threads_and_slabs_change_no_byte(
    wobbling_sweep: Callable, variant: dict, seed: int
) -> None:
    sweeps = two_sweeps(wobbling_sweep, seed)
    grid = case_grid(sweeps, "probe", 0.6, "full", [sweeps[0]])
    usual = compound(sweeps, grid, image_area="full", **variant)
    swapped = compound(sweeps[::-1], grid, image_area="full", **variant)
    with slabs_of(3, grid):
        in_slabs = compound(sweeps, grid, image_area="full", threads=3, **variant)
    for other in (swapped, in_slabs):
        assert usual[0].array.tobytes() == other[0].array.tobytes()
        assert usual[1].array.tobytes() == other[1].array.tobytes()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
@settings(max_examples=4, deadline=None)
@given(seeds)
def test_a_rigid_motion_of_the_world_changes_nothing_but_the_place(
    wobbling_sweep: Callable, variant: dict, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sweeps = two_sweeps(wobbling_sweep, seed)
    motion = rigid_transform(rotation_about(rng.normal(size=3), rng.uniform(0, 3)), rng.uniform(-500, 500, 3))
    moved = [replace(sweep, image_to_world=motion @ sweep.image_to_world) for sweep in sweeps]
    grids = [case_grid(group, "probe", 0.6, "full") for group in (sweeps, moved)]
    assert grids[0].size == grids[1].size
    # Both grids lie at the same place of the leg: to a micrometre over their whole length.
    expected = motion @ grids[0].index_to_world
    far = np.array([*grids[0].size, 1])
    np.testing.assert_allclose(grids[1].index_to_world @ far, expected @ far, atol=1e-3)
    one, two = (
        compound(group, grid, image_area="full", **variant)
        for group, grid in zip((sweeps, moved), grids, strict=True)
    )
    # Positions are rounded otherwise: a pixel half way between two voxels may change over, and grey levels
    # half way between two whole ones.
    different = np.abs(one[0].array.astype(int) - two[0].array) > 1
    assert different.mean() < 2e-3
    assert ((one[1].array > 0) != (two[1].array > 0)).mean() < 2e-3
    for key in ("gap_median_mm", "gap_95_mm", "frames_used"):
        assert one[2][key] == pytest.approx(two[2][key], abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=4, deadline=None)
@given(seeds)
def test_every_sweep_twice_has_the_same_mean(wobbling_sweep: Callable, method: str, seed: int) -> None:
    sweeps = two_sweeps(wobbling_sweep, seed)
    grid = case_grid(sweeps, "world", 0.6, "full")
    once, cover, _ = compound(sweeps, grid, image_area="full", method=method)
    twice, cover_twice, _ = compound(sweeps * 2, grid, image_area="full", method=method)
    np.testing.assert_array_equal(once.array, twice.array)
    if method != "voxel_nearest":  # which takes one pixel
        with_pixels = cover.array > 0
        np.testing.assert_allclose(cover_twice.array[with_pixels], 2 * cover.array[with_pixels], rtol=1e-6)
