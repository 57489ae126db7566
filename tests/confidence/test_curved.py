import math

import numpy as np
import pytest
from echoes import grained, tissue
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding.fan import draw_fan
from myosweep.confidence import ConfidenceOptions, confidence_map
from myosweep.confidence.beams import beams_of
from myosweep.errors import InputError
from myosweep.io.sweeps import Fan
from scipy import ndimage

ROWS, COLS = 200, 260
CURVED = Fan(130.0, -60.0, 80.0, 250.0, -0.5, 0.5)
VARIANTS = [
    ConfidenceOptions(),
    ConfidenceOptions(sink="everywhere", normalisation="fixed"),
    ConfidenceOptions(method="directed"),
]
NAMES = ["all", "everywhere", "directed"]


def places(shape, fan=CURVED):
    """Where on the beams (depth, beam) each pixel lies."""
    row, column = np.indices((ROWS, COLS), float)
    radius = np.hypot(column - fan.column, row - fan.row)
    angle = np.arctan2(column - fan.column, row - fan.row)
    return [
        (radius - fan.first_radius) / (fan.last_radius - fan.first_radius) * (shape[0] - 1),
        (angle - fan.first_angle) / (fan.last_angle - fan.first_angle) * (shape[1] - 1),
    ]


def converted(beams):
    """What a scanner shows of beams: an image of its screen."""
    shown = ndimage.map_coordinates(beams.astype(float), places(beams.shape), order=1, mode="nearest")
    return np.rint(shown * draw_fan(CURVED, ROWS, COLS)).astype(np.uint8)


@pytest.fixture(scope="module")
def scan():
    """Beams with a bone, and their picture."""
    beams = tissue((171, 240), (80, 60, 110))
    return beams, converted(beams)


@pytest.mark.parametrize("options", VARIANTS, ids=NAMES)
def test_the_map_of_the_picture_is_the_picture_of_the_map(scan, options):
    beams, picture = scan
    inside = draw_fan(CURVED, ROWS, COLS)
    place = places(beams.shape)
    truth = ndimage.map_coordinates(confidence_map(beams, options), place, order=1, mode="nearest")
    along_beams = confidence_map(picture, options, fan=CURVED)
    along_columns = confidence_map(picture, options, known=inside)
    wrong, worse = (np.abs(found - truth)[inside].mean() for found in (along_beams, along_columns))
    # The picture has lost some of the beams' grain, which changes weights between neighbours.
    assert wrong < 0.05
    assert worse > 2 * wrong
    assert (along_beams[~inside] == 0).all()


@pytest.mark.parametrize("options", VARIANTS[:2], ids=NAMES[:2])
def test_a_shadow_follows_the_beam(scan, options):
    _, picture = scan
    result = confidence_map(picture, options, fan=CURVED)
    depth, beam = places((171, 240))
    deep = (depth > 95) & (depth < 125)
    shadow, beside = (
        result[deep & (beam > low) & (beam < high)].mean() for low, high in ((70, 100), (130, 160))
    )
    assert shadow < 0.8 * beside


@pytest.mark.parametrize("options", VARIANTS, ids=NAMES)
def test_a_homogeneous_fan_falls_with_the_radius_alone(options):
    # Within the image, so that every beam is of one length.
    fan = Fan(130.0, -60.0, 80.0, 250.0, -0.4, 0.4)
    result = confidence_map(np.full((ROWS, COLS), 70, dtype=np.uint8), options, fan=fan)
    inside = draw_fan(fan, ROWS, COLS, inwards=3)
    radius = np.hypot(*(np.indices((ROWS, COLS)) - np.array([fan.row, fan.column])[:, None, None]))[inside]
    values = result[inside][np.argsort(radius)]
    # A pixel's step along the beam is 1/170 of the depth; the steepest fall is some three times the mean one.
    assert np.diff(values).max() < 0.02
    assert values[:50].mean() > 0.9
    assert values[-50:].mean() < 0.2


@pytest.mark.parametrize("options", VARIANTS, ids=NAMES)
def test_a_mirrored_fan_gives_the_mirrored_map(options):
    fan = Fan(100.0, -60.0, 80.0, 250.0, -0.3, 0.5)
    image = (40 * grained((ROWS, COLS))).astype(np.uint8)
    mirrored = Fan(COLS - 1 - 100.0, -60.0, 80.0, 250.0, -0.5, 0.3)
    one = confidence_map(image, options, fan=fan)
    two = confidence_map(image[:, ::-1], options, fan=mirrored)[:, ::-1]
    assert np.abs(one - two).max() < 1e-9


def test_unknown_pixels_and_a_sink_mask_come_along():
    picture = converted(tissue((171, 240)))
    known = np.ones(picture.shape, dtype=bool)
    known[:, 150:170] = False
    sink = np.zeros(picture.shape, dtype=bool)
    sink[120:124, 100:140] = True
    result = confidence_map(picture, ConfidenceOptions(sink="mask"), known=known, fan=CURVED, sink=sink)
    assert (result[:, 150:170] == 0).all()
    assert result[121:123, 102:138].max() < 0.05
    assert result[40:60, 110:130].min() > 0.3


def test_values_off_the_beams_do_not_matter():
    picture = converted(tissue((171, 240)))
    written = picture.copy()
    written[~draw_fan(CURVED, ROWS, COLS)] = 255
    assert np.array_equal(confidence_map(written, fan=CURVED), confidence_map(picture, fan=CURVED))
    spoilt = np.where(draw_fan(CURVED, ROWS, COLS), picture, np.nan)
    known = draw_fan(CURVED, ROWS, COLS)
    assert np.array_equal(
        confidence_map(spoilt, fan=CURVED, known=known), confidence_map(picture, fan=CURVED)
    )


def test_there_and_back_is_linear_in_between():
    beams = beams_of(CURVED, ROWS, COLS)
    row, column = np.indices((ROWS, COLS), float)
    image = 2 * row + column
    everywhere = np.ones(image.shape, dtype=bool)
    samples, known = beams.sample(image, everywhere)
    back = beams.back(samples, known, everywhere)
    inner = draw_fan(CURVED, ROWS, COLS, inwards=3)
    # A linear picture is bent along the arcs only: by an eighth of step^2 / radius.
    assert np.abs(back - image)[inner].max() < 0.02


@given(
    st.tuples(*[st.floats(-1e3, 1e3)] * 2),
    st.tuples(*[st.floats(0, 1e4)] * 2),
    st.tuples(*[st.floats(-7, 7)] * 2),
)
@settings(max_examples=60, deadline=None)
def test_any_fan_is_mapped_or_refused(apex, radii, angles):
    fan = Fan(*apex, *radii, *angles)
    image = np.full((12, 15), 50, dtype=np.uint8)
    image[5] = 200
    sound = radii[0] < radii[1] and 0 < angles[1] - angles[0] <= 2 * math.pi
    if not sound:
        with pytest.raises(InputError, match="fan"):
            confidence_map(image, fan=fan)
        return
    result = confidence_map(image, fan=fan)
    assert result.min() >= 0
    assert result.max() <= 1
    assert beams_of(fan, 12, 15).row.size <= 12 * 15 * 4


def test_a_fan_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="fan"):
        confidence_map(np.zeros((5, 5)), fan=Fan(1.0, float("nan"), 1.0, 2.0, 0.0, 1.0))
