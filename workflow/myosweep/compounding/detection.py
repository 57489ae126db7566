"""The image on a recorded screen, found among text, scales, clocks and margins.

What is wanted first: nothing that is not image. Pixels at the image's border may be lost for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.compounding.activity import Mask, Sample, Screen, dense, grown, look_at, shrunk
from myosweep.compounding.fan import draw_fan, fit_fan, shares
from myosweep.compounding.outline import hull_mask
from myosweep.io.sweeps import Frames, Rectangle

# A rectangle or a fan shares at least this part of its pixels with what moves; a fan by this much more than
# the rectangle, which has fewer ways to fit.
FITTING = 0.92
BETTER = 0.02
# The share from which no fan is tried.
PLAIN = 0.97
# A row or column of an image is filled at least by this part of the fullest one; by less where nothing is
# beside it, or where shadows break the image up.
FULL_LINE = 0.5
BROKEN_LINE = 0.1
# An image fills its convex hull at least by this part, or its outline is not known.
KNOWN_OUTLINE = 0.8
# The largest island is the image where it holds at least this part of all.
MOST = 0.8
# What moves often is taken for all that moves where it is at least this part of it.
MOST_OFTEN = 0.3
# Islands that stand still are image where they are at least this part of the largest.
SMALL = 0.1
# What stands still is the image where it holds at least this part of what moves.
MOST_MOVING = 0.95
# Images that were found, by the frames they were found in.
MOST_KNOWN = 64
_known: dict[bytes, Found] = {}


@dataclass(frozen=True)
class Found:
    """Where the image is, in pixels of the frames; mask: None, or bool within the rectangle."""

    rectangle: Rectangle
    mask: Mask | None


@dataclass(frozen=True)
class _Islands:
    """Connected parts: numbered in place, sizes in pixels (0 for what is no image), the largest's number."""

    alive: Mask
    parts: NDArray[Any]
    sizes: NDArray[np.int64]
    largest: int


def find_image(frames: Frames, usable: Sequence[int], within: Rectangle) -> Found:
    """The rectangle, fan or other region that is image.

    The image is the largest connected part of the screen that moves from frame to frame and is lit in patches
    (a clock, blinking text and an electrocardiogram are strokes); a rectangle or a fan is fitted to it. Where
    shadows leave islands of an image, it is the rectangle around them without what is drawn or stands between
    them; where the outline is known but neither rectangle nor fan, the moving part itself. Where nothing
    moves, what is textured takes the place of what moves. Frames that are image up to three of their sides
    stay whole rectangles. All is `within` where nothing can be told, as in black frames.

    It cannot find text inside the image, nor what is shown only between the sampled frames; of two images
    side by side it takes both.

    Parameters
    ----------
    usable
        Indices of frames, ascending, at least one; at most 24 of them are read.
    within
        Nothing outside of it is image.
    """
    sample = Sample(frames, usable, within)
    if sample.digest not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.pop(next(iter(_known)))
        _known[sample.digest] = cut(_image(look_at(sample)), within)
    return _known[sample.digest]


def cut(mask: Mask, within: Rectangle) -> Found:
    """A mask of a rectangle, reduced to the smallest rectangle that holds it; the whole where it is empty."""
    if not mask.any():
        return Found(within, None)
    rows, columns = _box(mask)
    inner = mask[rows, columns].copy()
    height, width = inner.shape
    rectangle = Rectangle(within.column + columns.start, within.row + rows.start, width, height)
    return Found(rectangle, None if inner.all() else inner)


