"""Synthetic screens of scanners: an image among text, scales, clocks and margins, with the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from myosweep.compounding.fan import draw_fan
from myosweep.io.sweeps import Fan
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

ROWS, COLUMNS = 480, 640
# The level of everything that is drawn; the images below have none of it.
INK = 251
SHAPES: dict[str, Fan | tuple[int, int, int, int]] = {
    "linear": (170, 40, 300, 400),
    "curved": Fan(320, -150, 210, 580, -0.45, 0.45),
    "sector": Fan(320, 35, 0, 400, -0.7, 0.7),
    "cut": Fan(320, -60, 120, 620, -0.6, 0.6),
    "lopsided": Fan(300, -80, 130, 500, -0.5, 0.3),
}


@dataclass(frozen=True)
class Screen:
    """frames: uint8 (frame, row, column); image and ink: bool (row, column), where image and text are."""

    frames: np.ndarray
    image: np.ndarray
    ink: np.ndarray


def image_of(shape: str) -> np.ndarray:
    """The pixels of a screen that are image."""
    given = SHAPES[shape]
    if isinstance(given, Fan):
        mask = draw_fan(given, ROWS, COLUMNS)
        mask[:20] = mask[460:] = False
        return mask
    mask = np.zeros((ROWS, COLUMNS), bool)
    column, row, columns, rows = given
    mask[row : row + rows, column : column + columns] = True
    return mask


def speckle(rng: np.random.Generator, count: int, dark: bool = False) -> np.ndarray:
    """Frames of speckle that grow dark with depth; `dark`: black below the middle and along a shadow."""
    depth = np.linspace(1, 0.25, ROWS)[:, np.newaxis]
    if dark:
        depth = np.clip(np.linspace(1.4, -0.6, ROWS), 0, 1)[:, np.newaxis] * np.ones((1, COLUMNS))
        depth[150:, 300:340] = 0
    structure = ndimage.gaussian_filter(rng.normal(size=(ROWS, COLUMNS + 4 * count)), 12) * 25
    frames = []
    for frame in range(count):
        grain = ndimage.gaussian_filter(rng.normal(size=(ROWS, COLUMNS)), (0.8, 1.4)) * 3
        tissue = structure[:, 4 * frame : 4 * frame + COLUMNS]
        frames.append(np.clip((90 + 40 * grain + 50 * tissue) * depth, 0, 250).astype(np.uint8))
    return np.stack(frames)


def written(lines: list[tuple[int, int, str]], size: int = 15) -> np.ndarray:
    """Bool (row, column): text at (column, row)."""
    page = Image.new("L", (COLUMNS, ROWS))
    draw = ImageDraw.Draw(page)
    for column, row, text in lines:
        draw.text((column, row), text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(page) > 60


def screen(
    shape: str,
    count: int = 12,
    *,
    seed: int = 0,
    noise: int = 0,
    still: bool = True,
    moving: bool = True,
    outline: bool = False,
    dark: bool = False,
    lifted: int = 0,
) -> Screen:
    """A screen with an image of a shape.

    still: a name, depth ticks beside the image, a grey scale, a logo. moving: a clock, a counter, an
    electrocardiogram below. noise: levels by which all that is not image flickers. lifted: so many frames at
    the end are black.
    """
    rng = np.random.default_rng(seed)
    image = image_of(shape)
    frames = np.where(image, speckle(rng, count, dark), 0).astype(np.uint8)
    if lifted:
        frames[count - lifted :] = 0
    ink = np.zeros((count, ROWS, COLUMNS), bool)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    if still:
        ink |= written([(8, 4, "DOE, JANE 1970-01-01"), (450, 4, "MI 1.1 TIs 0.4"), (8, 60, "Gain 62 %")])
        ink |= written([(columns[-1] - 60, rows[0] - 1, "PATIENT 4711")])
        ink[:, 60:200, 610:625] = True
        ink[:, 440:458, 8:60] = True
        right = columns[-1] + 1
        ink[:, rows[0] : rows[-1] : 20, right : right + 6] = True
    if outline:
        ink |= ndimage.binary_dilation(image, iterations=2) & ~image
    for frame in range(count if moving else 0):
        ink[frame] |= written([(500, 440, f"12:34:{17 + frame:02d}"), (8, 400, f"{frame + 1}/{count}")])
        times = np.arange(170, 470)
        beat = np.where((times + 9 * frame) % 60 < 4, 0, 12) + (times // 7 + frame) % 3
        if rows[-1] + 18 < ROWS:
            ink[frame, rows[-1] + 4 + beat, times] = True
    ink &= ~image
    frames = np.where(ink, INK, frames)
    if noise:
        flicker = rng.integers(-noise, noise + 1, frames.shape)
        frames = np.where(image, frames, np.clip(frames.astype(int) + flicker, 0, 255))
    return Screen(frames.astype(np.uint8), image, ink.any(axis=0))
