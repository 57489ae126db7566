"""How the training of a model went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from myosweep.figures.style import INK, QUIET, WIDTH_INCH, house_style, new_figure, save

STEPS = ("epoch", "step", "iteration")
COLOURS = ("#0072B2", "#D55E00", "#00A878", "#CC79A7", "#8C6BB1", "#7F7F7F")


def draw_training(history: pd.DataFrame, path: str | Path, title: str = "") -> bool:
    """Write the curves of a history as a PNG: losses beside everything else.

    Parameters
    ----------
    history
        One row per epoch (or step); a column `epoch`, `step` or `iteration` is the abscissa, the other
        numeric columns are drawn: those with `loss` in their name on the left; times and rates are left out.

    Returns
    -------
    Whether there was anything to draw.
    """
    step = next((name for name in STEPS if name in history), None)
    numbers = history.apply(pd.to_numeric, errors="coerce")
    x = numbers[step].to_numpy() if step else np.arange(1, len(history) + 1)
    names = [
        name
        for name in numbers
        if name not in STEPS
        and numbers[name].notna().any()
        and not any(word in str(name).lower() for word in ("second", "time", "rate", "lr"))
    ]
    panels = [
        ("loss", [name for name in names if "loss" in str(name).lower()]),
        ("validation" if any("val" in str(name).lower() for name in names) else "value", []),
    ]
    panels[1][1].extend(name for name in names if name not in panels[0][1])
    panels = [panel for panel in panels if panel[1]]
    if not panels or len(x) == 0:
        return False
    height = 2.8
    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        figure.subplots_adjust(
            left=0.7 / WIDTH_INCH,
            right=1 - 0.15 / WIDTH_INCH,
            top=1 - 0.5 / height,
            bottom=0.5 / height,
            wspace=0.18,
        )
        for index, (label, columns) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            axes.grid(visible=True)
            for number, name in enumerate(columns):
                y = numbers[name].to_numpy()
                known = np.isfinite(y)
                marker = "o" if known.sum() < 30 else None
                axes.plot(
                    x[known],
                    y[known],
                    color=COLOURS[number % len(COLOURS)],
                    lw=1.5,
                    marker=marker,
                    ms=3,
                    label=name,
                )
            axes.set_xlabel(step or "row")
            axes.set_ylabel(label)
            axes.legend(loc="best", labelcolor=INK, fontsize=7.5)
        if title:
            figure.text(0.7 / WIDTH_INCH, 1 - 0.1 / height, title, va="top", weight="bold", color=INK)
        figure.text(
            1 - 0.15 / WIDTH_INCH,
            1 - 0.12 / height,
            f"{len(x)} {step or 'row'}s",
            va="top",
            ha="right",
            color=QUIET,
            fontsize=7.5,
        )
        save(figure, path)
    return True
