"""The case as a clinician looks at it: B-mode cross-sections and two cuts along the limb, with outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from myosweep.figures.layout import Box, add_axes, fit_columns
from myosweep.figures.scene import UNKNOWN, Scene, Survey
from myosweep.figures.style import (
    INK,
    REFERENCE_LINE,
    WIDTH_INCH,
    Dashes,
    house_style,
    new_figure,
    positions,
    save,
    scale_bar,
    source_lines,
    structure_colours,
)

CROSS_SECTIONS = 6
LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.12, 0.72, 0.5
GAP, TITLE = 0.12, 0.22
Handle = Line2D | Patch | tuple[Line2D, Line2D]
HATCH = "#8E8E8E"


def cross_section_slices(span: tuple[int, int], count: int = CROSS_SECTIONS) -> list[int]:
    """Indices of `count` slices, each in the middle of its equal share of `span` (first and last slice)."""
    first, last = span
    edges = first + (np.arange(count) + 0.5) / count * (last - first + 1)
    return sorted({int(edge) for edge in edges})


def draw_montage(scene: Scene, survey: Survey, path: Path) -> None:
    """Write the montage as a PNG."""
    sx, sy, sz = scene.grid.spacing
    (z0, z1), (y0, y1), (x0, x1) = survey.box
    width_mm, height_mm, length_mm = (x1 - x0 + 1) * sx, (y1 - y0 + 1) * sy, (z1 - z0 + 1) * sz
    slices = cross_section_slices(survey.muscle_box[0])
    inner = WIDTH_INCH - LEFT - RIGHT
    columns, panel_width, panel_height = fit_columns(
        len(slices), height_mm / width_mm, inner, GAP + 0.02, 6.0, choices=(2, 3, 6)
    )
    rows = -(-len(slices) // columns)
    scale = min(inner / length_mm, 5.2 / (height_mm + width_mm))
    cut_width, sagittal_height, coronal_height = length_mm * scale, height_mm * scale, width_mm * scale
    sections_bottom = TOP + rows * (TITLE + panel_height) + (rows - 1) * (GAP + 0.06)
    sagittal_top = sections_bottom + 0.4
    coronal_top = sagittal_top + sagittal_height + 0.34
    height = coronal_top + coronal_height + BOTTOM

    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        used = columns * panel_width + (columns - 1) * GAP
        start = LEFT + (inner - used) / 2
        hatched = False
        for number, z in enumerate(slices):
            row, column = divmod(number, columns)
            box = Box(
                start + column * (panel_width + GAP),
                TOP + TITLE + row * (TITLE + panel_height + GAP + 0.06),
                panel_width,
                panel_height,
            )
            axes = add_axes(figure, box)
            hatched |= _panel(
                axes, scene, (z, slice(y0, y1 + 1), slice(x0, x1 + 1)), (x0 * sx, y0 * sy), (sx, sy)
            )
            axes.set_title(f"{number + 1}   z = {z * sz:.0f} mm", loc="left", pad=3, color=INK)
            axes.set_xticks([])
            if column == 0:
                axes.set_ylabel("y, along the beam (mm)")
            else:
                axes.set_yticks([])
            scale_bar(axes)

        _, cut_y, cut_x = survey.centre
        left = LEFT + (inner - cut_width) / 2
        sagittal = add_axes(figure, Box(left, sagittal_top, cut_width, sagittal_height))
        hatched |= _panel(
            sagittal,
            scene,
            (slice(z0, z1 + 1), slice(y0, y1 + 1), cut_x),
            (z0 * sz, y0 * sy),
            (sz, sy),
            turn=True,
        )
        sagittal.set_title(f"Sagittal cut, x = {cut_x * sx:.0f} mm", loc="left", pad=3)
        sagittal.set_ylabel("y (mm)")
        sagittal.tick_params(labelbottom=False)
        scale_bar(sagittal)
        coronal = add_axes(figure, Box(left, coronal_top, cut_width, coronal_height))
        hatched |= _panel(
            coronal,
            scene,
            (slice(z0, z1 + 1), cut_y, slice(x0, x1 + 1)),
            (z0 * sz, x0 * sx),
            (sz, sx),
            turn=True,
        )
        coronal.set_title(f"Coronal cut, y = {cut_y * sy:.0f} mm", loc="left", pad=3)
        coronal.set_ylabel("x (mm)")
        coronal.set_xlabel(scene.along)
        for number, z in enumerate(slices):
            for axes in (sagittal, coronal):
                axes.axvline(z * sz, color="white", lw=0.6, alpha=0.55)
            sagittal.annotate(
                str(number + 1),
                (z * sz, y0 * sy),
                xytext=(2, -3),
                textcoords="offset points",
                va="top",
                color="white",
                fontsize=8,
            )
        figure.text(LEFT / WIDTH_INCH, 1 - 0.12 / height, scene.case, va="top", fontsize=12, weight="bold")
        handles = legend_handles(scene)
        if hatched:
            unknown = Patch(facecolor="#555555", edgecolor=HATCH, hatch="////", lw=0)
            handles.append((unknown, "labels unknown"))
        if handles:
            keys: list[Any] = [handle for handle, _ in handles]
            figure.legend(
                keys,
                [label for _, label in handles],
                loc="upper left",
                bbox_to_anchor=(LEFT / WIDTH_INCH, 1 - 0.38 / height),
                ncols=len(handles),
                columnspacing=1.4,
                handlelength=2.2,
                borderpad=0,
                borderaxespad=0,
            )
        save(figure, path)


def legend_handles(scene: Scene) -> list[tuple[Handle, str]]:
    """Structures by colour, sources by line, the reference last."""
    handles: list[tuple[Handle, str]] = []
    if scene.labels or scene.reference is not None:
        for name, colour in structure_colours(scene.structures).items():
            handles.append((Line2D([], [], color=colour, lw=4), name))
    for name, line in source_lines(list(scene.labels)).items():
        handles.append((Line2D([], [], color=INK, lw=1.6, ls=line), name))
    if scene.reference is not None:
        ground = Line2D([], [], color="#444444", lw=6, solid_capstyle="butt")
        handles.append(((ground, Line2D([], [], color="white", lw=1.4, ls=REFERENCE_LINE)), "reference"))
    return handles


def _panel(
    axes: Axes,
    scene: Scene,
    where: tuple[int | slice, int | slice, int | slice],
    corner: tuple[float, float],
    spacing: tuple[float, float],
    turn: bool = False,
) -> bool:
    """One cut in mm; `turn` puts the array's first axis (z) to the right. Returns whether it was hatched."""

    def cut(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return array[where].T if turn else array[where]

    image = cut(scene.image)
    rows, columns = image.shape
    right, down = spacing
    left, top = corner[0] - right / 2, corner[1] - down / 2
    extent = (left, left + columns * right, top + rows * down, top)
    axes.imshow(
        image, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="antialiased", aspect="auto"
    )
    x = positions(columns, corner[0], right)
    y = positions(rows, corner[1], down)
    colours = structure_colours(scene.structures)
    main = None if scene.main is None else cut(scene.labels[scene.main])
    hatched = False
    if main is not None:
        hatched = _hatch_unknown(axes, x, y, main, cut_known=image > 0)
    lines = source_lines(list(scene.labels))
    for source, mask in scene.labels.items():
        width = 1.5 if source == scene.main else 1.1
        for name, value in scene.structures.items():
            outline(axes, x, y, cut(mask) == value, colours[name], lines[source], width)
    if scene.reference is not None:
        reference = cut(scene.reference)
        for value in scene.structures.values():
            outline(axes, x, y, reference == value, "white", REFERENCE_LINE, 1.0)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.spines[:].set_visible(False)
    return hatched


def outline(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mask: NDArray[np.bool_],
    colour: str,
    line: Dashes,
    width: float,
) -> None:
    """The border of a mask halfway between its voxels, closed at the picture's edge."""
    if not mask.any():
        return
    padded = np.pad(mask, 1).astype(np.float32)
    axes.contour(
        _extended(x),
        _extended(y),
        padded,
        levels=[0.5],
        colors=[colour],
        linewidths=[width],
        linestyles=[line],
    )


def _extended(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    step = positions[1] - positions[0] if len(positions) > 1 else 1.0
    return np.concatenate([[positions[0] - step], positions, [positions[-1] + step]])


def _hatch_unknown(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mask: NDArray[np.uint8],
    cut_known: NDArray[np.bool_],
) -> bool:
    """Hatch where there is an image but the labels are unknown."""
    unknown = (mask == UNKNOWN) & cut_known
    if len(x) < 2 or len(y) < 2 or unknown.mean() < 0.02:
        return False
    filled = axes.contourf(x, y, unknown.astype(np.float32), levels=[0.5, 2], colors="none", hatches=["////"])
    filled.set_edgecolor(HATCH)
    filled.set_linewidth(0.0)
    return True
