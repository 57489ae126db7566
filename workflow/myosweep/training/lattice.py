"""Between an image's voxels and the network's: means, fractions, and linear interpolation back.

Both lattices have the same axes and the same centre, so that mirroring commutes with going there and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Grid

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """One axis: `count` voxels of `spacing` mm in the image, `coarse_count` of `coarse_spacing` beside."""

    count: int
    spacing: float
    coarse_count: int
    coarse_spacing: float

    @property
    def start(self) -> float:
        """Where the network's voxels begin, mm from the image's outer face (0 or less)."""
        return (self.count * self.spacing - self.coarse_count * self.coarse_spacing) / 2

    def overlaps(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each coarse voxel the first image voxel that it touches, and the lengths of overlap in mm."""
        low = self.start + np.arange(self.coarse_count) * self.coarse_spacing
        high = low + self.coarse_spacing
        first = np.clip(np.floor(low / self.spacing + 1e-9), 0, self.count - 1).astype(np.int64)
        width = int(np.ceil(self.coarse_spacing / self.spacing)) + 1
        index = first[:, None] + np.arange(width)
        begin = np.maximum(index * self.spacing, low[:, None])
        end = np.minimum((index + 1) * self.spacing, high[:, None])
        # Overlaps below a billionth of a voxel are rounding.
        lengths = np.where((index < self.count) & (end - begin > 1e-9 * self.spacing), end - begin, 0.0)
        return first, np.ascontiguousarray(lengths)

    def neighbours(self) -> tuple[NDArray[np.int64], Floats]:
        """For each image voxel the lower of the two coarse voxels around it and the weight of the other."""
        centre = (np.arange(self.count) + 0.5) * self.spacing
        position = np.clip((centre - self.start) / self.coarse_spacing - 0.5, 0, self.coarse_count - 1)
        lower = np.minimum(np.floor(position).astype(np.int64), max(self.coarse_count - 2, 0))
        return lower, (position - lower).astype(np.float32)


