"""Slices between drawn slices of a volume."""

import numpy as np
import pytest
from myosweep.geometry import Grid
from myosweep.labels.methods import FRAME_WISE
from myosweep.labels.slices import fill_slices

STRUCTURES = {"A": 3, "B": 1}
GRID = Grid((40, 30, 25), (0.5, 0.5, 1.0), np.array([3.0, -2.0, 9.0]), np.eye(3)[:, [1, 2, 0]])


def truth():
    z, y, x = np.mgrid[:25, :30, :40]
    width = 0.6 + 0.4 * np.sin(np.pi * (z + 1) / 26)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[((x - 14) / 10) ** 2 + ((y - 14) / 8) ** 2 < width**2] = 3
    labels[((x - 31) / 7) ** 2 + ((y - 16) / 9) ** 2 < width**2] = 1
    return labels


@pytest.mark.parametrize(
    ("method", "least"),
    [("zoi", 0.88), ("nearest", 0.9), ("shape", 0.98), ("shape_linear", 0.97), ("fill_between_slices", 0.93)],
)
def test_known_slices_stay_and_others_are_filled(method, least):
    assert {"zoi", "nearest", "shape", "shape_linear", "fill_between_slices"} == set(FRAME_WISE)
    true = truth()
    known = np.zeros_like(true)
    known[2:24:6] = true[2:24:6]
    filled = fill_slices(known, GRID, STRUCTURES, method)
    np.testing.assert_array_equal(filled[2:24:6], true[2:24:6])
    assert not filled[:2].any()
    assert not filled[21:].any()
    for value in STRUCTURES.values():
        a, b = filled[2:21] == value, true[2:21] == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > least


def test_unknown_pixels_stay_unknown_beside_them_and_little_is_left_as_it_is():
    known = np.zeros(GRID.shape, np.uint8)
    known[4] = known[8] = truth()[10]
    known[4, :, 35:] = 255
    filled = fill_slices(known, GRID, STRUCTURES)
    assert (filled[6][:, 35:] == 255).all()
    assert (filled[6][:, :35] != 255).all()
    known[8] = 0
    np.testing.assert_array_equal(fill_slices(known, GRID, STRUCTURES), known)
