"""Registrations that start far away, or where there is nothing right to find."""

import numpy as np
import pytest
from limb import as_shrunk, mean_error, recording
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.volumes import Volume
from myosweep.registration import Shrunk, register
from myosweep.registration.alignment import draw_points, likeness, moved_by
from myosweep.registration.information import METRICS

CENTRE = np.array([0.0, 28.0, 28.0])
# Farther from the truth than any use of the labels would bear.
WRONG_MM = 1.0


@pytest.fixture(scope="module")
def still():
    """The same limb twice, in one place."""
    return as_shrunk(*recording(np.eye(4), 1)), as_shrunk(*recording(np.eye(4), 2))


def about_centre(rotation, shift=(0, 0, 0)):
    return rigid_transform(rotation, CENTRE - rotation @ CENTRE + shift)


def displaced(shrunk, motion):
    """The same volume in another place; its voxels stay."""
    grid = shrunk.grid
    moved = Grid(
        grid.size, grid.spacing, apply_transform(motion, grid.origin), motion[:3, :3] @ grid.direction
    )
    return Shrunk(Volume(shrunk.values.array, moved), Volume(shrunk.known.array, moved))


def random_motion(seed):
    """Up to 15 mm and 10 degrees, the far half of both."""
    draw = np.random.default_rng(seed)
    axis, way = draw.standard_normal((2, 3))
    angle, length = np.deg2rad(10) * draw.uniform(0.5, 1), 15 * draw.uniform(0.5, 1)
    return about_centre(rotation_about(axis, angle), way / np.linalg.norm(way) * length)


def tries(still, seeds):
    right = refused = 0
    for seed in seeds:
        motion = random_motion(seed)
        found = register(still[0], displaced(still[1], motion))
        if not found.accepted:
            assert found.reason
            refused += 1
            continue
        assert mean_error(found.fixed_to_moving, motion) < WRONG_MM, f"silently wrong from start {seed}"
        right += 1
    return right, refused


def test_far_starts_succeed(still):
    right, refused = tries(still, range(4))
    assert right + refused == 4
    assert right >= 3


@pytest.mark.slow
def test_a_hundred_far_starts_succeed(still):
    right, refused = tries(still, range(100))
    assert right >= 95
    assert right + refused == 100


@pytest.mark.parametrize("axis", range(3))
def test_a_volume_turned_half_round_is_refused_and_named(still, axis):
    turn = 2 * np.outer(np.eye(3)[axis], np.eye(3)[axis]) - np.eye(3)
    found = register(still[0], displaced(still[1], about_centre(turn)))
    assert not found.accepted
    assert "upside down" in found.reason


def test_a_limb_that_repeats_itself_is_refused():
    # Sheets across z every 16 mm: shifts by one period are as good.
    grid = Grid((40, 40, 96), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    z, y, x = np.indices(grid.shape)
    scene = 80 + 50 * np.sin(2 * np.pi * z / 16) + 30 * np.sin(x / 5) + 25 * np.cos(y / 4)
    known = Volume(np.ones(grid.shape, np.uint8), grid)
    fixed, moving = (
        Shrunk(
            Volume((scene + np.random.default_rng(n).normal(0, 8, grid.shape)).astype(np.float32), grid),
            known,
        )
        for n in range(2)
    )
    off = rigid_transform(np.eye(3), (0, 0, 8.0))
    found = register(fixed, displaced(moving, off))
    assert not found.accepted
    assert "another motion" in found.reason


@pytest.mark.parametrize("metric", METRICS)
def test_the_derivative_is_that_of_the_metric(still, metric):
    fixed, moving = still
    # Points that stay within the known part: those that enter or leave it are not in the derivative.
    inner = np.zeros_like(fixed.known.array)
    inner[12:44, 12:40, 12:44] = 1
    points = draw_points(Shrunk(fixed.values, Volume(inner, fixed.grid)), moving, 1.0, 0)
    start = about_centre(rotation_about((1, 2, 3), 0.03), (1.2, -0.8, 0.6))
    slope = likeness(points, moving, start, metric, 0.1)[1] / np.repeat([1.0, points.radius], 3)
    ahead, behind = (
        np.array([likeness(points, moving, moved_by(way, points, start), metric, 0.1)[0] for way in ways])
        for ways in (0.01 * np.eye(6), -0.01 * np.eye(6))
    )
    # Central differences over 0.02 mm cross the interpolation's kinks at a few points.
    np.testing.assert_allclose(slope, (ahead - behind) / 0.02, atol=0.02 * np.abs(slope).max())
