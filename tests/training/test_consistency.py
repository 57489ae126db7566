from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.training.consistency import slice_dice, st_mse, st_sdc

torch.set_num_threads(1)


def logits_of(*probabilities: list[float]) -> torch.Tensor:
    """(1, class, 1, 1, pixel) of one slice from the probabilities of each class."""
    return torch.log(torch.tensor(probabilities))[None, :, None, None, :]


def target_of(*fractions: list[float]) -> torch.Tensor:
    return torch.tensor(fractions)[None, :, None, None, :]


def joined(*slices: torch.Tensor) -> torch.Tensor:
    return torch.cat(slices, dim=2)


def test_st_mse_is_the_mean_over_slices_of_the_mean_square() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None, :, None, :]
    made = torch.tensor([[1.5, 2.0], [3.0, 2.0]])[None, None, :, None, :]
    assert st_mse(image, made).item() == pytest.approx(((0.25 + 0) / 2 + (0 + 4) / 2) / 2)


def test_slice_dice_is_the_source_s_equation() -> None:
    y, p = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.8, 0.5, 0.3]])
    expected = 2 * (0.8 + 0.5) / (2 + 0.64 + 0.25 + 0.09)
    assert slice_dice(y, p).item() == pytest.approx(expected)
    assert slice_dice(y, p, 0.5).item() == pytest.approx((2 * 1.3 + 0.5) / (2 + 0.98 + 0.5))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_slice_dice_is_largest_at_the_fractions_themselves(seed: int) -> None:
    torch.manual_seed(seed)
    y = torch.rand(3, 4, dtype=torch.float64)
    p = torch.rand(3, 4, dtype=torch.float64)
    for smooth in (0.0, 1.0):
        assert slice_dice(y, y, smooth).item() == pytest.approx(1)
        assert slice_dice(y, p, smooth).item() <= 1 + 1e-12


def test_an_annotated_slice_costs_one_minus_dice() -> None:
    logits = logits_of([0.2, 0.5, 0.7], [0.8, 0.5, 0.3])
    loss = st_sdc(logits, target_of([0, 0, 1], [1, 1, 0]), smooth=0)
    assert loss.item() == pytest.approx(1 - 2 * 1.3 / (2 + 0.98), rel=1e-6)


# One slice of four pixels, GM not annotated: GL, SOL, and two of which only is known that neither is there.
PRIOR_LOGITS = ([0.1, 0.2, 0.3, 0.25], [0.2, 0.3, 0.4, 0.25], [0.6, 0.1, 0.2, 0.25], [0.1, 0.4, 0.1, 0.25])
PRIOR_TARGET = ([0.0] * 4, [0.0] * 4, [1.0, 0, 0, 0], [0, 1.0, 0, 0])


def gm_alone(negative_labels: str) -> float:
    """What GM's term is, from the mean over three structures and closed forms of GL's and SOL's."""
    loss = st_sdc(
        logits_of(*PRIOR_LOGITS), target_of(*PRIOR_TARGET), smooth=0, negative_labels=negative_labels
    )
    gl = 1 - 2 * 0.6 / (1 + 0.36 + 0.01 + 0.04 + 0.0625)
    sol = 1 - 2 * 0.4 / (1 + 0.01 + 0.16 + 0.01 + 0.0625)
    return loss.item() * (2 if negative_labels == "none" else 3) - gl - sol


def test_a_slice_with_others_alone_costs_dice_of_the_others_minus_one() -> None:
    # y^n: the two pixels of GL and SOL, where GM's softmax is 0.2 and 0.3.
    overlap, prior = 2 * (0.2 + 0.3), 2
    assert gm_alone("known") == pytest.approx(overlap / (prior + 0.04 + 0.09) - 1, rel=1e-5)
    whole = 0.04 + 0.09 + 0.16 + 0.0625
    assert gm_alone("slice") == pytest.approx(overlap / (prior + whole) - 1, rel=1e-5)
    assert gm_alone("none") == pytest.approx(0, abs=1e-6)


