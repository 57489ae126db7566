"""What an expert draws on frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from myosweep.geometry import apply_transform
from myosweep.phantom.anatomy import LABELS, Leg
from myosweep.phantom.settings import Settings

Floats = NDArray[np.float64]


def true_mask(
    leg: Leg, image_to_leg: Floats, shape: tuple[int, int], labels: tuple[int, ...], shift_mm: Floats | None = None
) -> NDArray[np.uint8]:
    """Labels (rows, columns) at the pixels of one frame; `shift_mm` (2, rows, columns) displaces them in its plane."""
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
    step = settings.wobble_length_mm / 2
    nodes = [max(2, int(np.ceil(length / step)) + 1) for length in (settings.depth_mm, settings.probe_width_mm)]
    raw = rng.standard_normal((2, nodes[0] + 8, nodes[1] + 8))
    smooth = gaussian_filter(raw, (0, 1, 1), mode="wrap")
    # A sampled Gaussian of sigma 1 leaves this much of white noise's power.
    smooth *= 2 * np.sqrt(np.pi) * settings.wobble_mm
    inner = smooth[:, 4:-4, 4:-4]
    factors = (1, settings.rows / nodes[0], settings.columns / nodes[1])
    field: Floats = zoom(inner, factors, order=3)
    return field


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
