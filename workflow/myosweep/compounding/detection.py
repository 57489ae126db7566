"""The image on a recorded screen, found among text, scales, clocks and margins.

What is wanted first: nothing that is not image. Pixels at the image's border may be lost for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.compounding.fan import draw_fan, fit_fan, shares
from myosweep.compounding.outline import hull_mask
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
# A rectangle or a fan shares at least this part of its pixels with what changes; a fan by this much more
# than the rectangle, which has fewer ways to fit.
FITTING = 0.92
BETTER = 0.02
# The share from which no fan is tried.
PLAIN = 0.97
# A row or column of an image that fills its rectangle is filled at least by this part of the fullest one;
# where shadows break the image up, by less.
FULL_LINE = 0.5
BROKEN_LINE = 0.1
# An image fills its convex hull at least by this part, or its outline is not known.
KNOWN_OUTLINE = 0.8

# The largest island is the image where it holds at least this part of all.
MOST = 0.8
# What moves often is the image where it is at least this part of what ever moved.
MOST_OFTEN = 0.3

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """Where the image is, in pixels of the frames; mask: None, or bool within the rectangle."""

    rectangle: Rectangle
    mask: Mask | None


@dataclass(frozen=True)
class _Screen:
    """What sampled frames say of each pixel.

    Attributes
    ----------
    moved
        How often it changed from one sampled frame to the next.
    changed
        Whether it ever changed at all, if only by flicker.
    lit
        Whether it ever differed from the ground.
    standing
        Whether it is lit more than faintly and never changed: text, lines and ticks, saturated parts of the
        image.
    drawn
        Whether it was bright, but never within a patch of light: strokes of text, lines, ticks, traces.
    patch
        Whether it was ever within a patch of light.
    transitions
        How many steps from frame to frame there were.
    window
        Pixels along the side of the window that tells patches from strokes.
    """

    moved: NDArray[np.uint8]
    changed: Mask
    lit: Mask
    standing: Mask
    drawn: Mask
    patch: Mask
    transitions: int
    window: int

    @property
    def foreign(self) -> Mask:
        """What may be no image where it lies beside what changes."""
        return self.drawn | self.standing


@dataclass(frozen=True)
class _Islands:
    """Connected parts: numbered in place, sizes in pixels (0 for what is no image), the largest's number."""

    alive: Mask
    parts: NDArray[Any]
    sizes: NDArray[np.int64]
    largest: int


_known: dict[bytes, Found] = {}
_MOST_KNOWN = 64


def find_image(frames: Frames, usable: Sequence[int], within: Rectangle) -> Found:
    """The rectangle, fan or other region that is image.

    The image is the largest connected part of the screen that changes from frame to frame in patches (a
    clock, blinking text and an electrocardiogram change in strokes), and of which a rectangle or a fan with
    nearly the same pixels is taken. Where nothing changes, what is textured and not drawn is taken instead.
    Where shadows leave islands of an image, the rectangle around them is taken without what is lit beside
    them; where the outline is known but is neither rectangle nor fan, the region itself. Outside of what
    changes, the result holds no pixel that was ever lit in a sampled frame, except in rectangles, where
    patches that stand still (saturation) stay and strokes that touch the border go.

    Text inside the image, and text that is shown only between the sampled frames, cannot be found.

    Parameters
    ----------
    usable
        Indices of frames, ascending; at most 24 of them are read.
    within
        Nothing outside of it is image.
    """
    chosen = [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, SAMPLED_FRAMES).astype(int))]
    sample = _Sample(frames, chosen, within)
    if sample.digest in _known:
        return _known[sample.digest]
    mask = _image(sample)
    found = Found(within, None) if mask is None else cut(mask, within)
    if len(_known) >= _MOST_KNOWN:
        _known.pop(next(iter(_known)))
    _known[sample.digest] = found
    return found


class _Sample:
    """Sampled frames: their lowest and highest levels, and the frames again."""

    def __init__(self, frames: Frames, chosen: Sequence[int], within: Rectangle) -> None:
        self._frames = frames
        self._chosen = chosen
        self._part = np.s_[
            within.row : within.row + within.rows, within.column : within.column + within.columns
        ]
        keep = len(chosen) * within.rows * within.columns <= KEPT_BYTES
        self._kept: list[NDArray[np.uint8]] | None = [] if keep else None
        self.low = np.full((within.rows, within.columns), 255, np.uint8)
        self.high = np.zeros((within.rows, within.columns), np.uint8)
        digest = hashlib.blake2b(repr(within).encode())
        for frame in chosen:
            pixels = np.ascontiguousarray(frames[frame][self._part])
            digest.update(pixels.data)
            if self._kept is not None:
                self._kept.append(pixels)
            np.minimum(self.low, pixels, out=self.low)
            np.maximum(self.high, pixels, out=self.high)
        self.digest = digest.digest()

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        if self._kept is not None:
            yield from self._kept
            return
        for frame in self._chosen:
            yield np.ascontiguousarray(self._frames[frame][self._part])


