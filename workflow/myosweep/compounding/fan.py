"""Fans: the image of a curved or sector probe on the screen, drawn and found."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from myosweep.io.sweeps import Fan

# Pixels along the longer side on which a fan is fitted, first roughly, then finely.
LATTICES = (48, 128)
# Where the search for the apex begins: so many heights of the image above its first row.
APEX_HEIGHTS = (-0.3, 0.0, 0.15, 0.35, 0.7, 1.2, 2.0, 4.0)
# An apex farther away than this many heights draws straight lines.
FARTHEST_APEX = 20.0


def draw_fan(fan: Fan, rows: int, columns: int, inwards: float = 0.0) -> NDArray[np.bool_]:
    """The pixels whose centres lie in the fan, its lines and arcs included.

    The same pixels as in IGSIO (vtkIGSIOPasteSliceIntoVolume, vtkUnoptimizedInsertSlice) up to rounding, for
    angles below 90 degrees; beyond them IGSIO has no fans.

    Parameters
    ----------
    rows, columns
        Size of the frame.
    inwards
        By how many pixels lines and arcs are moved towards the inside.

    Returns
    -------
    mask
        bool, (row, column).
    """
    row, column = np.indices((rows, columns), np.float64, sparse=True)
    mask: NDArray[np.bool_] = _sides(fan, column, row).min(axis=0) >= inwards - 1e-9
    return mask


def shares(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Pixels in both as a part of the pixels in either (Jaccard's index); 0 where both are empty."""
    either = np.count_nonzero(one | two)
    return float(np.count_nonzero(one & two) / either) if either else 0.0


def fit_fan(region: NDArray[np.bool_]) -> Fan | None:
    """The fan that shares most pixels with a region, which may be cut by the array's edges.

    Soft-edged fans are fitted to the region by least squares, from several apexes on, first roughly.

    Parameters
    ----------
    region
        bool, (row, column), without rows or columns that hold nothing at its edges.

    Returns
    -------
    fan
        In pixels of the array; None where no fan with an apex near enough comes out.
    """
    rows, columns = region.shape
    if min(rows, columns) < 8 or not region.any():
        return None
    best: tuple[float, NDArray[np.float64]] | None = None
    coarse = _lattice(region, LATTICES[0])
    for height in APEX_HEIGHTS:
        start = _around(region, (columns - 1) / 2, -height * rows)
        fitted, cost = _refined(start, coarse, 2.0 * _step(region, LATTICES[0]), region.shape)
        if best is None or cost < best[0]:
            best = cost, fitted
    assert best is not None
    fitted = best[1]
    step = _step(region, LATTICES[1])
    for width in (2.0 * step, 0.7 * step):
        fitted, _ = _refined(fitted, _lattice(region, LATTICES[1]), width, region.shape)
    # A sector may begin in its apex, where a radius below zero fits as well.
    fitted[2] = max(fitted[2], 0.0)
    fan = Fan(*(float(value) for value in fitted))
    far = math.hypot(fan.column - columns / 2, fan.row - rows / 2) > FARTHEST_APEX * max(rows, columns)
    sound = fan.first_radius < fan.last_radius and fan.first_angle < fan.last_angle
    return fan if sound and not far else None


Lattice = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _sides(fan: Fan, column: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances in pixels to the two arcs and the two lines, positive inside; (4, ...)."""
    across, down = column - fan.column, row - fan.row
    radius = np.hypot(across, down)
    # Up to a quarter turn the distance to a line is the sine's; farther round there is no line near.
    angle = np.arctan2(across, down)
    lines = [
        radius * np.sin(np.clip(turned, -math.pi / 2, math.pi / 2))
        for turned in (angle - fan.first_angle, fan.last_angle - angle)
    ]
    return np.stack(np.broadcast_arrays(radius - fan.first_radius, fan.last_radius - radius, *lines))


def _step(region: NDArray[np.bool_], longest: int) -> int:
    return max(1, -(-int(max(region.shape)) // longest))


def _lattice(region: NDArray[np.bool_], longest: int) -> Lattice:
    """Columns, rows and values of pixels a few apart."""
    step = _step(region, longest)
    row, column = np.indices(region.shape)[:, ::step, ::step].reshape(2, -1).astype(np.float64)
    return column, row, region[::step, ::step].ravel().astype(np.float64)


def _around(region: NDArray[np.bool_], column: float, row: float) -> NDArray[np.float64]:
    """The fan of an apex that holds most of a region."""
    step = _step(region, LATTICES[0])
    rows, columns = np.nonzero(region[::step, ::step])
    across, down = columns * step - column, rows * step - row
    radii = np.quantile(np.hypot(across, down), (0.005, 0.995))
    angles = np.quantile(np.arctan2(across, down), (0.005, 0.995))
    return np.array([column, row, *radii, *angles])


def _refined(
    start: NDArray[np.float64], lattice: Lattice, width: float, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], float]:
    """Parameters of the fan, edges `width` pixels soft, that differs least from the lattice's values."""
    column, row, value = lattice
    size = float(max(shape))
    # Angles in units that move pixels about as far as the other parameters do.
    scale = np.array([1.0, 1.0, 1.0, 1.0, 1 / size, 1 / size])

    def differences(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        sides = _sides(Fan(*(scaled * scale)), column, row)
        soft = 1 / (1 + np.exp(np.clip(-sides / width, -50, 50)))
        difference: NDArray[np.float64] = soft.prod(axis=0) - value
        return difference

    found = least_squares(differences, start / scale, x_scale=size / 50, max_nfev=30)
    return found.x * scale, float(found.cost)
