"""Training that is killed at ten random updates, of whole limbs and of patches."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.training import loop
from myosweep.training.cases import TrainingCase
from myosweep.training.loop import train
from spindles import STRUCTURES, write_case

FILES = ("weights.safetensors", "model.json", "history.csv")
KILLS = 10
# A life makes one whole epoch at most, so there are more epochs than kills.
SETTINGS: dict[str, Any] = {
    "spacing_mm": 4.0,
    "channels": [4, 8],
    "strides": [2],
    "dropout": 0.1,
    "threads": 1,
    "checkpoint_seconds": 0,
    "epochs": 12,
}
KINDS: dict[str, dict[str, Any]] = {
    "whole": {"flip_along_limb": True, "flip_laterally": ["GM", "GL"]},
    "patches": {"patch": [6, 4, 6], "patches": 2},
}


def run(cases: list[TrainingCase], folder: Path, kind: str, **changes: Any) -> None:
    train(
        cases,
        network="unet",
        settings={**SETTINGS, **KINDS[kind], **changes},
        structures=STRUCTURES,
        learned=list(STRUCTURES),
        channels=["image"],
        seed=5,
        checkpoint_dir=folder / "state",
        output_dir=folder / "model",
    )


def run_and_die(cases: list[TrainingCase], folder: Path, kind: str, update: int) -> None:
    """Train until an update of this life, and be killed right after it."""
    done = 0
    follow = loop._Run._follow

    def follow_and_die(self: loop._Run) -> None:
        nonlocal done
        follow(self)
        done += 1
        if done == update:
            os.kill(os.getpid(), signal.SIGKILL)

    loop._Run._follow = follow_and_die  # type: ignore[method-assign]
    run(cases, folder, kind)


# One process imports and compiles all that a training needs, trains nothing itself, and forks a life after
# the other.
_LIVES = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch
from myosweep.networks import create
from myosweep.training.data import load_sample
from test_resume import STRUCTURES, run, run_and_die
cases, folder, kind = pickle.loads(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3]), sys.argv[4]
load_sample(cases[0], STRUCTURES, ["image"], (4.0, 4.0, 4.0))
torch.optim.AdamW(create("unet", 2, 4, {}).parameters())
for update in map(int, sys.argv[5:]):
    child = os.fork()
    if not child:
        run_and_die(cases, folder, kind, update)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9, "it ended before it could be killed"
    assert not (folder / "model").exists()
run(cases, folder, kind)
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ("train", "train", "train", "validation")
    return [write_case(folder, seed, split) for seed, split in enumerate(splits)]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_ten_random_updates_it_ends_in_the_same_bytes(
    cases: list[TrainingCase], tmp_path: Path, kind: str
) -> None:
    run(cases, tmp_path / "whole", kind)
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    epoch = 3 * KINDS[kind].get("patches", 1)
    updates = np.random.default_rng(3).integers(1, 2 * epoch, KILLS).tolist()
    # Some die before the end of their first epoch, and what they did is lost.
    assert min(updates) <= epoch < max(updates)
    lives = [sys.executable, "-c", _LIVES, str(Path(__file__).parent), str(tmp_path / "cases")]
    arguments = [str(tmp_path / "parted"), kind, *map(str, updates)]
    done = subprocess.run([*lives, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training goes on after epoch" in done.stderr
    for name in FILES:
        whole, parted = ((tmp_path / part / "model" / name).read_bytes() for part in ("whole", "parted"))
        assert whole == parted, name
