"""Colours, lines and the way a figure is saved: the same in all pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.files import read_json, whole_file

RESOURCES = Path(__file__).resolve().parents[3] / "resources"

# What is drawn of every case, in the order of its page.
PICTURES = ("montage.png", "view3d.png", "areas.png", "coverage.png")

WIDTH_INCH = 10.0
DPI = 150

INK = "#222222"
QUIET = "#6B6B6B"

Dashes = str | tuple[float, tuple[float, ...]]
LINES: tuple[Dashes, ...] = (
    "-",
    (0.0, (1.2, 1.2)),
    (0.0, (5.0, 1.5, 1.0, 1.5)),
    (0.0, (3.0, 1.5)),
    (0.0, (8.0, 2.0)),
    (0.0, (2.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
)
REFERENCE_LINE: Dashes = (0.0, (4.0, 2.0))

_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.4,
    # Names come from tables: a dollar sign in one is not mathematics.
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "path.simplify": True,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults, then ours; whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for key, value in _SETTINGS.items():
            mpl.rcParams[key] = value  # type: ignore[index,literal-required]
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that never touches a display."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG whose bytes depend on nothing but the picture."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


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


def source_lines(sources: Sequence[str]) -> dict[str, Dashes]:
    """A line style for each source, in order."""
    return {name: LINES[index % len(LINES)] for index, name in enumerate(sources)}


def positions(count: int, start: float, step: float) -> NDArray[np.float64]:
    """Centres in mm of `count` voxels."""
    return np.asarray(start + step * np.arange(count), dtype=np.float64)


def scale_bar(axes: Axes, colour: str = "white") -> None:
    """A bar of a round length at the lower right of an axes whose data are millimetres."""
    left, right = sorted(axes.get_xlim())
    bottom, top = axes.get_ylim()
    length = next((step for step in (100, 50, 20, 10, 5, 2, 1) if step <= 0.3 * (right - left)), 1)
    right -= 0.04 * (right - left)
    bottom -= 0.05 * (bottom - top)
    axes.plot([right - length, right], [bottom, bottom], color=colour, lw=2.0, solid_capstyle="butt")
    axes.annotate(
        f"{length:g} mm",
        (right - length / 2, bottom),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=colour,
        fontsize=8,
    )
