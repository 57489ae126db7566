"""One smooth surface through all outlines of a structure, where they lie in space.

The surface is where a function of space is zero. The function is a cubic B-spline on a lattice (Lee, Wolberg
and Shin 1997 fit such lattices to scattered data); its coefficients minimise the squares of what it
differs from the signed distances to the outlines, in all annotated frames of all sweeps, plus its bending
(the thin-plate energy that Turk and O'Brien 1999 and Carr et al. 2001 take for surfaces through scattered
points). Frames need be neither parallel nor of one sweep, and where several sweeps show an outline the
surface runs between what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from myosweep.geometry import Grid, Matrix
from myosweep.labels.distance import signed_distance
from myosweep.labels.interpolation import TAPER

# Node distances: across a part of the structure's usual depth in these bounds, mm; along the sweeps a part of
# the usual gap.
_DEPTH_PART = 0.25
_ACROSS_MM = (1.0, 3.0)
_ALONG_GAPS = 0.5
# Distances are cut off here, in nodes across: further away nothing but the sign matters.
_REACH_NODES = 6.0
# Weights of the bending across, along the sweeps and mixed, chosen on the phantom.
_BENDING = (0.02, 0.1, 0.2)
_MOST_NODES = 250_000
_MOST_SAMPLES = 250_000
_MARGIN_NODES = 3
_ITERATIONS = 300
_TOLERANCE = 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """One annotated frame.

    Attributes
    ----------
    mask
        bool (row, column): the structure.
    known
        bool (row, column): where the mask and the image say anything.
    image_to_world
        4 x 4, mm.
    """

    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]
    image_to_world: Matrix


@dataclass(frozen=True)
class Surface:
    """The fitted function: coefficients (k, j, i) of nodes that lie at world_to_nodes (i, j, k)."""

    coefficients: Floats
    world_to_nodes: Matrix

    def at(self, points: Floats) -> Floats:
        """Its values (mm, positive inside) at points of shape (3, ...) in the world."""
        where = np.tensordot(self.world_to_nodes[:3, :3], points, 1)
        where += self.world_to_nodes[:3, 3].reshape(3, *(1,) * (points.ndim - 1))
        values: Floats = ndimage.map_coordinates(
            self.coefficients, where[::-1], order=3, prefilter=False, mode="nearest"
        )
        return values


def fit_surface(sweeps: Sequence[Sequence[Slice]]) -> Surface | None:
    """Fit the surface.

    Parameters
    ----------
    sweeps
        Per sweep its annotated frames, in the order of recording.

    Returns
    -------
    None where no frame shows the structure.
    """
    if not any(item.mask.any() for frames in sweeps for item in frames):
        return None
    axes, gap = _course(sweeps)
    depths = [_distances(frames) for frames in sweeps]
    inner = [float(depth.max()) for own in depths for depth in own if isinstance(depth, np.ndarray)]
    across = float(np.clip(_DEPTH_PART * np.median(inner), *_ACROSS_MM))
    while True:
        steps = np.array([across, across, max(across, _ALONG_GAPS * gap)])
        points, values = _samples(sweeps, depths, across)
        local = points @ axes
        low = local.min(axis=0) - _MARGIN_NODES * steps
        shape = np.ceil((local.max(axis=0) - low) / steps).astype(int) + _MARGIN_NODES + 1
        if np.prod(shape.astype(float)) <= _MOST_NODES and len(values) <= _MOST_SAMPLES:
            break
        across *= 1.2
    nodes = (local - low) / steps
    coefficients = _solve(nodes, values, (int(shape[2]), int(shape[1]), int(shape[0])))
    world_to_nodes = np.eye(4)
    world_to_nodes[:3, :3] = axes.T / steps[:, None]
    world_to_nodes[:3, 3] = -low / steps
    return Surface(coefficients, world_to_nodes)


def surface_membership(
    surface: Surface, grid: Grid, z: int, edge_mm: float, stride: int = 1
) -> NDArray[np.float32]:
    """Membership of a slice of a grid, float32 (y, x); it falls from 1 to 0 over `edge_mm`.

    stride: the function is computed at every so many voxels, and is linear between.
    """
    x, y = (np.arange(0, grid.size[axis] + stride - 1, stride, dtype=np.float64) for axis in (0, 1))
    to_world = grid.index_to_world
    offset = to_world[:3, 2] * z + to_world[:3, 3]
    points = np.tensordot(to_world[:3, :2], np.stack(np.meshgrid(x, y, indexing="xy")), 1)
    values = surface.at(points + offset[:, None, None])
    if stride > 1:
        values = _linear(_linear(values, grid.size[1], stride).T, grid.size[0], stride).T
    return np.clip(0.5 + values / edge_mm, 0, 1).astype(np.float32)


def _linear(values: Floats, count: int, stride: int) -> Floats:
    """Rows 0, 1, ... of `values` taken for rows 0, stride, ..., and those between them, `count` in all."""
    at = np.arange(count) / stride
    below = np.minimum(at.astype(int), len(values) - 2) if len(values) > 1 else np.zeros(count, int)
    above = np.minimum(below + 1, len(values) - 1)
    part = (at - below)[:, None]
    filled: Floats = values[below] * (1 - part) + values[above] * part
    return filled


def _course(sweeps: Sequence[Sequence[Slice]]) -> tuple[Floats, float]:
    """Axes of the lattice (columns: across, down, along the sweeps) and the usual gap of annotations, mm."""
    along, across, gaps = np.zeros(3), np.zeros(3), []
    for frames in sweeps:
        centres = np.array([_centre(item) for item in frames])
        travelled = centres[-1] - centres[0]
        along += travelled if travelled @ along >= 0 else -travelled
        for item in frames:
            across += item.image_to_world[:3, 0] / np.linalg.norm(item.image_to_world[:3, 0])
        gaps += np.linalg.norm(np.diff(centres, axis=0), axis=1).tolist()
    if np.linalg.norm(along) < 1e-6:
        pose = sweeps[0][0].image_to_world
        along = np.cross(pose[:3, 0], pose[:3, 1])
    along /= np.linalg.norm(along)
    across -= (across @ along) * along
    if np.linalg.norm(across) < 1e-6:
        across = np.cross(along, np.eye(3)[int(np.argmin(np.abs(along)))])
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(along, across), along], axis=1), float(np.median(gaps)) if gaps else 0.0


def _centre(item: Slice) -> Floats:
    rows, columns = item.mask.shape
    centre: Floats = (item.image_to_world @ np.array([(columns - 1) / 2, (rows - 1) / 2, 0, 1]))[:3]
    return centre


def _distances(frames: Sequence[Slice]) -> list[NDArray[np.float32] | float]:
    """Signed distances; of an empty mask one depth below the outline: the taper of its neighbour, or far."""
    found: list[NDArray[np.float32] | float] = []
    inner = []
    for item in frames:
        if item.mask.any():
            columns, rows = (float(np.linalg.norm(item.image_to_world[:3, axis])) for axis in (0, 1))
            distance = signed_distance(item.mask, (columns, rows))
            found.append(distance)
            inner.append(float(distance.max()))
        else:
            found.append(-np.inf)
            inner.append(0.0)
    for index, depth in enumerate(inner):
        if depth == 0:
            beside = [inner[other] for other in (index - 1, index + 1) if 0 <= other < len(inner)]
            if max(beside, default=0.0) > 0:
                found[index] = -TAPER * max(beside)
    return found


def _samples(
    sweeps: Sequence[Sequence[Slice]], depths: Sequence[Sequence[Any]], across: float
) -> tuple[Floats, Floats]:
    """Points (n, 3) and signed distances on a lattice of two thirds of a node in every frame."""
    reach = _REACH_NODES * across
    points, values = [], []
    for frames, own in zip(sweeps, depths, strict=True):
        for item, depth in zip(frames, own, strict=True):
            spacing = [float(np.linalg.norm(item.image_to_world[:3, axis])) for axis in (0, 1)]
            step = [max(1, round(across / 1.5 / size)) for size in spacing]
            rows, columns = item.mask.shape
            row, column = np.mgrid[
                (rows - 1) % step[1] // 2 : rows : step[1], (columns - 1) % step[0] // 2 : columns : step[0]
            ]
            keep = item.known[row, column]
            row, column = row[keep], column[keep]
            value = depth[row, column] if isinstance(depth, np.ndarray) else np.full(len(row), depth)
            points.append((item.image_to_world @ np.stack([column, row, 0 * row, np.ones(len(row))]))[:3].T)
            values.append(np.clip(value, -reach, reach))
    return np.concatenate(points), np.concatenate(values).astype(np.float64)


def _solve(nodes: Floats, values: Floats, shape: tuple[int, int, int]) -> Floats:
    """Coefficients (k, j, i) by conjugate gradients with the diagonal as preconditioner."""
    basis = _basis(nodes, shape)
    bending = _bending(shape)
    transposed = sparse.csr_matrix(basis.T)
    right: Floats = np.asarray(transposed @ values)
    diagonal: Floats = np.asarray(basis.multiply(basis).sum(axis=0)).ravel() + bending.diagonal() + 1e-9

    def apply(vector: Floats) -> Floats:
        return np.asarray(transposed @ (basis @ vector) + bending @ vector)

    solution = np.full(len(right), float(values.min()))
    residual: Floats = right - apply(solution)
    ahead: Floats = residual / diagonal
    direction, product = ahead, float(residual @ ahead)
    stop = (_TOLERANCE**2) * float(right @ (right / diagonal))
    for _ in range(_ITERATIONS):
        if product <= stop:
            break
        image = apply(direction)
        length = product / float(direction @ image)
        solution = solution + length * direction
        residual = residual - length * image
        ahead = residual / diagonal
        before, product = product, float(residual @ ahead)
        direction = ahead + product / before * direction
    return solution.reshape(shape)


def _basis(nodes: Floats, shape: tuple[int, int, int]) -> sparse.csr_matrix[np.float64]:
    """(sample, coefficient): the 64 products of cubic B-splines at each sample (i, j, k)."""
    base = np.floor(nodes).astype(np.int64)
    t = nodes - base
    taps = (
        np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    )  # (tap, sample, axis)
    counts = shape[::-1]
    index = [np.clip(base[:, axis] - 1 + np.arange(4)[:, None], 0, counts[axis] - 1) for axis in range(3)]
    columns = (
        (index[2][:, None, None] * shape[1] + index[1][None, :, None]) * shape[2] + index[0][None, None]
    ).reshape(64, -1)
    products = (taps[:, None, None, :, 2] * taps[None, :, None, :, 1] * taps[None, None, :, :, 0]).reshape(
        64, -1
    )
    starts = np.arange(0, 64 * len(nodes) + 1, 64)
    return sparse.csr_matrix(
        (products.T.ravel(), columns.T.ravel(), starts), shape=(len(nodes), int(np.prod(shape)))
    )


def _bending(shape: tuple[int, int, int]) -> sparse.csr_matrix[np.float64]:
    """Squares of all second differences of the coefficients, mixed ones twice."""
    second: list[Any] = [
        sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n - 2, n)) for n in shape
    ]
    first: list[Any] = [sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(n - 1, n)) for n in shape]
    same: list[Any] = [sparse.eye_array(n) for n in shape]

    def product(parts: Sequence[Any]) -> Any:
        whole = sparse.kron(sparse.kron(parts[0], parts[1]), parts[2], format="csr")
        return whole.T @ whole

    total: Any = None
    for axis in range(3):
        for other in range(axis, 3):
            parts = list(same)
            if axis == other:
                parts[axis] = second[axis]
                term = _BENDING[1 if axis == 0 else 0] * product(parts)
            else:
                parts[axis], parts[other] = first[axis], first[other]
                term = 2 * _BENDING[2 if axis == 0 else 0] * product(parts)
            total = term if total is None else total + term
    return sparse.csr_matrix(total)
