"""Rigid alignment of two volumes by gradient ascent on a metric of their joint histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.spatial.transform import Rotation

from myosweep.geometry import Matrix, apply_transform, rigid_transform
from myosweep.registration.information import BINS, METRICS, moved_sums, sample
from myosweep.registration.shrinking import Shrunk

_FEWEST_POINTS = 500


@dataclass(frozen=True)
class Points:
    """Points of the fixed volume, with what the metric needs of both volumes.

    Attributes
    ----------
    places
        mm, relative to their mean `centre`, shape (n, 3).
    bins
        Of their values, shape (n,).
    radius
        Root mean square of their distance to `centre`, mm: turns are measured by what they move there.
    scale
        From the moving volume's values to bins, see `moved_sums`.
    levels
        How many bins are used, at most BINS.
    """

    places: NDArray[np.float64]
    bins: NDArray[np.int16]
    centre: NDArray[np.float64]
    radius: float
    scale: tuple[float, float]
    levels: int = BINS

    def every(self, step: int) -> Points:
        """One of `step` points."""
        return Points(
            self.places[::step], self.bins[::step], self.centre, self.radius, self.scale, self.levels
        )


def draw_points(fixed: Shrunk, moving: Shrunk, distance_mm: float, seed: int, levels: int = BINS) -> Points:
    """Points about `distance_mm` apart, one at a random place in each cell of a lattice.

    Places off the voxels' lattice keep linear interpolation from favouring motions that put voxel on voxel
    (Pluim et al. 2000).
    """
    grid = fixed.grid
    step = np.maximum(1.0, distance_mm / np.asarray(grid.spacing))
    axes = [np.arange(0, max(count - 1, 1), by) for count, by in zip(grid.size, step, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    corner = index.astype(np.int64)
    index = index[fixed.known.array[corner[:, 2], corner[:, 1], corner[:, 0]] > 0]
    index += np.random.Generator(np.random.PCG64(seed)).random(index.shape) * step
    values, inside = sample(fixed.values.array, fixed.known.array, index)
    index, values = index[inside], values[inside]
    if not len(index):
        return Points(np.zeros((0, 3)), np.zeros(0, np.int16), np.zeros(3), 1.0, (0.0, 1.0))
    low, high = _range(values)
    bins = np.clip((values - low) * (levels / (high - low)), 0, levels - 1).astype(np.int16)
    points = apply_transform(grid.index_to_world, index)
    centre = points.mean(axis=0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))
    theirs = moving.values.array[moving.known.array > 0]
    low, high = _range(theirs[:: max(1, theirs.size // 100_000)])
    return Points(
        points - centre, bins, centre, max(radius, 1e-3), (low, (levels - 1) / (high - low)), levels
    )


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, [0.5, 99.5])
    return float(low), float(max(high, low + 1e-3))


def likeness(
    points: Points, moving: Shrunk, motion: Matrix, metric: str, fewest: float, derive: bool = True
) -> tuple[float, NDArray[np.float64]]:
    """The metric of a motion, and its derivative by a shift, and by a turn about the moved centre in radians.

    Mutual information is less its bias for unrelated values (Moddemeijer 1989), half of it as the spline
    spreads values, so that motions of different overlap compare.

    0 where less than `fewest` of the points fall on known voxels.
    """
    to_index = moving.grid.world_to_index
    matrix = to_index @ motion @ rigid_transform(np.eye(3), points.centre)
    joint, change, count = moved_sums(
        points.bins, points.places, moving.values.array, moving.known.array, matrix, points.scale, derive
    )
    if count < max(_FEWEST_POINTS, fewest * len(points.bins)):
        return 0.0, np.zeros(6)
    value, slope = METRICS[metric](joint / count)
    if metric == "mutual_information":
        value = max(0.0, value - (points.levels - 1) ** 2 / (4 * count))
    if not derive:
        return value, np.zeros(6)
    by_entries = np.tensordot(slope, change, axes=2) / count
    to_mm = to_index[:3, :3].T
    # Row: along which axis a point moves; column: its place, turned with the motion.
    moments = to_mm @ by_entries[3:].reshape(3, 3) @ motion[:3, :3].T
    turn = (moments[2, 1] - moments[1, 2], moments[0, 2] - moments[2, 0], moments[1, 0] - moments[0, 1])
    return value, np.concatenate([to_mm @ by_entries[:3], turn])


def moved_by(change: NDArray[np.float64], points: Points, start: Matrix) -> Matrix:
    """`start`, then three shifts and three turns about the moved centre; all in mm, turns at the radius."""
    turn = Rotation.from_rotvec(change[3:] / points.radius).as_matrix()
    centre = apply_transform(start, points.centre)
    return np.asarray(rigid_transform(turn, centre + change[:3] - turn @ centre) @ start)


def align(
    points: Points, moving: Shrunk, start: Matrix, metric: str, fewest: float, iterations: int = 20
) -> tuple[Matrix, float]:
    """Climb from a start to the next maximum (L-BFGS, Liu and Nocedal 1989).

    Returns
    -------
    The motion from the fixed to the moving volume's world, and its metric.
    """

    # The first step is one unit long.
    unit = max(moving.grid.spacing) / 3

    def unlike(steps: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        change = steps * unit
        value, slope = likeness(points, moving, moved_by(change, points, start), metric, fewest)
        turn = _left_jacobian(change[3:] / points.radius).T @ slope[3:] / points.radius
        return -value, -unit * np.concatenate([slope[:3], turn])

    found = optimize.minimize(
        unlike,
        np.zeros(6),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": 1e-6, "gtol": 1e-6, "maxls": 6},
    )
    return moved_by(found.x * unit, points, start), -float(found.fun)


def _left_jacobian(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """How a change of a rotation vector turns what was rotated (Barfoot 2017, eq. 7.77)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-4:
        return np.asarray(np.eye(3) + cross / 2)
    first, second = (1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    return np.asarray(np.eye(3) + first * cross + second * cross @ cross)
