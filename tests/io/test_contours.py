from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from myosweep.errors import InputError
from myosweep.io.annotations import read_annotations, read_annotations_by_structure
from myosweep.io.contours import fill, masks_by_structure, masks_from_contours
from myosweep.io.sweeps import Contour, Sweep
from stradwin_writer import outlines

STRUCTURES = {"GM": 150, "SOL": 100}
ROWS, COLUMNS = 40, 50
ALL = ["GM", "SOL"]


def box(column: float, row: float, columns: float, rows: float) -> np.ndarray:
    """Around `columns` x `rows` pixels, the first being (column, row)."""
    left, top = column - 0.5, row - 0.5
    return np.array([[left, top], [left + columns, top], [left + columns, top + rows], [left, top + rows]])


def filled(column: int, row: int, columns: int, rows: int) -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[row : row + rows, column : column + columns] = True
    return mask


def sweep(*contours: tuple[str, int, np.ndarray] | Contour) -> Sweep:
    made = tuple(c if isinstance(c, Contour) else Contour(c[1], c[0], c[2], True) for c in contours)
    frames = np.zeros((20, ROWS, COLUMNS), np.uint8)
    poses = np.tile(np.diag([0.2, 0.4, 0.2, 1.0]), (20, 1, 1))
    return Sweep(Path("s.sw"), frames, poses, ("",) * 20, np.arange(20.0), contours=made)


def one_mask(*contours: tuple[str, int, np.ndarray] | Contour) -> np.ndarray:
    masks = masks_from_contours(sweep(*contours), STRUCTURES, ALL)
    assert len(masks) == 1
    return next(iter(masks.values()))


def refused(*words: str, contours: Sequence[object], **settings: object) -> None:
    with pytest.raises(InputError) as caught:
        masks_from_contours(sweep(*contours), STRUCTURES, ALL, **settings)  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value), str(caught.value)


def by_hand(points: np.ndarray, column: int, row: int) -> bool:
    """Whether a ray to the left crosses the outline an odd number of times."""
    inside = False
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y0 <= row) != (y1 <= row):
            inside ^= x0 + (row - y0) * (x1 - x0) / (y1 - y0) < column
    return inside


corners = st.tuples(st.floats(-10, 25), st.floats(-10, 20))


@settings(max_examples=100, deadline=None)
@given(st.lists(corners, min_size=1, max_size=12))
def test_pixels_whose_centres_are_inside(points: list[tuple[float, float]]) -> None:
    # Irrational, so that no centre lies on the outline.
    polygon = np.floor(np.array(points)) + np.sqrt([2, 3]) % 1
    found = fill(polygon, (10, 15))
    assert found.shape == (10, 15)
    for row in range(10):
        for column in range(15):
            assert found[row, column] == by_hand(polygon, column, row), (column, row)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-3, 18), min_size=2, max_size=11))
def test_polygons_that_share_an_edge_share_no_pixel(columns: list[float]) -> None:
    border = np.column_stack([columns, np.linspace(-0.5, 9.5, len(columns))])
    left = fill(np.vstack([border, [[-99, 9.5], [-99, -0.5]]]), (10, 15))
    right = fill(np.vstack([border, [[99, 9.5], [99, -0.5]]]), (10, 15))
    assert (left ^ right).all()


def test_a_polygon_of_many_points_has_the_area_of_its_circle() -> None:
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    circle = 200 + 150 * np.column_stack([np.cos(angle), np.sin(angle)])
    # Pixel counts of a circle err by some radius^0.63 pixels.
    assert np.count_nonzero(fill(circle, (400, 400))) == pytest.approx(np.pi * 150**2, abs=150)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (7, 9)))
def test_a_mask_comes_back_from_its_outlines(small: np.ndarray) -> None:
    # Blocks of pixels, so that a hole is never as large as what surrounds it.
    mask = np.kron(small, np.ones((3, 3))).astype(bool)
    mask = np.pad(mask, ((6, ROWS - 27), (9, COLUMNS - 36)))
    contours = [("GM", 3, line) for line in outlines(mask)]
    if contours:
        np.testing.assert_array_equal(one_mask(*contours), np.where(mask, 150, 0))


def test_contours_of_one_structure_add_up_and_leave_holes() -> None:
    outer, hole, island, beside = (2, 2, 20, 20), (5, 5, 10, 10), (8, 8, 3, 3), (30, 5, 4, 4)
    crossing = (20, 15, 10, 5)
    drawn = [("GM", 7, box(*part)) for part in (island, beside, hole, outer, crossing, beside)]
    expected = filled(*outer) & ~filled(*hole) | filled(*island) | filled(*beside) | filled(*crossing)
    np.testing.assert_array_equal(one_mask(*drawn) == 150, expected)


def test_a_structure_drawn_twice_is_refused() -> None:
    twice = [("GM", 7, box(2, 2, 20, 20)), ("GM", 7, box(2, 2, 20, 19))]
    refused("frame 7", "two contours of GM", contours=twice)


def test_two_annotators_objects_of_one_name_are_refused() -> None:
    # Each has drawn the same muscle, a little aside; neither outline lies within the other.
    both = [("GM", 7, box(2, 2, 20, 20)), ("gm ", 7, box(3, 4, 20, 18))]
    refused("frame 7", "share 86 % of the larger one", contours=both)


