from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound, image_area_of
from myosweep.compounding.grid import (
    automatic_spacing,
    frame_corners,
    frame_outlines,
    probe_axes,
)
from myosweep.errors import InputError
from myosweep.geometry import apply_transform, rigid_transform, rotation_about
from myosweep.io.sweeps import Rectangle, Sweep


def moved(sweep: Sweep, motion: np.ndarray) -> Sweep:
    return Sweep(sweep.path, sweep.frames, motion @ sweep.image_to_world, sweep.problems, sweep.timestamps)


def backwards(sweep: Sweep) -> Sweep:
    return Sweep(sweep.path, sweep.frames, sweep.image_to_world[::-1], sweep.problems, sweep.timestamps)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_motion_of_the_world_changes_nothing(wobbling_sweep: Callable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sweep = wobbling_sweep(seed=seed)
    motion = rigid_transform(rotation_about(rng.normal(size=3), rng.uniform(0, 3)), rng.normal(size=3) * 100)
    volumes = [compound([s], case_grid([s], "probe", 0.7, "full"))[:2] for s in (sweep, moved(sweep, motion))]
    grids = [volume.grid for volume, _ in volumes]
    assert grids[0].size == grids[1].size
    np.testing.assert_allclose(motion[:3, :3] @ grids[0].direction, grids[1].direction, atol=1e-9)
    np.testing.assert_allclose(apply_transform(motion, grids[0].origin), grids[1].origin, atol=1e-6)
    # Positions agree to 1e-12 mm or so; a level of rounding and weights next to nothing are left.
    coverage = [c.array for _, c in volumes]
    data = (coverage[0] > 1e-6) & (coverage[1] > 1e-6)
    np.testing.assert_allclose(coverage[0][data], coverage[1][data], atol=1e-4)
    assert np.abs(volumes[0][0].array[data].astype(int) - volumes[1][0].array[data]).max() <= 1


def test_probe_axes_look_like_the_image(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(count=40)
    np.testing.assert_allclose(probe_axes([sweep]), np.eye(3), atol=0.1)
    # The other way along the limb, several sweeps side by side: the same axes.
    np.testing.assert_allclose(probe_axes([backwards(sweep)]), probe_axes([sweep]), atol=1e-9)
    beside = moved(backwards(sweep), rigid_transform(np.eye(3), (30, 0, 0)))
    np.testing.assert_allclose(probe_axes([sweep, beside]), probe_axes([sweep]), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 1.0]), st.floats(-0.5, 0.5))
def test_probe_axes_are_a_right_handed_frame(
    wobbling_sweep: Callable, seed: int, step: float, tilt: float
) -> None:
    sweep = wobbling_sweep(seed=seed, step=step, wobble=0.1)
    tilted = Sweep(
        sweep.path,
        sweep.frames,
        sweep.image_to_world @ rigid_transform(rotation_about((1, 0, 0), tilt), (0, 0, 0)),
        sweep.problems,
        sweep.timestamps,
    )
    axes = probe_axes([tilted])
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes[:, 0] @ tilted.image_to_world[:, :3, 0].mean(axis=0) > 0


@pytest.mark.parametrize("axes", ["probe", "world"])
def test_the_grid_holds_every_corner(wobbling_sweep: Callable, axes: str) -> None:
    sweeps = [wobbling_sweep(seed=1), wobbling_sweep(seed=2, step=1.1)]
    grid = case_grid(sweeps, axes, 0.4, "full")
    corners = np.concatenate([frame_corners(s, Rectangle(0, 0, 16, 20)) for s in sweeps]).reshape(-1, 3)
    index = apply_transform(grid.world_to_index, corners)
    assert index.min() == pytest.approx(0, abs=1e-9)
    # round(range / spacing) + 1: in the world's axes the last half voxel may be missing.
    room = 1e-6 if axes == "probe" else 0.5 + 1e-6
    assert (index.max(axis=0) <= np.array(grid.size) - 1 + room).all()


