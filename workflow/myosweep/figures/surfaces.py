"""Muscle surfaces in space, rendered by VTK or, where it cannot, by a ray caster of a few lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.figures import render
from myosweep.figures.layout import Box, add_axes
from myosweep.figures.scene import Scene, Survey
from myosweep.figures.style import (
    INK,
    QUIET,
    WIDTH_INCH,
    house_style,
    new_figure,
    save,
    scale_bar,
    structure_colours,
)
from myosweep.progress import log

RENDERER = Path(render.__file__)
VOXELS = 3_000_000
ANGLES = (-35.0, 145.0)
VIEWS = ("Seen from the probe's side", "Seen from the deep side")
SECONDS = 300
REMEDY = "install EGL for VTK (Debian, Ubuntu: apt-get install libegl1 libgl1-mesa-dri)"


def draw_surfaces(scene: Scene, survey: Survey, path: Path, renderer: str = "auto") -> str:
    """Write two views of the first source's structures as a PNG.

    `renderer` is `auto`, or `simple` for the ray caster. Returns a remark for the caption, or an empty text.
    """
    note = ""
    names = list(scene.structures)
    colours = structure_colours(names)
    views: NDArray[np.uint8] | None = None
    extent = (0.0, 0.0, 0.0, 0.0)
    if scene.main is not None and survey.muscle.any():
        fractions, spacing, corner = structure_fractions(scene, survey)
        length = fractions.shape[1] * spacing[2]
        half = 0.53 * float(np.hypot(fractions.shape[2] * spacing[1], fractions.shape[3] * spacing[0]))
        half = min(half, 0.6 * length)
        half_length = 0.5 * length + 0.05 * half
        columns = 1350
        size = (columns, max(2, round(columns * half / half_length)))
        centre = (np.array(fractions.shape[:0:-1]) - 1) * spacing / 2
        middle = float(corner + centre[2])
        extent = (middle - half_length, middle + half_length, half, -half)
        if renderer == "auto":
            views, problem = _render(fractions, spacing, list(colours.values()), size, half, centre)
            if problem:
                note = f"Simplified rendering: {problem}; for smooth surfaces {REMEDY}."
                log(note)
        if views is None:
            views = cast_rays(fractions, spacing, list(colours.values()), (size[0] // 2, size[1] // 2), half)

        views, extent = _cropped(views, extent)

    with house_style():
        panel_width = WIDTH_INCH - 0.3 - 0.12
        panel_height = 2.0 if views is None else panel_width * views.shape[1] / views.shape[2]
        shrink = min(1.0, 3.4 / panel_height)
        panel_width, panel_height = panel_width * shrink, panel_height * shrink
        top = 0.95
        height = top + 2 * panel_height + 0.32 + (0.75 if note else 0.5)
        figure = new_figure(WIDTH_INCH, height)
        left = 0.3 + (WIDTH_INCH - 0.42 - panel_width) / 2
        for index, title in enumerate(VIEWS):
            axes = add_axes(figure, Box(left, top + index * (panel_height + 0.32), panel_width, panel_height))
            axes.spines[:].set_visible(False)
            axes.set_yticks([])
            axes.set_title(title, loc="left", pad=3)
            if views is None:
                axes.set_xticks([])
                axes.text(
                    0.5, 0.5, "No labelled structure", transform=axes.transAxes, ha="center", color=QUIET
                )
                continue
            axes.imshow(views[index], extent=extent, aspect="auto", interpolation="antialiased")
            scale_bar(axes, colour=INK)
            axes.spines["bottom"].set_visible(index == 1)
            axes.tick_params(labelbottom=index == 1, bottom=index == 1)
            if index == 1:
                axes.set_xlabel(scene.along)
        source = f"   {scene.main}" if scene.main else ""
        figure.text(0.3 / WIDTH_INCH, 1 - 0.12 / height, scene.case, va="top", fontsize=12, weight="bold")
        if scene.main is not None:
            volumes = survey.areas[scene.main].volume_ml
            handles = [
                Patch(facecolor=colours[name], label=f"{name}  {volume:.1f} ml")
                for name, volume in zip(names, volumes, strict=True)
                if volume > 0
            ]
            if handles:
                figure.legend(
                    handles=handles,
                    loc="upper left",
                    bbox_to_anchor=(0.3 / WIDTH_INCH, 1 - 0.38 / height),
                    ncols=min(6, len(handles)),
                    borderaxespad=0,
                    fontsize=9.5,
                )
            figure.text(
                1 - 0.12 / WIDTH_INCH,
                1 - 0.14 / height,
                source.strip(),
                va="top",
                ha="right",
                color=QUIET,
                fontsize=9,
            )
        if note:
            figure.text(0.3 / WIDTH_INCH, 0.08 / height, note, va="bottom", fontsize=7.5, color=QUIET)
        save(figure, path)
    return note


def _cropped(
    views: NDArray[np.uint8], extent: tuple[float, float, float, float]
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """Take empty rows away, the same ones in all views, and leave room for the scale bar below."""
    inked = np.flatnonzero((views < 250).any(axis=(0, 2, 3)))
    if len(inked) == 0:
        return views, extent
    rows = views.shape[1]
    mm = (extent[2] - extent[3]) / rows
    height = int(inked[-1] - inked[0])
    first, last = max(0, int(inked[0]) - 8), int(inked[-1]) + 8 + height // 6
    below = max(0, last - rows)
    padded = np.pad(views, ((0, 0), (0, below), (0, 0), (0, 0)), constant_values=255)
    return padded[:, first:last], (extent[0], extent[1], extent[2] - first * mm, extent[2] - last * mm)


def structure_fractions(
    scene: Scene, survey: Survey
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Smooth memberships of the first source's structures on a lattice small enough to draw.

    Returns
    -------
    fractions
        float32 (structure, z, y, x), 0 all around.
    spacing
        (x, y, z) in mm.
    corner
        Position in mm of the lattice's first slice along z.
    """
    assert scene.main is not None
    box = survey.muscle_box
    count = float(np.prod([high - low + 1 for low, high in box]))
    mm = np.array(scene.grid.spacing)
    # Voxels of about one size in all directions, as many as VOXELS in all.
    wanted = (count * float(np.prod(mm)) / VOXELS) ** (1 / 3)
    steps = np.maximum(1, np.round(wanted / mm)).astype(int)
    kx, ky, kz = (int(step) for step in steps)
    mask = scene.labels[scene.main][tuple(slice(low, high + 1) for low, high in box)]
    values = list(scene.structures.values())
    shape = [-(-n // k) for n, k in zip(mask.shape, (kz, ky, kx), strict=True)]
    fractions = np.zeros((len(values), *shape), dtype=np.float32)
    rows, columns = np.arange(0, mask.shape[1], ky), np.arange(0, mask.shape[2], kx)
    for z in range(shape[0]):
        slab = mask[z * kz : (z + 1) * kz]
        for index, value in enumerate(values):
            inside = (slab == value).sum(axis=0, dtype=np.float32)
            fractions[index, z] = np.add.reduceat(np.add.reduceat(inside, rows, axis=0), columns, axis=1)
    fractions /= kx * ky * kz
    margin = 2
    fractions = np.pad(fractions, ((0, 0), *[(margin, margin)] * 3))
    spacing = mm * steps
    # Staircases of voxels are not anatomy; 1.2 mm is less than the thickness of an ultrasound slice.
    sigma = np.maximum(1.2, 1.2 / spacing[::-1])
    for fraction in fractions:
        fraction[...] = ndimage.gaussian_filter(fraction, np.minimum(sigma, 3.0))
    corner = box[0][0] * mm[2] + (kz - 1) / 2 * mm[2] - margin * spacing[2]
    return fractions, spacing, float(corner)


def _render(
    fractions: NDArray[np.float32],
    spacing: NDArray[np.float64],
    colours: list[str],
    size: tuple[int, int],
    half_height_mm: float,
    centre: NDArray[np.float64],
) -> tuple[NDArray[np.uint8] | None, str]:
    """Views from VTK in a child process; or None and why there are none."""
    environment = dict(os.environ)
    if not environment.get("DISPLAY"):
        environment.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "job.npz", Path(folder) / "views.npz"
        np.savez(
            source,
            fractions=fractions,
            spacing=spacing,
            colours=np.array(colours),
            angles=np.array(ANGLES),
            size=np.array(size),
            half_height_mm=half_height_mm,
            centre=centre,
        )
        try:
            done = subprocess.run(
                [sys.executable, str(RENDERER), str(source), str(target)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"the renderer took more than {SECONDS} s"
        if done.returncode == 0 and target.is_file():
            views: NDArray[np.uint8] = np.load(target)["views"]
            # Without a driver some OpenGL stacks give an empty picture instead of an error.
            if all(view.std() > 1.0 for view in views):
                return views, ""
            return None, "the renderer gave an empty picture"
        for line in done.stderr.strip().splitlines()[-5:]:
            log(line)
        if done.returncode < 0:
            return None, f"the renderer ended by {signal.Signals(-done.returncode).name}"
        return None, f"the renderer ended with status {done.returncode}"


def cast_rays(
    fractions: NDArray[np.float32],
    spacing: NDArray[np.float64],
    colours: list[str],
    size: tuple[int, int],
    half_height_mm: float,
) -> NDArray[np.uint8]:
    """The same two views with numpy alone: first hit along parallel rays, shaded by its gradient.

    Returns
    -------
    views
        uint8 (view, row, column, 3).
    """
    columns, rows = size
    depth = fractions.shape[1]
    scale = columns / (columns / rows * 2 * half_height_mm)
    step = max(0.5, 2 * half_height_mm / rows)
    n = max(8, round(2 * half_height_mm / step))
    centre = (np.array(fractions.shape[2:]) - 1) / 2
    offsets = (np.arange(n) - (n - 1) / 2) * step
    views = []
    for angle in np.deg2rad(ANGLES):
        towards = np.array([np.sin(angle), -np.cos(angle)])
        up = np.array([-np.cos(angle), -np.sin(angle)])
        v, w = np.meshgrid(-offsets, offsets, indexing="ij")
        x = (up[0] * v - towards[0] * w) / spacing[0] + centre[1]
        y = (up[1] * v - towards[1] * w) / spacing[1] + centre[0]
        hit = np.full((n, depth), n, dtype=np.int64)
        which = np.full((n, depth), -1, dtype=np.int64)
        for index, fraction in enumerate(fractions):
            for z in range(depth):
                if fraction[z].max() <= 0.5:
                    continue
                inside = ndimage.map_coordinates(fraction[z], [y, x], order=1) > 0.5
                first = np.where(inside.any(axis=1), inside.argmax(axis=1), n)
                nearer = first < hit[:, z]
                hit[nearer, z] = first[nearer]
                which[nearer, z] = index
        found = which >= 0
        surface = ndimage.gaussian_filter(np.where(found, hit, n) * step, (1.0, 1.0))
        slope_v, slope_z = np.gradient(surface, step, float(spacing[2]))
        shade = 1 / np.sqrt(1 + slope_v**2 + slope_z**2) * (1 + 0.35 * np.clip(slope_v, -1, 1))
        shade = 0.3 + 0.7 * np.clip(shade, 0, 1)
        palette = np.array([to_rgb(colour) for colour in colours])
        picture = np.where(found[..., None], palette[which] * shade[..., None], 1.0)
        zoom_rows = np.minimum((np.arange(rows) * n) // rows, n - 1)
        position = ((np.arange(columns) + 0.5) - columns / 2) / scale / spacing[2] + (depth - 1) / 2
        picked = np.clip(np.round(position), 0, depth - 1).astype(int)
        outside = (position < -0.5) | (position > depth - 0.5)
        out = picture[zoom_rows][:, picked]
        out[:, outside] = 1.0
        views.append((np.clip(out, 0, 1) * 255).astype(np.uint8))
    return np.stack(views)
