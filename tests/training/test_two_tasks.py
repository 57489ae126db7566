from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from myosweep.networks import create, module_of
from myosweep.networks.modules.two_decoders import TwoDecoders
from myosweep.training.cases import TrainingCase
from myosweep.training.consistency import st_sdc
from myosweep.training.inference import predict
from myosweep.training.settings import TrainingSettings
from spindles import spindles, train_network, write_case

torch.set_num_threads(1)
NAME = "unet_s_r_clstm"
SMALL = {"widths": [4, 8, 12], "memory_cells": 1, "window": 4, "dropout": 0.0}


PRESETS = module_of(NAME).PRESETS


def network_of(**settings: object) -> TwoDecoders:
    torch.manual_seed(0)
    network = create(NAME, 1, 2, {**SMALL, **settings})
    assert isinstance(network, TwoDecoders)
    return network.train()


def objective_of(**settings: object):
    module = module_of(NAME)
    return module.objective(module.Settings(**{**SMALL, **settings}), TrainingSettings())


def disk(slices: int = 6, edge: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """A dark disk that drifts along z, with noise, and its mask as a target of two classes."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(edge), torch.arange(edge), indexing="ij")
    mask = torch.stack([((y - 8) ** 2 + (x - 5 - t) ** 2 < 16).float() for t in range(slices)])
    image = 1 - 2 * mask + 0.3 * torch.randn(mask.shape)
    return image[None, None], torch.stack([1 - mask, mask])[None]


def optimisers_of(network: TwoDecoders, objective) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam(weights, lr=3e-3) for weights in objective.parameters(network)]


def step(network, objective, optimisers, channels, target) -> list[tuple[int, float]]:
    told = []
    for index, loss in objective.losses(network, channels, target):
        network.zero_grad(set_to_none=True)
        loss.backward()
        optimisers[index].step()
        told.append((index, loss.item()))
    return told


def test_encoder_and_memory_belong_to_both_tasks() -> None:
    network = network_of()
    segmentation, reconstruction = (set(map(id, each)) for each in objective_of().parameters(network))
    shared = {id(w) for part in (network.encoder, network.memory) for w in part.parameters()}
    assert segmentation & reconstruction == shared
    assert segmentation | reconstruction == {id(w) for w in network.parameters()}
    assert {id(w) for w in network.segmentation.parameters()} == segmentation - shared


def test_without_second_decoder_there_is_one_task() -> None:
    network, objective = network_of(reconstruction=False), objective_of(reconstruction=False)
    (weights,) = objective.parameters(network)
    assert len(weights) == len(list(network.parameters()))
    channels, target = disk()
    assert [index for index, _ in objective.losses(network, channels, target)] == [0, 0]


def test_every_window_is_reconstructed_then_segmented_with_the_new_weights() -> None:
    network, objective = network_of(), objective_of()
    channels, target = disk()
    optimisers = optimisers_of(network, objective)
    order, segmentation = [], network.segmentation.head.weight.detach().clone()
    for index, loss in objective.losses(network, channels, target):
        network.zero_grad(set_to_none=True)
        loss.backward()
        touched = {name.split(".")[0] for name, w in network.named_parameters() if w.grad is not None}
        assert touched == {"encoder", "memory", ("segmentation", "reconstruction")[index]}
        before = network.encoder[0].shortcut[0].weight.detach().clone()
        optimisers[index].step()
        assert not torch.equal(before, network.encoder[0].shortcut[0].weight)
        if not order:
            assert torch.equal(segmentation, network.segmentation.head.weight)
        order.append(index)
    assert order == [1, 0, 1, 0]


def test_the_state_goes_on_and_gradients_do_not() -> None:
    network, objective = network_of(reconstruction=False), objective_of(reconstruction=False)
    channels, target = disk()
    channels.requires_grad_()
    losses = [loss for _, loss in objective.losses(network, channels, target)]
    (gradient,) = torch.autograd.grad(losses[1], channels)
    assert (gradient[:, :, :4] == 0).all()
    assert (gradient[:, :, 4:] != 0).any()
    with torch.no_grad():
        state = network.run(channels[:, :, :4]).state
        kept = network.run(channels[:, :, 4:], state).segmentation
        lost = network.run(channels[:, :, 4:]).segmentation
    assert losses[1].item() == pytest.approx(st_sdc(kept, target[:, :, 4:]).item(), abs=1e-7)
    assert abs(losses[1].item() - st_sdc(lost, target[:, :, 4:]).item()) > 1e-6


def test_a_window_without_labels_is_reconstructed_alone() -> None:
    network, objective = network_of(), objective_of()
    channels, target = disk()
    target[:, :, :4] = 0
    assert [index for index, _ in objective.losses(network, channels, target)] == [1, 1, 0]


def test_both_losses_fall_and_the_disk_is_found_in_evaluation() -> None:
    network, objective = network_of(dropout=0.1), objective_of()
    channels, target = disk()
    optimisers = optimisers_of(network, objective)
    told = [step(network, objective, optimisers, channels, target) for _ in range(60)]
    assert told[-1][0][1] < 0.6 * told[0][0][1]
    assert told[-1][1][1] < 0.4 * told[0][1][1]
    with torch.inference_mode():
        found = network.eval()(channels).argmax(dim=1)[0].float()
    truth = target[0, 1]
    # Dice; a guess by position alone, the mean disk, reaches 0.75.
    assert (2 * (found * truth).sum() / (found.sum() + truth.sum())).item() > 0.9


def test_the_whole_default_network_takes_a_step() -> None:
    module = module_of(NAME)
    torch.manual_seed(0)
    network = create(NAME, 2, 4, {}).train()
    objective = module.objective(module.Settings(), TrainingSettings())
    optimisers = optimisers_of(network, objective)
    channels, target = torch.randn(1, 2, 4, 32, 32), torch.rand(1, 4, 4, 32, 32)
    target = target / target.sum(1, keepdim=True)
    told = step(network, objective, optimisers, channels, target)
    assert [index for index, _ in told] == [1, 0]
    assert all(torch.isfinite(w).all() for w in network.parameters())


@pytest.fixture(scope="module")
def limbs(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("limbs")
    return [write_case(folder, seed, split) for seed, split in enumerate(("train", "train", "validation"))]


@pytest.mark.parametrize("preset", ["", *PRESETS])
def test_the_network_and_its_ablations_train(limbs: list[TrainingCase], tmp_path: Path, preset: str) -> None:
    small = {"widths": [4, 8, 16], "epochs": 4, "spacing_mm": 4.0, "threads": 1}
    train_network(limbs, tmp_path, NAME, {**PRESETS.get(preset, {}), **small})
    with (tmp_path / "model" / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    losses = [float(row["loss"]) for row in rows]
    tasks = ["segmentation", "reconstruction"]
    if f"loss_{tasks[1]}" in rows[0]:
        for row in rows:
            assert float(row["loss"]) == pytest.approx(sum(float(row[f"loss_{task}"]) for task in tasks))
    assert (f"loss_{tasks[0]}" in rows[0]) == PRESETS.get(preset, {}).get("reconstruction", True)
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert predict(tmp_path / "model", spindles(9)[0], None, "right").array.shape == (64, 32, 48)
