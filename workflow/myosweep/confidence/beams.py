"""Images of curved and sector probes, beam by beam: to a grid of depth and beam, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.errors import InputError
from myosweep.io.sweeps import Fan

# The most samples of a grid for each pixel of the image: an apex within the image draws dense beams.
MOST_SAMPLES = 2

LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Beams:
    """A grid of beams (columns) and of depths along them (rows), one pixel apart, on an image.

    Attributes
    ----------
    row, column
        Shape (depths, beams): where in the image each sample lies.
    depth, beam
        Shape (rows, cols): where in the grid each pixel lies.
    inside
        Shape (rows, cols): pixels whose centres lie in the fan.
    """

    row: NDArray[np.float64]
    column: NDArray[np.float64]
    depth: NDArray[np.float64]
    beam: NDArray[np.float64]
    inside: NDArray[np.bool_]

    def sample(
        self, image: NDArray[np.float64], known: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Values at the samples, linear between known pixels, and which samples are known.

        A sample is known where half of the fan's pixels around it are, weighed as for its value: on the
        fan's own edge the pixels beyond do not count.
        """
        known = known & self.inside
        values, weight = _linear(image, known, self.row, self.column)
        most = _read(self.inside.astype(np.float64), np.stack([self.row, self.column]))
        return values, (weight > LEAST_WEIGHT) & (weight >= 0.5 * most)

    def mark(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The samples nearest to the marked pixels."""
        marked = np.zeros(self.row.shape, dtype=bool)
        pixels = mask & self.inside
        depth = np.rint(self.depth[pixels]).astype(int).clip(0, len(marked) - 1)
        beam = np.rint(self.beam[pixels]).astype(int).clip(0, len(marked.T) - 1)
        marked[depth, beam] = True
        return marked

    def back(
        self, values: NDArray[np.float64], known: NDArray[np.bool_], pixels: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Values at the pixels, linear between known samples; 0 elsewhere."""
        result = np.zeros(self.depth.shape)
        wanted = pixels & self.inside
        result[wanted] = _linear(values, known, self.depth[wanted], self.beam[wanted])[0]
        return result


@lru_cache(maxsize=4)
def beams_of(fan: Fan, rows: int, cols: int) -> Beams:
    """The beams of a fan on an image of rows x cols pixels.

    Neighbouring beams are one pixel apart half-way down. On a curved scan of 420 x 520 pixels, painted from
    beams, maps differed from those of the beams themselves by 0.03 in the mean, and by 0.25 where the graph
    ran down the columns of the image instead; half as many beams gave 0.036, twice as many 0.021 in 2.4 times
    the time.

    Raises
    ------
    InputError
        The fan is not one: not finite, or without width or depth.
    """
    numbers = (
        fan.column,
        fan.row,
        fan.first_radius,
        fan.last_radius,
        fan.first_angle,
        fan.last_angle,
    )
    turn = fan.last_angle - fan.first_angle
    sound = 0 <= fan.first_radius < fan.last_radius and 0 < turn <= 2 * math.pi
    if not (all(math.isfinite(number) for number in numbers) and sound):
        raise InputError(
            "confidence map: fan",
            f"{fan}",
            "finite numbers, radii of at least 0 and angles (radians) that grow, within one turn",
            "correct the image area",
        )
    row, column = np.indices((rows, cols), dtype=np.float64)
    radius = np.hypot(column - fan.column, row - fan.row)
    middle = (fan.first_angle + fan.last_angle) / 2
    # Measured from the middle line, so that no fan is cut where the angle jumps.
    angle = np.arctan2(column - fan.column, row - fan.row) - middle
    angle = np.mod(angle + math.pi, 2 * math.pi) - math.pi
    inside = (radius >= fan.first_radius - 1e-9) & (radius <= fan.last_radius + 1e-9)
    inside &= np.abs(angle) <= turn / 2 + 1e-9
    if not inside.any():
        nothing = np.zeros((1, 1))
        return Beams(nothing, nothing, radius, angle, inside)
    # What lies outside of the image needs no samples.
    first = max(fan.first_radius, float(radius[inside].min()) - 1.0)
    last = max(min(fan.last_radius, float(radius[inside].max()) + 1.0), first + 1.0)
    aside = 1.0 / max(last, 1.0)
    left = max(-turn / 2, float(angle[inside].min()) - aside)
    right = max(min(turn / 2, float(angle[inside].max()) + aside), left + aside)
    depths = math.ceil(last - first) + 1
    beams = math.ceil((right - left) * (first + last) / 2) + 1
    beams = max(min(beams, MOST_SAMPLES * rows * cols // depths), 2)
    down, turned = (last - first) / (depths - 1), (right - left) / (beams - 1)
    distance = (first + down * np.arange(depths))[:, None]
    direction = (middle + left + turned * np.arange(beams))[None, :]
    return Beams(
        fan.row + distance * np.cos(direction),
        fan.column + distance * np.sin(direction),
        (radius - first) / down,
        (angle - left) / turned,
        inside,
    )


def _linear(
    values: NDArray[np.float64],
    known: NDArray[np.bool_],
    row: NDArray[np.float64],
    column: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values between the known ones alone, and how much of each place is known."""
    place = np.stack([row, column])
    weight = _read(known.astype(np.float64), place)
    total = _read(np.where(known, values, 0.0), place)
    return np.divide(total, weight, out=np.zeros(weight.shape), where=weight > LEAST_WEIGHT), weight


def _read(values: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    read: NDArray[np.float64] = ndimage.map_coordinates(
        values, place, output=np.float64, order=1, mode="grid-constant", cval=0.0
    )
    return read
