"""The scale that is left between two volumes after rigid registration: a sign of a wrong pixel size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from myosweep.geometry import Matrix, apply_transform, rotation_about
from myosweep.io.volumes import Volume
from myosweep.registration.similarity import information_correlation

_POINTS = 10_000
_FEWEST_POINTS = 1000
# Shifts in mm at the top and at the bottom that are tried before the optimiser starts.
_TOP_SHIFTS = (-6.0, -3.0, 0.0, 3.0, 6.0)
_BOTTOM_SHIFTS = (-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0)
_ROUNDS = 3


@dataclass(frozen=True)
class ResidualScale:
    """How the moving volume is scaled against the fixed one, along the fixed grid's x, y and z.

    Attributes
    ----------
    scale
        1.1: what measures 10 mm in the fixed volume measures 11 mm in the moving one.
    gain
        By how much the information correlation grows with it.
    """

    scale: tuple[float, float, float]
    gain: float


def residual_scale(
    fixed: Volume,
    fixed_known: NDArray[np.uint8],
    moving: Volume,
    moving_known: NDArray[np.uint8],
    fixed_to_moving: Matrix,
) -> ResidualScale:
    """Let the volumes shift, turn and stretch along the fixed grid's axes until they look most alike.

    Varied are shifts at both ends of each axis (5 % and 95 % of the points) and three angles, from where the
    rigid registration left them; Powell's method (1964) starts at the best of a coarse grid over the shifts
    along y, in which a wrong depth shows.

    Parameters
    ----------
    fixed, moving
        Smoothed grey values.
    fixed_known, moving_known
        Not 0 where they are known; on the volumes' grids.
    fixed_to_moving
        4 x 4, the rigid registration.
    """
    grid = fixed.grid
    index = np.argwhere(fixed_known > 0)
    index = index[:: max(1, len(index) // _POINTS)]
    ours = fixed.array[tuple(index.T)]
    middle = index[:, ::-1].mean(axis=0)
    points = (index[:, ::-1] - middle) * np.asarray(grid.spacing)
    low, high = np.percentile(points, [5, 95], axis=0)
    extent = np.maximum(high - low, 1e-6)
    along = (points - low) / extent
    centre = apply_transform(grid.index_to_world, middle)
    to_index = moving.grid.world_to_index @ fixed_to_moving
    size = np.array(moving_known.shape)[:, np.newaxis]

    def unlike(change: NDArray[np.float64]) -> float:
        ends, turn = change[:6].reshape(2, 3), change[6:] / 50
        angle = float(np.linalg.norm(turn))
        moved = points + ends[0] * (1 - along) + ends[1] * along
        if angle > 0:
            moved = moved @ rotation_about(turn, angle).T
        places = apply_transform(to_index, centre + moved @ grid.direction.T)[:, ::-1].T
        nearest = np.rint(places).astype(np.int64)
        within = np.flatnonzero(((nearest >= 0) & (nearest < size)).all(axis=0))
        inside = within[moving_known[tuple(nearest[:, within])] > 0]
        if len(inside) < _FEWEST_POINTS:
            return 0.0
        theirs = ndimage.map_coordinates(moving.array, places[:, inside], order=1, mode="nearest")
        return -information_correlation(ours[inside], theirs)

    nothing = np.zeros(9)
    start, best = nothing, unlike(nothing)
    before = best
    for top in _TOP_SHIFTS:
        for bottom in _BOTTOM_SHIFTS:
            tried = nothing.copy()
            tried[[1, 4]] = top, bottom
            if (value := unlike(tried)) < best:
                start, best = tried, value
    found = optimize.minimize(
        unlike, start, method="Powell", options={"xtol": 0.05, "ftol": 3e-4, "maxiter": _ROUNDS}
    )
    x, y, z = 1 + (found.x[3:6] - found.x[:3]) / extent
    return ResidualScale((float(x), float(y), float(z)), before - float(found.fun))
