"""What a network says of a volume at its own spacing, slice by slice, by whichever way it segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from myosweep.networks import is_guided, module_of
from myosweep.training.guides import guiding_slices
from myosweep.training.lattice import Floats
from myosweep.training.propagation import Volume
from myosweep.training.segmenting import probabilities
from myosweep.training.windows import slide_slices


def probability_slices(
    network: nn.Module,
    name: str,
    channels: Volume,
    device: torch.device,
    fractions: Volume | None = None,
    *,
    patch: Sequence[int] | None = None,
    overlap: float = 0.5,
) -> Iterator[tuple[int, Floats]]:
    """Probabilities slice by slice; only a network of whole limbs is given all of a volume at once.

    Parameters
    ----------
    network
        In evaluation mode, on the device.
    name
        Of the network.
    channels
        What it sees, (channel, z, y, x), padded; read by slices.
    device
        Where it computes.
    fractions
        For a guided network the case's labels, see `guides.guiding_slices`.
    patch, overlap
        Of a network that learned from windows, see `windows.slide_slices`.

    Yields
    ------
    Slice and probabilities of the classes there, (class, y, x), sums of 1; each slice once.
    """
    module = module_of(name)
    if is_guided(name):
        assert fractions is not None
        given = guiding_slices(fractions, int(network.window))  # type: ignore[arg-type]
        yield from module.segment_slices(network, channels, given)
    elif patch is not None:
        yield from slide_slices(network, channels, patch, device, overlap)
    elif hasattr(module, "in_windows"):
        yield from module.in_windows(network, channels, device)
    else:
        yield from enumerate(probabilities(network, name, channels[:, :], device).swapaxes(0, 1))


def slices_in_memory(name: str, settings: dict[str, Any], depth: int, patch: Sequence[int] | None) -> int:
    """How many of `depth` slices are in the network at a time."""
    module = module_of(name)
    if patch is not None and not is_guided(name):
        return min(depth, int(patch[0]))
    if is_guided(name) or hasattr(module, "in_windows"):
        return min(depth, int(settings["window"]))
    return depth
