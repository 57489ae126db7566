"""How much memory there is, and what to say where it does not suffice."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myosweep.errors import InputError

# numpy's, torch's on a CPU, and CUDA's words.
_ENDED = re.compile(r"(unable to|can't) allocate|out of memory", re.IGNORECASE)
_ASKED = re.compile(r"(?:unable|tried) to allocate ([\d.]+) ?(bytes|[KMGTPE]iB)", re.IGNORECASE)
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50, "eib": 2**60}


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or less where a control group says so."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return total


def check_memory(needed: int, where: str | Path, what: str, remedy: str) -> None:
    """Raise InputError where `needed` bytes are more than the machine has; `what` needs them."""
    limit = machine_memory()
    if needed > limit:
        raise InputError(where, f"{what} needs at least {_size(needed)}", f"at most {_size(limit)}", remedy)


@contextmanager
def exhaustion_explained(where: str | Path, remedy: str) -> Iterator[None]:
    """Turn an allocation that fails in the block into an InputError that says how much was asked for."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and not _ENDED.search(text):
            raise
        asked = _ASKED.search(text)
        size = _size(int(float(asked[1]) * _UNITS[asked[2].lower()])) if asked else "more"
        raise InputError(
            where,
            f"memory ended: {size} were asked for, beside {_size(_used())} at most in use until then",
            f"what this machine has, {_size(machine_memory())}, or its graphics card",
            remedy,
        ) from error


def _used() -> int:
    # Kilobytes, but bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
