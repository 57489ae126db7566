import numpy as np
import pytest
from echoes import DEFAULTS, dense_walk, limb, speckle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.confidence import ConfidenceOptions, confidence_map, confidence_volume
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume


@pytest.mark.parametrize("shape", [(9, 14), (14, 9), (12, 12), (2, 5), (3, 1), (1, 6), (1, 1), (17, 3)])
def test_agrees_with_a_dense_solution(shape):
    image = speckle(shape, 3)
    twin = dense_walk(image, np.ones(shape, dtype=bool), **DEFAULTS)
    assert np.abs(confidence_map(image) - twin).max() < 1e-9


@given(
    hnp.arrays(np.uint8, (7, 9)),
    hnp.arrays(bool, (7, 9), elements=st.sampled_from([True, True, True, False])),
)
@settings(max_examples=60, deadline=None)
def test_any_unknown_pixels_agree_with_a_dense_solution(image, known):
    result = confidence_map(image, known=known)
    assert (result[~known] == 0).all()
    if known.any():
        twin = dense_walk(image, known, **DEFAULTS)
        assert np.abs(result - twin).max() < 1e-9


def test_a_fully_known_mask_changes_nothing():
    image = limb()
    assert np.array_equal(
        confidence_map(image), confidence_map(image, known=np.ones(image.shape, dtype=bool))
    )


def test_unknown_margins_change_nothing():
    image = limb()
    wide = np.full((80, 70), 99, dtype=np.uint8)
    known = np.zeros(wide.shape, dtype=bool)
    wide[7:67, 11:59], known[7:67, 11:59] = image, True
    assert np.allclose(confidence_map(wide, known=known)[7:67, 11:59], confidence_map(image), atol=1e-12)


def test_pieces_without_source_or_sink():
    image = limb((12, 9))
    known = np.ones(image.shape, dtype=bool)
    known[4] = known[8] = False
    result = confidence_map(image, known=known)
    # Top: the walk finds only the source; middle: neither; bottom: only the sink.
    assert result[:4] == pytest.approx(1)
    assert (result[5:8] == 0).all()
    assert result[9:] == pytest.approx(0)


def test_two_pieces_side_by_side_do_not_touch():
    half = limb((30, 10))
    image = np.concatenate([half, np.full((30, 1), 128, dtype=np.uint8), half[:, ::-1]], axis=1)
    known = np.ones(image.shape, dtype=bool)
    known[:, 10] = False
    result = confidence_map(image, known=known)
    alone = confidence_map(half)
    assert np.allclose(result[:, :10], alone, atol=1e-10)
    assert np.allclose(result[:, 11:], alone[:, ::-1], atol=1e-10)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(max_examples=40, deadline=None)
def test_always_between_sink_and_source(image):
    result = confidence_map(image)
    assert result.min() >= 0
    assert result.max() <= 1
    assert (result[0] == 1).all()
    if len(image) > 1:
        assert (result[-1] == 0).all()


def stack(shape=(5, 30, 20), seed=0):
    values = np.stack([limb(shape[1:], seed + z) for z in range(shape[0])])
    grid = Grid((shape[2], shape[1], shape[0]), (0.5, 0.5, 1.0), np.zeros(3), np.eye(3))
    return Volume(values, grid), Volume(np.ones(shape, dtype=np.float32), grid)


def test_a_volume_is_its_slices():
    volume, coverage = stack()
    coverage.array[1] = 0
    coverage.array[2, :, 15:] = -0.7
    coverage.array[2, :4] = 0
    coverage.array[3, 5:9, 3:8] = 0
    coverage.array[4] = 0
    coverage.array[4, 10, 10] = 3
    result = confidence_volume(volume, coverage)
    assert result.array.dtype == np.float32
    assert result.grid is volume.grid
    for z in range(5):
        single = confidence_map(volume.array[z], known=coverage.array[z] != 0)
        assert np.array_equal(result.array[z], single.astype(np.float32))
    assert (result.array[1] == 0).all()
    assert (result.array[2, 4, :] == 1).all()
    assert (result.array[coverage.array == 0] == 0).all()


def test_a_volume_without_its_coverage_is_refused():
    volume, coverage = stack()
    short = Volume(coverage.array[:2], coverage.grid)
    with pytest.raises(InputError, match="coverage"):
        confidence_volume(volume, short)


@pytest.mark.parametrize("normalisation", ["image", "fixed"])
def test_slices_to_be_compared_have_one_depth(normalisation):
    volume, coverage = stack()
    coverage.array[1, 20:] = 0
    options = ConfidenceOptions(sink="everywhere", normalisation=normalisation)
    result = confidence_volume(volume, coverage, options).array[1]
    known = coverage.array[1] != 0
    depth = 29 if normalisation == "fixed" else 19
    single = confidence_map(volume.array[1], options, known=known, depth=depth)
    assert np.array_equal(result, single.astype(np.float32))
    # Cut off in its depth, a slice that is compared keeps what it was; one by itself falls to the bottom.
    whole = confidence_map(volume.array[1], options, depth=29)
    change = np.abs(whole[:20] - result[:20]).mean()
    assert (change < 0.03) == (normalisation == "fixed")
