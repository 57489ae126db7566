"""Names and colours of label values, as ITK-SNAP and 3D Slicer read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from myosweep.io.colours import structure_colours
from myosweep.io.files import write_text
from myosweep.io.segmentations import UNKNOWN, UNKNOWN_COLOUR, UNKNOWN_NAME

_Entry = tuple[int, str, tuple[int, int, int]]


def _entries(structures: Mapping[str, int]) -> Iterator[_Entry]:
    colours = {**structure_colours(structures), UNKNOWN_NAME: UNKNOWN_COLOUR}
    values = {**structures, UNKNOWN_NAME: UNKNOWN}
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        red, green, blue = (int(colours[name][place : place + 2], 16) for place in (1, 3, 5))
        yield value, name, (red, green, blue)


def write_itk_snap_labels(path: str | Path, structures: Mapping[str, int]) -> None:
    """Write a label description file of ITK-SNAP; `unknown` is hidden until it is switched on there."""
    rule = "#" * 48
    lines = [
        rule,
        "# ITK-SnAP Label Description File",
        "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL",
        rule,
        '    0     0    0    0        0  0  0    "Clear Label"',
    ]
    for value, name, (red, green, blue) in _entries(structures):
        shown = int(value != UNKNOWN)
        lines.append(f'{value:>5} {red:>5} {green:>4} {blue:>4} {1:>8} {shown:>2} {shown:>2}    "{name}"')
    write_text(path, "\n".join(lines) + "\n")


def write_slicer_colours(path: str | Path, structures: Mapping[str, int]) -> None:
    """Write a colour table of 3D Slicer (.ctbl); `unknown` is transparent."""
    lines = ["# Color table file", f"# {len(structures) + 2} values", "0 Background 0 0 0 0"]
    for value, name, (red, green, blue) in _entries(structures):
        lines.append(f"{value} {name} {red} {green} {blue} {0 if value == UNKNOWN else 255}")
    write_text(path, "\n".join(lines) + "\n")
