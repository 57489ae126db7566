from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding.between import OPEN
from myosweep.compounding.holes import close_slits, fill_holes
from scipy import ndimage

seeds = st.integers(0, 2**32 - 1)
SPACING = (0.5, 0.6, 0.8)  # x, y, z


def holed(seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.uniform(1, 255, (9, 11, 13)).astype(np.float32)
    coverage = np.where(rng.random(values.shape) < share, np.float32(2.0), OPEN).astype(np.float32)
    coverage[rng.random(values.shape) < 0.05] = 0
    values[coverage <= 0] = 0
    return values, coverage


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("method", ["gaussian", "nearest", "distance"])
@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.8, 3.0))
def test_holes_are_filled_as_by_scipy(method: str, threads: int, seed: int, reach_mm: float) -> None:
    values, coverage = holed(seed)
    known, hole = coverage > 0, coverage == OPEN
    distance, index = ndimage.distance_transform_edt(~known, SPACING[::-1], return_indices=True)
    # A voxel that is exactly at the reach may fall on either side of it.
    reach_mm += 1e-3 if np.isclose(distance, reach_mm, atol=1e-3).any() else 0
    fillable = hole & (distance <= reach_mm)
    reach = int(reach_mm / min(SPACING) + 1e-6)
    made, cover = values.copy(), coverage.copy()
    fill_holes(made, cover, SPACING, reach_mm, method, threads)
    np.testing.assert_array_equal(made[known], values[known])
    np.testing.assert_array_equal(cover[known], coverage[known])
    assert (cover[~known & ~hole] == 0).all()
    assert (cover[hole & ~fillable] == OPEN).all()
    np.testing.assert_allclose(-cover[fillable], distance[fillable], atol=1e-5)
    if method == "nearest":
        ties = np.isclose(made[fillable], values[tuple(index)][fillable])
        # Of equally near voxels either may be taken; then its distance is the same, which was looked at.
        assert ties.mean() > 0.5
        assert np.isin(made[fillable], values[known]).all()
    elif method == "gaussian":
        steps = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (steps / (reach / 2)) ** 2)
        total, weight = values.astype(float) * known, known.astype(float)
        for axis in range(3):
            total = ndimage.convolve1d(total, kernel, axis, mode="constant")
            weight = ndimage.convolve1d(weight, kernel, axis, mode="constant")
        np.testing.assert_allclose(made[fillable], (total / np.maximum(weight, 1e-12))[fillable], rtol=1e-4)
    else:
        for z, y, x in np.argwhere(fillable):
            totals = []
            for axis, line, at in (
                (2, slice(None), x),
                (1, None, y),
                (0, None, z),
            ):
                del line
                row = np.moveaxis(known, axis, -1), np.moveaxis(values, axis, -1)
                rest = [c for a, c in enumerate((z, y, x)) if a != axis]
                there, grey = row[0][tuple(rest)], row[1][tuple(rest)]
                for side in (-1, 1):
                    for k in range(1, reach + 1):
                        if 0 <= at + side * k < len(there) and there[at + side * k]:
                            share = 1 / (k * SPACING[2 - axis]) ** 2
                            totals.append((share, share * grey[at + side * k]))
                            break
            if totals:
                expected = sum(t for _, t in totals) / sum(w for w, _ in totals)
                assert made[z, y, x] == pytest.approx(expected, rel=1e-4)


def test_whole_numbers_are_rounded_and_distances_add_up() -> None:
    values = np.zeros((1, 1, 9), np.uint8)
    coverage = np.zeros((1, 1, 9), np.float32)
    values[0, 0, [0, 4]] = 10, 21
    coverage[0, 0, [0, 4]] = 1.0, -3.0  # the second was filled itself, 3 mm from data
    coverage[0, 0, 1:4] = OPEN
    fill_holes(values, coverage, (1.0, 1.0, 1.0), 2.0, "distance")
    assert values.ravel().tolist()[:5] == [10, 10, 16, 21, 21]
    np.testing.assert_allclose(coverage.ravel()[[1, 3]], [-1, -4])


def test_slits_are_closed_and_borders_are_not() -> None:
    coverage = np.zeros((8, 9, 20), np.float32)
    coverage[:, 2:7, 2:8] = 1
    coverage[:, 2:7, 11:18] = 1
    coverage[3, 4, 5] = 0
    assert close_slits(coverage, 2)
    marked = coverage == OPEN
    expected = np.zeros_like(marked)
    expected[:, 2:7, 8:11] = True
    expected[3, 4, 5] = True
    # Of three voxels the middle one has both sides within two; its neighbours have one side at once.
    np.testing.assert_array_equal(marked[:, :, 9], expected[:, :, 9])
    assert marked[3, 4, 5]
    assert not marked[~expected].any()
    assert not close_slits(np.zeros((3, 3, 3), np.float32), 1)


def test_nothing_known_leaves_everything_open() -> None:
    values, coverage = np.zeros((4, 4, 4), np.float32), np.full((4, 4, 4), OPEN, np.float32)
    fill_holes(values, coverage, SPACING, 5.0, "gaussian")
    assert (coverage == OPEN).all()
