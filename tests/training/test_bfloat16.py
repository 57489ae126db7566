from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from myosweep.networks import create
from myosweep.training.device import autocast, set_up_torch
from myosweep.training.losses import segmentation_loss
from torch import nn

CPU = torch.device("cpu")
# bfloat16 has 8 bits; maps and gradients pass through a few roundings.
CLOSE = 0.03


def leave_in_memory(value: float) -> None:
    """Fill memory that is then free, for whoever reads what was never written."""
    blocks = [torch.full((size,), value) for size in (1_000, 30_000, 100_000, 1_000_000)]
    del blocks


def gradients(module: nn.Module, maps: torch.Tensor, precision: str) -> list[torch.Tensor]:
    module.zero_grad()
    with autocast(CPU, precision):
        result = module(maps)
    random = torch.Generator().manual_seed(2)
    (result.float() * torch.randn(result.shape, generator=random)).sum().backward()
    found = [weight.grad for weight in module.parameters()]
    assert all(grad is not None for grad in found)
    return [grad.clone() for grad in found if grad is not None]


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "three": lambda: nn.Conv3d(16, 16, 3, padding=1),
    "five": lambda: nn.Conv3d(16, 16, 5, padding=2),
    "seven": lambda: nn.Conv3d(16, 16, 7, padding=3),
    "stride": lambda: nn.Conv3d(16, 16, 3, padding=1, stride=2),
    "along": lambda: nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0)),
    "transposed": lambda: nn.ConvTranspose3d(16, 16, 3, padding=1),
    "plain": lambda: nn.Conv3d(16, 16, 3, padding=1, bias=False),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 3), (4, 6, 6), (2, 1, 1), (4, 1, 1), (6, 8, 8), (3, 4, 6)])
def test_gradients_of_narrow_maps_are_those_of_float32_whatever_lay_in_memory(
    name: str, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(1)
    module, maps = CONVOLUTIONS[name](), torch.randn(1, 16, *shape)
    exact = gradients(module, maps, "float32")
    for value in (0.0, float("nan"), 1e3):
        leave_in_memory(value)
        for rough, grad in zip(gradients(module, maps, "bfloat16"), exact, strict=True):
            assert (rough - grad).abs().max() <= CLOSE * grad.abs().max()


def test_wide_maps_stay_in_bfloat16() -> None:
    module = CONVOLUTIONS["three"]()
    with autocast(CPU, "bfloat16"):
        assert module(torch.randn(1, 16, 3, 3, 3)).dtype == torch.bfloat16
        assert module(torch.randn(1, 16, 2, 3, 3)).dtype == torch.float32
    assert module(torch.randn(1, 16, 3, 3, 3)).dtype == torch.float32


def test_of_dilated_filters_those_by_channel_alone_are_float32() -> None:
    maps = torch.randn(1, 16, 6, 8, 8)
    with autocast(CPU, "bfloat16"):
        for groups, kind in ((1, torch.bfloat16), (4, torch.bfloat16), (16, torch.float32)):
            dilated = nn.Conv3d(16, 16, 3, padding=2, dilation=2, groups=groups)
            assert dilated(maps).dtype == kind


@pytest.mark.parametrize("name", ["unet", "attention_unet", "vnet", "daf3d"])
def test_a_patch_of_32_slices_gives_the_same_gradients_whatever_lay_in_memory(name: str) -> None:
    set_up_torch(torch.get_num_threads())
    torch.manual_seed(1)
    # Of such a patch V-Net makes maps of 2 slices, which its filters of 5 see.
    network = create(name, 2, 4, {}).train()
    maps = torch.randn(1, 2, 32, 32, 32)
    target = torch.softmax(3 * torch.randn(1, 4, 32, 32, 32), 1)
    found = []
    for value in (0.0, float("nan")):
        leave_in_memory(value)
        network.zero_grad()
        torch.manual_seed(3)
        with autocast(CPU, "bfloat16"):
            loss = segmentation_loss(network(maps), target, None, dice_weight=1.0, cross_entropy_weight=1.0)
        loss.backward()
        found.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
