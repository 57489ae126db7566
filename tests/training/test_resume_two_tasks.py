"""Training that is killed at random updates, for a network with two optimisers over one encoder."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from myosweep.training import loop
from myosweep.training.cases import TrainingCase
from myosweep.training.loop import train
from spindles import STRUCTURES, write_case

FILES = ("weights.safetensors", "model.json", "history.csv")
# Two windows a case: 3 x 2 x 2 updates an epoch.
UPDATES = 12
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
    train(
        cases,
        network="unet_s_r_clstm",
        settings={**SETTINGS, "epochs": epochs},
        structures=STRUCTURES,
        learned=list(STRUCTURES),
        channels=["image"],
        seed=3,
        checkpoint_dir=folder / "state",
        output_dir=folder / "model",
    )


def run_and_die(cases: list[TrainingCase], folder: Path, epochs: int, update: int) -> None:
    """Train until an update of this life, of either task, and be killed right after it."""
    done = 0
    follow = loop._Run._follow

    def follow_and_die(self: loop._Run) -> None:
        nonlocal done
        follow(self)
        done += 1
        if done == update:
            os.kill(os.getpid(), signal.SIGKILL)

    loop._Run._follow = follow_and_die  # type: ignore[method-assign]
    run(cases, folder, epochs)


# One process imports torch and trains nothing itself; it forks one life after another.
_LIVES = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_resume_two_tasks import run, run_and_die
cases, folder, epochs = pickle.loads(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3]), int(sys.argv[4])
for update in map(int, sys.argv[5:]):
    child = os.fork()
    if not child:
        run_and_die(cases, folder, epochs, update)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9, "it ended before it could be killed"
    assert not (folder / "model").exists()
run(cases, folder, epochs)
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ("train", "train", "train", "validation")
    return [write_case(folder, seed, split) for seed, split in enumerate(splits)]


# A life makes one whole epoch at most, so there are more epochs than kills.
@pytest.mark.parametrize(
    ("kills", "epochs"), [(3, 5), pytest.param(10, 12, marks=pytest.mark.slow)], ids=["three", "ten"]
)
def test_killed_at_random_updates_it_ends_in_the_same_bytes(
    cases: list[TrainingCase], tmp_path: Path, kills: int, epochs: int
) -> None:
    run(cases, tmp_path / "whole", epochs)
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    updates = np.random.default_rng(kills).integers(1, 2 * UPDATES, kills).tolist()
    assert min(updates) < UPDATES < max(updates)
    lives = [sys.executable, "-c", _LIVES, str(Path(__file__).parent), str(tmp_path / "cases")]
    arguments = [str(tmp_path / "parted"), str(epochs), *map(str, updates)]
    done = subprocess.run([*lives, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training goes on after epoch" in done.stderr
    for name in FILES:
        whole, parted = ((tmp_path / part / "model" / name).read_bytes() for part in ("whole", "parted"))
        assert whole == parted, name


def test_the_checkpoint_holds_both_optimisers(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda _, state: kept.append(copy.deepcopy(state)))
    run(cases[:1], tmp_path, 2)
    moments = [each["state"] for each in kept[0]["optimizers"]]
    # Two windows, each an update of either.
    assert [{int(state["step"]) for state in each.values()} for each in moments] == [{2}, {2}]
    # Encoder and memory belong to both, each with moments of its own.
    first = [each[0]["exp_avg"] for each in moments]
    assert first[0].shape == first[1].shape
    assert not torch.equal(*first)
