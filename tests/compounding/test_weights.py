from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from myosweep.compounding import ImageArea, case_grid, compound
from myosweep.compounding.weights import LEAST_WEIGHT, pixel_weights
from myosweep.io.sweeps import Rectangle


def test_weights_fall_towards_the_edge() -> None:
    weights = pixel_weights(ImageArea(Rectangle(3, 2, 9, 20)), "feather")
    assert weights is not None
    np.testing.assert_allclose(weights[10], np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 5, rtol=1e-6)
    np.testing.assert_allclose(weights[0], 0.2, rtol=1e-6)
    assert pixel_weights(ImageArea(Rectangle(3, 2, 9, 20)), "none") is None


def test_what_is_no_image_has_no_weight() -> None:
    mask = np.zeros((30, 500), bool)
    mask[5:25, 10:490] = True
    mask[12, 200:210] = False
    area = ImageArea(Rectangle(0, 0, 500, 30), mask)
    for blending in ("feather", "none"):
        weights = pixel_weights(area, blending)
        assert weights is not None
        assert not weights[~mask].any()
        assert (weights[mask] >= LEAST_WEIGHT).all()
        assert weights.max() == 1


@pytest.mark.parametrize("method", ["between_frames", "trilinear", "nearest", "gaussian", "voxel_nearest"])
def test_masked_pixels_reach_no_voxel(
    wobbling_sweep: Callable, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = wobbling_sweep(wobble=0.0)
    frames = np.minimum(sweep.frames, 200)
    mask = np.ones((20, 16), bool)
    mask[:, :5] = False
    mask[15:] = False
    frames[:, ~mask] = 255
    dirty = type(sweep)(sweep.path, frames, sweep.image_to_world, sweep.problems, sweep.timestamps)
    area = ImageArea(Rectangle(0, 0, 16, 20), mask)
    monkeypatch.setattr("myosweep.compounding.frames.image_area_of", lambda *_: area)
    grid = case_grid([dirty], "probe", 0.7, "full")
    for settings in ({}, {"blending": "none"}, {"fill": False}, {"fill": "gaussian"}):
        volume, coverage, _ = compound([dirty], grid, method=method, **settings)
        assert coverage.array.any()
        assert volume.array.max() <= 200
    if method != "between_frames" and method != "voxel_nearest":
        volume, _, _ = compound([dirty], grid, method=method, combine="maximum")
        assert volume.array.max() <= 200


def test_where_two_sweeps_overlap_one_becomes_the_other(wobbling_sweep: Callable) -> None:
    """Two sweeps of even grey levels, side by side: feathering makes a slope of the step."""
    left, right = (wobbling_sweep(columns=40, wobble=0.0, seed=seed) for seed in (0, 1))
    for sweep, level, shift in ((left, 80, 0.0), (right, 160, 10.0)):
        sweep.frames[:] = level
        sweep.image_to_world[:, :3, 3] = [(shift, 0, 0.8 * k) for k in range(12)]
    grid = case_grid([left, right], "probe", 0.5, "full")
    for method in ("between_frames", "trilinear", "nearest"):
        largest = {}
        for blending in ("none", "feather"):
            volume, _, _ = compound([left, right], grid, image_area="full", method=method, blending=blending)
            line = volume.array[8, 10].astype(int)
            assert line[2] == 80
            assert line[-3] == 160
            largest[blending] = np.abs(np.diff(line)).max()
        assert largest["none"] >= 39
        # 80 levels over the 9.5 mm of overlap, in steps of half a millimetre.
        assert largest["feather"] <= 80 / 19 + 4
