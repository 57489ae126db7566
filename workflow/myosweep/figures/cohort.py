"""The cohort's pictures: how measured volumes agree with the reference, and how accurate the masks are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from myosweep.figures.style import (
    INK,
    QUIET,
    WIDTH_INCH,
    house_style,
    new_figure,
    save,
    structure_colours,
)
from myosweep.metrics.statistics import FEWEST_CASES, agreement

LIMITS_NEED = FEWEST_CASES
# Of the values beside the lines of a panel.
VALUE_POINTS = 7

# Cases and the sources that never saw them.
Unseen = set[tuple[str, str]]


def is_model(source: str) -> bool:
    """Whether a source is a network: the names of labels start with `labels_`."""
    return not source.startswith("labels_")


def counted_rows(table: pd.DataFrame, unseen: Unseen) -> pd.DataFrame:
    """Rows that may be used to judge a source: all cases for labels, for models those never trained on."""
    counts = [
        not is_model(source) or (case, source) in unseen
        for case, source in zip(table["case"], table["source"], strict=True)
    ]
    return table[np.array(counts, dtype=bool)]


def unseen_pairs(volumes: pd.DataFrame) -> Unseen:
    """Case and source of rows whose split is test, or that a fold of a cross-validation segmented."""
    if "split" not in volumes:
        return set()
    split = volumes["split"].astype(str)
    rows = volumes[(split == "test") | split.str.startswith("fold")]
    return set(zip(rows["case"], rows["source"], strict=True))


def draw_cohort(
    volumes: pd.DataFrame,
    metrics: pd.DataFrame,
    output_dir: str | Path,
    structures: Sequence[str] | None = None,
) -> list[Path]:
    """Write `agreement.png` and `accuracy.png`, each only where there is something to draw.

    Parameters
    ----------
    volumes
        volumes.csv: of it `case, split, structure, source, status, volume_ml, reference_ml`.
    metrics
        metrics.csv: `case, structure, source, slice, metric, unit, value`; rows of slices are not used.
    structures
        Their order; that of `volumes` where it is not given.

    Returns
    -------
    The files that were written.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    names = list(structures or dict.fromkeys(volumes["structure"].dropna().astype(str)))
    unseen = unseen_pairs(volumes)
    written = []
    if _draw_agreement(volumes, unseen, names, folder / "agreement.png"):
        written.append(folder / "agreement.png")
    if _draw_accuracy(metrics, unseen, names, folder / "accuracy.png"):
        written.append(folder / "accuracy.png")
    return written


def _draw_agreement(volumes: pd.DataFrame, unseen: Unseen, names: list[str], path: Path) -> bool:
    table = volumes.copy()
    for needed in ("volume_ml", "reference_ml"):
        if needed not in table:
            return False
        table[needed] = pd.to_numeric(table[needed], errors="coerce")
    table = counted_rows(table.dropna(subset=["volume_ml", "reference_ml", "source"]), unseen)
    if table.empty:
        return False
    sources = list(dict.fromkeys(table["source"]))
    colours = structure_colours(names)
    columns, rows = len(names), len(sources)
    height = 0.95 + 2.35 * rows
    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        figure.subplots_adjust(
            left=0.95 / WIDTH_INCH,
            right=1 - 0.85 / WIDTH_INCH,
            top=1 - 0.8 / height,
            bottom=0.5 / height,
            wspace=0.5 if columns < 4 else 0.8,
            hspace=0.35,
        )
        for row, source in enumerate(sources):
            for column, name in enumerate(names):
                axes = figure.add_subplot(rows, columns, row * columns + column + 1)
                part = table[(table["source"] == source) & (table["structure"] == name)]
                whole = part["status"].astype(str).eq("measured").to_numpy() if "status" in part else None
                if len(part):
                    axes.set_ylim(_range(table, name))
                _bland_altman(
                    axes, part["volume_ml"].to_numpy(), part["reference_ml"].to_numpy(), whole, colours[name]
                )
                if row == 0:
                    axes.annotate(
                        name,
                        (0, 1),
                        xycoords="axes fraction",
                        xytext=(0, 18),
                        textcoords="offset points",
                        weight="bold",
                        fontsize=10,
                    )
                if row == rows - 1:
                    axes.set_xlabel("mean of both (ml)")
                if column == 0:
                    where = "test cases" if is_model(source) else "all cases"
                    axes.set_ylabel(f"{source} ({where})\nmeasured − reference (ml)")
        figure.legend(
            handles=[
                Line2D([], [], ls="", marker="o", mfc=QUIET, mec=QUIET, ms=5, label="measured"),
                Line2D(
                    [],
                    [],
                    ls="",
                    marker="o",
                    mfc="white",
                    mec=QUIET,
                    ms=5,
                    label="partial (not in the limits)",
                ),
                Line2D([], [], color=INK, lw=1.2, label="bias"),
                Line2D([], [], color=INK, lw=0.9, ls=(0, (4, 2)), label="95 % limits of agreement (Student)"),
            ],
            loc="upper left",
            bbox_to_anchor=(0.9 / WIDTH_INCH, 1 - 0.08 / height),
            ncols=4,
            borderaxespad=0,
        )
        save(figure, path)
    return True


