"""Training that is killed at random updates, and as it saves: of whole limbs, of patches, along strands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lives import check_lives
from myosweep.training.cases import TrainingCase
from spindles import train_network, write_case

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
    "strands": {},
}
# One structure, whose masks the network is given on a few slices.
GUIDED: dict[str, Any] = {
    "spacing_mm": 4.0,
    "widths": [4, 8],
    "pooling": [2, 2],
    "rates": [1, 2],
    "extent": 3,
    "starts": 1,
    "reach": 2,
    "lead": 3,
    "threads": 1,
    "checkpoint_seconds": 0,
    "epochs": 12,
}


def run(cases: list[TrainingCase], folder: Path, kind: str) -> None:
    if kind == "strands":
        train_network(cases, folder, "ifssnet", GUIDED, seed=5, learned=["SOL"])
    else:
        train_network(cases, folder, "unet", {**SETTINGS, **KINDS[kind]}, seed=5)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ("train", "train", "train", "validation")
    return [write_case(folder, seed, split) for seed, split in enumerate(splits)]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_ten_random_updates_it_ends_in_the_same_bytes(
    cases: list[TrainingCase], tmp_path: Path, kind: str
) -> None:
    epoch = 3 * KINDS[kind].get("patches", 1)
    updates = np.random.default_rng(3).integers(1, 2 * epoch, KILLS).tolist()
    # Some die before the end of their first epoch, and what they did is lost.
    assert min(updates) <= epoch < max(updates)
    check_lives(run, cases, tmp_path, kind, updates)


def test_killed_while_its_checkpoint_is_written_it_ends_in_the_same_bytes(
    cases: list[TrainingCase], tmp_path: Path
) -> None:
    # In the second checkpoint of a life, and in the first of the next: what it had before it stays.
    check_lives(run, cases, tmp_path, "whole", [-2, -1])
    left = [path.name for path in (tmp_path / "parted" / "state").iterdir()]
    assert sorted(left) == ["checkpoint.pt", "lock"]
