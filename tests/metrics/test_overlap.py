import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.metrics.overlap import Overlap, label_counts, overlap, overlap_of_label

labels = hnp.arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 2, 255]))


def test_two_boxes():
    a, b = np.zeros((2, 10, 10), dtype=bool), np.zeros((2, 10, 10), dtype=bool)
    a[0, :4, :4] = True
    b[0, 2:6, :4] = True
    found = overlap(a, b)
    assert found == Overlap(8, 16, 16)
    assert (found.dice, found.iou, found.precision, found.recall) == (0.5, 8 / 24, 0.5, 0.5)


def test_balls_of_known_radii():
    grid = np.linalg.norm(np.indices((61, 61, 61)).reshape(3, -1).T - 30, axis=1)
    found = overlap(grid <= 20, grid <= 25)
    inner, outer = 20**3, 25**3
    # 1 %: a ball of 20 voxels' radius is that close to its analytic volume.
    assert found.dice == pytest.approx(2 * inner / (inner + outer), rel=0.01)
    assert found.recall == pytest.approx(inner / outer, rel=0.01)
    assert found.precision == 1


def test_empty_masks():
    missed, invented, nothing = Overlap(0, 0, 7), Overlap(0, 7, 0), Overlap(0, 0, 0)
    for found in (missed, invented):
        assert (found.dice, found.iou, found.precision, found.recall) == (0, 0, 0, 0)
    assert (nothing.dice, nothing.iou, nothing.precision, nothing.recall) == (1, 1, 1, 1)


@given(labels, labels)
@settings(max_examples=50, deadline=None)
def test_counts_equal_masks_without_the_unknown(a, b):
    counts = label_counts(a, b)
    assert counts.sum() == a.size
    known = (a != 255) & (b != 255)
    for value in (1, 2):
        assert overlap_of_label(counts, value) == overlap((a == value) & known, (b == value) & known)


@given(labels, labels)
@settings(max_examples=30, deadline=None)
def test_symmetry(a, b):
    one, two = overlap_of_label(label_counts(a, b), 1), overlap_of_label(label_counts(b, a), 1)
    assert one.dice == two.dice
    assert one.iou == two.iou
    assert one.precision == two.recall
    # IoU and Dice are one number in two scales.
    assert one.dice == pytest.approx(2 * one.iou / (1 + one.iou))
