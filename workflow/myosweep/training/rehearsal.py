"""How much memory a training step holds, found on tensors without data before the first step."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from myosweep.training.objectives import Objective, Rehearsing


def bytes_held(
    network: nn.Module, objective: Objective, shape: Sequence[int], seen: int, classes: int
) -> int:
    """Bytes that a step in float32 keeps for its gradients: the forward pass on tensors without data.

    Less than a step needs at its peak, which holds some of the gradients and a layer's workspace besides.

    Parameters
    ----------
    network
        Left as it is.
    objective
        It says what of the network a step's gradient flows through.
    shape
        Voxels of a field, (z, y, x).
    seen, classes
        Channels of a field, and classes of its target.
    """
    bare = copy.deepcopy(network).to("meta").train()
    # A saved tensor of each storage is kept, so that no other takes its address.
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[_address(tensor)] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        channels, target = (torch.empty(1, count, *shape, device="meta") for count in (seen, classes))
        if isinstance(objective, Rehearsing):
            objective.rehearse(bare, channels)
        else:
            next(objective.losses(bare, channels, target, None))
    weights = {_address(weight) for weight in bare.parameters()}
    return sum(tensor.untyped_storage().nbytes() for at, tensor in saved.items() if at not in weights)


def _address(tensor: torch.Tensor) -> int:
    # Tensors without data all lie at 0.
    return int(tensor.untyped_storage()._cdata)
