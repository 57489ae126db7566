import numpy as np
import pytest
from echoes import handed_down, limb, speckle
from myosweep.confidence import ConfidenceOptions, confidence_map

DIRECTED = ConfidenceOptions(method="directed")


@pytest.mark.parametrize(
    ("image", "alpha", "bottom"),
    [
        (limb((12, 30)), 2.0, 0.1),
        (speckle((9, 25)), 1.0, 0.3),
        (speckle((20, 7)), 0.0, 0.1),
        (speckle((2, 40)), 2.0, 0.1),
    ],
)
def test_agrees_with_one_pixel_at_a_time(image, alpha, bottom):
    options = ConfidenceOptions(method="directed", alpha=alpha, bottom=bottom)
    assert (
        np.abs(confidence_map(image, options) - handed_down(image.astype(float), alpha, bottom)).max() < 1e-12
    )


@pytest.mark.parametrize("alpha", [0.0, 2.0, 1e6])
@pytest.mark.parametrize("bottom", [0.01, 0.1, 0.9])
def test_a_homogeneous_image_ends_with_the_bottom(alpha, bottom):
    options = ConfidenceOptions(method="directed", alpha=alpha, bottom=bottom)
    result = confidence_map(np.full((80, 30), 12, dtype=np.uint8), options)
    assert result[-1] == pytest.approx(bottom)
    assert np.ptp(result, axis=1).max() < 1e-12


def test_what_lies_deeper_or_far_aside_does_not_matter():
    image = limb((60, 80)).astype(float)
    other = image.copy()
    other[31:] = 255 - other[31:]
    options = ConfidenceOptions(method="directed", normalisation="fixed")
    one, two = confidence_map(image, options), confidence_map(other, options)
    assert np.array_equal(one[:31], two[:31])
    assert not np.allclose(one[31:], two[31:])
    # Each row hears ten columns to either side.
    part = confidence_map(image[:, :60], options)
    for row in range(6):
        assert np.allclose(part[row, : 60 - 10 * row], one[row, : 60 - 10 * row])


def test_unknown_pixels_hand_nothing_down():
    image = limb((40, 60))
    known = np.ones(image.shape, dtype=bool)
    known[10:14, :40] = False
    known[:5, 50:] = False
    result = confidence_map(image, DIRECTED, known=known)
    assert (result[~known] == 0).all()
    assert (result[5, 50:] == 1).all()
    # Under the gap only what came around its end arrives, at most ten columns a row.
    assert (result[14, :25] == 0).all()
    assert (result[14, 30:40] > 0).all()