def test_reference_gives_the_axes(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep()
    turned = moved(sweep, rigid_transform(rotation_about((0, 0, 1), 0.3), (5, 0, 0)))
    grid = case_grid([sweep, turned], "probe", 0.5, "full", reference=[sweep])
    np.testing.assert_array_equal(grid.direction, probe_axes([sweep]))


def test_automatic_spacing_lies_between_pixels_and_frames(wobbling_sweep: Callable) -> None:
    for step, expected in ((0.1, 0.75), (1.0, 1.0), (5.0, 1.5)):
        grid = case_grid([wobbling_sweep(step=step, wobble=0.0)])
        assert grid.spacing[0] == pytest.approx(expected, rel=0.1)


def test_a_grid_beyond_memory_is_refused_before_it_is_made(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep()
    far = moved(sweep, rigid_transform(np.eye(3), (1e5, 1e5, 0)))
    with pytest.raises(InputError, match="GiB") as caught:
        case_grid([sweep, far], "world", 0.1, "full")
    assert "compounding.spacing_mm" in str(caught.value)
    with pytest.raises(InputError, match="spacing_mm"):
        case_grid([sweep], "world", 0.5, "full", memory_bytes=10_000)


@pytest.mark.parametrize("axes", ["probe", "world"])
def test_the_grid_holds_a_fan_and_nothing_beside_it(wobbling_sweep: Callable, axes: str) -> None:
    sweep = wobbling_sweep(wobble=0.0, step=1.0)
    fan = {"apex": [8, -6], "radii": [8, 14], "angles_degrees": [-30, 30]}
    area = image_area_of(sweep, fan)
    assert area.mask is not None
    grid = case_grid([sweep], axes, 0.25, fan)
    rows, columns = np.nonzero(area.mask)
    pixels = np.stack([columns + area.rectangle.column, rows + area.rectangle.row, 0 * rows, 0 * rows + 1])
    index = np.concatenate(
        [apply_transform(grid.world_to_index, (m @ pixels)[:3].T) for m in sweep.image_to_world]
    )
    # Each side of the box is touched by a pixel of the fan; the last half voxel may be missing, or empty.
    assert np.abs(index.min(axis=0)).max() < 1e-9
    assert np.abs(index.max(axis=0) - np.array(grid.size) + 1).max() <= (1 if axes == "probe" else 0.5) + 1e-6
    np.testing.assert_allclose(
        frame_outlines(sweep, image_area_of(sweep, "full")), frame_corners(sweep, Rectangle(0, 0, 16, 20))
    )


def test_automatic_spacing_looks_at_the_image_alone(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(count=8, rows=200, columns=40, step=0.5)
    # A probe that turns about its lens: the frame's far end moves much more than the image below the lens.
    turned = [rigid_transform(rotation_about((1, 0, 0), 0.015 * k), (0, 0, 0.5 * k)) for k in range(8)]
    swinging = Sweep(
        sweep.path,
        sweep.frames,
        np.array(turned) @ np.diag([0.3, 0.3, 0.3, 1]),
        sweep.problems,
        sweep.timestamps,
    )
    image = [0, 0, 40, 10]
    assert automatic_spacing([swinging], image) < automatic_spacing([swinging])
    assert case_grid([swinging], image_area=image).spacing[0] == automatic_spacing([swinging], image)


def test_sweeps_from_opposite_sides_still_have_axes(wobbling_sweep: Callable) -> None:
    one = wobbling_sweep(wobble=0.0)
    turned = one.image_to_world.copy()
    turned[:, :2] *= -1
    other = replace(one, image_to_world=turned)
    grid = case_grid([one, other], "probe", 0.7, "full")
    np.testing.assert_allclose(np.abs(grid.direction), np.eye(3), atol=1e-9)
    assert np.linalg.det(grid.direction) == pytest.approx(1)
