from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def smallest_numbers_kept() -> Iterator[None]:
    """A training or a prediction lets the whole process take them for 0; the next test shall not."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def plus_data() -> Path:
    """Real tracked recordings; they are not part of the project."""
    named = os.environ.get("MYOSWEEP_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "data"
    for folder in (root / "plus", root):
        if (folder / "sequences").is_dir():
            return folder
    pytest.skip(f"no real recordings in {root} (set MYOSWEEP_DATA to the folder that holds plus/)")
