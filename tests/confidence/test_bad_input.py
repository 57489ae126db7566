"""A defined value or a clear error, whatever comes."""

import warnings

import numpy as np
import pytest
from echoes import limb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.confidence import ConfidenceOptions, confidence_map, confidence_volume
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.sweeps import Fan
from myosweep.io.volumes import Volume
from test_physics import VARIANTS, every_variant

WORDS = {"method": "directed", "sink": "everywhere", "normalisation": "fixed"}


@pytest.mark.parametrize("parameter", ["alpha", "beta", "gamma", "white", "bottom"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_bad_numbers_are_refused(parameter, value):
    with pytest.raises(InputError, match=parameter):
        ConfidenceOptions(**{parameter: value})


@pytest.mark.parametrize(("parameter", "value"), [("white", 0.0), ("bottom", 0.0), ("bottom", 1.0)])
def test_bounds_are_refused(parameter, value):
    with pytest.raises(InputError, match=parameter):
        ConfidenceOptions(**{parameter: value})


@pytest.mark.parametrize("name", WORDS)
def test_unknown_words_are_refused(name):
    with pytest.raises(InputError, match=WORDS[name]):
        ConfidenceOptions(**{name: "bottom"})


@pytest.mark.parametrize(
    "image", [np.zeros((3, 4, 3)), np.zeros(5), np.zeros((0, 4)), np.zeros((3, 3), dtype=complex)]
)
def test_what_is_not_an_image_is_refused(image):
    with pytest.raises(InputError, match="one grey image"):
        confidence_map(image)


def test_values_that_are_not_finite():
    image = limb().astype(float)
    image[5, 6] = np.nan
    image[7, 1] = np.inf
    with pytest.raises(InputError, match=r"2 values .* row 5, column 6"):
        confidence_map(image)
    known = np.isfinite(image)
    for options in VARIANTS.values():
        assert np.isfinite(confidence_map(image, options, known=known)).all()


def test_a_mask_of_another_size_is_refused():
    wrong = np.ones((3, 3), dtype=bool)
    with pytest.raises(InputError, match="mask"):
        confidence_map(limb(), known=wrong)
    with pytest.raises(InputError, match="mask"):
        confidence_map(limb(), ConfidenceOptions(sink="mask"), sink=wrong)


@every_variant
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 9), (9, 2), (3, 3)])
@pytest.mark.parametrize("value", [0, 255, None])
def test_constant_black_and_tiny_images_have_a_map(options, shape, value):
    image = limb(shape) if value is None else np.full(shape, value, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = confidence_map(image, options)
    assert (result[0] == 1).all()
    assert result.min() >= 0
    assert result.max() <= 1


@every_variant
def test_what_computing_left_of_a_constant_image_is_no_texture(options):
    flat = np.full((20, 15), 70.0)
    rounded = flat + np.random.default_rng(0).normal(size=flat.shape) * 1e-13
    assert np.allclose(confidence_map(rounded, options), confidence_map(flat, options), atol=1e-9)


@every_variant
@given(
    hnp.arrays(np.uint8, (6, 7)),
    hnp.arrays(bool, (6, 7), elements=st.sampled_from([True, True, False])),
)
@settings(max_examples=25, deadline=None)
def test_any_mask_has_a_map(options, image, known):
    result = confidence_map(image, options, known=known)
    assert (result[~known] == 0).all()
    assert np.isfinite(result).all()
    assert result.max(initial=0) <= 1
    for column in np.flatnonzero(known.any(axis=0)):
        assert result[known[:, column].argmax(), column] == 1


@every_variant
def test_a_mask_without_a_known_pixel_is_a_map_of_nothing(options):
    nothing = np.zeros((12, 9), dtype=bool)
    assert (confidence_map(limb((12, 9)), options, known=nothing) == 0).all()
    fan = Fan(500.0, 500.0, 10.0, 20.0, 0.0, 1.0)
    assert (confidence_map(limb((12, 9)), options, fan=fan) == 0).all()


def test_a_sink_mask_without_a_sink_is_refused():
    options = ConfidenceOptions(sink="mask")
    image = limb((12, 9))
    for rows in (slice(0, 0), slice(0, 1)):
        mask = np.zeros(image.shape, dtype=bool)
        mask[rows] = True
        with pytest.raises(InputError, match="a sink mask without"):
            confidence_map(image, options, sink=mask)
    known = np.ones(image.shape, dtype=bool)
    known[8:] = False
    with pytest.raises(InputError, match="a sink mask without"):
        confidence_map(image, options, known=known, sink=~known)


def test_a_sink_mask_and_its_option_belong_together():
    image = limb((12, 9))
    mask = np.ones(image.shape, dtype=bool)
    with pytest.raises(InputError, match="no sink mask"):
        confidence_map(image, ConfidenceOptions(sink="mask"))
    with pytest.raises(InputError, match="a sink mask with"):
        confidence_map(image, sink=mask)
    with pytest.raises(InputError, match="a sink mask with"):
        confidence_map(image, ConfidenceOptions(method="directed", sink="mask"), sink=mask)


@every_variant
@pytest.mark.parametrize(
    "numbers",
    [
        {"alpha": 1e308, "beta": 1e308, "gamma": 1e308},
        {"alpha": 0.0, "beta": 0.0, "gamma": 0.0},
        {"white": 5e-324},
        {"white": 1e308, "beta": 1e-300},
        {"bottom": 1e-6},
        {"bottom": 1 - 1e-12},
    ],
)
def test_hostile_numbers_have_a_map(options, numbers):
    result = confidence_map(limb((20, 15)), ConfidenceOptions(**{**vars(options), **numbers}))
    assert np.isfinite(result).all()
    assert result.min() >= 0


@every_variant
def test_hostile_values_have_a_map(options):
    image = limb((20, 15)).astype(float)
    image[10, 4], image[11, 4] = 1.7e308, -1.7e308
    assert np.isfinite(confidence_map(image, options)).all()


@pytest.mark.parametrize("depth", [0.0, 0.5, -3.0, float("nan"), float("inf"), 1e300])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(InputError, match="depth"):
        confidence_map(limb(), depth=depth)


@pytest.mark.parametrize("fan", [None, Fan(1500.0, -500.0, 500.0, 3000.0, -0.7, 0.7)])
def test_a_gigantic_image_is_refused_before_it_takes_the_memory(fan):
    with pytest.raises(InputError, match="at most"):
        confidence_map(np.zeros((3000, 3000), dtype=np.uint8), fan=fan)


def test_a_slice_is_named():
    grid = Grid((9, 12, 3), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    values = np.stack([limb((12, 9)).astype(np.float32)] * 3)
    coverage = Volume(np.ones(values.shape, dtype=np.float32), grid)
    sink = np.zeros(values.shape, dtype=bool)
    sink[:2, -1] = True
    with pytest.raises(InputError, match="slice 2"):
        confidence_volume(Volume(values, grid), coverage, ConfidenceOptions(sink="mask"), sink=sink)
    values[1, 4, 4] = np.nan
    with pytest.raises(InputError, match="slice 1"):
        confidence_volume(Volume(values, grid), coverage)
