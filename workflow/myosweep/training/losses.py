"""Losses; what is unknown has no part in them."""

from __future__ import annotations

import torch


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    confidence: torch.Tensor | None = None,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    smooth: float = 1.0,
) -> torch.Tensor:
    """Weighted sum of 1 - Dice and of the cross-entropy, for voxels that belong to several classes in part.

    Dice of probabilities p and fractions t is (|p| + |t| - |p - t|) / (|p| + |t|) (Wang et al. 2023, Dice
    semimetric losses): the soft Dice of Milletari et al. (2016) with plain sums where t is 0 or 1, and,
    unlike it, largest at p = t where it is not. The cross-entropy over the m known voxels is -1/m sum t log p
    or, with a confidence map C, -1/m sum t C log p (Gonzalez Duque 2024, part III, eq. 1.1; with Dice 1.2):
    labels count as far as the image that shows them can be trusted.

    Parameters
    ----------
    logits
        (case, class, z, y, x); class 0 is the background.
    target
        Fractions of the same shape, 0 to 1; what is missing to a sum of 1 is unknown.
    confidence
        (case, 1, z, y, x), 0 to 1; None for a cross-entropy that trusts every voxel alike.
    dice_weight, cross_entropy_weight
        Weights of the two; a part with weight 0 is not computed.
    smooth
        Added to numerator and denominator of Dice, voxels; a structure that is neither there nor predicted
        scores 1.

    Returns
    -------
    A scalar. Dice is the mean over cases and structures; cross-entropy, in nat, the mean over what is known.
    0 where nothing is known.
    """
    log_probability = torch.log_softmax(logits.float(), dim=1)
    known = target.sum(dim=1, keepdim=True)
    loss = logits.new_zeros((), dtype=torch.float32)
    if dice_weight:
        probability, truth = (log_probability.exp() * known)[:, 1:], target[:, 1:]
        axes = (2, 3, 4)
        total = probability.sum(axes) + truth.sum(axes)
        dice = (total - (probability - truth).abs().sum(axes) + smooth) / (total + smooth)
        loss = loss + dice_weight * (1 - dice).mean()
    if cross_entropy_weight:
        trusted = target if confidence is None else target * confidence
        loss = loss - cross_entropy_weight * (log_probability * trusted).sum() / known.sum().clamp(min=1)
    return loss
