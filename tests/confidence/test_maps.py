import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.confidence import ConfidenceOptions, confidence_map, confidence_volume
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume

DEFAULTS = {"alpha": 2.0, "beta": 90.0, "gamma": 0.05}


def speckle(shape, seed=0, scale=60.0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.rayleigh(scale, shape), 0, 255).astype(np.uint8)


def limb(shape=(60, 48), seed=0):
    """Speckle with a skin line, a bright fascia and a dark vessel."""
    image = speckle(shape, seed).astype(float)
    rows, cols = shape
    image[:2] = 230
    image[rows // 3, 5:-5] = 250
    image[rows // 2 :, cols // 2 : cols // 2 + 6] *= 0.1
    return image.astype(np.uint8)


def dense_walk(image, known, alpha, beta, gamma):
    """The same walk without any structure: all pairs of pixels, a full matrix, least squares."""
    rows, cols = image.shape
    first = np.where(known.any(0), known.argmax(0), 0)
    last = np.where(known.any(0), rows - 1 - known[::-1].argmax(0), -1)
    length = max(int((last - first).max()), 1)
    values = image.astype(float)
    low, high = values[known].min(), values[known].max()
    eps = np.finfo(float).eps
    pixels = [tuple(p) for p in np.argwhere(known)]
    signal = {
        (r, c): (values[r, c] - low) / (high - low + eps) * (1 - np.exp(-alpha * (r - first[c]) / length))
        for r, c in pixels
    }
    pairs = [
        (p, (p[0] + i, p[1] + j))
        for p in pixels
        for i, j in ((0, 1), (1, 0), (1, 1), (1, -1))
        if (p[0] + i, p[1] + j) in signal
    ]
    difference = {pair: abs(signal[pair[0]] - signal[pair[1]]) for pair in pairs}
    largest = max(difference.values(), default=0) + eps
    cost = {pair: d / largest + (0 if pair[0][1] == pair[1][1] else gamma) for pair, d in difference.items()}
    largest = max(cost.values(), default=0) + eps
    number = {p: k for k, p in enumerate(pixels)}
    laplacian = np.zeros((len(pixels), len(pixels)))
    for (p, q), value in cost.items():
        a, b = number[p], number[q]
        weight = np.exp(-beta * value / largest) + 1e-5
        laplacian[a, a] += weight
        laplacian[b, b] += weight
        laplacian[a, b] -= weight
        laplacian[b, a] -= weight
    source = {number[first[c], c] for c in range(cols) if known[:, c].any()}
    sink = {number[last[c], c] for c in range(cols) if known[:, c].any()} - source
    free = sorted(set(range(len(pixels))) - source - sink)
    answer = np.zeros(len(pixels))
    answer[list(source)] = 1
    # The solution of smallest norm is 0 in a piece that touches neither source nor sink.
    right = -laplacian[np.ix_(free, range(len(pixels)))] @ answer
    answer[free] = np.linalg.lstsq(laplacian[np.ix_(free, free)], right, rcond=None)[0]
    result = np.zeros(image.shape)
    result[known] = answer
    return result


@pytest.mark.parametrize(
    ("image", "parameters"),
    [
        (limb(), {}),
        (limb((48, 60), 1), {"alpha": 1.0, "beta": 30.0, "gamma": 0.2}),
        (speckle((131, 97)), {}),
        (speckle((33, 33)), {"alpha": 0.0}),
        (speckle((31, 20)), {"beta": 0.0, "gamma": 0.0}),
        (np.full((20, 15), 7, dtype=np.uint8), {}),
        (np.zeros((20, 15), dtype=np.uint8), {"gamma": 0.0}),
        (np.random.default_rng(0).normal(size=(70, 12)), {"beta": 300.0}),
        (limb((40, 1)), {}),
    ],
)
def test_agrees_with_monai(image, parameters):
    monai = pytest.importorskip("monai.data.ultrasound_confidence_map")
    theirs = monai.UltrasoundConfidenceMap(**{**DEFAULTS, **parameters})(image.astype(float))
    assert np.abs(confidence_map(image, ConfidenceOptions(**parameters)) - theirs).max() < 1e-6


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


def test_falls_along_the_beam_in_a_homogeneous_image():
    result = confidence_map(np.full((50, 30), 100, dtype=np.uint8))
    assert (np.diff(result, axis=0) < 0).all()
    assert np.ptp(result, axis=1).max() < 1e-9


def test_shadow_behind_bone():
    image = speckle((80, 60), scale=20).astype(float)
    image[30:33, 20:40] = 255
    image[33:, 20:40] *= 0.05
    result = confidence_map(image)
    behind, beside = result[40:70, 24:36].mean(), result[40:70, [*range(8), *range(52, 60)]].mean()
    assert behind < 0.8 * beside


def test_a_mirrored_image_gives_the_mirrored_map():
    image = limb()
    assert np.allclose(confidence_map(image[:, ::-1])[:, ::-1], confidence_map(image), atol=1e-10)


@pytest.mark.parametrize(("scale", "offset"), [(3.0, 0.0), (1 / 255, 0.0), (1e-3, 17.0)])
def test_brightness_does_not_matter(scale, offset):
    image = limb().astype(float)
    # The offset costs some digits of the differences.
    assert np.allclose(confidence_map(image * scale + offset), confidence_map(image), atol=1e-6)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(max_examples=40, deadline=None)
def test_always_between_sink_and_source(image):
    result = confidence_map(image)
    assert result.min() >= 0
    assert result.max() <= 1
    assert (result[0] == 1).all()
    if len(image) > 1:
        assert (result[-1] == 0).all()


@pytest.mark.parametrize("parameter", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_bad_parameters_are_refused(parameter, value):
    with pytest.raises(InputError, match=parameter):
        ConfidenceOptions(**{parameter: value})


@pytest.mark.parametrize(
    "image", [np.zeros((3, 4, 3)), np.zeros(5), np.zeros((0, 4)), np.zeros((3, 3), dtype=complex)]
)
def test_what_is_not_an_image_is_refused(image):
    with pytest.raises(InputError, match="one grey image"):
        confidence_map(image)


def test_values_that_are_not_finite():
    image = limb().astype(float)
    image[5, 6] = np.nan
    with pytest.raises(InputError, match="row 5, column 6"):
        confidence_map(image)
    known = np.ones(image.shape, dtype=bool)
    known[5, 6] = False
    assert np.isfinite(confidence_map(image, known=known)).all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="mask"):
        confidence_map(limb(), known=np.ones((3, 3), dtype=bool))


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


def test_a_gigantic_image_is_refused_before_it_takes_the_memory():
    with pytest.raises(InputError, match="at most"):
        confidence_map(np.zeros((3000, 3000), dtype=np.uint8))
