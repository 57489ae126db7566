from __future__ import annotations

import math

import pytest
import torch
from myosweep.training.losses import segmentation_loss
from myosweep.training.settings import TrainingSettings


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    """(1, class, 1, 1, voxel) from probabilities by voxel."""
    return torch.log(torch.tensor(probabilities).T)[None, :, None, None, :]


def target_of(classes: list[int]) -> torch.Tensor:
    """(1, 2, 1, 1, voxel), all or nothing."""
    return torch.nn.functional.one_hot(torch.tensor(classes), 2).T[None, :, None, None, :].float()


def test_cross_entropy_is_the_mean_of_minus_log_probability() -> None:
    loss = segmentation_loss(logits_of([[0.5, 0.5], [0.1, 0.9]]), target_of([0, 1]), dice_weight=0)
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 2, rel=1e-6)


def test_dice_is_twice_the_overlap_over_the_sum() -> None:
    loss = segmentation_loss(
        logits_of([[0.5, 0.5], [0.1, 0.9]]), target_of([0, 1]), cross_entropy_weight=0, smooth=0.5
    )
    assert loss.item() == pytest.approx(1 - (2 * 0.9 + 0.5) / (1.4 + 1 + 0.5), rel=1e-6)


def test_a_perfect_prediction_costs_nothing() -> None:
    loss = segmentation_loss(logits_of([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]]), target_of([0, 1]))
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_fractions_are_best_met_by_themselves() -> None:
    target = torch.tensor([[0.7, 0.2, 1.0], [0.3, 0.8, 0.0]])[None, :, None, None, :]
    logits = torch.log(target.clamp(min=1e-6)).requires_grad_()
    best = segmentation_loss(logits, target).item()
    entropy = -(target * torch.log(target.clamp(min=1e-6))).sum().item() / 3
    assert best == pytest.approx(entropy, abs=1e-5)
    for seed in range(20):
        torch.manual_seed(seed)
        assert segmentation_loss(logits + 0.1 * torch.randn(logits.shape), target).item() > best


def test_unknown_voxels_change_neither_loss_nor_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 3, 4, requires_grad=True)
    target = torch.softmax(torch.randn(2, 3, 2, 3, 4), dim=1)
    target[:, :, 0] = 0
    loss = segmentation_loss(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, :, 0] == 0).all()
    assert (gradient[:, :, 1] != 0).all()
    changed = logits.detach().clone()
    changed[:, :, 0] += 7 * torch.randn(2, 3, 3, 4)
    assert segmentation_loss(changed, target).item() == pytest.approx(loss.item(), rel=1e-6)


def test_nothing_known_costs_nothing() -> None:
    logits = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(1, 3, 2, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


def test_confidence_weighs_the_labels_over_all_voxels() -> None:
    # -1/m sum of Y CM log p, by hand: m counts every known voxel, however little it is trusted.
    logits, target = logits_of([[0.5, 0.5], [0.1, 0.9], [0.3, 0.7]]), target_of([0, 1, 0])
    target[..., 2] = 0
    confidence = torch.tensor([0.25, 0.5, 1.0])[None, None, None, None, :]
    loss = segmentation_loss(logits, target, confidence, dice_weight=0)
    assert loss.item() == pytest.approx(-(0.25 * math.log(0.5) + 0.5 * math.log(0.9)) / 2, rel=1e-6)


def test_full_confidence_is_the_plain_loss_and_dice_never_sees_it() -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(1, 3, 2, 3, 4), torch.softmax(torch.randn(1, 3, 2, 3, 4), dim=1)
    ones, half = torch.ones(1, 1, 2, 3, 4), torch.full((1, 1, 2, 3, 4), 0.5)
    plain = segmentation_loss(logits, target).item()
    assert segmentation_loss(logits, target, ones).item() == pytest.approx(plain, rel=1e-6)
    dice = segmentation_loss(logits, target, cross_entropy_weight=0).item()
    assert segmentation_loss(logits, target, half, cross_entropy_weight=0).item() == dice
    assert segmentation_loss(logits, target, half).item() == pytest.approx(
        dice + (plain - dice) / 2, rel=1e-6
    )


@pytest.mark.parametrize(
    ("loss", "weights", "weighted"),
    [
        ("Dice", (2.0, 0.0), False),
        ("CE", (0.0, 3.0), False),
        ("DiceCE", (2.0, 3.0), False),
        ("CEconf", (0.0, 3.0), True),
        ("DiceCEconf", (2.0, 3.0), True),
    ],
)
def test_a_loss_s_name_says_its_parts(loss: str, weights: tuple[float, float], weighted: bool) -> None:
    settings = TrainingSettings(loss=loss, dice_weight=2.0, cross_entropy_weight=3.0)
    assert settings.loss_weights == weights
    assert settings.weighs_by_confidence == weighted
