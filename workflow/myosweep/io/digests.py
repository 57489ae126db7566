"""Digests of files and settings: what a result depends on, in a few letters, wherever the files lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any


def _hash(names_and_files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in names_and_files:
        digest.update(f"{name}\0{file_digest(path)}\0".encode())
    return digest.hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 over the files' names below `root` and their bytes, shortened to 16 hexadecimal digits."""
    return _hash(sorted((path.relative_to(root).as_posix(), path) for path in paths))[:16]


@cache
def folder_digest(folder: str) -> str:
    """SHA-256 over names and bytes of a folder's PNG files; "" where it is no folder (`contours`)."""
    if not Path(folder).is_dir():
        return ""
    masks = (path for path in Path(folder).iterdir() if path.suffix.lower() == ".png" and path.is_file())
    return _hash((path.name, path) for path in sorted(masks))


def run_digest(settings: Any, inputs: Iterable[str]) -> str:
    """SHA-256 over plain settings and the bytes of inputs in their order, whatever they are called."""
    values = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(f"{values}\0{_hash(('', Path(path)) for path in inputs)}".encode()).hexdigest()