def _image(sample: _Sample) -> Mask | None:
    """The image's pixels; None: all."""
    screen = _look(sample)
    if not screen.lit.any():
        return None
    # A window that opens for a while moves once or twice; the image moves all the time.
    often = screen.moved > screen.transitions // 8
    ever = screen.moved > 0
    still = screen.lit & _textured(sample, screen.window)
    if often.sum() < MOST_OFTEN * ever.sum():
        often = ever
    broken = None
    for alive in (often, ever, still):
        if not alive.any():
            continue
        islands = _islands(alive, screen)
        if not islands.sizes.any():
            continue
        broken = islands if broken is None or alive is not still else broken
        if islands.sizes[islands.largest] >= MOST * islands.sizes.sum():
            region = _filled(islands.alive, islands.parts == islands.largest, screen.window)
            mask = _shape(region, region, screen)
            if mask is None:
                # A shadow below lit parts is image all the same.
                mask = _shape(region, _bridged(region), screen)
            if mask is not None:
                # Lines along the border of a picture that stands still look like its edge.
                return _shrunk(mask, screen.window // 2) if alive is still else mask
    return None if broken is None else _without_shape(broken, screen)


def _look(sample: _Sample) -> _Screen:
    rows, columns = sample.low.shape
    window = max(1, round(0.012 * min(rows, columns))) | 1
    ground, flicker = _ground(sample)
    moved = np.zeros((rows, columns), np.uint8)
    patch = np.zeros((rows, columns), bool)
    before = None
    for pixels in sample:
        if before is not None:
            moved += _distance(pixels, before) > flicker
        before = pixels
        patch |= _dense(_distance(pixels, ground) > flicker, window, 0.75)
    patch = _grown(patch, window // 2)
    light = np.maximum(_distance(sample.high, ground), _distance(sample.low, ground))
    drawn = _grown((light > DRAWN) & ~patch, 1)
    standing = (light > FAINT) & (moved == 0)
    # Single pixels of an image stand still by chance.
    standing &= _dense(standing, 3, 0.25)
    lit, changed = light > flicker, sample.high != sample.low
    return _Screen(moved, changed, lit, standing, drawn, patch, len(sample) - 1, window)


def _ground(sample: _Sample) -> tuple[int, int]:
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
        return 0, FLICKER if np.mean(high[quiet] != low[quiet]) > 0.1 else 0
    return ground, FLICKER if np.mean((high[near] != low[near]) | (low[near] != ground)) > 0.1 else 0


def _distance(one: NDArray[np.uint8], other: NDArray[np.uint8] | int) -> NDArray[np.uint8]:
    level = np.asarray(other, np.uint8)
    distance: NDArray[np.uint8] = np.maximum(one, level) - np.minimum(one, level)
    return distance


def _dense(mask: Mask, window: int, part: float) -> Mask:
    """Pixels around which more than a part of a window is set; the array's edge hides nothing."""
    if window <= 1:
        return mask
    count = ndimage.uniform_filter(mask.astype(np.float32), window, mode="nearest")
    dense: Mask = count > part
    return dense


def _grown(mask: Mask, by: int) -> Mask:
    if by < 1:
        return mask
    grown: Mask = ndimage.maximum_filter(mask, 2 * by + 1, mode="constant", cval=0)
    return grown


def _shrunk(mask: Mask, by: int) -> Mask:
    if by < 1:
        return mask
    shrunk: Mask = ndimage.minimum_filter(mask, 2 * by + 1, mode="constant", cval=1)
    return shrunk


def _textured(sample: _Sample, window: int) -> Mask:
    """Where a row's levels change from pixel to pixel: an image, no panel and no grey scale."""
    pixels = next(iter(sample))
    step = np.zeros(pixels.shape, bool)
    step[:, 1:] = pixels[:, 1:] != pixels[:, :-1]
    step[:, :-1] |= step[:, 1:]
    return _dense(step, window, 0.3)


def _islands(alive: Mask, screen: _Screen) -> _Islands:
    """Connected parts of what is alive and not drawn; what is never lit in a patch is none of them."""
    alive = alive & ~screen.drawn
    parts, count = ndimage.label(_dense(alive, screen.window, 0.5))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    if count:
        in_patches = ndimage.mean(screen.patch, parts, np.arange(count + 1))
        # Islands smaller than a letter could be anything.
        sizes[
            (np.nan_to_num(in_patches) < 0.5) | (sizes < (2 * screen.window) ** 2 * (screen.window > 1))
        ] = 0
    return _Islands(alive, parts, sizes, int(np.argmax(sizes)))


def _filled(alive: Mask, core: Mask, window: int) -> Mask:
    """A core and what is alive at its edge, gaps closed, holes filled, appendages as wide as text cut off."""
    region = alive & _grown(core, window // 2)
    # Room around it, as a gap at the array's edge is none.
    padded = np.pad(region, window)
    region = _shrunk(_grown(padded, window), window)[window:-window, window:-window]
    region = np.asarray(ndimage.binary_fill_holes(region), bool)
    opened = _grown(_shrunk(region, window), window)
    parts, count = ndimage.label(opened)
    if not count:
        return region
    return np.asarray(parts == int(np.argmax(np.bincount(parts.ravel())[1:])) + 1, bool) & region


def _bridged(region: Mask) -> Mask:
    """From the first to the last pixel of each row."""
    right = np.logical_or.accumulate(region, axis=1)
    return right & np.logical_or.accumulate(region[:, ::-1], axis=1)[:, ::-1]


def _shape(region: Mask, outline: Mask, screen: _Screen) -> Mask | None:
    """The rectangle or the fan that a region's outline is, or None."""
    rectangle = _rectangle_of(outline, FULL_LINE)
    likeness = shares(outline, rectangle)
    beside = screen.foreign & ~region
    # Lines that are mostly black are image too where there is nothing beside them.
    fills = _fills_frame(outline)
    if fills:
        rectangle = _rectangle_of(screen.changed, BROKEN_LINE)
    else:
        alive = (screen.moved > 0 if screen.moved.any() else screen.lit) & ~screen.drawn
        wider = rectangle | _rectangle_of(alive & _grown(region, screen.window), BROKEN_LINE)
        if not (beside & wider & ~rectangle).any():
            rectangle = wider
    if likeness < PLAIN and not fills:
        box = _box(outline)
        rows, columns = outline[box].shape
        fan = fit_fan(outline[box])
        if fan is not None:
            whole = draw_fan(fan, rows, columns)
            like_fan = shares(outline[box], whole)
            if like_fan >= FITTING and like_fan > likeness + BETTER:
                mask = np.zeros_like(region)
                mask[box] = draw_fan(fan, rows, columns, inwards=1.0) & _cut_off(outline[box], whole)
                # A line along the border stands still and may have been closed into the region.
                return mask & ~_grown(screen.foreign & ~_shrunk(region, screen.window // 2), 1)
    if likeness < FITTING and not fills:
        return None
    # Strokes beside what changes are text; a patch that stands still is a saturated part of the image, unless
    # it lies where the region was bridged.
    beside &= outline | (screen.drawn & ~screen.patch)
    return rectangle & ~_grown(beside & rectangle, 1)


def _without_shape(islands: _Islands, screen: _Screen) -> Mask:
    """The image where it is neither a rectangle nor a fan, or where shadows hide what it is."""
    region = _filled(islands.alive, islands.parts == islands.largest, screen.window)
    known = region.sum() >= KNOWN_OUTLINE * hull_mask(region).sum()
    if known and islands.sizes[islands.largest] >= MOST * islands.sizes.sum():
        return _shrunk(region, screen.window // 2)
    region = islands.alive & _grown((islands.sizes > 0)[islands.parts], screen.window // 2)
    return _rectangle_of(region, BROKEN_LINE) & ~_grown(screen.foreign & ~region, 2)


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _rectangle_of(region: Mask, part: float) -> Mask:
    rectangle = np.zeros_like(region)
    rectangle[_extent(region.sum(axis=1), part), _extent(region.sum(axis=0), part)] = True
    return rectangle


def _fills_frame(region: Mask) -> bool:
    """Whether a region reaches along half of three of the array's sides: frames without a margin."""
    sides = (region[0], region[-1], region[:, 0], region[:, -1])
    return sum(float(side.mean()) >= 0.5 for side in sides) >= 3


def _cut_off(region: Mask, fan: Mask) -> Mask:
    """The rectangle that cuts a fan: from the first to the last line of it that the region fills enough."""
    within = np.zeros_like(fan)
    parts = ((region & fan).sum(axis=axis) / np.maximum(fan.sum(axis=axis), 1) for axis in (1, 0))
    rows, columns = (_extent(part, FULL_LINE) for part in parts)
    within[rows, columns] = True
    return within


def _extent(filled: NDArray[Any], part: float) -> slice:
    """From the first to the last line that is filled enough."""
    lines = np.flatnonzero(filled > part * filled.max())
    return slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) else slice(0, len(filled))


def cut(mask: Mask, within: Rectangle) -> Found:
    """A mask of a rectangle, reduced to the smallest rectangle that holds it; the whole where it is empty."""
    if not mask.any():
        return Found(within, None)
    rows, columns = _box(mask)
    inner = mask[rows, columns].copy()
    rectangle = Rectangle(
        within.column + columns.start,
        within.row + rows.start,
        columns.stop - columns.start,
        rows.stop - rows.start,
    )
    return Found(rectangle, None if inner.all() else inner)
