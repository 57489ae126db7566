"""What zero-order interpolation must make of a muscle, from the closed form of its thickness alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from myosweep.phantom.anatomy import LABELS, Leg

Floats = NDArray[np.float64]

_STEP_MM = 0.25
_PLACES = 160


@dataclass(frozen=True)
class Annotated:
    """What of a sweep decides its zero-order volume.

    Attributes
    ----------
    image_to_leg
        (frame, 4, 4), pixel index to mm.
    shape
        Rows and columns of a frame.
    frames
        The annotated ones.
    """

    image_to_leg: Floats
    shape: tuple[int, int]
    frames: Collection[int]


def zero_order_volume_ml(leg: Leg, structure: str, sweeps: Iterable[Annotated]) -> float:
    """Volume in ml of a muscle whose annotations are copied from frame to frame.

    A frame lies where its plane meets the muscle's middle line, and shows the muscle's
    thickness there over the part of its width that the image covers. Of two neighbouring annotated frames the
    one that shows the smaller area stands in every frame between them (Gonzalez Duque 2024, part I, section
    1.3). Thickness is linear between frames, and where sweeps overlap the mean of theirs. No mask is drawn
    and no voxel is counted.
    """
    line = _middle_line(leg, structure)
    z = np.arange(line[0, 2], line[-1, 2], _STEP_MM)
    x = np.arange(-80 * leg.scale, 80 * leg.scale, _STEP_MM)
    total, seen = np.zeros((len(z), len(x))), np.zeros((len(z), len(x)))
    for sweep in sweeps:
        met = np.array([_meet(pose, line) for pose in sweep.image_to_leg])
        pixels = np.linalg.solve(sweep.image_to_leg, met[..., None])[..., 0]
        places = _columns(sweep, pixels[:, 1], leg.mirror)
        shown = _thickness(leg, structure, places, met[:, 2])
        for first, last in pairwise(sorted(sweep.frames)):
            smaller = first if shown[first].sum() <= shown[last].sum() else last
            shown[first + 1 : last], pixels[first + 1 : last] = shown[smaller], pixels[smaller]
        # What is copied moves with the image.
        heights = (sweep.image_to_leg @ pixels[..., None])[:, 2, 0]
        places = _columns(sweep, pixels[:, 1], leg.mirror)
        known = range(min(sweep.frames), max(sweep.frames) + 1)
        thickness = np.array([np.interp(x, places[frame], shown[frame], 0, 0) for frame in known])
        covered = (x >= places[known, :1]) & (x <= places[known, -1:])
        total += _between(z, heights[known], thickness)
        seen += _between(z, heights[known], covered.astype(np.float64))
    mean = np.divide(total, seen, out=np.zeros_like(total), where=seen > 0)
    return float(mean.sum() * _STEP_MM**2 / 1000)


def _middle_line(leg: Leg, structure: str) -> Floats:
    """Points (n, 3) amid a muscle, in mm, upwards in z."""
    muscle = leg.muscles[LABELS[structure] - 1]
    z = np.linspace(muscle.start_mm, muscle.end_mm, 401)[1:-1]
    x = muscle.profile(z)[..., 0]
    back, front = leg.surfaces(leg.scale * x, leg.scale * z)
    y = (back + front)[LABELS[structure] - 1] / 2
    return np.stack([leg.mirror * leg.scale * x, y, leg.scale * z], axis=-1)


def _meet(pose: Floats, line: Floats) -> Floats:
    """Where a frame's plane meets the line, which goes on along z beyond its ends; (x, y, z, 1)."""
    normal = np.cross(pose[:3, 0], pose[:3, 1])
    away = (line - pose[:3, 3]) @ (normal / normal[2])
    point = np.array([np.interp(0, away, axis) for axis in line.T])
    point[2] -= max(away[0], 0.0) + min(away[-1], 0.0)
    return np.append(point, 1.0)


def _columns(sweep: Annotated, rows: Floats, mirror: int) -> Floats:
    """x of a right leg, ascending, of places over the width of each frame at a row of its own."""
    columns = np.linspace(-0.5, sweep.shape[1] - 0.5, _PLACES)
    first, down, corner = (sweep.image_to_leg[:, 0, axis] for axis in (0, 1, 3))
    x: Floats = mirror * (first[:, None] * columns + (down * rows + corner)[:, None])
    return x if mirror > 0 else x[:, ::-1]


def _thickness(leg: Leg, structure: str, x: Floats, z: Floats) -> Floats:
    """Thickness in mm at x (frame, place) and z (frame,), 0 beside and beyond the muscle."""
    back, front = leg.surfaces(x, z[:, None])
    thickness: Floats = np.nan_to_num((front - back)[LABELS[structure] - 1])
    return thickness


def _between(z: Floats, heights: Floats, values: Floats) -> Floats:
    """Values (frame, ...) linear between the frames' heights, 0 beyond them."""
    at = np.interp(z, heights, np.arange(len(heights)))
    before = np.minimum(at.astype(int), len(heights) - 2)
    part = (at - before)[:, None]
    made: Floats = (1 - part) * values[before] + part * values[before + 1]
    made[(z < heights[0]) | (z > heights[-1])] = 0
    return made
