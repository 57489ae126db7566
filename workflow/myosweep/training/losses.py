"""Losses; voxels of unknown label have no part in them."""

from __future__ import annotations

import torch

UNKNOWN = 255


def dice_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    smooth: float = 1.0,
) -> torch.Tensor:
    """Weighted sum of 1 - soft Dice (Milletari et al. 2016, with plain sums) and of the cross-entropy.

    Parameters
    ----------
    logits
        (case, class, z, y, x); class 0 is the background.
    target
        Classes (case, z, y, x); 255 unknown.
    dice_weight, cross_entropy_weight
        Weights of the two.
    smooth
        Added to numerator and denominator of Dice, voxels; a structure that is neither there nor predicted
        scores 1.

    Returns
    -------
    A scalar. Dice is the mean over cases and structures; cross-entropy, in nat, the mean over known voxels. 0
    where nothing is known.
    """
    log_probability = torch.log_softmax(logits.float(), dim=1)
    known = (target != UNKNOWN).unsqueeze(1)
    # Products instead of nll_loss, which has no deterministic form on a GPU.
    classes = torch.arange(logits.shape[1], device=logits.device).reshape(1, -1, 1, 1, 1)
    truth = (target.unsqueeze(1) == classes).float()
    cross_entropy = -(log_probability * truth).sum() / known.sum().clamp(min=1)
    probability = (log_probability.exp() * known)[:, 1:]
    truth = truth[:, 1:]
    axes = (2, 3, 4)
    both = (probability * truth).sum(axes)
    dice = (2 * both + smooth) / (probability.sum(axes) + truth.sum(axes) + smooth)
    return dice_weight * (1 - dice).mean() + cross_entropy_weight * cross_entropy
