"""The shape of each muscle: its cross-sectional area along the limb."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from myosweep.figures.scene import OPEN_OUTLINE_SHARE, Scene, Survey
from myosweep.figures.style import (
    INK,
    QUIET,
    REFERENCE_LINE,
    WIDTH_INCH,
    house_style,
    new_figure,
    save,
    source_lines,
    structure_colours,
)


def draw_areas(scene: Scene, survey: Survey, path: Path) -> None:
    """Write the areas along z, a panel per structure, as a PNG."""
    names = list(scene.structures)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    height = 0.75 + 2.5 * rows
    colours, lines = structure_colours(names), source_lines(list(scene.labels))
    z = np.arange(scene.grid.size[2]) * scene.grid.spacing[2]
    (first, last), _, _ = survey.muscle_box
    margin = 0.03 * (z[last] - z[first] + scene.grid.spacing[2])
    highest = max(
        (float(np.nanmax(areas.area_cm2, initial=0.0)) for areas in survey.areas.values()), default=0.0
    )
    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        figure.subplots_adjust(
            left=0.62 / WIDTH_INCH,
            right=1 - 0.15 / WIDTH_INCH,
            top=1 - 0.62 / height,
            bottom=0.5 / height,
            wspace=0.12,
            hspace=0.45,
        )
        hatched = open_end = False
        for index, name in enumerate(names):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.grid(visible=True)
            volumes = []
            for source, areas in survey.areas.items():
                area, opened = areas.area_cm2[index], areas.open_share[index]
                is_reference = source == "reference" and scene.reference is not None
                if areas.volume_ml[index] == 0:
                    continue
                colour = INK if is_reference else colours[name]
                line = REFERENCE_LINE if is_reference else lines[source]
                shown = np.flatnonzero(np.nan_to_num(area) > 0)
                part = slice(max(0, shown[0] - 1), shown[-1] + 2)
                axes.plot(z[part], area[part], color=colour, ls=line, lw=1.2 if is_reference else 1.8)
                if source == scene.main:
                    for end in open_ends(area):
                        open_end = True
                        axes.plot(z[end], area[end], "o", mfc="white", mec=colour, ms=5, zorder=4)
                if source == scene.main and (opened > OPEN_OUTLINE_SHARE).any():
                    hatched = True
                    axes.fill_between(
                        z,
                        0,
                        np.nan_to_num(area),
                        where=(opened > OPEN_OUTLINE_SHARE) & (np.nan_to_num(area) > 0),
                        facecolor="none",
                        edgecolor=QUIET,
                        hatch="////",
                        lw=0,
                        step="mid",
                    )
                # The reference's volume is that of its own grid; here it is sampled on the labels'.
                if not is_reference:
                    volumes.append(f"{source} {areas.volume_ml[index]:.1f} ml")
            axes.set_title(name, loc="left", weight="bold", color=INK)
            axes.text(
                0.99,
                0.98,
                "\n".join(volumes) or "not labelled",
                transform=axes.transAxes,
                ha="right",
                va="top",
                fontsize=7.5,
                color=QUIET,
            )
            axes.set_xlim(z[first] - margin, z[last] + margin)
            axes.set_ylim(0, 1.3 * highest or 1)
            if index % columns == 0:
                axes.set_ylabel("cross-sectional area (cm²)")
            else:
                axes.tick_params(labelleft=False)
            if index >= len(names) - columns:
                axes.set_xlabel(scene.along)
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=INK, lw=1.6, ls=line, label=source) for source, line in lines.items()
        ]
        if scene.reference is not None:
            handles.append(Line2D([], [], color=INK, lw=1.2, ls=REFERENCE_LINE, label="reference"))
        if hatched:
            handles.append(
                Patch(
                    facecolor="none",
                    edgecolor=QUIET,
                    hatch="////",
                    lw=0,
                    label="outline borders on unknown",
                )
            )
        if open_end:
            handles.append(
                Line2D(
                    [], [], ls="", marker="o", mfc="white", mec=INK, ms=5, label="cut off: known slices end"
                )
            )
        figure.text(0.62 / WIDTH_INCH, 1 - 0.1 / height, scene.case, va="top", fontsize=12, weight="bold")
        if handles:
            figure.legend(
                handles=handles,
                loc="upper right",
                bbox_to_anchor=(1 - 0.15 / WIDTH_INCH, 1 - 0.1 / height),
                ncols=len(handles),
                borderaxespad=0,
            )
        save(figure, path)


def open_ends(area: NDArray[np.float64], share: float = 0.1) -> list[int]:
    """Known first and last slices in which a structure still has more than `share` of its largest area."""
    known = np.flatnonzero(np.isfinite(area))
    if len(known) == 0:
        return []
    ends = {int(known[0]), int(known[-1])}
    return sorted(end for end in ends if area[end] > share * float(np.nanmax(area)))
