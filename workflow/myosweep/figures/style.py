"""Colours, lines and the way a figure is saved: the same in all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from myosweep.io.colours import RESOURCES as RESOURCES
from myosweep.io.colours import coverage_colours as coverage_colours
from myosweep.io.colours import structure_colours as structure_colours
from myosweep.io.files import whole_file

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
