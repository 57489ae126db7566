"""The state of a training on disk: one file, whole or not there, and one process at a time beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from myosweep.io.files import whole_file
from myosweep.progress import announce

FILE = "checkpoint.pt"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; wait, and say so, while another process trains there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            announce(f"process {holder} trains the same in {folder}: waiting until it ends")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        # Of a process that was killed while it saved.
        for torn in folder.glob(f".*.{FILE}"):
            torn.unlink()
        yield


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write plain values and tensors."""
    with whole_file(folder / FILE) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())


def load_checkpoint(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The state, on the CPU, or None where there is none of this training.

    Only tensors and plain values are read (`weights_only`): a file from elsewhere cannot run code.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        same = state["fingerprint"] == fingerprint
    except Exception as error:
        announce(f"{path} cannot be read ({type(error).__name__}): training starts anew")
        return None
    if not same:
        announce(f"{path} belongs to other settings or cases: training starts anew")
        return None
    return state