def _image(screen: Screen) -> Mask:
    """The image's pixels; none where nothing can be told."""
    # A dialogue that opens and closes moves twice; an image moves all the time, or has moving islands.
    often, ever = screen.moved > screen.transitions // 8, screen.moved > 0
    broken = None
    for moving in (often, ever) if often.sum() >= MOST_OFTEN * ever.sum() else (ever,):
        islands = _islands(moving, screen)
        if not islands.sizes.any():
            continue
        broken = islands
        if (mask := _whole(islands, screen, screen.window // 2)) is not None:
            return mask
    islands = _islands(screen.lit & screen.textured, screen)
    # Where nothing moves, small islands may as well be emblems.
    islands.sizes[islands.sizes < SMALL * islands.sizes.max()] = 0
    mask = _whole(islands, screen, 0) if islands.sizes.any() else None
    if broken is not None:
        # A picture that hardly moves shows its shape all the same, but not one island of a broken one.
        moving = (broken.sizes > 0)[broken.parts]
        if mask is None or not (mask & moving).sum() >= MOST_MOVING * moving.sum():
            return _without_shape(broken, screen)
    elif mask is None:
        mask = _without_shape(islands, screen) if islands.sizes.any() else np.zeros_like(screen.lit)
    # Lines along the border of a picture that stands still look like its edge.
    return shrunk(mask, screen.window // 2)


def _islands(alive: Mask, screen: Screen) -> _Islands:
    """Connected parts of what is alive and not drawn; what was never lit in a patch is none of them."""
    alive = alive & ~screen.drawn
    parts, count = ndimage.label(dense(alive, screen.window, 0.5))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    in_patches = np.bincount(parts.ravel(), screen.patch.ravel(), count + 1)
    # Islands smaller than a letter could be anything.
    letter = (2 * screen.window) ** 2 if screen.window > 1 else 1
    sizes[(in_patches < 0.5 * sizes) | (sizes < letter)] = 0
    sizes[0] = 0
    return _Islands(alive, parts, sizes, int(np.argmax(sizes)))


def _whole(islands: _Islands, screen: Screen, border: int) -> Mask | None:
    """The rectangle or the fan of an image that is one island; None where it is several or neither.

    border: what stands still up to so many pixels inside a fan may be a line along it.
    """
    if islands.sizes[islands.largest] < MOST * islands.sizes.sum():
        return None
    region = _filled(islands.alive, islands.parts == islands.largest, screen.window)
    mask = _shape(region, region, islands.alive, screen, border)
    # A shadow below lit parts is image all the same.
    return _shape(region, _bridged(region), islands.alive, screen, border) if mask is None else mask


def _filled(alive: Mask, core: Mask, window: int) -> Mask:
    """A core and what is alive at its edge, gaps closed, holes filled, appendages as wide as text cut off."""
    region = alive & grown(core, window // 2)
    # Room around it, as a gap at the array's edge is none.
    padded = np.pad(region, window)
    region = shrunk(grown(padded, window), window)[window:-window, window:-window]
    region = np.asarray(ndimage.binary_fill_holes(region), bool)
    parts, count = ndimage.label(grown(shrunk(region, window), window))
    if not count:
        return region
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    region[parts != largest] = False
    return region


def _bridged(region: Mask) -> Mask:
    """From the first to the last pixel of each row."""
    begun: Mask = np.logical_or.accumulate(region, axis=1)
    lasting: Mask = np.logical_or.accumulate(region[:, ::-1], axis=1)[:, ::-1]
    return begun & lasting


def _shape(region: Mask, outline: Mask, alive: Mask, screen: Screen, border: int) -> Mask | None:
    """The rectangle or the fan that a region's outline is, or None."""
    rectangle = _rectangle_of(outline, FULL_LINE)
    likeness = shares(outline, rectangle)
    without_margin = _fills_frame(outline)
    if likeness < PLAIN and not without_margin:
        fan = _fan_of(outline, likeness)
        if fan is not None:
            return fan & ~grown(screen.foreign & ~shrunk(region, border), 1)
        if likeness < FITTING:
            return None
    beside = screen.foreign & ~region
    if without_margin:
        rectangle = _rectangle_of(screen.changed, BROKEN_LINE)
    else:
        wider = rectangle | _rectangle_of(alive & grown(region, screen.window), BROKEN_LINE)
        if not (beside & wider & ~rectangle).any():
            rectangle = wider
    # Strokes beside what moves are text; a patch that stands still is a saturated part of the image, unless
    # it lies where the region was bridged.
    beside &= outline | (screen.drawn & ~screen.patch)
    return rectangle & ~grown(beside & rectangle, 1)


def _fan_of(outline: Mask, likeness: float) -> Mask | None:
    """The fan that shares more with an outline than its rectangle does, drawn a pixel smaller."""
    mask = np.zeros_like(outline)
    box = _box(outline)
    outline = outline[box]
    rows, columns = outline.shape
    fan = fit_fan(outline)
    if fan is None:
        return None
    drawn = draw_fan(fan, rows, columns)
    if shares(outline, drawn) < max(FITTING, likeness + BETTER):
        return None
    # A fan may be cut by a rectangle: it reaches from the first to the last line that is filled.
    parts = ((outline & drawn).sum(axis=axis) / np.maximum(drawn.sum(axis=axis), 1) for axis in (1, 0))
    rectangle = np.zeros_like(drawn)
    rectangle[tuple(_extent(part, FULL_LINE) for part in parts)] = True
    mask[box] = draw_fan(fan, rows, columns, inwards=1.0) & rectangle
    return mask


def _fills_frame(region: Mask) -> bool:
    """Whether a region reaches along half of three of the array's sides: frames without a margin."""
    sides = (region[0], region[-1], region[:, 0], region[:, -1])
    return sum(float(side.mean()) >= 0.5 for side in sides) >= 3


def _without_shape(islands: _Islands, screen: Screen) -> Mask:
    """The image where it is neither a rectangle nor a fan, or where shadows hide what it is."""
    region = _filled(islands.alive, islands.parts == islands.largest, screen.window)
    known = region.sum() >= KNOWN_OUTLINE * hull_mask(region).sum()
    if known and islands.sizes[islands.largest] >= MOST * islands.sizes.sum():
        return shrunk(region, screen.window // 2)
    region = islands.alive & grown((islands.sizes > 0)[islands.parts], screen.window // 2)
    return _rectangle_of(region, BROKEN_LINE) & ~grown(screen.foreign & ~region, 2)


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _rectangle_of(region: Mask, part: float) -> Mask:
    rectangle = np.zeros_like(region)
    rectangle[_extent(region.sum(axis=1), part), _extent(region.sum(axis=0), part)] = True
    return rectangle


def _extent(filled: NDArray[Any], part: float) -> slice:
    """From the first to the last line that is filled more than a part of the fullest; all where none is."""
    lines = np.flatnonzero(filled > part * filled.max())
    return slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) else slice(0, len(filled))