def test_a_structure_at_the_images_edge_is_cut_there() -> None:
    found = one_mask(("GM", 0, box(-30, -30, 40, 35)))
    np.testing.assert_array_equal(found == 150, filled(0, 0, 10, 5))


def test_open_contours_are_closed_where_their_ends_are_close() -> None:
    ring = np.vstack([box(5, 5, 10, 10), [[4.5, 7.5]]])
    np.testing.assert_array_equal(one_mask(Contour(2, "GM", ring, False)) == 150, filled(5, 5, 10, 10))
    refused("frame 2", "open contour of GM", contours=[Contour(2, "GM", box(5, 5, 10, 10), False)])


def test_clicks_are_no_statement(capsys: pytest.CaptureFixture[str]) -> None:
    clicks = [("GM", 4, box(3, 3, 0.2, 0.2) + 0.7), Contour(5, "GM", np.array([[3.0, 3]]), False)]
    masks = masks_from_contours(sweep(*clicks, ("GM", 6, box(3, 3, 5, 5))), STRUCTURES, ALL)
    assert list(masks) == [6]
    assert capsys.readouterr().err.count("encloses no pixel") == 2


def test_names_as_people_type_them(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = [
        (" gm", 1, box(1, 1, 5, 5)),
        ("Gastroc  Med ", 2, box(1, 1, 5, 5)),
        ("soleus", 1, box(20, 20, 5, 5)),
        ("probe", 3, box(1, 1, 5, 5)),
    ]
    names = {"gastroc med": "GM", "SOLEUS": "SOL", "GM": "SOL"}
    masks = masks_from_contours(sweep(*drawn), STRUCTURES, ALL, names)
    assert {frame: np.unique(mask).tolist() for frame, mask in masks.items()} == {
        1: [0, 100, 150],
        2: [0, 150],
    }
    assert "`probe` (1 contours)" in capsys.readouterr().err


def test_names_that_mean_nothing_are_refused() -> None:
    drawn = [("gastroc", 1, box(1, 1, 5, 5))]
    unnamed = [("end", 1, box(1, 1, 5, 5)), ("a: b", 2, box(1, 1, 5, 5))]
    refused("`gastroc` (1 contours)", "contours of GM, SOL", '{"gastroc": ?}', contours=drawn)
    refused("GM or SOL or background", '{"a: b": ?, "end": ?}', contours=unnamed)
    refused("contour_names.gastroc", "GL", contours=drawn, contour_names={"gastroc": "GL"})
    refused("no contour", contours=[])
    none = Sweep(Path("s.mha"), np.zeros((1, 2, 2), np.uint8), np.eye(4)[None], ("",), np.zeros(1))
    with pytest.raises(InputError, match="holds no contours"):
        masks_from_contours(none, STRUCTURES, ALL)


def test_a_frame_speaks_of_the_structures_it_shows() -> None:
    gm, sol = box(1, 1, 5, 5), box(20, 20, 5, 5)
    recording = sweep(("SOL", 9, sol), ("GM", 2, gm), ("GM", 9, gm), ("SOL", 5, sol), ("end", 12, gm))
    found = masks_by_structure(recording, STRUCTURES, ALL)
    assert {name: list(masks) for name, masks in found.items()} == {"GM": [2, 9], "SOL": [5, 9]}
    assert np.unique(found["GM"][9]).tolist() == [0, 100, 150]
    names = {"end": "background"}
    found = masks_by_structure(recording, STRUCTURES, ALL, names)
    assert {name: list(masks) for name, masks in found.items()} == {"GM": [2, 9, 12], "SOL": [5, 9, 12]}
    assert not found["GM"][12].any()
    assert list(masks_by_structure(recording, STRUCTURES, ["SOL"])) == ["SOL"]
    assert list(read_annotations("contours", recording, STRUCTURES, ALL, names)) == [2, 5, 9, 12]
    parts = read_annotations_by_structure("contours", recording, STRUCTURES, ALL, names)
    assert [(about, list(masks)) for about, masks in parts] == [(["GM"], [2, 9, 12]), (["SOL"], [5, 9, 12])]


def test_an_annotated_structure_that_was_not_drawn_has_no_masks() -> None:
    assert masks_by_structure(sweep(("GM", 2, box(1, 1, 5, 5))), STRUCTURES, ALL)["SOL"] == {}


def test_structures_that_overlap_along_their_border_share_it() -> None:
    found = one_mask(("GM", 1, box(10, 5, 20, 14)), ("SOL", 1, box(10, 17, 20, 14)))
    # Rows 17 and 18 are drawn twice; each goes to the structure that is drawn alone beside it.
    expected = np.zeros((ROWS, COLUMNS), np.uint8)
    expected[5:18, 10:30], expected[18:31, 10:30] = 150, 100
    np.testing.assert_array_equal(found, expected)


def test_structures_drawn_over_each_other_are_refused() -> None:
    drawn = [("GM", 1, box(10, 5, 20, 14)), ("SOL", 1, box(10, 14, 20, 14))]
    refused("frame 1", "GM and SOL", "36 % of the smaller", contours=drawn)
