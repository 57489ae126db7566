from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.geometry import Grid
from myosweep.training.lattice import Axis, Lattice

sizes = st.tuples(*[st.integers(1, 9)] * 3)
spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.7])] * 3)


def grid(size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    return Grid(size, spacing, np.zeros(3), np.eye(3))


@settings(deadline=None)
@given(count=st.integers(1, 40), fine=st.floats(0.2, 3), coarse=st.floats(0.3, 4))
def test_every_millimetre_of_the_image_belongs_to_one_coarse_voxel(
    count: int, fine: float, coarse: float
) -> None:
    lattice = Lattice.of(grid((count, 1, 1), (fine, 1, 1)), (coarse, 1.0, 1.0))
    first, lengths = lattice.x.overlaps()
    total = np.zeros(count + lengths.shape[1])
    for index, line in zip(first, lengths, strict=True):
        total[index : index + len(line)] += line
    np.testing.assert_allclose(total[:count], fine, rtol=1e-6)
    assert not total[count:].any()
    assert (lengths.sum(axis=1) > 0).all()


@settings(max_examples=40, deadline=None)
@given(size=sizes, fine=spacings, seed=st.integers(0, 99))
def test_means_keep_the_sum_and_mirroring_commutes(
    size: tuple[int, int, int], fine: tuple[float, float, float], seed: int
) -> None:
    lattice = Lattice.of(grid(size, fine), (2.0, 2.0, 2.0))
    array = np.random.default_rng(seed).integers(0, 256, size[::-1]).astype(np.uint8)
    mean = lattice.mean(array)
    weights = np.ones(lattice.shape)
    for axis, part in enumerate((lattice.z, lattice.y, lattice.x)):
        shape = [1, 1, 1]
        shape[axis] = -1
        weights *= part.overlaps()[1].sum(axis=1).reshape(shape)
    assert (mean * weights).sum() == pytest.approx(array.sum() * np.prod(fine), rel=1e-5)
    # Sums in another order: equal to rounding of float32.
    mirrored = lattice.mean(np.ascontiguousarray(array[..., ::-1]))
    np.testing.assert_allclose(mirrored, mean[..., ::-1], rtol=1e-6)


def test_fractions_count_the_voxels_of_each_class() -> None:
    labels = np.array([[[7, 7, 0, 7, 255, 255, 255, 7]]], dtype=np.uint8)
    classes = np.zeros(256, dtype=np.uint8)
    classes[7], classes[255] = 1, 255
    lattice = Lattice.of(grid((8, 1, 1), (1.0, 1.0, 1.0)), (4.0, 1.0, 1.0))
    assert lattice.fractions(labels, classes, 2).tolist() == [[[[0.25, 0]]], [[[0.75, 0.25]]]]


def test_a_ball_keeps_its_volume_there_and_back() -> None:
    z, y, x = np.mgrid[0:40, 0:40, 0:40] - 19.5
    ball = (z**2 + y**2 + x**2 < 15**2).astype(np.uint8)
    lattice = Lattice.of(grid((40, 40, 40), (1.0, 1.0, 1.0)), (2.0, 2.0, 2.0))
    parts = lattice.fractions(ball, np.arange(256, dtype=np.uint8), 2)
    back = lattice.largest(parts, np.array([0, 1], dtype=np.uint8))
    # All-or-nothing votes lose 3.5 % here, linear interpolation of fractions 0.8 %.
    assert back.sum() == pytest.approx(ball.sum(), rel=0.01)


def test_the_way_back_is_linear_between_centres() -> None:
    # Two coarse voxels of 4 mm with scores 1, 0 against 0, 1: they meet in the middle of 8 fine voxels.
    scores = np.array([[[[1, 0]]], [[[0, 1]]]], dtype=np.float32)
    axis = Axis(8, 1.0, 2, 4.0)
    one = Axis(1, 1.0, 1, 1.0)
    result = Lattice(one, one, axis).largest(scores, np.array([0, 9], dtype=np.uint8))
    assert result.tolist() == [[[0, 0, 0, 0, 9, 9, 9, 9]]]
    lower, part = axis.neighbours()
    np.testing.assert_allclose(lower + part, [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1], atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(size=sizes, fine=spacings)
def test_the_way_back_fills_the_image_s_grid(
    size: tuple[int, int, int], fine: tuple[float, float, float]
) -> None:
    lattice = Lattice.of(grid(size, fine), (2.0, 1.5, 3.0))
    scores = np.zeros((3, *lattice.shape), dtype=np.float32)
    scores[2] = 1
    result = lattice.largest(scores, np.array([0, 100, 200], dtype=np.uint8))
    assert result.shape == size[::-1]
    assert (result == 200).all()
