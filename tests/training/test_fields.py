from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st
from myosweep.training.fields import cut, field_corner, field_shape, guided_box, put_back

SIZES = st.tuples(*[st.integers(1, 7)] * 3)


def fractions(depth: int = 9) -> np.ndarray:  # type: ignore[type-arg]
    """A structure in rows 3 to 4 and columns 6 to 9, thickest in slices 4 to 6."""
    result = np.zeros((2, depth, 12, 14), dtype=np.float32)
    result[1, 1:8, 3, 7:9] = 1
    result[1, 4:7, 3:5, 6:10] = 0.5
    result[0] = 1 - result[1]
    return result


def test_a_box_holds_the_guiding_masks() -> None:
    assert guided_box(fractions(), 3) == (slice(3, 5), slice(6, 10))
    assert guided_box(np.zeros((2, 9, 4, 4), dtype=np.float32), 3) is None


def test_a_field_is_the_box_and_its_margin() -> None:
    """2 rows and 4 columns; a margin of 5 mm is 3 rows of 2 mm and 2 columns of 3 mm on each side."""
    box = guided_box(fractions(), 3)
    assert field_shape((9, 12, 14), box, 5.0, (3.0, 2.0, 8.0)) == (9, 8, 8)
    assert field_shape((9, 12, 14), None, 5.0, (3.0, 2.0, 8.0)) == (9, 12, 14)
    # Its middle is that of the box; it may begin before the volume.
    assert field_corner((9, 12, 14), box, (9, 8, 8)) == (0, 0, 4)
    assert field_corner((9, 12, 14), box, (11, 12, 8)) == (-1, -2, 4)
    assert field_corner((9, 12, 14), None, (9, 16, 16)) == (0, -2, -1)


@quick(deadline=None)
@given(shape=SIZES, field=SIZES, corner=st.tuples(*[st.integers(-9, 9)] * 3))
def test_what_was_cut_out_goes_back(
    shape: tuple[int, int, int], field: tuple[int, int, int], corner: tuple[int, int, int]
) -> None:
    volume = np.random.default_rng(1).uniform(0.1, 0.9, (2, *shape)).astype(np.float32)
    part = cut(volume, corner, field, np.array([-1, -2]))
    assert part.shape == (2, *field)
    inside = np.zeros(shape, dtype=bool)
    for index in np.ndindex(*field):
        place = tuple(start + step for start, step in zip(corner, index, strict=True))
        within = all(0 <= at < size for at, size in zip(place, shape, strict=True))
        expected = volume[(slice(None), *place)] if within else (-1, -2)
        assert part[(slice(None), *index)] == pytest.approx(expected)
        if within:
            inside[place] = True
    back = put_back(part, corner, shape)
    np.testing.assert_array_equal(back[:, inside], volume[:, inside])
    assert (back[0, ~inside] == 1).all()
    assert (back[1, ~inside] == 0).all()
