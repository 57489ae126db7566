"""Panels in true proportions: rows of boxes that share one scale, measured in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Box:
    """An axes in inches from the figure's upper left corner."""

    left: float
    top: float
    width: float
    height: float


def add_axes(figure: Figure, box: Box) -> Axes:
    """Put an axes where `box` says."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (box.left / width, 1 - (box.top + box.height) / height, box.width / width, box.height / height)
    )


def fit_columns(
    count: int, aspect: float, width: float, gap: float, max_height: float, choices: Sequence[int]
) -> tuple[int, float, float]:
    """Choose how many panels of height/width `aspect` stand side by side.

    Returns
    -------
    columns, panel width, panel height
        Inches; the arrangement with the largest panels whose rows are not higher than `max_height` in all.
    """
    best: tuple[int, float, float] | None = None
    for columns in choices:
        rows = -(-count // columns)
        panel_width = (width - gap * (columns - 1)) / columns
        panel_height = min(panel_width * aspect, (max_height - gap * (rows - 1)) / rows)
        candidate = (columns, panel_height / aspect, panel_height)
        if best is None or candidate[1] > best[1]:
            best = candidate
    assert best is not None
    return best