@dataclass(frozen=True)
class Lattice:
    """The network's voxels in an image, axes in the order (z, y, x)."""

    z: Axis
    y: Axis
    x: Axis

    @classmethod
    def of(cls, grid: Grid, spacing: tuple[float, float, float]) -> Lattice:
        """The smallest lattice of `spacing` mm along (x, y, z) that covers the grid's box."""
        x, y, z = (
            Axis(count, fine, max(1, int(np.ceil(count * fine / coarse - 1e-6))), coarse)
            for count, fine, coarse in zip(grid.size, grid.spacing, spacing, strict=True)
        )
        return cls(z, y, x)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of the network's voxels along (z, y, x)."""
        return self.z.coarse_count, self.y.coarse_count, self.x.coarse_count

    def mean(self, array: NDArray[np.generic]) -> Floats:
        """Mean of an image (z, y, x) over each of the network's voxels, as far as the image covers it."""
        result: Floats = _mean(array, *self.z.overlaps(), *self.y.overlaps(), *self.x.overlaps())
        return result

    def fractions(self, labels: NDArray[np.uint8], classes: NDArray[np.uint8], count: int) -> Floats:
        """The part of each coarse voxel, as far as the image covers it, that each class takes.

        Parameters
        ----------
        labels
            (z, y, x).
        classes
            The class of each label, (256,); classes from `count` on have no part in the result.
        count
            Number of classes.

        Returns
        -------
        (class, z, y, x), 0 to 1.
        """
        result: Floats = _fractions(
            labels, classes, count, *self.z.overlaps(), *self.y.overlaps(), *self.x.overlaps()
        )
        return result

    def means(self, slabs: Iterable[NDArray[Any]]) -> Iterator[Floats]:
        """`mean` slice by slice, (y, x), of an image that comes in slabs (z, y, x) one after the other."""
        for along_z, part in self._stretches(slabs):
            yield from _mean(part, *along_z, *self.y.overlaps(), *self.x.overlaps())

    def fractions_by_slice(
        self, slabs: Iterable[NDArray[Any]], classes: NDArray[np.uint8], count: int
    ) -> Iterator[Floats]:
        """`fractions` slice by slice, (class, y, x), of labels that come in slabs (z, y, x)."""
        for along_z, part in self._stretches(slabs):
            found = _fractions(part, classes, count, *along_z, *self.y.overlaps(), *self.x.overlaps())
            yield from found.swapaxes(0, 1)

    def _stretches(
        self, slabs: Iterable[NDArray[Any]]
    ) -> Iterator[tuple[tuple[NDArray[np.int64], NDArray[np.float64]], NDArray[Any]]]:
        """For some coarse slices after the other, about as many as a slab has, what they take of an image."""
        first, lengths = self.z.overlaps()
        ends = first + lengths.shape[1] - (lengths[:, ::-1] > 0).argmax(axis=1)
        coming = iter(slabs)
        held = np.array(next(coming), order="C")
        low = done = 0
        while done < len(first):
            while ends[done] > low + len(held):
                held = np.concatenate([held[first[done] - low :], next(coming)])
                low = int(first[done])
            stop = int(np.searchsorted(ends, low + len(held), side="right"))
            yield (first[done:stop] - low, lengths[done:stop]), held
            done = stop

    def largest(self, scores: Floats, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`values[k]` at each image voxel, k the class whose linearly interpolated score is the largest.

        Parameters
        ----------
        scores
            (class, z, y, x) on the network's voxels.
        values
            (class,).
        """
        result: NDArray[np.uint8] = _largest(
            scores, values, *self.z.neighbours(), *self.y.neighbours(), *self.x.neighbours()
        )
        return result

    def largest_planes(
        self, slices: Iterable[Floats], values: NDArray[np.uint8]
    ) -> Iterator[NDArray[np.uint8]]:
        """`largest` slice by slice, (y, x), of scores that come as slices (class, y, x)."""
        along_y, along_x = self.y.neighbours(), self.x.neighbours()
        for scores, along_z in self._pairs(slices):
            yield _largest(scores, values, *along_z, *along_y, *along_x)[0]

    def entropy_planes(self, slices: Iterable[Floats]) -> Iterator[Floats]:
        """Entropy of linearly interpolated probabilities, 0 to 1: the largest there can be.

        Parameters
        ----------
        slices
            Probabilities (class, y, x) of the network's slices in their order; sums of 1.

        Yields
        ------
        (y, x) of each of the image's slices.
        """
        along_y, along_x = self.y.neighbours(), self.x.neighbours()
        for scores, along_z in self._pairs(slices):
            yield _entropy(scores, *along_z, *along_y, *along_x)

    def _pairs(self, slices: Iterable[Floats]) -> Iterator[tuple[Floats, tuple[NDArray[np.int64], Floats]]]:
        """For each image slice the two coarse slices around it, (class, 2, y, x), and the other's weight."""
        lower, part = self.z.neighbours()
        coming = iter(slices)
        first = next(coming)
        scores, at = np.stack([first, next(coming, first)], axis=1), 0
        for index, weight in zip(lower, part, strict=True):
            while at < index:
                scores, at = np.stack([scores[:, 1], next(coming)], axis=1), at + 1
            yield scores, (np.zeros(1, dtype=np.int64), np.array([weight], dtype=np.float32))


@numba.njit(cache=True)
def _mean(array, first_z, along_z, first_y, along_y, first_x, along_x):  # type: ignore[no-untyped-def]
    mean = np.empty((len(first_z), len(first_y), len(first_x)), dtype=np.float32)
    for k in range(len(first_z)):
        for j in range(len(first_y)):
            for i in range(len(first_x)):
                total = 0.0
                weights = 0.0
                for c in range(along_z.shape[1]):
                    if along_z[k, c] == 0.0:
                        continue
                    for b in range(along_y.shape[1]):
                        area = along_z[k, c] * along_y[j, b]
                        if area == 0.0:
                            continue
                        for a in range(along_x.shape[1]):
                            weight = area * along_x[i, a]
                            if weight > 0.0:
                                weights += weight
                                total += weight * array[first_z[k] + c, first_y[j] + b, first_x[i] + a]
                mean[k, j, i] = total / weights
    return mean


@numba.njit(cache=True)
def _fractions(labels, classes, count, first_z, along_z, first_y, along_y, first_x, along_x):  # type: ignore[no-untyped-def]
    fractions = np.zeros((count, len(first_z), len(first_y), len(first_x)), dtype=np.float32)
    votes = np.empty(count)
    for k in range(len(first_z)):
        for j in range(len(first_y)):
            for i in range(len(first_x)):
                votes[:] = 0.0
                total = 0.0
                for c in range(along_z.shape[1]):
                    if along_z[k, c] == 0.0:
                        continue
                    for b in range(along_y.shape[1]):
                        area = along_z[k, c] * along_y[j, b]
                        if area == 0.0:
                            continue
                        for a in range(along_x.shape[1]):
                            weight = area * along_x[i, a]
                            if weight > 0.0:
                                total += weight
                                kind = classes[labels[first_z[k] + c, first_y[j] + b, first_x[i] + a]]
                                if kind < count:
                                    votes[kind] += weight
                for kind in range(count):
                    fractions[kind, k, j, i] = votes[kind] / total
    return fractions


@numba.njit(cache=True)
def _largest(scores, values, low_z, part_z, low_y, part_y, low_x, part_x):  # type: ignore[no-untyped-def]
    kinds, count, rows, columns = scores.shape
    result = np.empty((len(low_z), len(low_y), len(low_x)), dtype=np.uint8)
    line = np.empty((columns, kinds), dtype=np.float32)
    for k in range(len(low_z)):
        z0 = low_z[k]
        z1 = min(z0 + 1, count - 1)
        wz = part_z[k]
        for j in range(len(low_y)):
            y0 = low_y[j]
            y1 = min(y0 + 1, rows - 1)
            wy = part_y[j]
            for i in range(columns):
                for kind in range(kinds):
                    upper = (1 - wy) * scores[kind, z0, y0, i] + wy * scores[kind, z0, y1, i]
                    lower = (1 - wy) * scores[kind, z1, y0, i] + wy * scores[kind, z1, y1, i]
                    line[i, kind] = (1 - wz) * upper + wz * lower
            for i in range(len(low_x)):
                x0 = low_x[i]
                x1 = min(x0 + 1, columns - 1)
                wx = part_x[i]
                best = 0
                highest = (1 - wx) * line[x0, 0] + wx * line[x1, 0]
                for kind in range(1, kinds):
                    score = (1 - wx) * line[x0, kind] + wx * line[x1, kind]
                    if score > highest:
                        highest = score
                        best = kind
                result[k, j, i] = values[best]
    return result


@numba.njit(cache=True)
def _entropy(scores, low_z, part_z, low_y, part_y, low_x, part_x):  # type: ignore[no-untyped-def]
    kinds, _, rows, columns = scores.shape
    result = np.zeros((len(low_y), len(low_x)), dtype=np.float32)
    line = np.empty((columns, kinds), dtype=np.float32)
    wz = part_z[0]
    for j in range(len(low_y)):
        y0 = low_y[j]
        y1 = min(y0 + 1, rows - 1)
        wy = part_y[j]
        for i in range(columns):
            for kind in range(kinds):
                upper = (1 - wy) * scores[kind, 0, y0, i] + wy * scores[kind, 0, y1, i]
                lower = (1 - wy) * scores[kind, 1, y0, i] + wy * scores[kind, 1, y1, i]
                line[i, kind] = (1 - wz) * upper + wz * lower
        for i in range(len(low_x)):
            x0 = low_x[i]
            x1 = min(x0 + 1, columns - 1)
            wx = part_x[i]
            total = 0.0
            for kind in range(kinds):
                part = (1 - wx) * line[x0, kind] + wx * line[x1, kind]
                if part > 0:
                    total -= part * np.log(part)
            result[j, i] = total / np.log(kinds)
    return result
