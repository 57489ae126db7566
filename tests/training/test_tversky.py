from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from myosweep.training.tversky import balance, squared_dice, tversky_index

SHARES = st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=2, max_size=8)


def row(values: list[float]) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_the_index_is_the_closed_form() -> None:
    """p = .8, .6, .1 for t = 1, 0, 1: TP .9, FP .6, FN .2 + .9 = 1.1."""
    index = tversky_index(row([0.8, 0.6, 0.1]), row([1, 0, 1]), 0.3, 0.7, smooth=0)
    assert index.item() == pytest.approx(0.9 / (0.9 + 0.3 * 0.6 + 0.7 * 1.1))


@given(pairs=SHARES)
def test_halves_give_dice_with_plain_sums_and_not_with_squares(pairs: list[tuple[float, float]]) -> None:
    p, t = row([a for a, _ in pairs]), row([b for _, b in pairs])
    index = tversky_index(p, t, 0.5, 0.5, overlap="product", smooth=1e-9).item()
    assert index == pytest.approx((2 * (p * t).sum() / (p.sum() + t.sum() + 2e-9)).item(), abs=1e-6) or (
        (p.sum() + t.sum()).item() < 1e-3
    )
    # Shares are at least their squares, so the paper's eq. 1 is never the smaller.
    assert squared_dice(p, t, smooth=2e-9).item() >= index - 1e-9


def test_soft_masks_tell_plain_sums_from_squares() -> None:
    """p = t = .5 twice: plain 2 x .5 / 2 = .5, squares 2 x .5 / 1 = 1; masks of 0 and 1 agree."""
    soft, hard = row([0.5, 0.5]), row([1.0, 0.0])
    assert tversky_index(soft, soft, 0.5, 0.5, overlap="product", smooth=0).item() == pytest.approx(0.5)
    assert squared_dice(soft, soft, smooth=0).item() == pytest.approx(1)
    assert tversky_index(hard, hard, 0.5, 0.5, smooth=0).item() == squared_dice(hard, hard, smooth=0).item()


@given(pairs=SHARES, alpha=st.floats(0, 1))
def test_minimum_is_the_product_where_the_truth_is_all_or_nothing(
    pairs: list[tuple[float, float]], alpha: float
) -> None:
    p, t = row([a for a, _ in pairs]), row([round(b) for _, b in pairs])
    forms = [tversky_index(p, t, alpha, 1 - alpha, overlap=form).item() for form in ("minimum", "product")]
    assert forms[0] == pytest.approx(forms[1], rel=1e-6)


@given(pairs=SHARES, alpha=st.floats(0.05, 0.95))
def test_fractions_are_best_met_by_themselves(pairs: list[tuple[float, float]], alpha: float) -> None:
    p, t = row([a for a, _ in pairs]), row([b for _, b in pairs])
    assert tversky_index(t, t, alpha, 1 - alpha).item() == pytest.approx(1)
    assert tversky_index(p, t, alpha, 1 - alpha).item() <= 1 + 1e-9


def test_unknown_voxels_have_no_part() -> None:
    p, t, known = row([0.9, 0.4, 0.7]), row([1.0, 0.0, 0.0]), row([1.0, 1.0, 0.0])
    for index in (
        lambda p: tversky_index(p, t, 0.4, 0.6, known),
        lambda p: squared_dice(p, t, known),
    ):
        assert index(p).item() == index(row([0.9, 0.4, 0.1])).item()


def test_weights_start_even_sum_to_one_and_learn() -> None:
    logits = torch.zeros(2, requires_grad=True)
    alpha, beta = balance(logits)
    assert (alpha.item(), beta.item()) == (0.5, 0.5)
    p, t = torch.tensor([[0.8, 0.6, 0.5]]), torch.tensor([[1.0, 0.0, 0.0]])
    (1 - tversky_index(p, t, alpha, beta)).sum().backward()
    assert logits.grad is not None
    # More false positives (1.1) than false negatives (.2): the loss falls with alpha.
    assert logits.grad[0] > 0 > logits.grad[1]
    with torch.no_grad():
        logits -= 0.5 * logits.grad
    alpha, beta = balance(logits)
    assert alpha < 0.5 < beta
    assert (alpha + beta).item() == pytest.approx(1)


def test_nothing_there_and_nothing_said_scores_one() -> None:
    nothing = torch.zeros(1, 4)
    assert tversky_index(nothing, nothing, 0.5, 0.5).item() == 1
    assert tversky_index(nothing + 0.5, nothing, 0.5, 0.5).item() < 1
    with pytest.raises(ValueError, match="overlap"):
        tversky_index(nothing, nothing, 0.5, 0.5, overlap="both")
