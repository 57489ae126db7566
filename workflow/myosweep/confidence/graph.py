"""The random walk's graph on an image: weights between neighbours, absorption, the linear system."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.confidence.options import ROUNDING, ConfidenceOptions
from myosweep.confidence.roles import FREE, SOURCE

# Added to every weight so that no pixel is cut off; it is in the authors' and in MONAI's code, not in the
# paper.
WEIGHT_FLOOR = 1e-5


@dataclass(frozen=True)
class Edges:
    """Weights between neighbours, each of shape (rows, cols), 0 where there is no edge.

    `right` and `down` lead to the next pixel of the row and of the column, `diagonal` to the next row and
    column, `anti` to the next row and the previous column.
    """

    right: NDArray[np.float64]
    down: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    anti: NDArray[np.float64]


def weigh_edges(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    depth: NDArray[np.float64],
    options: ConfidenceOptions,
) -> Edges:
    """Weights of the edges of the 8-neighbour graph of the known pixels.

    Karamalis et al. 2012: c = g (1 - exp(-alpha d)) for the grey value g at the depth d (their
    Beer-Lambert attenuation, as their published code applies it), and the weight of an edge is
    exp(-beta |c_i - c_j|) along the beam, exp(-beta (|c_i - c_j| + gamma)) across it, plus 1e-5. Their
    published code and MONAI 1.6, which the normalisation `image` follows, scale g to 0..1, |c_i - c_j| by its
    largest, and the sum with gamma by its largest again; they let gamma be the same on diagonal edges, where
    the paper has sqrt(2) gamma. The normalisation `fixed` scales g by `white` alone.

    Parameters
    ----------
    image
        Shape (rows, cols), finite where known.
    known
        Shape (rows, cols), at least one pixel.
    depth
        Shape (rows, cols), of `roles.relative_depth`.
    """
    tiny = np.finfo(np.float64).eps
    fixed = options.normalisation == "fixed"
    signal = scaled_values(image, known, options)
    signal *= 1.0 - np.exp(-options.alpha * depth)

    here, there = (slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))
    every = slice(None)
    ends = {
        "right": ((every, here[0]), (every, here[1])),
        "down": ((here[0], every), (here[1], every)),
        "diagonal": ((here[0], here[0]), (here[1], here[1])),
        "anti": ((there[1], there[0]), (there[0], there[1])),
    }
    exists = {name: known[a] & known[b] for name, (a, b) in ends.items()}
    cost = {name: np.abs(signal[a] - signal[b]) for name, (a, b) in ends.items()}

    def largest() -> float:
        if fixed:
            return 1.0
        return max(float(cost[name].max(where=exists[name], initial=0.0)) for name in ends) + tiny

    scale = largest()
    for name in ends:
        cost[name] /= scale
        if name != "down":
            cost[name] += options.gamma
    scale = largest()
    weights = {name: np.zeros(known.shape) for name in ends}
    for name, (a, _) in ends.items():
        with np.errstate(over="ignore"):
            weight = np.exp(-options.beta * (cost[name] / scale))
        weight += WEIGHT_FLOOR
        weight *= exists[name]
        weights[name][a] = weight
    return Edges(**weights)


def scaled_values(
    image: NDArray[np.float64], known: NDArray[np.bool_], options: ConfidenceOptions
) -> NDArray[np.float64]:
    """Grey values as the normalisation wants them, 0 where unknown; (rows, cols)."""
    if options.normalisation == "fixed":
        # A million whites are no grey value, and their differences still are numbers.
        most = 1e6 * options.white
        return np.where(known, np.clip(image, -most, most) / options.white, 0.0)
    values = image[known]
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return scaled_values(image / 4, known, options)
    if high - low < ROUNDING * max(abs(low), abs(high)):
        return np.zeros(image.shape)
    return np.where(known, (image - low) / (high - low + np.finfo(np.float64).eps), 0.0)


@njit(cache=True, nogil=True)
def fill_links(
    links: NDArray[np.float64],
    right: NDArray[np.float64],
    roles: NDArray[np.uint8],
    absorption: NDArray[np.float64],
    cols: int,
    edge_right: NDArray[np.float64],
    edge_anti: NDArray[np.float64],
    edge_down: NDArray[np.float64],
    edge_diagonal: NDArray[np.float64],
) -> None:
    """Fill the walk's system: the graph's Laplacian on the free pixels, the identity on the others.

    Pixels are numbered along the rows, n in all; all arrays are flat.

    Parameters
    ----------
    links
        Shape (5 n,), filled with the matrix: its diagonal, then the entries that join pixel a to a + 1, a +
        cols - 1, a + cols and a + cols + 1.
    right
        Shape (n,), filled with the right side.
    roles, edge_right, edge_anti, edge_down, edge_diagonal
        Shape (n,); weights are 0 where there is no edge.
    absorption
        Shape (n,): weight of the edge from each pixel to a sink of its own.
    """
    n = roles.size
    links[:] = 0.0
    right[:] = 0.0
    for a in range(n):
        if roles[a] != FREE:
            links[a] = 1.0
        else:
            links[a] = absorption[a]
    steps = (1, cols - 1, cols, cols + 1)
    for e, edge in enumerate((edge_right, edge_anti, edge_down, edge_diagonal)):
        for a in range(n):
            weight = edge[a]
            if weight == 0.0:
                continue
            b = a + steps[e]
            if roles[a] == FREE:
                links[a] += weight
                if roles[b] == SOURCE:
                    right[a] += weight
            if roles[b] == FREE:
                links[b] += weight
                if roles[a] == SOURCE:
                    right[b] += weight
                if roles[a] == FREE:
                    links[(e + 1) * n + a] -= weight
