import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.metrics.surface import box_of, exposed_share, grid_diagonal, surface_distances, surface_indices
from scipy.spatial.distance import cdist

SHAPE = (6, 7, 8)
SPACING = (1.5, 0.7, 0.4)
masks = hnp.arrays(bool, SHAPE)


def surface_by_hand(mask, unknown=None):
    """Every voxel, every face, no shortcuts."""
    found = []
    for index in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                other = index.copy()
                other[axis] += step
                inside = 0 <= other[axis] < mask.shape[axis]
                left_out = inside and unknown is not None and unknown[tuple(other)]
                if not left_out and not (inside and mask[tuple(other)]):
                    found.append(tuple(index))
    return sorted(set(found))


def ball(radius_mm, centre_mm, shape=(41, 41, 41), spacing=(1.0, 1.0, 1.0)):
    grid = np.indices(shape).reshape(3, -1).T * spacing
    return (np.linalg.norm(grid - centre_mm, axis=1) <= radius_mm).reshape(shape)


@given(masks, hnp.arrays(bool, SHAPE, elements=st.sampled_from([False, False, False, True])))
@settings(max_examples=30, deadline=None)
def test_surface_voxels_are_those_with_an_open_face(mask, unknown):
    assert [tuple(i) for i in surface_indices(mask)] == surface_by_hand(mask)
    mask = mask & ~unknown
    assert [tuple(i) for i in surface_indices(mask, unknown)] == surface_by_hand(mask, unknown)


@given(masks, masks)
@settings(max_examples=40, deadline=None)
def test_all_measures_equal_a_brute_force_twin(prediction, reference):
    result = surface_distances(prediction, reference, SPACING)
    ours, theirs = (np.array(surface_by_hand(m)).reshape(-1, 3) * SPACING for m in (prediction, reference))
    if not len(ours) or not len(theirs):
        return
    table = cdist(ours, theirs)
    there, back = table.min(axis=1), table.min(axis=0)
    pooled = np.concatenate([there, back])
    assert result.hausdorff == pytest.approx(pooled.max())
    assert result.percentile(95) == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert result.average == pytest.approx(pooled.mean())
    for tolerance in (0.0, 0.7, 1.5):
        assert result.surface_dice(tolerance) == pytest.approx(np.mean(pooled <= tolerance + 1e-9))


@given(masks, masks)
@settings(max_examples=20, deadline=None)
def test_measures_are_symmetric_and_ordered(a, b):
    one, two = surface_distances(a, b, SPACING), surface_distances(b, a, SPACING)
    assert one.hausdorff == two.hausdorff
    assert one.percentile(95) == two.percentile(95)
    assert one.average == pytest.approx(two.average)
    assert one.surface_dice(0.5) == two.surface_dice(0.5)
    assert 0 <= one.average <= one.hausdorff + 1e-12
    assert one.percentile(95) <= one.hausdorff <= grid_diagonal(SHAPE, SPACING)


@pytest.mark.parametrize(("shift", "expected"), [((3, 0, 0), 4.5), ((0, 2, 0), 1.4), ((0, 0, 5), 2.0)])
def test_a_shifted_box_lies_its_shift_away(shift, expected):
    a = np.zeros((20, 20, 20), dtype=bool)
    a[5:10, 5:10, 5:10] = True
    result = surface_distances(np.roll(a, shift, axis=(0, 1, 2)), a, SPACING)
    assert result.hausdorff == pytest.approx(expected)


def test_concentric_balls_differ_by_their_radii():
    outer, inner = ball(16, (20, 20, 20)), ball(11, (20, 20, 20))
    result = surface_distances(outer, inner, (1, 1, 1))
    # A voxel's centre lies within one diagonal step of the analytic surface.
    assert result.average == pytest.approx(5, abs=0.3)
    assert result.hausdorff == pytest.approx(5, abs=np.sqrt(3))
    assert result.surface_dice(4) == 0
    assert result.surface_dice(7) == 1


