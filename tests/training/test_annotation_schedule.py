from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.training.annotation_schedule import (
    annotated_slices,
    annotation_counts,
    even_slices,
    hide_structure,
    keep_annotations,
)

COHORT = st.lists(st.integers(3, 2000), min_size=1, max_size=40)


def test_the_thesis_s_numbers_and_total() -> None:
    counts = annotation_counts([1400] * 29, "decremental", 3.5, 3)
    assert counts[:6] == [233, 116, 58, 56, 53, 51]
    assert counts == sorted(counts, reverse=True)
    # Rounded down, each loses less than one slice of 1421.
    assert 1421 - 29 < sum(counts) <= 1421


def test_fixed_gives_each_the_same_share() -> None:
    assert annotation_counts([1400] * 29, "fixed", 3.5, 3) == [49] * 29
    assert annotation_counts([400, 200], "fixed", 3, 3) == [12, 6]


def test_full_keeps_everything() -> None:
    assert annotation_counts([10, 20], "full", 3.5, 3) == [10, 20]
    assert annotated_slices(4, 4, 3) == [0, 1, 2, 3]


def test_a_small_cohort_keeps_a_window_for_each() -> None:
    """3.5 % of 5 x 84 slices are 14.7: less than a window of 3 for each of 5, so 15 slices in all."""
    assert annotation_counts([84] * 5, "decremental", 3.5, 3) == [3] * 5


def test_what_the_last_need_the_first_give_up() -> None:
    """10 % of 4 x 100 are 40; 1/6, 1/12, 1/24, 1/25 of it in proportion, all above a window: 20, 10, 5, 4."""
    assert annotation_counts([100] * 4, "decremental", 10, 3) == [20, 10, 5, 4]
    assert annotation_counts([100] * 4, "decremental", 10, 6) == [18, 9, 6, 6]


@given(slices=COHORT, supervision=st.sampled_from(["decremental", "fixed"]), percent=st.floats(0.1, 100))
def test_no_more_than_asked_unless_a_window_each_is_more(
    slices: list[int], supervision: str, percent: float
) -> None:
    counts = annotation_counts(slices, supervision, percent, 3)
    assert all(min(3, n) <= count <= n for count, n in zip(counts, slices, strict=True))
    assert sum(counts) <= max(percent / 100 * sum(slices), sum(min(3, n) for n in slices)) + 1e-6


@given(slices=st.integers(3, 500), count=st.integers(1, 500), window=st.integers(2, 3))
def test_groups_lie_within_the_volume_and_cost_what_they_may(slices: int, count: int, window: int) -> None:
    chosen = annotated_slices(slices, count, window)
    assert chosen == sorted(set(chosen))
    assert 0 <= chosen[0] <= chosen[-1] < slices
    assert len(chosen) <= max(count, window)
    assert any(
        chosen[place : place + window] == list(range(index, index + window))
        for place, index in enumerate(chosen)
    )


def test_groups_are_spread_evenly() -> None:
    assert annotated_slices(100, 7, 3) == [23, 24, 25, 73, 74, 75]
    with pytest.raises(ValueError, match="supervision"):
        annotation_counts([3], "weak", 3.5, 3)


def test_what_is_not_kept_is_unknown() -> None:
    target = np.full((2, 5, 2, 2), 127, dtype=np.uint8)
    assert keep_annotations(target, [1, 2]).any(axis=(0, 2, 3)).tolist() == [False, True, True, False, False]


@given(slices=st.integers(1, 300), percent=st.floats(1, 100))
def test_even_slices_are_as_many_as_asked_and_never_far_apart(slices: int, percent: float) -> None:
    kept = even_slices(slices, percent)
    assert kept == sorted(set(kept))
    assert 0 <= kept[0] <= kept[-1] < slices
    assert len(kept) == max(round(percent / 100 * slices), 1)
    gaps = np.diff(kept)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_even_slices_by_hand() -> None:
    assert even_slices(10, 100) == list(range(10))
    assert even_slices(10, 30) == [1, 5, 8]
    assert even_slices(10, 50) == [1, 3, 5, 7, 9]


def test_a_hidden_structure_takes_the_background_along_and_no_other() -> None:
    target = np.full((4, 5, 2, 2), 60, dtype=np.uint8)
    hidden = hide_structure(target, 2, [0, 3])
    assert (hidden[:, [0, 3]] == 60).all()
    assert (hidden[[0, 2]][:, [1, 2, 4]] == 0).all()
    assert (hidden[[1, 3]] == 60).all()
    assert (target == 60).all()
