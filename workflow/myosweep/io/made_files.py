"""Files that the workflow made and that people like to edit: a change made by hand is noticed.

Beside a made file lies a small record with the time of change, size and digest that it was left with. Whether
it was changed since shows in one look at the folder; only where time or size differ a record, and where only
the time does the file itself, has to be read. Read whenever the workflow is planned, so it imports nothing
heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.digests import file_digest
from myosweep.io.files import read_json, write_json

_RECORD = ".{}.made.json"
_SUFFIXES = (".seg.nrrd", ".mha")


def record_of(path: str | Path) -> Path:
    """Where the record of a made file lies."""
    return Path(path).with_name(_RECORD.format(Path(path).name))


@contextmanager
def made_file(path: str | Path) -> Iterator[None]:
    """Write a file within the block; what it was left with is recorded behind it.

    The record of an earlier file goes first, so that a job that is killed leaves a file without a record and
    never one with a wrong record.
    """
    record = record_of(path)
    record.unlink(missing_ok=True)
    yield
    state = os.stat(path)
    write_json(record, {"size": state.st_size, "sha256": file_digest(path)})
    _same_time(record, state.st_mtime_ns)


def _same_time(record: Path, time_ns: int) -> None:
    # Not being allowed to says nothing about the file: it is compared again at the next look.
    with suppress(OSError):
        os.utime(record, ns=(time_ns, time_ns))


def edited_files(folders: Iterable[str | Path]) -> list[Path]:
    """The made files in these folders that differ from what was written; without a record none does.

    A copied file that has a new time and the old bytes is not edited; its record learns the new time.
    """
    edited = []
    for folder in folders:
        times: dict[str, tuple[int, int]] = {}
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((*_SUFFIXES, ".made.json")) and entry.is_file():
                    state = entry.stat()
                    times[entry.name] = state.st_mtime_ns, state.st_size
        for name, (time_ns, size) in times.items():
            recorded = times.get(_RECORD.format(name))
            if recorded is None or recorded[0] == time_ns:
                continue
            path = Path(folder) / name
            if _differs(path, size):
                edited.append(path)
            else:
                _same_time(record_of(path), time_ns)
    return sorted(edited)


def _differs(path: Path, size: int) -> bool:
    try:
        record: Any = read_json(record_of(path))
        known_size, digest = int(record["size"]), str(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        # A record that cannot be read proves nothing.
        return False
    return size != known_size or file_digest(path) != digest


def folders_in(*roots: str | Path) -> list[Path]:
    """The folders right below these."""
    found: list[Path] = []
    for root in roots:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root) as entries:
            found += [Path(entry.path) for entry in entries if entry.is_dir()]
    return sorted(found)


def edited_problems(edited: Iterable[Path], cases_table: str) -> list[InputError]:
    """What to tell of edited files: where to move each, and what to write into the table of cases."""
    problems = []
    taken: set[Path] = set()
    for path in edited:
        suffix = next(suffix for suffix in _SUFFIXES if path.name.endswith(suffix))
        case, maker = path.name.removesuffix(suffix), path.parent.name
        target = Path("labels") / f"{case}{suffix}"
        if target in taken or target.exists():
            target = Path("labels") / f"{case}_{maker}{suffix}"
        number = 2
        while target in taken or target.exists():
            target, number = Path("labels") / f"{case}_{maker}_{number}{suffix}", number + 1
        taken.add(target)
        problems.append(
            InputError(
                path,
                "changed since the workflow wrote it, and the next run could overwrite it",
                "made files as they were made; what was drawn by hand lies outside of results/",
                f"`mkdir -p labels && mv {path} {target}`, then write {target} into the cell `labels` of "
                f"case {case} in {cases_table}: it replaces made labels. Or delete it to have it made again",
            )
        )
    return problems
