"""Seg-Net as the thesis defines it (II.2.4): IFSS-Net without the trainable Tversky loss.

Its loss is Dice, the thesis's other loss (fig. 2.8). The results of that chapter also call it volumetric
segmentation, before "segmentation with propagation": for that reading set `recurrence` to false besides.
"""

from __future__ import annotations

from dataclasses import dataclass

from myosweep.networks import ifssnet
from myosweep.networks.ifssnet import TRAINING, build, multiple, objective

__all__ = ["TRAINING", "Settings", "build", "multiple", "objective"]


@dataclass(frozen=True)
class Settings(ifssnet.Settings):
    """Settings of IFSS-Net; `loss` is `dice`."""

    loss: str = "dice"
