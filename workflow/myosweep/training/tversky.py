"""The Tversky index with learned weights (Salehi et al. 2017; Al Chanti et al. 2021, eq. 2 and 3).

TI = TP / (TP + alpha FP + beta FN). At alpha = beta = .5 it is Dice with plain sums below, 2 sum(p t) /
(sum(p) + sum(t)); the paper's text says that it is then its eq. 1, which has sums of squares below,
2 sum(p t) / (sum(p^2) + sum(t^2)): the two agree for masks of 0 and 1 and differ for soft ones, where eq. 1
is the larger.

Voxels here belong to a structure in part. For those the index with TP = sum(p t) is largest at p of 0 or 1,
not at p = t; with TP = sum(min(p, t)), FP = sum(max(p - t, 0)) and FN = sum(max(t - p, 0)) (Wang et al. 2023,
Tversky semimetric) it is, and the plain sums stay. Both are the same where t is 0 or 1, as in the paper.

Weights that are learned by lowering the very loss they weigh move to the kind of error that there is less
of: with more false positives alpha falls. The paper has it so; the softmax keeps both between 0 and 1.
"""

from __future__ import annotations

import torch


def balance(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Alpha and beta, which sum to 1, of two logits (2,); two zeros are .5 and .5."""
    alpha, beta = torch.softmax(logits, dim=0).unbind()
    return alpha, beta


def tversky_index(
    probability: torch.Tensor,
    target: torch.Tensor,
    alpha: torch.Tensor | float,
    beta: torch.Tensor | float,
    known: torch.Tensor | None = None,
    *,
    overlap: str = "minimum",
    smooth: float = 1.0,
) -> torch.Tensor:
    """The index of each window.

    Parameters
    ----------
    probability
        Of the structure, (window, ...).
    target
        The structure's part of each voxel, of the same shape.
    alpha, beta
        Weights of false positives and of false negatives.
    known
        The part of each voxel whose truth is known, at least the target; all of it if None.
    overlap
        `minimum`, or `product` as in eq. 2 (see above).
    smooth
        Added to numerator and denominator, voxels: a window without the structure scores 1 if none is
        predicted, and something can be learned from it. The paper has none.

    Returns
    -------
    (window,), 0 to 1.
    """
    known = torch.ones_like(target) if known is None else known
    mine, truth = (probability * known).flatten(1), target.flatten(1)
    if overlap == "minimum":
        both = torch.minimum(mine, truth).sum(1)
    elif overlap == "product":
        both = (probability * target).flatten(1).sum(1)
    else:
        raise ValueError(f"overlap is '{overlap}', expected minimum or product")
    false_positive, false_negative = mine.sum(1) - both, truth.sum(1) - both
    return (both + smooth) / (both + alpha * false_positive + beta * false_negative + smooth)


def squared_dice(
    probability: torch.Tensor, target: torch.Tensor, known: torch.Tensor | None = None, *, smooth: float = 1.0
) -> torch.Tensor:
    """Dice with sums of squares (Milletari et al. 2016; the paper's eq. 1) of each window, (window,).

    Parameters as those of `tversky_index`.
    """
    known = torch.ones_like(target) if known is None else known
    mine, truth = (probability * known).flatten(1), target.flatten(1)
    return (2 * (mine * truth).sum(1) + smooth) / ((mine**2).sum(1) + (truth**2).sum(1) + smooth)
