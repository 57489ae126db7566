"""What a network that is not trained by Dice and cross-entropy of the whole brings along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


class Objective(Protocol):
    """Several optimisers and losses, some of them after a step of another."""

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """The weights of each optimiser; weights may belong to several."""

    def losses(
        self, network: nn.Module, channels: torch.Tensor, target: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The losses of one training step, in their order.

        Whoever takes them clears the gradients of all weights, propagates a loss back and lets its optimiser
        step before the next is asked for: the next is made with the new weights.

        Parameters
        ----------
        network
            In training mode.
        channels
            float32 (case, channel, z, y, x).
        target
            Fractions (case, class, z, y, x), 0 to 1; what is missing to a sum of 1 is unknown.

        Yields
        ------
        Which optimiser, and a scalar. Nothing, where nothing can be learned.
        """
