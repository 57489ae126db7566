from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from myosweep.errors import InputError
from myosweep.networks import NETWORKS, complete_settings, create, module_of, sizes_of
from myosweep.settings import known_networks
from myosweep.training.losses import segmentation_loss
from myosweep.training.settings import split_settings

torch.set_num_threads(1)

SMALL: dict[str, dict[str, Any]] = {
    "vnet": {"dropout": 0.0},
    "attention_unet": {"channels": [4, 8, 16], "strides": [2, 2]},
    "unetr": {
        "image_size": [16, 32, 32],
        "feature_size": 4,
        "hidden_size": 24,
        "mlp_size": 48,
        "heads": 2,
    },
}


def count(module: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())


def built(name: str, in_channels: int, classes: int, settings: dict[str, Any]) -> torch.nn.Module:
    torch.manual_seed(0)
    return create(name, in_channels, classes, settings)


def ball(shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A dark ball in noise beside a second channel of nothing, and its fractions as two classes."""
    torch.manual_seed(0)
    axes = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    mask = (sum((axis / (n / 3)) ** 2 for axis, n in zip(axes, shape, strict=True)) < 1).float()
    image = 1 - 2 * mask + 0.3 * torch.randn(shape)
    return torch.stack([image, torch.zeros(shape)])[None], torch.stack([1 - mask, mask])[None]


@pytest.mark.parametrize("name", SMALL)
def test_shapes_are_kept_for_any_channels_and_classes(name: str) -> None:
    settings = complete_settings(name, SMALL[name])
    shape = (16, 32, 48) if name == "unetr" else (16, 16, 32)
    assert all(n % m == 0 for n, m in zip(shape, sizes_of(name, settings).multiple, strict=True))
    for channels, classes in ((1, 2), (3, 4))[name == "vnet" :]:
        network = built(name, channels, classes, settings).eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, channels, *shape)).shape == (1, classes, *shape)


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_falls_clearly_in_a_few_steps(name: str) -> None:
    network = built(name, 2, 2, SMALL[name]).train()
    # The V-Net has 45 million weights, each step of which takes its time.
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3 if name == "vnet" else 1e-2)
    channels, target = ball((16, 32, 32) if name == "unetr" else (16, 16, 32))
    losses = []
    for _ in range(5 if name == "vnet" else 25):
        loss = segmentation_loss(network(channels), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0], losses


@pytest.mark.parametrize(
    ("name", "preset"),
    [(name, preset) for name in NETWORKS for preset in getattr(module_of(name), "PRESETS", {})],
)
def test_presets_are_settings(name: str, preset: str) -> None:
    given = module_of(name).PRESETS[preset]
    training, network = split_settings(name, given)
    complete = {**asdict(training), **network}
    assert {key: complete[key] for key in given} == given


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_can_be_built_without_memory_for_its_weights(name: str) -> None:
    classes = 2 if known_networks()[name].binary else 4
    with torch.device("meta"):
        shapes = {
            key: w.shape for key, w in create(name, 3, classes, SMALL.get(name, {})).state_dict().items()
        }
    real = {key: w.shape for key, w in built(name, 3, classes, SMALL.get(name, {})).state_dict().items()}
    assert shapes == real


# The border paper's U-Net by hand, for one channel and four classes. MONAI halves with 3 x 3 x 3
# convolutions, and each has a bias, batch norm (2 per map) and a PReLU of one slope: a to b maps, 27 a b +
# 3 b + 1. Up, the transposed convolution takes skipped and lower maps together; the last gives classes,
# without norm.
def test_the_border_paper_s_unet_has_the_weights_that_its_channels_give() -> None:
    maps = (8, 16, 16, 32, 32, 64, 64)
    down = sum(27 * a * b + 3 * b + 1 for a, b in zip((1, *maps), maps, strict=False))
    # From below: the two lowest levels together, then what came up beside its own maps.
    _, settings = split_settings("unet", module_of("unet").PRESETS["border"])
    network = built("unet", 1, 4, settings)
    ups = [(maps[5] + maps[6], maps[4])] + [(2 * maps[k + 1], maps[k]) for k in (3, 2, 1, 0)]
    up = sum(27 * a * b + 3 * b + 1 for a, b in ups) + (27 * 2 * maps[0] * 4 + 4)
    assert count(network) == down + up
    assert sizes_of("unet", settings).multiple == (8, 8, 8)


# V-Net (Milletari et al. 2016): 5 x 5 x 5 convolutions without bias and batch norm: 125 a b + 2 b; down 2 x 2
# x 2 with batch norm, 8 a b + 2 b; up the same with a bias. MONAI keeps a bias in the convolutions on the way
# up.
def test_the_vnet_has_the_weights_of_its_source_and_takes_three_channels() -> None:
    total = 125 * 4 * 16 + 2 * 16
    for width, convolutions in ((16, 1), (32, 2), (64, 3), (128, 2)):
        b = 2 * width
        total += 8 * width * b + 2 * b + convolutions * (125 * b * b + 2 * b)
    for below, width, convolutions in ((256, 256, 2), (256, 128, 2), (128, 64, 1), (64, 32, 1)):
        half = width // 2
        total += 8 * below * half + half + 2 * half + convolutions * (125 * width * width + 2 * width)
    total += 125 * 32 * 4 + 2 * 4 + 4 * 4 + 4
    assert count(built("vnet", 3, 4, {})) == total


# UNETR at MONAI's defaults, its transformer by hand: 12 blocks of two layer norms, attention (query, key,
# value without bias, output with one) and a perceptron, a last norm, patches of 16^3 voxels, one position
# each.
def test_the_unetr_has_twelve_blocks_of_768_and_216_positions() -> None:
    with torch.device("meta"):
        network = create("unetr", 1, 4, {})
    vit = network.network.vit
    width, inner = 768, 3072
    block = 4 * width + 4 * width * width + width + 2 * width * inner + inner + width
    whole = 12 * block + 2 * width + 16**3 * width + width + 216 * width
    cross = sum(w.numel() for key, w in vit.named_parameters() if "cross" in key)
    assert count(vit) - cross == whole


def test_the_unetr_s_positions_follow_the_size() -> None:
    network = built("unetr", 1, 2, SMALL["unetr"]).eval()
    positions = network.network.vit.patch_embedding.position_embeddings
    assert positions.shape == (1, 4, 24)
    channels = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        before = network(channels)
        network(torch.zeros(1, 1, 32, 16, 64))
        # Another size in between leaves no trace.
        assert torch.equal(network(channels), before)
        positions += 1
        assert not torch.equal(network(channels), before)
    network(torch.zeros(1, 1, 32, 16, 64)).sum().backward()
    assert positions.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("vnet", "dropout", 1.0),
        ("attention_unet", "channels", [8]),
        ("attention_unet", "strides", [2]),
        ("attention_unet", "dropout", -0.1),
        ("unetr", "image_size", [96, 96]),
        ("unetr", "image_size", [96, 96, 40]),
        ("unetr", "hidden_size", 100),
        ("unetr", "heads", 0),
        ("unetr", "dropout", 1),
    ],
)
def test_bad_settings_are_named(name: str, key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"settings of {name}, {key}"):
        create(name, 1, 2, {key: value})


def test_more_channels_than_the_vnet_takes_are_refused() -> None:
    with pytest.raises(InputError, match="17 channels"):
        create("vnet", 17, 2, {})
