"""The colours of structures and of coverage: one table for pictures and for the files of other programs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from myosweep.errors import InputError
from myosweep.io.files import read_json

RESOURCES = Path(__file__).resolve().parents[3] / "resources"


@cache
def _colour_table() -> dict[str, Any]:
    path = RESOURCES / "colours.json"
    if not path.is_file():
        raise InputError(
            path,
            "no such file",
            "the resources beside the workflow",
            "install from a checkout with `pip install -e .`",
        )
    table: dict[str, Any] = read_json(path)
    return table


def structure_colours(structures: Iterable[str]) -> dict[str, str]:
    """A colour for each structure: its own where the table names it, else the next one of the cycle."""
    table = _colour_table()
    cycle: list[str] = table["cycle"]
    chosen: dict[str, str] = {}
    used = 0
    for name in structures:
        if name in table["structures"]:
            chosen[name] = table["structures"][name]
        else:
            chosen[name] = cycle[used % len(cycle)]
            used += 1
    return chosen


def coverage_colours() -> dict[str, str]:
    """Colours of covered, filled and unknown voxels."""
    colours: dict[str, str] = _colour_table()["coverage"]
    return colours
