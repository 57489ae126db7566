"""Logs of jobs: everything goes to the job's log file, progress to the terminal as well."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import TextIO, TypeVar

from myosweep.errors import InputError, InputErrors

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 10.0

# One thread each, unless the code asks for more: with several, sums depend on their number, and jobs that run
# side by side starve each other.
ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

_terminal: TextIO | None = None
_job = ""


def open_log(path: str | Path, job: str = "", case: str = "") -> None:
    """Send stderr (of C libraries too) to a file; keep the terminal for progress.

    Call it before numpy is imported, which reads the number of threads then.

    A job that dies of bad input leaves its message there without a traceback; a job of a case ends with the
    cell that takes the case out of the run.
    """
    global _terminal, _job
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    _terminal = os.fdopen(os.dup(2), "w", buffering=1)
    _job = f"{job} {case}".strip()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 2)
    os.close(descriptor)

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, InputError | InputErrors):
            print(f"Error: {error}", file=sys.stderr)
        else:
            traceback.print_exception(kind, error, trace)
        if case:
            reason = _reason(error) or kind.__name__
            print(
                f"\nTo go on without this case, write into the cell `exclude` of case {case} in the table of "
                f"cases:\n{job}: {reason}",
                file=sys.stderr,
            )
        sys.stderr.flush()

    sys.excepthook = tell


def _reason(error: BaseException) -> str:
    """Why a job failed, short enough for a cell."""
    if isinstance(error, InputErrors):
        error = error.problems[0]
    text = f"{error.where}: {error.found}" if isinstance(error, InputError) else str(error)
    return shorten(text, 200, placeholder=" ...")


def log(message: str) -> None:
    """Write one line into the job's log."""
    print(message, file=sys.stderr, flush=True)


def announce(message: str) -> None:
    """Write one line into the job's log and, where there is one, on the terminal."""
    log(message)
    if _terminal is not None:
        print(f"[{_job}] {message}" if _job else message, file=_terminal, flush=True)


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield the items; every few seconds announce how many are done and how long the rest will take.

    `what` names the items in the plural ("frames compounded").
    """
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            left = (now - start) / done * (total - done)
            announce(f"{what}: {done} of {total}, {left:.0f} s left")
            last = now
    log(f"{what}: {done} of {total} in {time.monotonic() - start:.1f} s")
