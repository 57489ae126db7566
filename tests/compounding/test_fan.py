from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.compounding.fan import draw_fan, fit_fan, shares
from myosweep.compounding.outline import hull_mask, hull_points
from myosweep.io.sweeps import Fan

masks = st.integers(1, 12).flatmap(
    lambda rows: st.integers(1, 12).flatmap(
        lambda columns: st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns).map(
            lambda values: np.array(values).reshape(rows, columns)
        )
    )
)


@pytest.mark.parametrize(
    "fan", [Fan(30, -20, 25, 70, -0.5, 0.4), Fan(10.3, 4.7, 0, 40.2, -0.8, 0.1), Fan(31, 60, 5, 30, 0, 1.2)]
)
def test_a_fan_is_drawn_as_in_igsio(fan: Fan) -> None:
    mask = draw_fan(fan, 50, 60)
    for row in range(50):
        for column in range(60):
            x, y = column - fan.column, row - fan.row
            # The tests of vtkUnoptimizedInsertSlice, for pixels that lie on no line.
            square = x * x + y * y
            within = y > 0 and math.tan(fan.first_angle) <= x / y <= math.tan(fan.last_angle)
            expected = within and fan.first_radius**2 <= square <= fan.last_radius**2
            on_line = y == 0 or x == 0 or math.isclose(square, fan.first_radius**2)
            assert mask[row, column] == expected or on_line
    assert not (draw_fan(fan, 50, 60, inwards=1.0) & ~mask).any()


def test_a_fan_may_turn_beyond_a_right_angle() -> None:
    mask = draw_fan(Fan(50, 50, 0, 40, -2.2, 2.2), 100, 100)
    assert mask[50, 20]
    assert mask[50, 80]
    assert mask[40, 25]
    assert not mask[30, 50]


@settings(max_examples=6, deadline=None)
@given(
    st.floats(0.2, 0.8),
    st.floats(0.2, 0.8),
    st.floats(0, 200),
    st.floats(180, 300),
    st.floats(250, 390),
)
def test_a_fan_is_found_again(left: float, right: float, start: float, depth: float, column: float) -> None:
    fan = Fan(column, 30 - start * math.cos(max(left, right)), start, start + depth, -left, right)
    mask = draw_fan(fan, 480, 640)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    found = fit_fan(part)
    assert found is not None
    # Two per cent of the pixels: an edge that is off by a pixel or so.
    assert shares(draw_fan(found, *part.shape), part) > 0.98


def test_nothing_and_next_to_nothing_are_no_fans() -> None:
    assert fit_fan(np.zeros((300, 240), bool)) is None
    assert fit_fan(np.ones((4, 4), bool)) is None


@given(masks)
def test_a_hull_is_the_smallest_that_is_convex(mask: np.ndarray) -> None:
    points, hull = hull_points(mask), hull_mask(mask)
    assert len(points) == 0 or mask[points[:, 1], points[:, 0]].all()
    assert not (mask & ~hull).any()
    # Every direction's farthest pixel is a corner's.
    columns, rows = np.nonzero(mask)[::-1]
    for angle in np.linspace(0, 2 * math.pi, 17) if len(points) else ():
        along = np.array([math.cos(angle), math.sin(angle)])
        farthest = (np.stack([columns, rows], axis=1) @ along).max()
        assert (points @ along).max() == pytest.approx(farthest)
        columns_in, rows_in = np.nonzero(hull)[::-1]
        assert (np.stack([columns_in, rows_in], axis=1) @ along).max() <= farthest + 1e-9
    np.testing.assert_array_equal(hull_mask(hull), hull)
