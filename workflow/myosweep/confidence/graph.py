"""The random walk's graph on an image: source and sink, weights between neighbours, the linear system."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

# Added to every weight so that no pixel is cut off; it is in the authors' and in MONAI's code, not in the
# paper.
WEIGHT_FLOOR = 1e-5

OUTSIDE, FREE, SOURCE, SINK = 0, 1, 2, 3


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


def find_roles(known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Say for every pixel whether it is outside the graph, free, source or sink.

    The first known pixel of each column is source, the last one sink; a pixel that would be both is source.
    A piece of known pixels that touches neither is outside: no walk reaches it.
    """
    rows = known.shape[0]
    roles = known.astype(np.uint8)
    columns = np.flatnonzero(known.any(axis=0))
    roles[rows - 1 - known[::-1].argmax(axis=0)[columns], columns] = SINK
    roles[known.argmax(axis=0)[columns], columns] = SOURCE
    if not known.all():
        pieces, count = ndimage.label(known, structure=np.ones((3, 3)))
        reached = np.zeros(count + 1, dtype=bool)
        reached[pieces[roles >= SOURCE]] = True
        roles[~reached[pieces]] = OUTSIDE
    return roles


def relative_depth(known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Depth below the first known pixel of the column, 1 at the end of the longest column; (rows, cols)."""
    rows = known.shape[0]
    first = known.argmax(axis=0)
    last = rows - 1 - known[::-1].argmax(axis=0)
    longest = int((last - first)[known.any(axis=0)].max(initial=0))
    depth = np.arange(rows)[:, None] - first[None, :]
    relative: NDArray[np.float64] = np.clip(depth, 0, None) / max(longest, 1)
    return relative


def weigh_edges(
    image: NDArray[np.float64], known: NDArray[np.bool_], alpha: float, beta: float, gamma: float
) -> Edges:
    """Weights of the edges of the 8-neighbour graph of the known pixels.

    The image is scaled to 0..1 and multiplied by 1 - exp(-alpha depth) (Beer-Lambert; Karamalis et al.
    2012). An edge's cost is the absolute difference of its ends, scaled by the largest; edges that are not
    vertical cost `gamma` more; the sums are scaled by the largest again, and the weight is exp(-beta cost)
    + 1e-5. This is the order of the authors' published code and of MONAI 1.6, from which the paper's edge
    penalty differs (MONAI's source says so).

    Parameters
    ----------
    image
        Shape (rows, cols), finite where known.
    known
        Shape (rows, cols), at least one pixel.
    """
    tiny = np.finfo(np.float64).eps
    values = image[known]
    low, high = float(values.min()), float(values.max())
    signal = np.where(known, (image - low) / (high - low + tiny), 0.0)
    signal *= 1.0 - np.exp(-alpha * relative_depth(known))

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
    largest = max(float(cost[name].max(where=exists[name], initial=0.0)) for name in ends)
    for name in ends:
        cost[name] /= largest + tiny
        if name != "down":
            cost[name] += gamma
    largest = max(float(cost[name].max(where=exists[name], initial=0.0)) for name in ends)
    weights = {name: np.zeros(known.shape) for name in ends}
    for name, (a, _) in ends.items():
        weight = np.exp(cost[name] * (-beta / (largest + tiny)))
        weight += WEIGHT_FLOOR
        weight *= exists[name]
        weights[name][a] = weight
    return Edges(**weights)


@njit(cache=True, nogil=True)
def fill_links(
    links: NDArray[np.float64],
    right: NDArray[np.float64],
    roles: NDArray[np.uint8],
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
    """
    n = roles.size
    links[:] = 0.0
    right[:] = 0.0
    for a in range(n):
        if roles[a] != FREE:
            links[a] = 1.0
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
