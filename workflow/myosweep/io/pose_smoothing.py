"""Poses smoothed over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Weights beyond so many standard deviations are less than a hundredth.
_REACH = 3.0


def smooth_poses(
    matrices: NDArray[np.float64],
    times: NDArray[np.float64],
    starts: Sequence[int],
    sigma: float,
    centre: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Smooth poses with a Gaussian in time.

    Each pose becomes the value of a straight line through its neighbours, weighted by the Gaussian (local
    linear regression, Cleveland 1979): where a stretch begins or ends, a plain mean would draw the frames
    towards its middle. Positions are those of the image's centre. Rotations are averaged as matrices and
    brought back to the nearest rotation (the chordal mean, Hartley et al. 2013); size and shape of the pixels
    stay as they are.

    Parameters
    ----------
    matrices
        (frame, 4, 4), pixel index to mm, all finite, of one pixel size.
    times
        (frame,), never falling.
    starts
        Indices where stretches begin that are smoothed by themselves; the first is 0.
    sigma
        Standard deviation of the Gaussian, in the unit of the times.
    centre
        The image's centre, pixel index (column, row, 0).

    Returns
    -------
    (frame, 4, 4)
    """
    rotations = _rotations(matrices)
    centres = matrices[:, :3, :3] @ centre + matrices[:, :3, 3]
    means, places = np.empty_like(rotations), np.empty_like(centres)
    for first, last in zip(starts, [*starts[1:], len(matrices)], strict=True):
        own = times[first:last]
        low = np.searchsorted(own, own - _REACH * sigma, "left") + first
        high = np.searchsorted(own, own + _REACH * sigma, "right") + first
        for frame in range(first, last):
            near = slice(int(low[frame - first]), int(high[frame - first]))
            weights = _line_weights(times[near] - times[frame], sigma)
            means[frame] = np.tensordot(weights, rotations[near], 1)
            places[frame] = weights @ centres[near]
    smooth = matrices.copy()
    turns = _nearest_rotations(means) @ rotations.transpose(0, 2, 1)
    smooth[:, :3, :3] = turns @ matrices[:, :3, :3]
    smooth[:, :3, 3] = places - smooth[:, :3, :3] @ centre
    return smooth


def _line_weights(distances: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Weights that give the value at 0 of the line fitted with Gaussian weights; their sum is 1."""
    weights = np.exp(-0.5 * (distances / sigma) ** 2)
    total, first, second = (float((weights * distances**power).sum()) for power in range(3))
    spread = total * second - first**2
    if spread <= 1e-12 * max(total * second, 1e-300):
        return np.asarray(weights / total)
    return np.asarray(weights * (second - first * distances) / spread)


def _rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn of each image's plane, (frame, 3, 3)."""
    x = matrices[:, :3, 0] / np.linalg.norm(matrices[:, :3, 0], axis=1, keepdims=True)
    z = np.cross(x, matrices[:, :3, 1])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=2)


def _nearest_rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    left, _, right = np.linalg.svd(matrices)
    signs = np.ones((len(matrices), 3))
    signs[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    return np.asarray((left * signs[:, np.newaxis]) @ right)
