"""Shrinking what was shrunk, and smoothing within what is known."""

import numpy as np
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.registration.shrinking import Shrunk, shrink_further, smoothed


def some(shape=(12, 16, 20), spacing=0.5):
    grid = Grid(shape[::-1], (spacing,) * 3, np.array([1.0, 2.0, 3.0]), np.eye(3))
    values = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    return Shrunk(Volume(values, grid), Volume(np.ones(shape, np.uint8), grid))


def test_shrinking_twice_is_shrinking_once():
    whole = some()
    once, twice = shrink_further(whole, 2.0), shrink_further(shrink_further(whole, 1.0), 2.0)
    assert once.grid.same_as(twice.grid)
    np.testing.assert_allclose(once.values.array, twice.values.array, rtol=1e-5)


def test_a_volume_that_is_coarse_stays_as_it_is():
    whole = some()
    assert shrink_further(whole, 0.6) is whole


def test_smoothing_takes_nothing_from_the_unknown():
    whole = some()
    whole.values.array[:] = 100
    whole.known.array[:, :, 10:] = 0
    whole.values.array[:, :, 10:] = 7
    found = smoothed(whole, 1.0)
    np.testing.assert_allclose(found.values.array[:, :, :10], 100, rtol=1e-5)
