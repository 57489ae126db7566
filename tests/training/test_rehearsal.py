"""What a training step holds, told without data, against what it holds with them."""

from __future__ import annotations

import pytest
import torch
from myosweep.networks import create
from myosweep.settings import network_names
from myosweep.training.objectives import WholeVolume, objective_of
from myosweep.training.rehearsal import bytes_held
from myosweep.training.settings import split_settings
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

SMALL = {
    "unetr": {"patch": [32, 32, 32], "hidden_size": 48, "mlp_size": 96, "heads": 4},
    "vnet": {"patch": [32, 32, 32]},
}


def test_of_one_convolution_it_is_image_and_sums() -> None:
    """The convolution keeps its input, the mean of squares what it was given."""

    class Squares(WholeVolume):
        def losses(self, network, channels, target, confidence):
            yield 0, (network(channels) ** 2).mean()

    network = nn.Conv3d(2, 5, 3, padding=1, bias=False)
    voxels = 6 * 7 * 8
    assert bytes_held(network, Squares(1, 1), (6, 7, 8), 2, 3) == 4 * voxels * (2 + 5)


@pytest.mark.parametrize("name", network_names())
def test_it_is_what_a_step_holds(name: str) -> None:
    options, settings = split_settings(name, SMALL.get(name, {}))
    classes = 2 if name == "ifssnet" else 4
    torch.manual_seed(1)
    network = create(name, 2, classes, settings)
    objective = objective_of(name, settings, options)
    shape = (32, 32, 32)
    state = torch.random.get_rng_state()
    told = bytes_held(network, objective, shape, 2, classes)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(weight.device.type == "cpu" for weight in network.parameters())

    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    target = torch.zeros(1, classes, *shape)
    target[:, 0], target[:, :2, :, 8:24, 8:24] = 1, 0.5
    network.train()
    most = 0
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        for _, loss in objective.losses(network, torch.rand(1, 2, *shape), target, None):
            weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
            own = [each.untyped_storage().nbytes() for at, each in saved.items() if at not in weights]
            most = max(most, sum(own))
            saved.clear()
            del loss
    # Told is the least: IFSS-Net's slices at the ends of its ways, and losses of sequences, come on top.
    assert 0.6 * most < told <= 1.01 * most
