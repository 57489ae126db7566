"""Settings of prediction, and the passes that they ask of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from myosweep.errors import InputError
from myosweep.training.seeds import derived_seed


@dataclass(frozen=True)
class InferenceSettings:
    """Settings of prediction (`segmentation.inference`).

    Attributes
    ----------
    flips
        Whether the limb is also shown turned along its length and the probabilities' mean taken. Never
        mirrored: GM and GL differ by their side alone. A guided network goes both ways from the given slices
        as it is, downwards on turned windows; turned once more it would say the same, and is not asked.
    dropout_passes
        Passes with dropout as in training (Monte-Carlo dropout, Gal and Ghahramani 2016), whose mean is
        taken; 0 for one pass without. Norms stay in evaluation mode.
    largest_component
        Whether only each structure's largest connected piece is kept (6 neighbours, at the network's
        spacing).
    fill_holes
        Whether background that a structure encloses within a slice becomes the structure.
    overlap
        The part of a window that the next one sees again, for networks trained on windows; 0 to below 1.
    """

    flips: bool = False
    dropout_passes: int = 0
    largest_component: bool = True
    fill_holes: bool = False
    overlap: float = 0.5


@dataclass(frozen=True)
class Pass:
    """One way of asking a network: the limb turned or not, and the number of the dropout pass, or None."""

    turned: bool
    dropout: int | None


def passes_of(settings: InferenceSettings, *, guided: bool) -> list[Pass]:
    """The passes of a network in their order."""
    numbers: list[int | None] = [*range(settings.dropout_passes)] or [None]
    ways = (False, True) if settings.flips and not guided else (False,)
    return [Pass(turned, number) for turned in ways for number in numbers]


@contextmanager
def passing(network: nn.Module, one: Pass, seed: int, where: str | Path) -> Iterator[None]:
    """Set a network up for a pass: dropout layers alone in training mode, random numbers by the pass.

    Raises
    ------
    InputError
        The network has no dropout.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
    if one.dropout is None:
        yield
        return
    if not layers:
        raise InputError(
            where,
            "a network without dropout, of which all passes say the same",
            "a network that was trained with dropout",
            "set segmentation.inference.dropout_passes to 0, or train with a dropout above 0",
        )
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "dropout", one.dropout, int(one.turned)))
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()
