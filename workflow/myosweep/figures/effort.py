"""The error of every interpolation of labels over the effort of annotating."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from myosweep.figures.style import INK, QUIET, WIDTH_INCH, house_style, new_figure, save

_COLOURS = ("#0072B2", "#D55E00", "#00A878", "#CC79A7", "#8C6BB1", "#7F7F7F", "#B8860B", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Errors of volume span from half a percent to half of the volume.
_ERROR_TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_ROW_INCH, _TOP_INCH, _BOTTOM_INCH = 2.4, 0.65, 0.75


def draw_effort(table: pd.DataFrame, path: str | Path, emphasised: str = "shape") -> bool:
    """Write Dice and absolute error of volume over the distance between annotated frames as a PNG.

    Parameters
    ----------
    table
        As `metrics.comparison.compare` makes it. Means over cases and structures are drawn; a column of the
        figure for each strength of the hand's wobble.
    emphasised
        The method that is drawn with a thicker line.

    Returns
    -------
    Whether there was anything to draw.
    """
    if table.empty:
        return False
    mean = table.groupby(["interpolation", "wobble_mm", "every_frames"])[
        ["dice", "absolute_volume_error_percent"]
    ].mean()
    strengths = sorted(table["wobble_mm"].unique())
    distances = sorted(table["every_frames"].unique())
    methods = list(dict.fromkeys(table["interpolation"]))
    effort = table.groupby("every_frames")["annotated_frames"].mean()
    height = 2 * _ROW_INCH + _TOP_INCH + _BOTTOM_INCH
    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        panels = figure.subplots(2, len(strengths), sharex=True, sharey="row", squeeze=False)
        figure.subplots_adjust(
            left=0.75 / WIDTH_INCH,
            right=1 - 0.15 / WIDTH_INCH,
            top=1 - _TOP_INCH / height,
            bottom=_BOTTOM_INCH / height,
            wspace=0.08,
            hspace=0.1,
        )
        for column, strength in enumerate(strengths):
            for row, measure in enumerate(("dice", "absolute_volume_error_percent")):
                axes = panels[row, column]
                for number, method in enumerate(methods):
                    values = mean.loc[(method, strength), measure]
                    axes.plot(
                        values.index,
                        values.clip(lower=_ERROR_TICKS[0]) if row else values,
                        color=_COLOURS[number % len(_COLOURS)],
                        marker=_MARKERS[number % len(_MARKERS)],
                        ms=4,
                        lw=2.4 if method == emphasised else 1.2,
                        zorder=3 if method == emphasised else 2,
                        label=method,
                    )
            panels[0, column].set_title(f"hand off by {strength:g} mm", loc="left", color=INK)
            _label_effort(panels[1, column], distances, effort)
        panels[0, 0].set_ylabel("Dice")
        panels[1, 0].set_ylabel("absolute error of volume (%)")
        _scale_errors(panels[1, 0])
        for axes in panels.flat:
            axes.grid(visible=True)
        lines, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(lines, names, loc="upper left", ncols=len(names), labelcolor=INK, columnspacing=1.2)
        figure.text(
            0.5,
            0.1 / height,
            "annotated frames: every n-th (in brackets: how many in a case and structure)",
            ha="center",
            color=QUIET,
        )
        save(figure, path)
    return True


def _label_effort(axes: Axes, distances: list[int], effort: pd.Series) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(distances))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{every}\n({effort[every]:.0f})" for every in distances])


def _scale_errors(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(_ERROR_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
