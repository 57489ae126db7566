from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from myosweep.errors import InputError
from myosweep.networks import NETWORKS, complete_settings, create, is_guided, sizes_of
from myosweep.networks.sizes import Sizes


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_shape_and_gives_one_logit_per_class(name: str) -> None:
    if is_guided(name):
        pytest.skip("it takes masks, too; its own tests show shapes")
    settings = complete_settings(name, {})
    multiple = sizes_of(name, settings).multiple
    shape = tuple(2 * factor for factor in multiple)
    network = create(name, 2, 4, settings)
    assert network(torch.zeros(1, 2, *shape)).shape == (1, 4, *shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_volume_is_as_small_as_training_allows(name: str) -> None:
    if is_guided(name):
        pytest.skip("it takes masks, too")
    sizes = sizes_of(name, {})
    network = create(name, 2, 4, {}).train()
    smallest = sizes.holding([(1, 1, 1)])
    network(torch.zeros(1, 2, *smallest))
    if smallest != sizes.multiple:
        with pytest.raises(ValueError, match="more than 1"):
            network(torch.zeros(1, 2, *sizes.multiple))


def test_sizes_hold_every_shape_and_grow_along_x() -> None:
    assert Sizes((8, 8, 8), 2).holding([(3, 7, 8)]) == (8, 8, 16)
    assert Sizes((8, 8, 8), 1).holding([(3, 7, 8)]) == (8, 8, 8)
    assert Sizes((1, 8, 8), 2).holding([(3, 7, 8)]) == (3, 8, 8)
    assert Sizes((2, 4, 4), 2).holding([(1, 9, 3), (3, 2, 4)]) == (4, 12, 4)
    assert Sizes().holding([(3, 7, 8)]) == (3, 7, 8)


def test_the_unet_has_about_a_million_weights() -> None:
    network = create("unet", 2, 4, {})
    assert 3e5 < sum(weights.numel() for weights in network.parameters()) < 2e6


def test_weights_follow_from_torch_s_seed() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(torch.cat([weights.ravel() for weights in create("unet", 1, 2, {}).parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_strides_may_differ_by_axis() -> None:
    settings = {"channels": [4, 8, 8], "strides": [[1, 2, 2], 2]}
    assert sizes_of("unet", settings).multiple == (2, 4, 4)
    assert create("unet", 1, 2, settings)(torch.zeros(1, 1, 4, 8, 8)).shape == (1, 2, 4, 8, 8)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"channels": [8]}, "channels"),
        ({"strides": [2]}, "strides"),
        ({"norm": "layer"}, "norm"),
        ({"dropout": 1.0}, "dropout"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], key: str) -> None:
    with pytest.raises(InputError, match=key):
        create("unet", 1, 2, settings)


def test_an_unknown_network_is_told_the_known_ones() -> None:
    with pytest.raises(InputError, match="one of ifssnet, unet"):
        create("transformer", 1, 2, {})


def test_the_registry_and_the_settings_load_no_torch() -> None:
    code = (
        "import sys, myosweep.networks, myosweep.training.settings as s, myosweep.training.cases, "
        "myosweep.training.seeds, myosweep.training;"
        "[s.split_settings(name, {}) for name in myosweep.networks.NETWORKS];"
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
