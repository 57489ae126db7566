"""Training of a network that is supervised at several depths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from myosweep.training.losses import segmentation_loss


class DeepSupervision:
    """A weighted sum of Dice and cross-entropy of several outputs (Wang et al. 2019).

    Parameters
    ----------
    weights
        One per output.
    dice_weight, cross_entropy_weight
        See `losses.segmentation_loss`.
    """

    tasks: ClassVar[Sequence[str]] = ("segmentation",)

    def __init__(
        self, weights: Sequence[float], dice_weight: float = 1.0, cross_entropy_weight: float = 1.0
    ) -> None:
        self.weights = list(weights)
        self.parts = {"dice_weight": dice_weight, "cross_entropy_weight": cross_entropy_weight}

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """All weights, for one optimiser."""
        return [list(network.parameters())]

    def losses(
        self,
        network: nn.Module,
        channels: torch.Tensor,
        target: torch.Tensor,
        confidence: torch.Tensor | None = None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """One loss; the network's method `outputs` gives all its logits."""
        several: Any = network
        terms = [
            weight * segmentation_loss(logits, target, confidence, **self.parts)
            for weight, logits in zip(self.weights, several.outputs(channels), strict=True)
        ]
        yield 0, torch.stack(terms).sum()