def test_spacing_scales_distances():
    outer, inner = ball(16, (20, 20, 20)), ball(11, (20, 20, 20))
    one, half = surface_distances(outer, inner, (1, 1, 1)), surface_distances(outer, inner, (0.5, 0.5, 0.5))
    assert half.hausdorff == pytest.approx(one.hausdorff / 2)
    assert half.average == pytest.approx(one.average / 2)


def test_a_tolerance_of_a_whole_number_of_voxels_includes_them():
    a = np.zeros((3, 3, 20), dtype=bool)
    a[1, 1, 4] = True
    result = surface_distances(np.roll(a, 3, axis=2), a, (1, 1, 0.1))
    assert result.surface_dice(0.3) == 1
    assert result.surface_dice(0.29) == 0


def test_an_empty_mask_is_the_worst_not_the_best():
    full, empty = np.ones((3, 4, 5), dtype=bool), np.zeros((3, 4, 5), dtype=bool)
    worst = np.linalg.norm([2 * 1.5, 3 * 0.7, 4 * 0.4])
    for a, b in ((full, empty), (empty, full)):
        result = surface_distances(a, b, SPACING)
        for value in (result.hausdorff, result.percentile(95), result.average):
            assert value == pytest.approx(worst)
        assert result.surface_dice(1000) == 0
    nothing = surface_distances(empty, empty, SPACING)
    assert (nothing.hausdorff, nothing.percentile(95), nothing.average) == (0, 0, 0)
    assert nothing.surface_dice(1) == 1


def test_a_face_towards_the_unknown_is_no_surface():
    reference = np.zeros((5, 5, 20), dtype=bool)
    reference[1:4, 1:4, 2:18] = True
    prediction = reference.copy()
    prediction[..., 10:] = False
    unknown = np.zeros_like(reference)
    unknown[..., 10:] = True
    assert surface_distances(prediction, reference, (1, 1, 1)).hausdorff > 5
    assert surface_distances(prediction, reference, (1, 1, 1), unknown).hausdorff == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_monai(seed):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(seed)
    centre = np.array([20.0, 20, 20])
    a, b = ball(12, centre), ball(11, centre + rng.uniform(-3, 3, 3))
    ours = surface_distances(a, b, (1, 1, 1))
    theirs = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b)]
    # MONAI erodes with a border that counts as outside and takes percentiles in float32.
    hd95 = metrics.compute_hausdorff_distance(*theirs, include_background=True, percentile=95)
    hd = metrics.compute_hausdorff_distance(*theirs, include_background=True)
    average = metrics.compute_average_surface_distance(*theirs, include_background=True, symmetric=True)
    assert ours.percentile(95) == pytest.approx(float(hd95), rel=1e-5)
    assert ours.hausdorff == pytest.approx(float(hd), rel=1e-5)
    assert ours.average == pytest.approx(float(average), rel=1e-5)


def test_box_of():
    mask = np.zeros((4, 5, 6), dtype=bool)
    assert box_of(mask) is None
    mask[1, 2, 3] = mask[2, 4, 3] = True
    assert box_of(mask) == (slice(1, 3), slice(2, 5), slice(3, 4))


def test_exposed_share_of_a_box():
    structure = np.zeros((6, 6, 6), dtype=bool)
    structure[1:4, 2:4, 0:3] = True
    known = np.ones_like(structure)
    known[4:] = False
    # 3 x 2 x 3 voxels of 3 x 2 x 1 mm: faces of 2, 3 and 6 mm2; against the unknown: the 2 x 3 faces above
    # in z, and the 3 x 2 faces at the array's edge in x.
    surface_mm2 = 2 * (6 * 2 + 9 * 3 + 6 * 6)
    assert exposed_share(structure, known, (3, 2, 1)) == pytest.approx((6 * 2 + 6 * 6) / surface_mm2)
    assert exposed_share(np.zeros_like(structure), known, (3, 2, 1)) == 0
