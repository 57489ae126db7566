"""Where the volume holds data, where it was filled from the neighbourhood, and where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from myosweep.figures.layout import Box, add_axes
from myosweep.figures.montage import outline
from myosweep.figures.scene import Scene, Survey
from myosweep.figures.style import (
    QUIET,
    WIDTH_INCH,
    coverage_colours,
    house_style,
    new_figure,
    positions,
    save,
    scale_bar,
    structure_colours,
)

LEFT, RIGHT, TOP, BOTTOM, GAP = 0.62, 0.12, 0.85, 0.5, 0.36

WITHIN = "#7A2E00"


def draw_coverage(scene: Scene, survey: Survey, path: Path) -> None:
    """Write three cuts and the shares along z as a PNG."""
    sx, sy, sz = scene.grid.spacing
    (z0, z1), (y0, y1), (x0, x1) = survey.box
    width_mm, height_mm, length_mm = (x1 - x0 + 1) * sx, (y1 - y0 + 1) * sy, (z1 - z0 + 1) * sz
    inner = WIDTH_INCH - LEFT - RIGHT
    scale = min((inner - 0.75) / (length_mm + width_mm), 4.0 / (height_mm + width_mm))
    long_width, deep, wide = length_mm * scale, height_mm * scale, width_mm * scale
    left = LEFT + (inner - 0.75 - long_width - wide) / 2
    coronal_top = TOP + deep + GAP
    profile_top = coronal_top + wide + GAP
    height = profile_top + 1.5 + BOTTOM
    cut_z, cut_y, cut_x = survey.centre
    ys, xs, zs = slice(y0, y1 + 1), slice(x0, x1 + 1), slice(z0, z1 + 1)

    with house_style():
        figure = new_figure(WIDTH_INCH, height)
        sagittal = add_axes(figure, Box(left, TOP, long_width, deep))
        _panel(sagittal, scene, (zs, ys, cut_x), (z0 * sz, y0 * sy), (sz, sy), turn=True)
        sagittal.set_title(f"Sagittal cut, x = {cut_x * sx:.0f} mm", loc="left", pad=3)
        sagittal.set_ylabel("y (mm)")
        sagittal.tick_params(labelbottom=False)
        coronal = add_axes(figure, Box(left, coronal_top, long_width, wide))
        _panel(coronal, scene, (zs, cut_y, xs), (z0 * sz, x0 * sx), (sz, sx), turn=True)
        coronal.set_title(f"Coronal cut, y = {cut_y * sy:.0f} mm", loc="left", pad=3)
        coronal.set_ylabel("x (mm)")
        coronal.tick_params(labelbottom=False)
        section = add_axes(figure, Box(left + long_width + 0.75, TOP, wide, deep))
        _panel(section, scene, (cut_z, ys, xs), (x0 * sx, y0 * sy), (sx, sy))
        section.set_title(f"z = {cut_z * sz:.0f} mm", loc="left", pad=3)
        section.set_xlabel("x (mm)")
        section.set_ylabel("y (mm)")
        for axes in (sagittal, section):
            scale_bar(axes, colour="#222222")
        profile = add_axes(figure, Box(left, profile_top, long_width, 1.5))
        profile.set_title("Share of each slice", loc="left", pad=3)
        _profile(profile, survey, zs, sz, ((y1 - y0 + 1) * (x1 - x0 + 1)))
        profile.set_xlim(sagittal.get_xlim())
        profile.set_xlabel(scene.along)
        colours = coverage_colours()
        figure.text(left / WIDTH_INCH, 1 - 0.12 / height, scene.case, va="top", fontsize=12, weight="bold")
        figure.text(
            left / WIDTH_INCH,
            1 - 0.38 / height,
            shares_in_words(scene, survey),
            va="top",
            fontsize=8.5,
            color=QUIET,
        )
        figure.legend(
            handles=[
                Patch(facecolor=colours["covered"], label="covered by frames"),
                Patch(facecolor=colours["filled"], label="filled from neighbours"),
                Patch(facecolor=colours["unknown"], edgecolor="#BBBBBB", label="unknown"),
                *[Line2D([], [], color=WITHIN, lw=1.2, label="filled, within structures")][
                    : bool(survey.muscle.any())
                ],
            ],
            loc="upper left",
            bbox_to_anchor=((left + long_width + 0.2) / WIDTH_INCH, 1 - profile_top / height),
            borderaxespad=0,
        )
        save(figure, path)


def shares_in_words(scene: Scene, survey: Survey) -> str:
    """One line on how much was measured and how much was filled."""
    ml = scene.grid.voxel_ml
    covered, filled = int(survey.covered.sum()), int(survey.filled.sum())
    known = covered + filled
    if known == 0:
        return "No voxel holds data."
    text = f"{known * ml:.0f} ml known: {100 * covered / known:.1f} % covered, "
    text += f"{100 * filled / known:.1f} % filled"
    if survey.fill_distance_mm is not None:
        median, farthest = survey.fill_distance_mm
        text += f" ({median:.1f} mm from data in the median, {farthest:.1f} mm at most)"
    muscle = int(survey.muscle.sum())
    if muscle:
        text += f"; within the structures {100 * int(survey.muscle_filled.sum()) / muscle:.1f} % filled"
    return text + "."


def _profile(axes: Axes, survey: Survey, zs: slice, spacing: float, slice_voxels: int) -> None:
    colours = coverage_colours()
    z = np.arange(zs.start, zs.stop) * spacing
    covered = 100.0 * survey.covered[zs] / slice_voxels
    filled = 100.0 * survey.filled[zs] / slice_voxels
    axes.fill_between(z, 0, covered, color=colours["covered"], lw=0, step="mid")
    axes.fill_between(z, covered, covered + filled, color=colours["filled"], lw=0, step="mid")
    axes.fill_between(z, covered + filled, 100, color=colours["unknown"], lw=0, step="mid")
    muscle = survey.muscle[zs]
    if muscle.any():
        share = np.where(muscle > 0, 100.0 * survey.muscle_filled[zs] / np.maximum(muscle, 1), np.nan)
        axes.plot(z, share, color=WITHIN, lw=1.2)
    axes.set_ylim(0, 100)
    axes.set_ylabel("share (%)")


def _panel(
    axes: Axes,
    scene: Scene,
    where: tuple[int | slice, int | slice, int | slice],
    corner: tuple[float, float],
    spacing: tuple[float, float],
    turn: bool = False,
) -> None:
    coverage: NDArray[np.float32] = scene.coverage[where]
    coverage = coverage.T if turn else coverage
    state = np.where(coverage > 0, 1, np.where(coverage < 0, 2, 0))
    rows, columns = state.shape
    right, down = spacing
    left, top = corner[0] - right / 2, corner[1] - down / 2
    extent = (left, left + columns * right, top + rows * down, top)
    colours = coverage_colours()
    axes.imshow(
        state,
        cmap=ListedColormap([colours["unknown"], colours["covered"], colours["filled"]]),
        vmin=0,
        vmax=2,
        extent=extent,
        interpolation="nearest",
        aspect="auto",
    )
    if scene.main is not None:
        mask = scene.labels[scene.main][where]
        mask = mask.T if turn else mask
        x = positions(columns, corner[0], right)
        y = positions(rows, corner[1], down)
        for name in structure_colours(scene.structures):
            outline(axes, x, y, mask == scene.structures[name], "#222222", "-", 0.9)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
