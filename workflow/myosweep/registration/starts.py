"""Where a registration starts: a coarse search over shifts and turns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Matrix, apply_transform, rigid_transform
from myosweep.registration.alignment import Points, align, draw_points, likeness, moved_by
from myosweep.registration.shrinking import Shrunk, shrink_further, smoothed

# How far the search reaches from where the world puts the volumes.
LARGEST_SHIFT_MM = 15.0
LARGEST_TURN_DEGREES = 10.0
# Less common ground than this is no basis for a comparison.
SMALLEST_OVERLAP = 0.25
_STEP_MM = 10.0
_CLIMBED = 8
_SPACINGS_MM = (6.0, 4.0)
_SEARCHED_POINTS = 5000
# Voxels along the shortest edge of a volume.
_FEWEST_ALONG = 16
# Few bins for few points.
_LEVELS = 16
# Starts that leave less in common are not tried.
_SEARCHED_OVERLAP = 0.4
# Two maxima closer than this are one.
_APART_MM = 3.0


@dataclass(frozen=True)
class Start:
    """A maximum at a coarse spacing: the motion and its mutual information in nats."""

    motion: Matrix
    value: float


def find_starts(fixed: Shrunk, moving: Shrunk, metric: str, seed: int) -> list[Start]:
    """The best maxima of a search at a coarse spacing, best first, each apart from the others.

    Tried are the common world as it is, the volumes' covered centres put on each other, and around both a
    grid of shifts up to `LARGEST_SHIFT_MM` and turns up to `LARGEST_TURN_DEGREES`. Larger turns, half turns
    about the probe's axes among them, are no starts: the recordings' poses exclude them.
    """
    centred = np.eye(4)
    centred[:3, 3] = _centre(moving) - _centre(fixed)
    bases = [np.eye(4), centred]
    if np.linalg.norm(centred[:3, 3]) < _STEP_MM:
        bases.pop()
    return _search(fixed, moving, bases, metric, seed, turned=True)


def upside_down(fixed: Shrunk, moving: Shrunk, metric: str, seed: int) -> list[Start]:
    """The best maxima near half turns about the fixed grid's axes, with the covered centres on each other."""
    centre, shift = _centre(fixed), _centre(moving) - _centre(fixed)
    bases = []
    for axis in fixed.grid.direction.T:
        turn = 2 * np.outer(axis, axis) - np.eye(3)
        bases.append(rigid_transform(turn, centre + shift - turn @ centre))
    return _search(fixed, moving, bases, metric, seed, turned=False)


def _search(
    fixed: Shrunk, moving: Shrunk, bases: list[Matrix], metric: str, seed: int, turned: bool
) -> list[Start]:
    points, target = _coarse(fixed, moving, _SPACINGS_MM[0], seed)
    few = points.every(max(1, len(points.bins) // _SEARCHED_POINTS))
    changes = _changes(points, turned)
    tried = bases + [moved_by(change, points, base) for base in bases for change in changes]
    values = [likeness(few, target, motion, metric, _SEARCHED_OVERLAP, derive=False)[0] for motion in tried]
    order = np.argsort(values, kind="stable")[::-1][:_CLIMBED]
    # The first climbs in any case: its maximum is the nearest to what the poses say.
    found = _climbed([tried[n] for n in dict.fromkeys([0, *order.tolist()])], points, target, metric)
    points, target = _coarse(fixed, moving, _SPACINGS_MM[1], seed)
    return _climbed((start.motion for start in found[:4]), points, target, metric)


def apart_mm(first: Matrix, second: Matrix, points: NDArray[np.float64]) -> float:
    """How far two motions take points from each other on average."""
    between = apply_transform(first, points) - apply_transform(second, points)
    return float(np.linalg.norm(between, axis=1).mean())


def _coarse(fixed: Shrunk, moving: Shrunk, spacing_mm: float, seed: int) -> tuple[Points, Shrunk]:
    grid = fixed.grid
    edge = min(size * spacing for size, spacing in zip(grid.size, grid.spacing, strict=True))
    spacing_mm = min(spacing_mm, edge / _FEWEST_ALONG)
    ours, theirs = (
        smoothed(shrink_further(volume, spacing_mm), 0.75 * spacing_mm) for volume in (fixed, moving)
    )
    return draw_points(ours, theirs, 0.75 * spacing_mm, seed, _LEVELS), theirs


def _climbed(motions: Iterable[Matrix], points: Points, target: Shrunk, metric: str) -> list[Start]:
    maxima = [Start(*align(points, target, motion, metric, _SEARCHED_OVERLAP)) for motion in motions]
    maxima.sort(key=lambda start: -start.value)
    places = points.places[:: max(1, len(points.places) // 1000)] + points.centre
    kept: list[Start] = []
    for start in maxima:
        if all(apart_mm(start.motion, other.motion, places) > _APART_MM for other in kept):
            kept.append(start)
    return kept


def _changes(points: Points, turned: bool) -> list[NDArray[np.float64]]:
    """Shifts and turns whose neighbours move the points by about `_STEP_MM`."""
    largest = math.radians(LARGEST_TURN_DEGREES)
    squares = (points.places**2).mean(axis=0)
    turns = []
    for axis in range(3):
        lever = math.sqrt(float(squares.sum() - squares[axis]))
        steps = round(lever * largest / _STEP_MM) if turned else 0
        turns.append(np.arange(-steps, steps + 1) * (largest / max(1, steps)) * points.radius)
    shifts = [(-_STEP_MM, 0.0, _STEP_MM)] * 3
    return [np.array(change) for change in itertools.product(*shifts, *turns)]


def _centre(shrunk: Shrunk) -> NDArray[np.float64]:
    known = shrunk.known.array
    counts = (known.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in (2, 1, 0))
    index = [np.average(np.arange(len(count)), weights=count) for count in counts]
    return apply_transform(shrunk.grid.index_to_world, index)
