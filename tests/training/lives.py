"""Trainings that are killed at given updates, and must end in the bytes of one that was not."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from myosweep.training.cases import TrainingCase
from myosweep.training.run import Run

MODEL = ("weights.safetensors", "model.json")
FILES = (*MODEL, "history.csv", *(f"last/{name}" for name in MODEL))
Training = Callable[[list[TrainingCase], Path, Any], None]

# One process imports and compiles all that a training needs, trains nothing itself, and forks a life after
# the other.
_LIVES = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
from importlib import import_module
from pathlib import Path
import torch
from lives import die_after
from myosweep.networks import create
from myosweep.training.data import load_sample
from spindles import STRUCTURES
run = import_module(sys.argv[2]).run
cases, folder, kind = pickle.loads(Path(sys.argv[3]).read_bytes())
load_sample(cases[0], STRUCTURES, ["image"], (4.0, 4.0, 4.0))
torch.optim.AdamW(create("unet", 2, 4, {}).parameters())
for update in map(int, sys.argv[4:]):
    child = os.fork()
    if not child:
        die_after(update)
        run(cases, folder, kind)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9, "it ended before it could be killed"
    assert not (folder / "model").exists()
run(cases, folder, kind)
"""


def die_after(update: int) -> None:
    """From now on a training of this process is killed right after so many updates.

    Of a negative number in the midst of that checkpoint, counted from 1.
    """
    done = 0
    if update < 0:
        write = torch.save

        def write_and_die(state: Any, stream: Any) -> None:
            nonlocal done
            done += 1
            if done == -update:
                whole = io.BytesIO()
                write(state, whole)
                stream.write(whole.getvalue()[: len(whole.getvalue()) // 2])
                stream.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            write(state, stream)

        torch.save = write_and_die
        return
    follow = Run._follow

    def follow_and_die(self: Run) -> None:
        nonlocal done
        follow(self)
        done += 1
        if done == update:
            os.kill(os.getpid(), signal.SIGKILL)

    Run._follow = follow_and_die  # type: ignore[method-assign]


def check_lives(
    run: Training, cases: list[TrainingCase], folder: Path, kind: Any, updates: list[int]
) -> None:
    """Train at once and in lives that end after these updates each; `run` is a test file's own function."""
    run(cases, folder / "whole", kind)
    (folder / "given").write_bytes(pickle.dumps((cases, folder / "parted", kind)))
    file = Path(run.__code__.co_filename)
    command = [sys.executable, "-c", _LIVES, str(file.parent), file.stem, str(folder / "given")]
    done = subprocess.run([*command, *map(str, updates)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training goes on after epoch" in done.stderr
    for name in FILES:
        whole, parted = ((folder / part / "model" / name).read_bytes() for part in ("whole", "parted"))
        assert whole == parted, name