def gradient_of(target: torch.Tensor, structure: int, seed: int, **options: str) -> torch.Tensor:
    """How the loss changes with a structure's probability alone, (pixel,)."""
    torch.manual_seed(seed)
    p = torch.rand(target.shape[-1], dtype=torch.float64).mul(0.9).add(0.05).requires_grad_()
    rest = (1 - p) / (target.shape[1] - 1)
    stacked = torch.stack([p if k == structure else rest for k in range(target.shape[1])])
    loss = st_sdc(torch.log(stacked)[None, :, None, None, :], target, **options)
    (gradient,) = torch.autograd.grad(loss, p)
    return gradient


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_network_of_one_structure_is_pushed_down_exactly_where_others_are(seed: int) -> None:
    # A network of GM alone sees the others as background; so the gradient is GM's and nothing else's.
    others = torch.tensor([1.0, 1, 0, 0, 1, 0])
    target = torch.stack([others, torch.zeros(6)])[None, :, None, None, :]
    gradient = gradient_of(target, 1, seed)
    assert (gradient[others > 0] > 0).all()
    assert (gradient[others == 0] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_of_several_classes_the_missing_one_is_pushed_down_at_the_others_alone(seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(1, 4, 1, 1, 4, requires_grad=True)
    target = target_of(*PRIOR_TARGET)
    with_prior = st_sdc(logits, target) * 3
    without = st_sdc(logits, target, negative_labels="none") * 2
    (gradient,) = torch.autograd.grad(with_prior - without, logits)
    gm = gradient[0, 1, 0, 0]
    assert (gm[:2] > 0).all()
    # Rounding of a difference of two losses of order 1.
    assert gradient[..., 2:].abs().max() < 1e-6


def test_sums_over_the_whole_slice_push_up_elsewhere() -> None:
    target = target_of(*PRIOR_TARGET)
    logits = torch.randn(1, 4, 1, 1, 4, requires_grad=True)
    terms = [n * st_sdc(logits, target, negative_labels=name) for n, name in ((3, "slice"), (2, "none"))]
    (gradient,) = torch.autograd.grad(terms[0] - terms[1], logits)
    assert (gradient[0, 1, 0, 0, :2] > 0).all()
    assert (gradient[0, 1, 0, 0, 2:] < 0).all()


def test_slices_are_weighed_alike_whatever_they_hold() -> None:
    annotated = logits_of([0.2, 0.5, 0.7], [0.8, 0.5, 0.3]), target_of([0, 0, 1], [1, 1, 0])
    sparse = logits_of([0.9, 0.5, 0.7], [0.1, 0.5, 0.3]), target_of([0, 0, 1], [0, 1, 0])
    empty = logits_of([0.9, 0.5, 0.7], [0.1, 0.5, 0.3]), target_of([1, 0, 0], [0, 0, 0])
    unknown = logits_of([0.9, 0.5, 0.7], [0.1, 0.5, 0.3]), torch.zeros(1, 2, 1, 1, 3)
    parts = [st_sdc(*pair).item() for pair in (annotated, sparse, empty)]
    together = st_sdc(*(joined(*each) for each in zip(annotated, sparse, empty, unknown, strict=True)))
    assert together.item() == pytest.approx(sum(parts) / 3, rel=1e-6)
    assert len({round(part, 3) for part in parts}) == 3


def test_what_was_not_seen_on_a_complete_slice_has_no_part() -> None:
    target = target_of([0, 0, 1, 0], [1, 1, 0, 0])
    logits = torch.randn(1, 2, 1, 1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(st_sdc(logits, target), logits)
    assert (gradient[..., 3] == 0).all()
    assert (gradient[..., :3] != 0).all()


def test_what_is_not_in_its_mask_is_not_it_where_another_was_left_out() -> None:
    # No background: GM was left out, GL was drawn, so pixels that are not known are not GL.
    logits = torch.randn(1, 3, 1, 1, 3, requires_grad=True)
    loss = st_sdc(logits, target_of([0, 0, 0], [0, 0, 0], [1, 0, 0]), negative_labels="none")
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[0, 2, 0, 0, 1:] > 0).all()


def test_a_structure_looked_for_in_vain_is_pushed_down_with_and_without_negative_labels() -> None:
    target = target_of([1, 1, 1], [0, 0, 0])
    for name in ("known", "slice", "none"):
        gradient = gradient_of(target, 1, 0, negative_labels=name)
        assert (gradient > 0).all(), name
    # P / (P + s) of its own squares P and the smoothing s, a part of the slice's three pixels.
    loss = st_sdc(logits_of([0.9, 0.5, 0.7], [0.1, 0.5, 0.3]), target, smooth=0.5)
    assert loss.item() == pytest.approx(0.35 / (0.35 + 1.5))


def test_an_area_costs_as_much_in_vain_as_missed() -> None:
    there, nothing = [0.0] * 90 + [1.0] * 10, [0.0] * 100
    found = [1e-6] * 90 + [1 - 1e-6] * 10
    missed = st_sdc(logits_of([1 - 1e-6] * 100, [1e-6] * 100), target_of([1 - y for y in there], there))
    in_vain = st_sdc(logits_of([1 - p for p in found], found), target_of([1.0] * 100, nothing))
    assert missed.item() == pytest.approx(10 / (10 + 0.5), rel=1e-4)
    assert in_vain.item() == pytest.approx(missed.item(), rel=1e-4)


def test_nothing_known_costs_nothing() -> None:
    logits = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    for smooth in (0.0, 1.0):
        loss = st_sdc(logits, torch.zeros(1, 3, 2, 2, 2), smooth=smooth)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert (gradient == 0).all()
