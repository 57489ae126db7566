from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding import case_grid, compound
from myosweep.compounding.plan import make_plan
from myosweep.compounding.weights import LEAST_WEIGHT, weigh
from myosweep.errors import InputError
from myosweep.io.sweeps import Sweep

METHODS = ["between_frames", "trilinear", "nearest", "gaussian"]


def overlapping(wobbling_sweep: Callable) -> list[Sweep]:
    """Two sweeps of even grey levels, 80 and 160, side by side."""
    left, right = (wobbling_sweep(columns=40, wobble=0.0, seed=seed) for seed in (0, 1))
    for sweep, level, shift in ((left, 80, 0.0), (right, 160, 10.0)):
        sweep.frames[:] = level
        sweep.image_to_world[:, :3, 3] = [(shift, 0, 0.8 * k) for k in range(12)]
    return [left, right]


def even(sweeps: list[Sweep], *values: float) -> list[np.ndarray]:
    return [
        np.full(sweep.frames.shape, value, np.float32) for sweep, value in zip(sweeps, values, strict=True)
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [1.0, 0.25])
def test_equal_confidence_is_feathering(wobbling_sweep: Callable, method: str, value: float) -> None:
    sweeps = [wobbling_sweep(seed=seed) for seed in (0, 1)]
    grid = case_grid(sweeps, "probe", 0.5, "full")
    feathered, covered, _ = compound(sweeps, grid, image_area="full", method=method)
    maps = even(sweeps, value, value)
    trusted, weight, _ = compound(
        sweeps, grid, image_area="full", method=method, blending="confidence", confidence=maps
    )
    # Sums are rounded to 2^-32 of a pixel.
    assert np.abs(trusted.array.astype(int) - feathered.array).max() <= (1 if value < 1 else 0)
    np.testing.assert_array_equal(covered.array != 0, weight.array != 0)
    own = covered.array > 0
    np.testing.assert_allclose(weight.array[own], value * covered.array[own], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_what_sees_better_says_more(wobbling_sweep: Callable, method: str) -> None:
    sweeps = overlapping(wobbling_sweep)
    grid = case_grid(sweeps, "probe", 0.5, "full")
    lines = {}
    for trust in ((1.0, 1.0), (1.0, 0.1), (1.0, 0.0)):
        volume, coverage, _ = compound(
            sweeps,
            grid,
            image_area="full",
            method=method,
            blending="confidence",
            confidence=even(sweeps, *trust),
            threads=2,
        )
        lines[trust[1]] = volume.array[8, 10].astype(int)
        # What only one sees stays its own, whatever its confidence.
        assert volume.array[8, 10, 2] == 80
        assert volume.array[8, 10, -3] == 160
        assert (coverage.array[2:-2] != 0).all()
    both = (lines[1.0] > 85) & (lines[1.0] < 155)
    assert both.sum() >= 8
    share = (lines[1.0][both] - 80) / 80
    expected = 80 + 80 * 0.1 * share / (0.1 * share + 1 - share)
    assert np.abs(lines[0.1][both] - expected).max() <= 3
    # Next to nothing is left of the sweep that cannot be trusted, but where the other one ends.
    assert (lines[0.0][both] <= 81).all()


def test_between_two_frames_the_trusted_one_counts_more(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(count=2, wobble=0.0)
    sweep.frames[0], sweep.frames[1] = 60, 180
    sweep.image_to_world[:, :3, 3] = [(0, 0, 0), (0, 0, 4)]
    grid = case_grid([sweep], "probe", 1.0, "full")
    maps = np.ones(sweep.frames.shape, np.float32)
    maps[1] = 0.25
    volume, _, _ = compound(
        [sweep], grid, image_area="full", blending="confidence", confidence=[maps], fill_reach_mm=4
    )
    # In the middle 0.5 x 1 and 0.5 x 0.25 of them.
    assert abs(int(volume.array[2, 5, 4]) - (60 + 120 * 0.2)) <= 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_weights_stay_within_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random((6, 7)).astype(np.float32) * rng.integers(0, 2, (6, 7)).astype(np.float32)
    confidence = rng.random((6, 7)).astype(np.float32) * rng.integers(0, 2, (6, 7)).astype(np.float32)
    product = weigh(weights, confidence)
    assert not product[weights == 0].any()
    assert (product[weights > 0] >= LEAST_WEIGHT**2).all()
    np.testing.assert_allclose(product, weights * confidence, atol=LEAST_WEIGHT**2)


def test_settings_that_do_not_go_together(wobbling_sweep: Callable) -> None:
    for method, combine in (("voxel_nearest", "mean"), ("trilinear", "median")):
        with pytest.raises(InputError, match=r"compounding\.blending"):
            make_plan(method, combine, True, "confidence", 0.0, 1.5)
    sweep = wobbling_sweep()
    with pytest.raises(ValueError, match="maps of the frames"):
        compound([sweep], case_grid([sweep], "probe", 0.7, "full"), image_area="full", blending="confidence")
