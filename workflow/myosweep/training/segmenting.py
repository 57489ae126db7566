"""What a network says of a volume at its own spacing, by whichever way it segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from myosweep.networks import is_guided, module_of
from myosweep.training.device import LAYOUT
from myosweep.training.guides import guiding_slices
from myosweep.training.lattice import Floats
from myosweep.training.windows import slide


def probabilities(
    network: nn.Module,
    name: str,
    channels: Floats,
    device: torch.device,
    fractions: Floats | None = None,
    *,
    patch: Sequence[int] | None = None,
) -> Floats:
    """Probabilities of the classes.

    Parameters
    ----------
    network
        In evaluation mode, on the device.
    name
        Of the network.
    channels
        What it sees, (channel, z, y, x), padded.
    device
        Where it computes.
    fractions
        For a guided network the case's labels, see `guides.guiding_slices`.
    patch
        Voxels along (z, y, x) of the windows through which a network that was trained on patches sees.

    Returns
    -------
    (class, z, y, x), sums of 1.
    """
    if is_guided(name):
        assert fractions is not None
        given = guiding_slices(fractions, int(network.window))  # type: ignore[arg-type]
        result: Floats = module_of(name).segment(network, channels, given)
        return result
    if patch is not None:
        return slide(network, channels, patch, device)
    batch = torch.from_numpy(channels)[None].to(device, memory_format=LAYOUT)
    with torch.inference_mode():
        logits = network(batch)
    found: Floats = np.ascontiguousarray(torch.softmax(logits[0].float(), dim=0).cpu().numpy())
    return found
