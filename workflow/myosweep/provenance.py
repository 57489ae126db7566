"""What a result was made with: versions, settings, checksums."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from myosweep import __version__
from myosweep.io.digests import file_digest, files_digest

PACKAGES = (
    "itk",
    "itk-elastix",
    "matplotlib",
    "monai",
    "numba",
    "numpy",
    "pandas",
    "pyvista",
    "safetensors",
    "scipy",
    "SimpleITK",
    "snakemake",
    "torch",
)


def provenance(settings: Mapping[str, Any], files: Iterable[str]) -> dict[str, Any]:
    """Describe a run in plain values.

    Parameters
    ----------
    settings
        The complete settings.
    files
        Tables that went in and results that came out; each is named with the SHA-256 of its bytes.
    """
    library = Path(__file__).parent
    return {
        "myosweep": __version__,
        "library_digest": files_digest(sorted(library.rglob("*.py")), library),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "settings": dict(settings),
        "sha256": {name: file_digest(name) for name in files},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
