import numpy as np
import pytest
from myosweep.metrics.border import border_shares, edge_strength, otsu_threshold
from myosweep.metrics.surface import surface_distances, surface_indices


def test_gradient_of_a_ramp_is_its_slope_in_mm():
    spacing = (2.0, 0.5, 0.25)
    z, y, x = np.indices((12, 24, 40)) * np.array(spacing)[:, None, None, None]
    strength = edge_strength(3 * z - 4 * y + 12 * x, np.ones(z.shape, dtype=bool), spacing, smoothing_mm=0.25)
    assert strength[5:7, 8:16, 10:30] == pytest.approx(13, rel=1e-4)


def test_no_edge_beside_the_unknown():
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (12, 20, 20))
    known = np.ones(image.shape, dtype=bool)
    known[:, :, 12:] = False
    strength = edge_strength(np.where(known, image, 0), known, (1, 1, 1))
    assert (strength[:, :, 11:] == -1).all()
    # Unknown voxels are black: mixed into the smoothing they would make an edge of some 40 levels per mm.
    assert strength[1:-1, 1:-1, 1:11].max() < 12
    assert (strength[1:-1, 1:-1, 1:11] >= 0).all()


def test_otsu_separates_two_groups():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 1, 5000), rng.normal(30, 2, 500)]).astype(np.float32)
    threshold = otsu_threshold(values)
    assert np.count_nonzero(values > threshold) == 500
    # The twin: try every split.
    candidates = np.linspace(values.min(), values.max(), 400)[1:-1]
    between = [
        (values <= c).mean()
        * (values > c).mean()
        * (values[values <= c].mean() - values[values > c].mean()) ** 2
        for c in candidates
    ]
    best = max(between)
    index = np.abs(candidates - threshold).argmin()
    assert between[index] == pytest.approx(best, rel=0.01)


def test_otsu_of_nothing_and_of_a_constant():
    assert otsu_threshold(np.empty(0, dtype=np.float32)) == 0
    assert not (np.full(5, 3, dtype=np.float32) > otsu_threshold(np.full(5, 3, dtype=np.float32))).any()


def test_the_border_is_distinct_where_the_image_has_a_step():
    """A box; the image steps at its upper face only. A prediction that misses half of the rest finds that."""
    reference = np.zeros((30, 30, 30), dtype=bool)
    reference[8:22, 8:22, 8:22] = True
    image = np.zeros(reference.shape)
    image[:, 8:, :] = 100
    strength = edge_strength(image, np.ones_like(reference), (1, 1, 1))
    indices = surface_indices(reference)
    distinct = strength[tuple(indices.T)] > otsu_threshold(strength[strength >= 0])
    # Rows 7 and 8 hold the step; 8 is the face, seen over all of its 14 x 14 voxels.
    assert distinct.sum() == 14 * 14
    assert (indices[distinct][:, 1] == 8).all()

    prediction = reference.copy()
    prediction[:, 15:, :] = False
    distances = surface_distances(prediction, reference, (1, 1, 1)).from_reference
    shares = border_shares(distances, distinct, tolerance_mm=1)
    assert shares.distinct == pytest.approx(100 * 196 / len(indices))
    assert shares.found_distinct == 100
    missed = np.count_nonzero((indices[:, 1] > 15) & (distances > 1))
    assert missed > 0
    assert shares.found_completed == pytest.approx(100 * (1 - missed / (len(indices) - 196)))
    assert shares.found == pytest.approx(100 * (1 - missed / len(indices)))


def test_shares_without_a_border():
    none = border_shares(np.empty(0), np.empty(0, dtype=bool), 1)
    assert (none.distinct, none.found_distinct, none.found_completed, none.found) == (None, None, None, None)
    missed = border_shares(np.full(4, np.inf), np.array([True, True, False, False]), 1)
    assert (missed.distinct, missed.found_distinct, missed.found_completed, missed.found) == (50, 0, 0, 0)
