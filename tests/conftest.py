from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def plus_data() -> Path:
    """Real tracked recordings; they are not part of the project."""
    named = os.environ.get("MYOSWEEP_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "data"
    for folder in (root / "plus", root):
        if (folder / "sequences").is_dir():
            return folder
    pytest.skip(f"no real recordings in {root} (set MYOSWEEP_DATA to the folder that holds plus/)")