def _bland_altman(
    axes: Axes,
    measured: NDArray[np.float64],
    reference: NDArray[np.float64],
    whole: NDArray[np.bool_] | None,
    colour: str,
) -> None:
    """One panel after Bland and Altman 1986, in the axes' ordinates; limits as in `metrics.statistics`."""
    whole = np.ones(len(measured), dtype=bool) if whole is None else whole
    if len(measured) == 0:
        axes.text(0.5, 0.5, "nothing to compare", transform=axes.transAxes, ha="center", color=QUIET)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    mean, difference = (measured + reference) / 2, measured - reference
    axes.axhline(0, color="#C8C8C8", lw=0.8)
    axes.plot(mean[~whole], difference[~whole], "o", mfc="white", mec=colour, ms=4.5)
    axes.plot(mean[whole], difference[whole], "o", mfc=colour, mec="white", mew=0.4, ms=5.5)
    pairs = measured[whole].tolist(), reference[whole].tolist()
    agreed = agreement(*pairs)
    text = f"n = {agreed.n}"
    if agreed.n >= LIMITS_NEED:
        relative = agreement(*pairs, relative=True)
        axes.axhline(agreed.bias, color=INK, lw=1.2)
        for limit in (agreed.low, agreed.high):
            axes.axhline(limit, color=INK, lw=0.9, ls=(0, (4, 2)))
        apart = _line_height(axes)
        for value, place in (
            (agreed.bias, agreed.bias),
            (agreed.low, min(agreed.low, agreed.bias - apart)),
            (agreed.high, max(agreed.high, agreed.bias + apart)),
        ):
            axes.annotate(
                signed(value),
                (1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                color=INK,
                fontsize=VALUE_POINTS,
                annotation_clip=False,
            )
        text += f", bias {signed(agreed.bias)} ml ({signed(relative.bias)} %), SD {agreed.sd:.1f} ml"
    else:
        text += f": too few for limits (fewer than {LIMITS_NEED})"
    axes.set_title(text, loc="left", fontsize=7.5, color=QUIET, pad=3)
    span = float(mean.max() - mean.min())
    pad = 0.1 * span or 0.1 * abs(float(mean.mean())) or 1.0
    axes.set_xlim(float(mean.min()) - pad, float(mean.max()) + pad)


def _line_height(axes: Axes) -> float:
    """The height of a line of `VALUE_POINTS` in ordinates."""
    low, high = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = axes.get_position().height * figure.get_size_inches()[1]
    return float(1.2 * VALUE_POINTS / 72 / inches * (high - low))


def signed(value: float) -> str:
    """A number with its sign, as typography has it."""
    return f"{value:+.1f}".replace("-", "−")


def _range(table: pd.DataFrame, name: str) -> tuple[float, float]:
    """Ordinates that show every difference and every limit of one structure, whatever the source."""
    values = [0.0]
    for _, part in table[table["structure"] == name].groupby("source"):
        values += (part["volume_ml"] - part["reference_ml"]).tolist()
        if "status" in part:
            part = part[part["status"].astype(str) == "measured"]
        if len(part) >= LIMITS_NEED:
            agreed = agreement(part["volume_ml"].tolist(), part["reference_ml"].tolist())
            values += [agreed.low, agreed.high]
    margin = 0.08 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def whole_volume(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows that hold for a whole volume: their slice is empty."""
    return metrics[metrics["slice"].isna() | metrics["slice"].astype(str).str.strip().eq("")]


def _draw_accuracy(metrics: pd.DataFrame, unseen: Unseen, names: list[str], path: Path) -> bool:
    table = counted_rows(whole_volume(metrics), unseen).copy()
    table["value"] = pd.to_numeric(table["value"], errors="coerce")
    panels = [("dice", "Dice", ""), ("hausdorff_95", "95 % Hausdorff distance", "mm")]
    table = table[table["metric"].isin([plain for plain, _, _ in panels]) & table["value"].notna()]
    if table.empty:
        return False
    sources = list(dict.fromkeys(table["source"]))
    colours = structure_colours(names)
    height = 3.5
    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        figure.subplots_adjust(
            left=0.7 / WIDTH_INCH,
            right=1 - 0.15 / WIDTH_INCH,
            top=1 - 0.75 / height,
            bottom=0.55 / height,
            wspace=0.2,
        )
        for number, (plain, title, unit) in enumerate(panels):
            axes = figure.add_subplot(1, 2, number + 1)
            axes.grid(visible=True, axis="y")
            part = table[table["metric"] == plain]
            _strips(axes, part, sources, names, colours)
            axes.set_title(title + (f" ({unit})" if unit else ""), loc="left", weight="bold")
            axes.set_ylabel(f"{title} ({unit})" if unit else title)
            if plain == "dice":
                low = float(part["value"].min()) if len(part) else 0.0
                axes.set_ylim(max(0.0, np.floor(10 * low - 0.2) / 10), 1.0)
            else:
                axes.set_ylim(bottom=0)
        figure.legend(
            handles=[
                *(Patch(facecolor=colours[name], label=name) for name in names),
                Line2D([], [], marker="_", ms=12, mew=2, color=INK, lw=1, label="mean ± SD"),
            ],
            loc="upper left",
            bbox_to_anchor=(0.6 / WIDTH_INCH, 1 - 0.1 / height),
            ncols=len(names) + 1,
            borderaxespad=0,
        )
        save(figure, path)
    return True


def _strips(
    axes: Axes, table: pd.DataFrame, sources: list[str], names: list[str], colours: dict[str, str]
) -> None:
    width = 0.8 / max(1, len(names))
    ticks = []
    for place, source in enumerate(sources):
        counts = []
        for index, name in enumerate(names):
            rows = table[(table["source"] == source) & (table["structure"] == name)].sort_values("case")
            values = rows["value"].to_numpy(dtype=np.float64)
            counts.append(len(values))
            if len(values) == 0:
                continue
            centre = place + (index - (len(names) - 1) / 2) * width
            # Points are set beside each other in the order of cases: nothing random, the bytes stay.
            offset = (np.arange(len(values)) % 7 - 3) / 7 * 0.45 * width if len(values) > 1 else np.zeros(1)
            axes.plot(
                centre - 0.12 * width + offset,
                values,
                "o",
                ms=3.6,
                mfc=colours[name],
                mec="white",
                mew=0.3,
                alpha=0.75,
            )
            spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            axes.errorbar(
                centre + 0.3 * width,
                values.mean(),
                yerr=spread or None,
                fmt="_",
                color=INK,
                ms=9,
                mew=2,
                lw=1,
            )
        n = f"n = {max(counts)}" if len(set(counts)) == 1 else "n = " + ", ".join(map(str, counts))
        ticks.append(f"{source}\n{n}{', test' if is_model(source) else ''}")
    axes.set_xticks(range(len(sources)), ticks)
    axes.set_xlim(-0.6, len(sources) - 0.4)
    axes.tick_params(axis="x", length=0)
