"""Training that is killed at random updates, for a network with two optimisers over one encoder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lives import check_lives
from myosweep.training.cases import TrainingCase
from spindles import train_network, write_case

# Two windows a case: 3 x 2 x 2 updates an epoch.
UPDATES = 12
KILLS = 10
SETTINGS: dict[str, Any] = {
    "spacing_mm": 4.0,
    "widths": [4, 8],
    "memory_cells": 1,
    "window": 8,
    "dropout": 0.2,
    "threads": 1,
    "checkpoint_seconds": 0,
}


def run(cases: list[TrainingCase], folder: Path, epochs: int) -> None:
    train_network(cases, folder, "unet_s_r_clstm", {**SETTINGS, "epochs": epochs}, seed=3)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ("train", "train", "train", "validation")
    return [write_case(folder, seed, split) for seed, split in enumerate(splits)]


def test_killed_at_ten_random_updates_it_ends_in_the_same_bytes(
    cases: list[TrainingCase], tmp_path: Path
) -> None:
    updates = np.random.default_rng(KILLS).integers(1, 2 * UPDATES, KILLS).tolist()
    assert min(updates) < UPDATES < max(updates)
    # A life makes one whole epoch at most, so there are more epochs than kills.
    check_lives(run, cases, tmp_path, KILLS + 2, updates)


def test_the_checkpoint_holds_both_optimisers(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "myosweep.training.run.save_checkpoint", lambda _, state: kept.append(copy.deepcopy(state))
    )
    run(cases[:1], tmp_path, 2)
    moments = [each["state"] for each in kept[0]["optimizers"]]
    # Two windows, each an update of either.
    assert [{int(state["step"]) for state in each.values()} for each in moments] == [{2}, {2}]
    # Encoder and memory belong to both, each with moments of its own.
    first = [each[0]["exp_avg"] for each in moments]
    assert first[0].shape == first[1].shape
    assert not torch.equal(*first)
