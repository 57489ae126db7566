"""Masks between annotated frames: the zero-order rule to the letter, shapes by their volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.labels.distance import signed_distance
from myosweep.labels.interpolation import interpolate


def straight(positions, pixel=0.5):
    poses = np.tile(np.diag([pixel, pixel, 1.0, 1.0]), (len(positions), 1, 1))
    poses[:, 2, 3] = positions
    return poses


def zero_order_twin(masks, count, value):
    """The rule as it is written: the smaller of the two annotated masks on every frame between them."""
    result = [None] * count
    numbers = sorted(masks)
    for frame in range(count):
        earlier = [n for n in numbers if n <= frame]
        later = [n for n in numbers if n >= frame]
        if not earlier or not later:
            continue
        a, b = earlier[-1], later[0]
        smaller = a if (masks[a] == value).sum() <= (masks[b] == value).sum() else b
        result[frame] = (masks[smaller] == value).astype(np.float32)
    return result


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_zero_order_is_the_rule_bit_for_bit(data):
    count = data.draw(st.integers(1, 12))
    annotated = data.draw(st.sets(st.integers(0, count - 1), max_size=5))
    masks = {
        index: data.draw(hnp.arrays(np.uint8, (4, 3), elements=st.sampled_from([0, 1, 2])))
        for index in annotated
    }
    made = interpolate(masks, straight(np.arange(count)), np.ones(count, bool), 2, "zoi")
    for frame, expected in enumerate(zero_order_twin(masks, count, 2)):
        membership = made.membership(frame)
        if expected is None:
            assert membership is None
        else:
            assert membership.dtype == np.float32
            np.testing.assert_array_equal(membership, expected)


@pytest.mark.parametrize("method", ["zoi", "shape"])
def test_annotated_frames_keep_their_mask_and_nothing_is_made_outside(method):
    draw = np.random.default_rng(0)
    masks = {index: draw.integers(0, 2, (9, 7)).astype(np.uint8) for index in (2, 5, 9)}
    made = interpolate(masks, straight(np.arange(12.0)), np.ones(12, bool), 1, method)
    for index, mask in masks.items():
        np.testing.assert_array_equal(made.membership(index), mask)
    assert [made.membership(i) is None for i in range(12)] == [i < 2 or i > 9 for i in range(12)]


@pytest.mark.parametrize("method", ["zoi", "shape"])
def test_unknown_pixels_and_lost_frames(method):
    one = np.zeros((6, 6), np.uint8)
    one[2:4, 2:4] = 1
    two = one.copy()
    two[:, 5] = 255
    masks = {0: two, 4: one, 6: np.full((6, 6), 255, np.uint8), 8: one}
    valid = np.ones(9, bool)
    valid[[2, 8]] = False
    made = interpolate(masks, straight(np.arange(9.0)), valid, 1, method)
    assert made.annotated == [0, 4]
    assert np.isnan(made.membership(0)[:, 5]).all()
    assert np.isnan(made.membership(1)[:, 5]).all()
    assert np.isfinite(made.membership(1)[:, :4]).all()
    assert made.membership(2) is None
    assert made.membership(5) is None


@pytest.mark.parametrize("method", ["zoi", "shape"])
def test_no_annotation_makes_nothing(method):
    made = interpolate({}, straight(np.arange(3.0)), np.ones(3, bool), 1, method)
    assert made.membership(1) is None


@pytest.mark.parametrize("method", ["zoi", "shape"])
def test_two_empty_masks_mean_nothing_between(method):
    empty = np.zeros((5, 5), np.uint8)
    made = interpolate({0: empty, 4: empty}, straight(np.arange(5.0)), np.ones(5, bool), 1, method)
    np.testing.assert_array_equal(made.membership(2), 0)


def ellipsoid(z):
    return np.sqrt(max(0.0, 1 - z * z))


def cone(z):
    return max(0.0, 1 - abs(z))


def spindle(z):
    return max(0.0, 1 - z * z)


def volume_errors(solid, every, method, half=(20.0, 9.0, 110.0)):
    """Relative errors of the volume for four positions of the annotations; frames every 1 mm."""
    x, y = np.meshgrid((np.arange(96) - 47.5) * 0.5, (np.arange(48) - 23.5) * 0.5)
    positions = np.arange(-140.0, 140.5)
    sections = []
    for position in positions:
        scale = solid(position / half[2])
        inside = (x / half[0]) ** 2 + (y / half[1]) ** 2 <= scale**2 if scale > 0 else np.zeros(x.shape, bool)
        sections.append(inside.astype(np.uint8))
    true = sum(int(section.sum()) for section in sections)
    errors = []
    for start in range(0, every, every // 4):
        masks = {index: sections[index] for index in range(start, len(positions), every)}
        made = interpolate(masks, straight(positions), np.ones(len(positions), bool), 1, method)
        parts = (made.membership(index) for index in range(len(positions)))
        errors.append(sum(float(part.sum()) for part in parts if part is not None) / true - 1)
    return np.array(errors)


@pytest.mark.parametrize(
    # The double cone's waist is sharp, which no interpolation between annotations can know.
    ("solid", "bias"),
    [(ellipsoid, 0.006), (spindle, 0.006), (cone, 0.015)],
)
def test_shapes_keep_the_volume_of_solids(solid, bias):
    errors = volume_errors(solid, 20, "shape")
    assert abs(errors.mean()) < bias
    assert np.abs(errors).max() < 0.025


def test_zero_order_loses_volume_and_more_so_the_farther_the_annotations():
    near, far = (volume_errors(ellipsoid, every, "zoi").mean() for every in (8, 20))
    assert far < near < -0.01
    assert far < 5 * volume_errors(ellipsoid, 20, "shape").mean()


def test_a_muscle_cut_by_the_border_keeps_touching_it():
    masks = {}
    for index, last in ((0, 30), (10, 20)):
        mask = np.zeros((40, 30), np.uint8)
        mask[10:last, 15:] = 1
        masks[index] = mask
    made = interpolate(masks, straight(np.arange(11.0)), np.ones(11, bool), 1, "shape")
    middle = made.membership(5)
    # Half way the lower edge lies half way, to the border's last pixel.
    np.testing.assert_allclose(middle[:, 29].sum(), 15, atol=0.6)
    np.testing.assert_allclose(middle[:, 20:].sum(axis=0), middle[:, 29].sum(), atol=0.6)


def test_full_masks_stay_full():
    full = np.ones((5, 4), np.uint8)
    made = interpolate({0: full, 3: full}, straight(np.arange(4.0)), np.ones(4, bool), 1, "shape")
    np.testing.assert_array_equal(made.membership(1), 1)


def test_weights_follow_the_way_not_the_frame_number():
    x = np.arange(60)
    masks = {0: np.tile((x < 20).astype(np.uint8), (9, 1)), 4: np.tile((x < 40).astype(np.uint8), (9, 1))}
    positions = np.array([0.0, 1.0, 2.0, 15.0, 20.0])
    made = interpolate(masks, straight(positions), np.ones(5, bool), 1, "shape")
    widths = [made.membership(index)[4].sum() for index in range(5)]
    np.testing.assert_allclose(widths, 20 + positions, atol=0.05)


def test_a_wobbling_probe_does_not_bend_the_muscle():
    """A straight prism, seen by frames that tilt, turn and shift between two annotations."""
    pixel, count = 0.5, 21
    draw = np.random.default_rng(4)
    poses = []
    for index in range(count):
        tilt = rotation_about((1, 0, 0), np.deg2rad(draw.uniform(-8, 8)))
        turn = rotation_about((0, 0, 1), np.deg2rad(draw.uniform(-6, 6)))
        corner = (*draw.uniform(-1.5, 1.5, 2), float(index))
        poses.append(rigid_transform(tilt @ turn, corner) @ np.diag([pixel, pixel, 1, 1]))
    poses = np.array(poses)
    column, row = np.meshgrid(np.arange(80), np.arange(80))

    def section(pose):
        pixels = np.stack([column, row, 0 * row, 1 + 0 * row], axis=-1)
        x, y = np.moveaxis((pixels @ pose.T)[..., :2], -1, 0)
        return (((x - 20) / 12) ** 2 + ((y - 20) / 8) ** 2 < 1).astype(np.uint8)

    masks = {index: section(poses[index]) for index in (0, 10, 20)}
    made = interpolate(masks, poses, np.ones(count, bool), 1, "shape")
    for index in range(count):
        true = section(poses[index])
        wrong = np.abs(made.membership(index) - true).sum() / true.sum()
        # An outline that is off by 0.2 mm all round differs by 4 % of this area.
        assert wrong < 0.04


def test_a_probe_at_rest_or_sliding_within_its_plane_falls_back_on_frame_numbers():
    one, two = np.zeros((9, 30), np.uint8), np.zeros((9, 30), np.uint8)
    one[:, :10] = 1
    two[:, :20] = 1
    still = straight(np.zeros(5))
    sliding = straight(np.zeros(5))
    sliding[:, 0, 3] = np.arange(5)
    for poses in (still, sliding):
        made = interpolate({0: one, 4: two}, poses, np.ones(5, bool), 1, "shape")
        np.testing.assert_allclose(made.membership(1)[4].sum(), 12.5, atol=0.05)


def test_signed_distance_of_a_half_plane_is_exact_and_ignores_the_border():
    mask = np.zeros((6, 10), bool)
    mask[:, :4] = True
    distance = signed_distance(mask, (0.5, 0.5))
    np.testing.assert_allclose(distance, np.tile((3.5 - np.arange(10)) * 0.5, (6, 1)), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=2, max_size=2), st.booleans())
def test_parallel_frames_and_any_others_are_blended_alike(seed, further, unknown):
    """A turn by a trillionth of a degree leaves the short way; the masks between stay as they are."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :20]
    masks = {}
    for index in [0] * further[0] + [5, 11] + [16] * further[1]:
        centre, half = draw.uniform(8, 12, 2), draw.uniform(3, 7, 2)
        masks[index] = (((y - centre[0]) / half[0]) ** 2 + ((x - centre[1]) / half[1]) ** 2 < 1).astype(
            np.uint8
        )
    if unknown:
        last = max(masks)
        masks[last][:, 14:] = 255
    near = straight(np.cumsum(draw.uniform(0.5, 2, 17)))
    turned = near.copy()
    turned[:, :3, :3] = rotation_about((1, 1, 0), 1e-5) @ near[:, :3, :3]
    turned[::2, 0, 3] += 2e-6
    made, other = (interpolate(masks, poses, np.ones(17, bool), 1, "shape") for poses in (near, turned))
    for index in range(6, 11):
        # Between two pixels, of which one is unknown, a hair's breadth decides.
        one, two = (np.delete(item.membership(index), (13, 14), axis=1) for item in (made, other))
        np.testing.assert_allclose(one, two, atol=2e-3)
