from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from myosweep.errors import InputError
from myosweep.networks import NETWORKS, complete_settings, create, is_guided, multiple_of


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_shape_and_gives_one_logit_per_class(name: str) -> None:
    if is_guided(name):
        pytest.skip("it takes masks, too; its own tests show shapes")
    settings = complete_settings(name, {})
    multiple = multiple_of(name, settings)
    shape = tuple(2 * factor for factor in multiple)
    network = create(name, 2, 4, settings)
    assert network(torch.zeros(1, 2, *shape)).shape == (1, 4, *shape)


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
    assert multiple_of("unet", settings) == (2, 4, 4)
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
