"""Merging: smoothing, thresholds, overlaps, what stays unknown, and labels drawn by hand."""

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.merging import merge_labels, smoothing_kernel

STRUCTURES = {"GM": 1, "SOL": 7}
GRID = Grid((24, 20, 12), (0.5, 0.5, 2.0), np.array([1.0, 2.0, 3.0]), np.eye(3))


def nothing():
    return np.full((*GRID.shape, 2), UNKNOWN, np.uint8)


def summary(*names):
    return {
        name: {
            "status": "annotated" if name in names else "not_annotated",
            "reason": "" if name in names else "no frame of it is annotated",
            "annotated_frames": 3 if name in names else 0,
            "sweeps": 1,
            "axis": "z",
            "open_ends": [],
        }
        for name in STRUCTURES
    }


def merge(*pairs, **settings):
    volumes = [Volume(array, GRID) for array, _ in pairs]
    return merge_labels(volumes, [about for _, about in pairs], GRID, STRUCTURES, **settings)


def block(component, rows, columns, value=FULL):
    array = nothing()
    array[..., component] = 0
    array[2:10, rows, columns, component] = value
    return array


def test_the_kernel_is_a_gaussian_of_seven_taps():
    kernel = smoothing_kernel(7, "gaussian")
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1])
    assert np.sqrt((kernel * np.arange(-3, 4) ** 2).sum()) == pytest.approx(1.4, abs=0.07)
    with pytest.raises(InputError, match="odd"):
        smoothing_kernel(4)
    with pytest.raises(InputError, match="twicing or gaussian"):
        smoothing_kernel(7, "box")


def test_twicing_smooths_and_has_no_second_moment():
    kernel, gaussian = smoothing_kernel(7), np.pad(smoothing_kernel(7, "gaussian"), 3)
    offsets = np.arange(-6, 7)
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * offsets**2).sum() == pytest.approx(0, abs=1e-12)
    # Of white noise it leaves half the variance; a Gaussian a fifth.
    assert (kernel**2).sum() < 0.5
    np.testing.assert_allclose(kernel, 2 * gaussian - np.convolve(gaussian[3:-3], gaussian[3:-3]))


