"""How a network is trained: its optimisers and its losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from myosweep.networks import module_of
from myosweep.training.losses import segmentation_loss
from myosweep.training.settings import TrainingSettings


class Objective(Protocol):
    """Several optimisers and losses, some of them after a step of another."""

    @property
    def tasks(self) -> Sequence[str]:
        """What each optimiser's loss is of, for the names of columns."""

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """The weights of each optimiser; weights may belong to several."""

    def losses(
        self,
        network: nn.Module,
        channels: torch.Tensor,
        target: torch.Tensor,
        confidence: torch.Tensor | None,
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
        confidence
            (case, 1, z, y, x), 0 to 1, where the setting `loss` weighs by it, else None.

        Yields
        ------
        Which optimiser, and a scalar. Nothing, where nothing can be learned.
        """


@runtime_checkable
class Rehearsing(Protocol):
    """An objective whose losses look at values, and so cannot be had of tensors without data."""

    def rehearse(self, network: nn.Module, channels: torch.Tensor) -> None:
        """Compute what of the network a loss's gradient flows through, or a part of it.

        Channels lie on the device meta and have the shape that `losses` takes.
        """


@runtime_checkable
class Growing(Protocol):
    """An objective that asks for more as the training goes on."""

    def at(self, done: float) -> Objective:
        """The objective after this part of the training's epochs, 0 to 1."""

    def volumes(self, done: float, count: int) -> int:
        """How many of `count` volumes, from the first, are learned from after this part."""


@dataclass(frozen=True)
class WholeVolume:
    """One optimiser, one loss of the whole volume: what a network has that brings nothing else along.

    Attributes
    ----------
    dice_weight, cross_entropy_weight
        See `losses.segmentation_loss`.
    """

    dice_weight: float
    cross_entropy_weight: float
    tasks: ClassVar[Sequence[str]] = ("segmentation",)

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """All weights."""
        return [list(network.parameters())]

    def losses(
        self,
        network: nn.Module,
        channels: torch.Tensor,
        target: torch.Tensor,
        confidence: torch.Tensor | None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The loss of the network's logits."""
        yield (
            0,
            segmentation_loss(
                network(channels),
                target,
                confidence,
                dice_weight=self.dice_weight,
                cross_entropy_weight=self.cross_entropy_weight,
            ),
        )


def objective_of(network: str, settings: dict[str, Any], options: TrainingSettings) -> Objective:
    """What a network brings along (`objective(settings, options)` of its module), or `WholeVolume`."""
    module = module_of(network)
    if hasattr(module, "objective"):
        own: Objective = module.objective(module.Settings(**settings), options)
        return own
    return WholeVolume(*options.loss_weights)
