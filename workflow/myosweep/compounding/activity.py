"""What sampled frames of a screen say of each pixel: whether it moves, stands, or is drawn in strokes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.io.sweeps import Frames, Rectangle

SAMPLED_FRAMES = 24
# Sampled frames that are kept in memory; more are read again.
KEPT_BYTES = 96 << 20
# Levels by which a margin that should stand still flickers after lossy compression.
FLICKER = 4
# What is drawn on a screen is brighter than the ground by this much.
DRAWN = 40
# The depth of an image, where it stands still, is not brighter by more than this.
FAINT = 16
# The window's part of the frame's shorter side: wider than strokes of text, narrower than an image's islands.
WINDOW = 0.012

Mask = NDArray[np.bool_]
Levels = NDArray[np.uint8]


class Sample:
    """At most 24 frames of a recording, cut to a rectangle, with their lowest and highest levels.

    Parameters
    ----------
    usable
        Indices of frames, ascending, at least one; the sampled ones are spread over them.
    """

    def __init__(self, frames: Frames, usable: Sequence[int], within: Rectangle) -> None:
        places = np.unique(np.linspace(0, len(usable) - 1, SAMPLED_FRAMES).astype(int))
        self._frames = frames
        self._chosen = [usable[place] for place in places.tolist()]
        rows = slice(within.row, within.row + within.rows)
        self._part = rows, slice(within.column, within.column + within.columns)
        keep = len(self._chosen) * within.rows * within.columns <= KEPT_BYTES
        self._kept: list[Levels] | None = [] if keep else None
        self.low = np.full((within.rows, within.columns), 255, np.uint8)
        self.high = np.zeros((within.rows, within.columns), np.uint8)
        digest = hashlib.blake2b(repr(within).encode())
        for frame in self._chosen:
            pixels = self._read(frame)
            digest.update(pixels.data)
            if self._kept is not None:
                self._kept.append(pixels)
            np.minimum(self.low, pixels, out=self.low)
            np.maximum(self.high, pixels, out=self.high)
        self.digest = digest.digest()

    def _read(self, frame: int) -> Levels:
        # A copy, as a view would keep whole frames.
        return np.array(self._frames[frame][self._part], np.uint8, order="C")

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Levels]:
        yield from self._kept if self._kept is not None else map(self._read, self._chosen)


@dataclass(frozen=True)
class Screen:
    """What a sample says of each pixel.

    Attributes
    ----------
    moved
        How often it changed from one sampled frame to the next, by more than the margin flickers.
    changed
        Whether it changed at all, if only by flicker.
    lit
        Whether it ever differed from the ground by more than that flicker.
    standing
        Whether it is lit more than faintly and never moved: text, lines, ticks, saturated parts of the image.
    patch
        Whether it was ever within a patch of light.
    drawn
        Whether it was bright, but never within a patch: strokes of text, lines, ticks, traces.
    textured
        Whether levels differ along rows around it: an image, no panel and no grey scale.
    transitions
        How many steps from frame to frame there were.
    window
        Pixels along the side of the window that tells patches from strokes.
    """

    moved: NDArray[np.uint8]
    changed: Mask
    lit: Mask
    standing: Mask
    patch: Mask
    drawn: Mask
    textured: Mask
    transitions: int
    window: int

    @property
    def foreign(self) -> Mask:
        """What may be no image where it lies beside what moves."""
        return self.drawn | self.standing


def look_at(sample: Sample) -> Screen:
    """What a sample says of each pixel; memory for a few frames beside the sample."""
    window = max(1, round(WINDOW * min(sample.low.shape))) | 1
    ground, flicker = _ground(sample)
    moved = np.zeros(sample.low.shape, np.uint8)
    patch = np.zeros(sample.low.shape, bool)
    before = None
    for pixels in sample:
        if before is not None:
            moved += _distance(pixels, before) > flicker
        before = pixels
        patch |= dense(_distance(pixels, ground) > flicker, window, 0.75)
    # Windows at a straight edge are not filled so far.
    patch = grown(patch, window // 2)
    light = np.maximum(_distance(sample.high, ground), _distance(sample.low, ground))
    standing = (light > FAINT) & (moved == 0)
    return Screen(
        moved=moved,
        changed=sample.high != sample.low,
        lit=light > flicker,
        # Single pixels of an image stand still by chance.
        standing=standing & dense(standing, 3, 0.25),
        patch=patch,
        drawn=grown((light > DRAWN) & ~patch, 1),
        textured=_textured(next(iter(sample)), window),
        transitions=len(sample) - 1,
        window=window,
    )


def _ground(sample: Sample) -> tuple[int, int]:
    """The level of the screen's margin, and by how much it flickers."""
    ring = np.ones(sample.low.shape, bool)
    ring[2:-2, 2:-2] = False
    low, high = sample.low[ring], sample.high[ring]
    quiet = high - low <= FLICKER
    if not quiet.any():
        return 0, 0
    ground = int(np.median(low[quiet]))
    near = quiet & (_distance(low, ground) <= FLICKER) & (_distance(high, ground) <= FLICKER)
    # A margin is one level all around; the deep part of an image is not.
    if near.sum() < 0.5 * len(near):
        ground, near = 0, quiet
        flickers = high[near] != low[near]
    else:
        flickers = (high[near] != low[near]) | (low[near] != ground)
    return ground, FLICKER if flickers.mean() > 0.1 else 0


def _distance(one: Levels, other: Levels | int) -> Levels:
    level = np.asarray(other, np.uint8)
    distance: Levels = np.maximum(one, level) - np.minimum(one, level)
    return distance


def _textured(pixels: Levels, window: int) -> Mask:
    step = np.zeros(pixels.shape, bool)
    step[:, 1:] = pixels[:, 1:] != pixels[:, :-1]
    step[:, :-1] |= step[:, 1:]
    return dense(step, window, 0.3)


def dense(mask: Mask, window: int, part: float) -> Mask:
    """Pixels around which more than a part of a window is set; beyond the array it is as at its edge."""
    if window <= 1:
        return mask
    filled: Mask = ndimage.uniform_filter(mask.astype(np.float32), window, mode="nearest") > part
    return filled


def grown(mask: Mask, by: int) -> Mask:
    """Pixels that have a set one within a square around them."""
    wider: Mask = ndimage.maximum_filter(mask, 2 * by + 1, mode="constant", cval=0) if by > 0 else mask
    return wider


def shrunk(mask: Mask, by: int) -> Mask:
    """Pixels that have no unset one within a square around them; the array's edge is none."""
    narrower: Mask = ndimage.minimum_filter(mask, 2 * by + 1, mode="constant", cval=1) if by > 0 else mask
    return narrower
