"""Random changes of a training case that another scan might have brought."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.geometry import rotation_about
from myosweep.training.data import Sample
from myosweep.training.lattice import Floats
from myosweep.training.settings import TrainingSettings


def augment(sample: Sample, settings: TrainingSettings, random: np.random.Generator) -> Sample:
    """A rotated, scaled, shifted, re-gained and perhaps shadowed copy; never mirrored along x."""
    channels, target = _move(sample, settings, random)
    _change_gain(channels[0], sample.black[0], settings.gain_percent / 100, random)
    if random.random() < settings.shadow_probability:
        _shade(channels, sample.black, random)
    if random.random() < 0.5 and settings.flip_along_limb:
        channels, target = channels[:, ::-1].copy(), target[:, ::-1].copy()
    return Sample(sample.case, channels, target, sample.black)


def _move(
    sample: Sample, settings: TrainingSettings, random: np.random.Generator
) -> tuple[Floats, NDArray[np.uint8]]:
    # Half the angle about x and y: a limb is long, and would leave the volume.
    angles = np.deg2rad(settings.rotation_degrees) * random.uniform(-1, 1, 3) * (0.5, 0.5, 1.0)
    rotation = np.eye(3)
    for axis, angle in zip(np.eye(3), angles, strict=True):
        rotation = rotation @ rotation_about(axis, angle)
    scale = 1 + settings.scale_percent / 100 * random.uniform(-1, 1)
    spacing = np.asarray(settings.spacing)
    shift = settings.shift_mm * random.uniform(-1, 1, 3) / spacing
    # Indices run (z, y, x), the rotation (x, y, z).
    matrix = (rotation * scale * spacing / spacing[:, None])[::-1, ::-1]
    centre = (np.asarray(sample.shape) - 1) / 2
    offset = centre - matrix @ (centre + shift[::-1])
    channels = np.stack(
        [
            ndimage.affine_transform(channel, matrix, offset, order=1, mode="constant", cval=float(black))
            for channel, black in zip(sample.channels, sample.black, strict=True)
        ]
    )
    target = np.stack(
        [ndimage.affine_transform(part, matrix, offset, order=1, mode="constant") for part in sample.target]
    )
    return channels.astype(np.float32), target


def _change_gain(image: Floats, black: np.float32, largest: float, random: np.random.Generator) -> None:
    gain, gamma = 1 + largest * random.uniform(-1, 1, 2)
    bright = np.maximum(image - black, 0)
    top = max(float(bright.max()), 1e-6)
    image[...] = black + top * gain * (bright / top) ** np.float32(gamma)


def _shade(channels: Floats, black: Floats, random: np.random.Generator) -> None:
    """Darken what lies behind a strip of skin, as bone, gas or lost contact does."""
    slices, rows, columns = channels.shape[1:]
    centre_z, centre_x = random.uniform(0, slices), random.uniform(0, columns)
    half_z = slices * random.uniform(0.02, 0.1)
    half_x = columns * random.uniform(0.05, 0.15)
    first_row = int(rows * random.uniform(0, 0.5))
    left = random.uniform(0.1, 0.6)
    z = (np.arange(slices) - centre_z) / half_z
    x = (np.arange(columns) - centre_x) / half_x
    lost = (1 - left) * np.exp(-(z[:, None, None] ** 2 + x**2) / 2)
    lost = np.repeat(lost, rows - first_row, axis=1)
    for channel, nothing in zip(channels, black, strict=True):
        part = channel[:, first_row:]
        part -= (lost * (part - nothing)).astype(np.float32)
