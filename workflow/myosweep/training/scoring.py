"""How well a network segments a case that it validates on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from myosweep.training.data import UNKNOWN
from myosweep.training.guides import NothingToPropagate
from myosweep.training.segmenting import probabilities
from myosweep.training.views import Field


def dice_of(prediction: np.ndarray, target: np.ndarray, classes: int) -> list[float]:  # type: ignore[type-arg]
    """Dice of each class from 1 on where the target is not 255 (unknown); NaN where neither has it."""
    known = target != UNKNOWN
    scores = []
    for index in range(1, classes):
        mine, truth = (prediction == index) & known, target == index
        total = int(mine.sum()) + int(truth.sum())
        scores.append(2 * int((mine & truth).sum()) / total if total else math.nan)
    return scores


def score(
    network: nn.Module, name: str, field: Field, device: torch.device, patch: Sequence[int] | None
) -> list[float]:
    """Dice of each class from 1 on; NaN where a guided network has nothing to propagate.

    Parameters
    ----------
    network
        In evaluation mode, on the device; `name` is its name.
    field
        What it sees of the case.
    device
        Where it computes.
    patch
        See `segmenting.probabilities`.
    """
    classes = len(field.target)
    fractions = field.target.astype(np.float32) / np.float32(255)
    try:
        scores = probabilities(network, name, field.channels, device, fractions, patch=patch)
    except NothingToPropagate:
        return [math.nan] * (classes - 1)
    mostly_known = field.target.sum(axis=0, dtype=np.int64) > 127
    target = np.where(mostly_known, field.target.argmax(axis=0), UNKNOWN)
    return dice_of(scores.argmax(axis=0), target, classes)


def mean_of(scores: np.ndarray) -> float | None:  # type: ignore[type-arg]
    """The mean of what is finite; None where nothing is."""
    finite = scores[np.isfinite(scores)] if len(scores) else scores
    return float(finite.mean()) if len(finite) else None
