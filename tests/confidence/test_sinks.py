import numpy as np
import pytest
from echoes import DEFAULTS, dense_walk, ends_of, grained, limb, speckle, tissue
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from myosweep.confidence import ConfidenceOptions, confidence_map
from myosweep.confidence.absorption import absorption_of
from myosweep.confidence.graph import weigh_edges
from myosweep.confidence.roles import longest_beam, relative_depth

COMPARABLE = ConfidenceOptions(sink="everywhere", normalisation="fixed")


def marked_by(sink, image, known):
    """The sinks, one end at a time."""
    ends = np.argwhere(ends_of(known).T)[:, ::-1]
    marked = np.zeros(known.shape, dtype=bool)
    if sink == "middle" and len(ends):
        marked[tuple(ends[len(ends) // 2])] = True
    elif sink == "minimum" and len(ends):
        tenth = int(0.1 * len(ends))
        inner = [tuple(end) for end in ends][tenth : len(ends) - tenth]
        for end in inner:
            marked[end] = image[end] == min(image[other] for other in inner)
    return marked


@pytest.mark.parametrize("sink", ["middle", "minimum"])
@given(
    hnp.arrays(np.uint8, (7, 9)),
    hnp.arrays(bool, (7, 9), elements=st.sampled_from([True, True, True, False])),
)
@settings(max_examples=30, deadline=None)
def test_an_end_of_some_beams_agrees_with_a_dense_solution(sink, image, known):
    twin = dense_walk(image, known, **DEFAULTS, sink=marked_by(sink, image, known)) if known.any() else 0
    assert np.abs(confidence_map(image, ConfidenceOptions(sink=sink), known=known) - twin).max() < 1e-9


def test_a_mask_agrees_with_a_dense_solution():
    image = limb((14, 12))
    known = np.ones(image.shape, dtype=bool)
    known[:3, 4] = known[6, 6] = False
    mask = np.zeros(image.shape, dtype=bool)
    mask[5:8, 5:8] = mask[0, 0] = mask[13, 11] = True
    result = confidence_map(image, ConfidenceOptions(sink="mask"), known=known, sink=mask)
    assert np.abs(result - dense_walk(image, known, **DEFAULTS, sink=mask)).max() < 1e-9
    assert result[0, 0] == 1
    assert result[13, 11] == 0


@pytest.mark.parametrize("sink", ["all", "everywhere"])
@pytest.mark.parametrize("normalisation", ["image", "fixed"])
def test_absorption_and_fixed_normalisation_agree_with_a_dense_solution(sink, normalisation):
    image = limb((15, 13))
    known = np.ones(image.shape, dtype=bool)
    known[:2, :4] = known[9, 5] = False
    options = ConfidenceOptions(sink=sink, normalisation=normalisation, white=200.0)
    depth, absorption = float(longest_beam(known)), None
    if sink == "everywhere":
        edges = weigh_edges(image.astype(float), known, relative_depth(known, depth), options)
        absorption = absorption_of(edges, known, depth, options.bottom)
    nowhere = np.zeros(image.shape, dtype=bool)
    twin = dense_walk(
        image,
        known,
        **DEFAULTS,
        sink=nowhere if sink == "everywhere" else None,
        white=200.0 if normalisation == "fixed" else None,
        absorption=absorption,
    )
    assert np.abs(confidence_map(image, options, known=known) - twin).max() < 1e-9


@pytest.mark.parametrize("bottom", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("rows", [50, 200])
def test_a_homogeneous_image_falls_to_the_bottom_that_was_asked_for(bottom, rows):
    options = ConfidenceOptions(sink="everywhere", bottom=bottom)
    result = confidence_map(np.full((rows, 20), 90, dtype=np.uint8), options)
    depth = np.arange(rows) / (rows - 1)
    kappa = np.arccosh(1 / bottom)
    # A pixel is a step of kappa / rows: what the continuous solution leaves out is of its size.
    expected = np.cosh(kappa * (1 - depth)) / np.cosh(kappa)
    assert np.abs(result - expected[:, None]).max() < kappa / rows


@pytest.mark.parametrize("beta", [30.0, 90.0])
@pytest.mark.parametrize("across", [0.5, 2.5, 6.0])
def test_texture_alone_changes_the_bottom_little(beta, across):
    image = np.clip(20 * grained((200, 100), 0, across), 0, 255).astype(np.uint8)
    options = ConfidenceOptions(sink="everywhere", normalisation="fixed", beta=beta)
    assert 0.05 < confidence_map(image, options)[-1].mean() < 0.2


def halves(image, options, **settings):
    """Maps of the left and the right three fifths of an image, where they overlap."""
    cols = image.shape[1]
    left, right = image[:, : 3 * cols // 5], image[:, 2 * cols // 5 :]
    overlap = 3 * cols // 5 - 2 * cols // 5
    one = confidence_map(left, options, **settings)[:, -overlap:]
    two = confidence_map(right, options, **settings)[:, :overlap]
    return np.abs(one - two).mean()


def test_maps_of_overlapping_images_agree():
    # A bright reflector that the left image alone sees changes what the right one is scaled by.
    image = tissue((240, 200), (90, 20, 70)) // 2
    image[150:154, :30] = 255
    plain = halves(image, ConfidenceOptions())
    agreed = halves(image, COMPARABLE)
    assert plain > 0.04
    assert agreed < 0.25 * plain
    assert halves(image, ConfidenceOptions(method="directed", normalisation="fixed")) < 0.25 * plain


def test_where_the_image_ends_matters_little():
    image = tissue((240, 120))
    cut = slice(0, 160)

    def change(options):
        whole, part = (confidence_map(part, options, depth=239) for part in (image, image[cut]))
        return np.abs(whole[cut] - part)[:120].mean()

    plain = change(ConfidenceOptions(normalisation="fixed"))
    assert plain > 0.05
    assert change(COMPARABLE) < 0.3 * plain


def test_sound_that_reaches_the_bottom_counts():
    image = tissue((240, 160), (100, 30, 80))
    result = confidence_map(image, COMPARABLE)
    assert (confidence_map(image)[-1] == 0).all()
    assert result[-1, 110:].min() > 0.02
    assert result[-1, 35:75].mean() < 0.5 * result[-1, 110:].mean()


def test_the_middle_alone_leaves_the_sides_of_the_bottom():
    result = confidence_map(speckle((60, 41)), ConfidenceOptions(sink="middle"))
    assert result[-1, 20] == 0
    assert (result[-1, [0, 40]] > 0.2).all()