def test_twicing_keeps_the_area_of_discs():
    # A Gaussian moves a border of radius 10 by sigma^2 / (2 r) = 0.09 voxels: 1.9 % of the area. 40 centres,
    # since the grid alone makes 2 % of one disc.
    grid = Grid((32, 32, 40), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    rows, columns = np.mgrid[:320, :320] / 10
    array = np.zeros((*grid.shape, 2), np.uint8)
    for plane, (row, column) in zip(array, np.random.default_rng(3).uniform(15, 17, (40, 2)), strict=True):
        part = (np.hypot(rows - row, columns - column) < 10).reshape(32, 10, 32, 10).mean(axis=(1, 3))
        plane[..., 0] = np.rint(FULL * part)
    lost = {}
    for smoothing in ("twicing", "gaussian"):
        volume, about = Volume(array, grid), [summary("GM")]
        labels, _ = merge_labels([volume], about, grid, STRUCTURES, smoothing=smoothing)
        lost[smoothing] = 100 * (1 - (labels.array == 1).sum() / (40 * np.pi * 100))
    assert lost["gaussian"] == pytest.approx(1.9, abs=0.6)
    assert abs(lost["twicing"]) < 0.5 * lost["gaussian"]


def brute_force(array, kernel, smooth_3d):
    """Normalised smoothing, voxel by voxel, in the plane or in space."""
    values, known = np.where(array == UNKNOWN, 0, array) / FULL, array != UNKNOWN
    reach = len(kernel) // 2
    along_z = kernel if smooth_3d else (np.arange(len(kernel)) == reach).astype(float)
    weights = along_z[:, None, None] * kernel[:, None] * kernel
    values, known = np.pad(values * known, reach), np.pad(known, reach)
    out = np.zeros(array.shape)
    for z, y, x in np.argwhere(array != UNKNOWN):
        near = np.s_[z : z + 2 * reach + 1, y : y + 2 * reach + 1, x : x + 2 * reach + 1]
        weight = (weights * known[near]).sum()
        own = values[z + reach, y + reach, x + reach]
        out[z, y, x] = (weights * values[near]).sum() / weight if weight >= 0.25 else own
    return out


@pytest.mark.parametrize("smooth_3d", [False, True])
def test_smoothing_and_threshold_against_a_brute_force_twin(smooth_3d: bool):
    draw = np.random.default_rng(2)
    array = nothing()
    array[..., 0] = draw.integers(0, FULL + 1, GRID.shape)
    array[..., 0][draw.random(GRID.shape) < 0.1] = UNKNOWN
    labels, _ = merge((array, summary("GM")), smooth_3d=smooth_3d)
    expected = brute_force(array[..., 0], smoothing_kernel(7), smooth_3d)
    sure = np.abs(expected - 0.5) > 1e-5
    np.testing.assert_array_equal((labels.array == 1)[sure], (expected >= 0.5)[sure])
    np.testing.assert_array_equal(labels.array == UNKNOWN, array[..., 0] == UNKNOWN)


def test_smoothing_in_3d_rounds_the_ends_too():
    array = block(0, slice(4, 16), slice(4, 20))
    flat, _ = merge((array, summary("GM")), smooth_3d=False)
    solid, _ = merge((array, summary("GM")), smooth_3d=True)
    assert (flat.array[2] == 1).sum() == (flat.array[5] == 1).sum()
    assert (solid.array[2] == 1).sum() < (flat.array[2] == 1).sum()
    np.testing.assert_array_equal(solid.array[5], flat.array[5])


def test_the_larger_value_wins_an_overlap():
    array = block(0, slice(2, 12), slice(2, 22), value=200)
    array[..., 1] = block(1, slice(6, 18), slice(2, 22), value=240)[..., 1]
    labels, told = merge((array, summary("GM", "SOL")), smoothing_voxels=1)
    assert (labels.array[5, 6:12, 5] == 7).all()
    assert (labels.array[5, 2:6, 5] == 1).all()
    assert told["GM"]["voxels"] == 8 * 4 * 20
    even = np.where(array == 240, 200, array).astype(np.uint8)
    labels, _ = merge((even, summary("GM", "SOL")), smoothing_voxels=1)
    assert (labels.array[5, 6:12, 5] == 1).all()


def test_acquisitions_are_averaged_where_both_know():
    one, two = block(0, slice(2, 18), slice(2, 12)), block(0, slice(2, 18), slice(2, 22), value=100)
    two[:, :, 20:] = UNKNOWN
    labels, told = merge((one, summary("GM")), (two, summary("GM")), smoothing_voxels=1)
    # 1 and 0.4 make 0.7; 0 and 0.4 make 0.2; where the second knows nothing the first is right.
    assert (labels.array[5, 5] == 1).tolist() == [2 <= x < 12 for x in range(24)]
    assert told["GM"]["annotated_frames"] == 6


def test_acquisitions_of_different_structures_share_one_volume():
    one, two = block(0, slice(2, 8), slice(2, 22)), block(1, slice(12, 18), slice(2, 22))
    one[:, :, :3], two[:, :, :1] = UNKNOWN, UNKNOWN
    labels, told = merge((one, summary("GM")), (two, summary("SOL")), smoothing_voxels=1)
    assert (labels.array[:, :, 0] == UNKNOWN).all()
    assert (labels.array[:, :, 1:] != UNKNOWN).all()
    assert set(np.unique(labels.array)) == {0, 1, 7, UNKNOWN}
    assert "not_annotated" not in labels.metadata
    assert told["SOL"]["status"] == "annotated"


def test_a_refused_registration_is_passed_on():
    failed = summary()
    failed["GM"] = {"status": "failed", "reason": "registration refused: noise", "annotated_frames": 0}
    labels, told = merge((nothing(), failed), (block(1, slice(2, 8), slice(2, 22)), summary("SOL")))
    assert told["GM"]["status"] == "failed"
    assert "noise" in told["GM"]["reason"]
    assert labels.metadata["not_annotated"] == "GM"


def test_no_acquisition_at_all():
    labels, told = merge()
    assert (labels.array == UNKNOWN).all()
    assert told["GM"]["status"] == "not_annotated"


def hand(array):
    return Volume(array.astype(np.uint8), GRID)


def test_hand_made_labels_replace_the_structures_they_hold_as_drawn():
    made = block(0, slice(2, 10), slice(2, 22))
    made[..., 1] = block(1, slice(10, 18), slice(2, 22))[..., 1]
    drawn = np.zeros(GRID.shape)
    drawn[3:9, 9:19, 4:20] = 7
    drawn[3:9, 9, 4] = 0
    labels, told = merge((made, summary("GM", "SOL")), hand=hand(drawn))
    np.testing.assert_array_equal(labels.array == 7, drawn == 7)
    assert (labels.array[5, 5, 5:19] == 1).all()
    assert told["SOL"]["source"] == "hand"
    assert told["SOL"]["status"] == "annotated", told["SOL"]["reason"]
    assert told["GM"]["source"] == "annotations"


@pytest.mark.parametrize("method", ["zoi", "shape"])
def test_slices_that_were_not_drawn_are_interpolated(method):
    drawn = np.zeros(GRID.shape)
    for z, last in ((1, 12), (5, 16), (9, 12)):
        drawn[z, 4:last, 4:20] = 1
    labels, told = merge(hand=hand(drawn), interpolation=method)
    heights = (labels.array[:, :, 10] == 1).sum(axis=1)
    assert heights[[1, 5, 9]].tolist() == [8, 12, 8]
    # The parabola through 8, 12 and 8.
    assert heights[3] == (8 if method == "zoi" else 11)
    assert (labels.array[[0, 10, 11]] == UNKNOWN).all()
    assert told["GM"]["status"] == "partial"
    assert told["GM"]["annotated_frames"] == 3
    # 8 rows and 16 columns of 0.25 mm2.
    assert "32 mm2" in told["GM"]["reason"]


@pytest.mark.parametrize(("ends", "last"), [("cut", 6), ("capped", 7), ("tapered", 8)])
def test_ends_of_sparse_slices_that_were_not_drawn(ends, last):
    drawn = np.zeros(GRID.shape)
    for z in (4, 6):
        drawn[z, 4:12, 4:20] = 1
    labels, told = merge(hand=hand(drawn), ends=ends)
    areas = (labels.array == 1).sum(axis=(1, 2))
    known = np.flatnonzero((labels.array != UNKNOWN).any(axis=(1, 2)))
    # One slice of two further on is half the usual way between drawn slices.
    assert known.tolist() == list(range(10 - last, last + 1))
    assert areas[4] == areas[5] == areas[6] == 128
    if ends == "capped":
        assert areas[3] == areas[7] == 128
    if ends == "tapered":
        assert 0 < areas[7] < 128
        assert areas[3] == areas[7]
        assert areas[8] == 0
    assert told["GM"]["status"] == "partial"
    assert "its low end was not annotated: the last mask (slice 4) has 32 mm2" in told["GM"]["reason"]
    assert "its high end" in told["GM"]["reason"]


@pytest.mark.parametrize("ends", ["cut", "capped", "tapered"])
def test_ends_add_nothing_to_an_end_that_was_drawn(ends):
    drawn = np.zeros(GRID.shape)
    for z in (4, 6):
        drawn[z, 4:12, 4:20] = 1
    # The other muscle says that this one has ended, and the drawing is dense at the other's ends.
    drawn[[1, 2, 8, 9], 14:17, 4:20] = 7
    labels, told = merge(hand=hand(drawn), ends=ends)
    assert told["GM"]["status"] == "annotated", told["GM"]["reason"]
    plain, _ = merge(hand=hand(drawn))
    np.testing.assert_array_equal(labels.array, plain.array)


def test_hand_made_labels_on_another_grid_or_with_other_values_are_refused():
    other = Grid(GRID.size, (0.5, 0.5, 2.1), GRID.origin, GRID.direction)
    with pytest.raises(InputError, match=r"0\.5 x 0\.5 x 2\.1") as caught:
        merge(hand=Volume(np.ones(GRID.shape, np.uint8), other))
    assert "0.5 x 0.5 x 2 mm" in caught.value.expected
    with pytest.raises(InputError, match="GM 1, SOL 7"):
        merge(hand=hand(np.full(GRID.shape, 3)))


def test_fractions_on_another_grid_are_refused():
    small = Grid((4, 4, 4), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    with pytest.raises(InputError):
        merge_labels([Volume(np.zeros((4, 4, 4, 2), np.uint8), small)], [summary("GM")], GRID, STRUCTURES)
