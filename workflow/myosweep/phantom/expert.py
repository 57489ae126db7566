"""What an expert draws on frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import apply_transform
from myosweep.phantom.anatomy import LABELS, Leg
from myosweep.phantom.settings import Settings

Floats = NDArray[np.float64]


def true_mask(
    leg: Leg,
    image_to_leg: Floats,
    shape: tuple[int, int],
    labels: tuple[int, ...],
    shift_mm: Floats | None = None,
) -> NDArray[np.uint8]:
    """Labels (rows, columns) at a frame's pixels; `shift_mm` (2, rows, columns) moves them in its plane."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    if shift_mm is not None:
        spacing = np.linalg.norm(image_to_leg[:3, 0])
        columns = columns + shift_mm[0] / spacing
        rows = rows + shift_mm[1] / spacing
    pixels = np.stack([columns, rows, np.zeros(shape)], axis=-1)
    mask = leg.label(apply_transform(image_to_leg, pixels))
    mask[~np.isin(mask, labels)] = 0
    return mask


def wobble(rng: np.random.Generator, settings: Settings) -> Floats:
    """A smooth displacement (2, rows, columns) in mm, as a hand that follows a border makes it."""
    down = _bumps(settings.rows, settings.pixel_spacing_mm, settings.wobble_length_mm)
    along = _bumps(settings.columns, settings.pixel_spacing_mm, settings.wobble_length_mm)
    weights = rng.standard_normal((2, down.shape[1], along.shape[1]))
    field: Floats = settings.wobble_mm * (down @ weights @ along.T)
    return field


def _bumps(count: int, spacing_mm: float, length_mm: float) -> Floats:
    """Overlapping Gaussians (count, nodes) whose squares sum to one: noise in, noise of equal power out."""
    step = length_mm / 2
    nodes = step * np.arange(-2, int(np.ceil(count * spacing_mm / step)) + 3)
    away = (np.arange(count)[:, None] * spacing_mm - nodes[None, :]) / step
    bumps = np.exp(-0.5 * away**2)
    normal: Floats = bumps / np.sqrt((bumps**2).sum(axis=1, keepdims=True))
    return normal


def frames_to_annotate(
    leg: Leg,
    image_to_leg: Floats,
    shape: tuple[int, int],
    structures: tuple[str, ...],
    settings: Settings,
) -> list[int]:
    """Frames that the expert draws on: regular ones, first and last included, and those at the ends."""
    count = len(image_to_leg)
    step = max(1, round(settings.annotation_spacing_mm / settings.frame_spacing_mm))
    chosen = {*range(0, count, step), count - 1}
    if not settings.annotate_ends:
        return sorted(chosen)
    coarse = max(1, round(1.0 / settings.pixel_spacing_mm))
    rows, columns = np.mgrid[: shape[0] : coarse, : shape[1] : coarse]
    pixels = np.stack([columns, rows, np.zeros(rows.shape)], axis=-1).astype(np.float64)
    seen: dict[int, NDArray[np.uint8]] = {}

    def shows(frame: int, label: int) -> bool:
        if frame not in seen:
            seen[frame] = leg.label(apply_transform(image_to_leg[frame], pixels))
        return bool((seen[frame] == label).any())

    for name in structures:
        label = LABELS[name]
        regular = sorted(chosen)
        visible = [frame for frame in regular if shows(frame, label)]
        if not visible:
            continue
        for start, way in ((visible[0], -1), (visible[-1], 1)):
            frame = start
            while 0 <= frame + way < count and shows(frame + way, label):
                frame += way
            chosen.update(index for index in (frame, frame + way) if 0 <= index < count)
    return sorted(chosen)
