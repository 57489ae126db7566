"""One digest for a folder of annotated masks, cheap enough to take at every start of the workflow."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


@cache
def folder_digest(folder: str) -> str:
    """SHA-256 over names and bytes of the folder's PNG files; "" where it is no folder (`contours`)."""
    if not Path(folder).is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.png")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
