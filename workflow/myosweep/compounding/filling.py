"""Holes filled from the known voxels around them, and how far these are.

Gaussian: normalised convolution (Knutsson and Westin 1993) with a standard deviation of half the reach, cut
off there; nearest: the value of the nearest known voxel; distance: the mean of the known voxels that lie
next along the six directions of the axes, weighted by the inverse square of their distance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.compounding.between import OPEN

FILLINGS = ("gaussian", "nearest", "distance")
# In slices: no known voxel of the same column is as near.
NOWHERE = 127
# A slit this wide between what is known on both sides is closed, voxels.
SLIT = 2

Offsets = NDArray[np.int8]
"""(z, y, x): slices to the nearest known voxel of the same column; 0 where known, NOWHERE: none is near."""


@njit(cache=True, inline="always")
def _known(coverage: float) -> bool:
    return coverage != 0 and coverage != OPEN


@njit(cache=True, nogil=True)
def mark_slits(coverage: NDArray[np.float32], first: int, last: int) -> int:
    """Mark in slices first..last-1 what is unknown but has known voxels on both sides along an axis."""
    nz, ny, nx = coverage.shape
    steps = np.array([1, nx, nx * ny])
    flat = coverage.reshape(-1)
    found = 0
    for z in range(first, last):
        for y in range(ny):
            for x in range(nx):
                if coverage[z, y, x] != 0:
                    continue
                at = (z * ny + y) * nx + x
                for axis in range(3):
                    place, count = (x, nx) if axis == 0 else (y, ny) if axis == 1 else (z, nz)
                    step = steps[axis]
                    below = (place >= 1 and _known(flat[at - step])) or (
                        place >= 2 and _known(flat[at - 2 * step])
                    )
                    if not below:
                        continue
                    if (place + 1 < count and _known(flat[at + step])) or (
                        place + 2 < count and _known(flat[at + 2 * step])
                    ):
                        coverage[z, y, x] = OPEN
                        found += 1
                        break
    return found


@njit(cache=True, nogil=True)
def slices_to_known(
    coverage: NDArray[np.float32], offsets: Offsets, reach: int, first: int, last: int
) -> None:
    """Fill in rows first..last-1 of all slices; offsets beyond `reach` slices are NOWHERE."""
    nz, _, nx = coverage.shape
    for z in range(nz):
        for y in range(first, last):
            for x in range(nx):
                if _known(coverage[z, y, x]):
                    offsets[z, y, x] = 0
                elif z and offsets[z - 1, y, x] != NOWHERE and -offsets[z - 1, y, x] < reach:
                    offsets[z, y, x] = offsets[z - 1, y, x] - 1
                else:
                    offsets[z, y, x] = NOWHERE
    for z in range(nz - 2, -1, -1):
        for y in range(first, last):
            for x in range(nx):
                after = offsets[z + 1, y, x]
                # What lies after is 0 or has been looked at from the end; a negative one points before z.
                if 0 <= after < reach and after + 1 < abs(np.int16(offsets[z, y, x])):
                    offsets[z, y, x] = after + 1


@njit(cache=True, nogil=True)
def nearest_known(
    coverage: NDArray[np.float32],
    offsets: Offsets,
    spacing: tuple[float, float, float],
    reach_mm: float,
    z: int,
    found: NDArray[np.int64],
    square: NDArray[np.float32],
) -> int:
    """Find for the OPEN voxels of a slice the nearest known voxel within reach.

    spacing: along x, y, z, mm. found (y, x): flat index of that voxel, -1 where there is none; square (y, x):
    squared distance to it, mm2. The squared distances are minimised along one axis after the other.

    Returns
    -------
    How many were found.
    """
    ny, nx = coverage.shape[1:]
    farthest = reach_mm * reach_mm * (1 + 1e-6)
    left, right, top, bottom = nx, -1, ny, -1
    for y in range(ny):
        for x in range(nx):
            found[y, x] = -1
            if coverage[z, y, x] == OPEN:
                left, right = min(left, x), max(right, x)
                top, bottom = min(top, y), y
    if right < 0:
        return 0
    margin = int(reach_mm / spacing[0]) + 1
    rows = np.empty((ny, nx), np.int32)
    for y in range(top, bottom + 1):
        for x in range(max(0, left - margin), min(nx, right + margin + 1)):
            best, row = np.inf, -1
            if offsets[z, y, x] != NOWHERE:
                best, row = (offsets[z, y, x] * spacing[2]) ** 2, y
            k = 1
            aside = spacing[1] ** 2
            while aside <= farthest and aside < best and (y - k >= 0 or y + k < ny):
                if y - k >= 0 and offsets[z, y - k, x] != NOWHERE:
                    there = aside + (offsets[z, y - k, x] * spacing[2]) ** 2
                    if there < best:
                        best, row = there, y - k
                if y + k < ny and offsets[z, y + k, x] != NOWHERE:
                    there = aside + (offsets[z, y + k, x] * spacing[2]) ** 2
                    if there < best:
                        best, row = there, y + k
                k += 1
                aside = (k * spacing[1]) ** 2
            square[y, x] = best
            rows[y, x] = row
    count = 0
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            if coverage[z, y, x] != OPEN:
                continue
            best, column = np.inf, -1
            if rows[y, x] >= 0:
                best, column = float(square[y, x]), x
            k = 1
            aside = spacing[0] ** 2
            while aside <= farthest and aside < best and (x - k >= 0 or x + k < nx):
                if x - k >= 0 and rows[y, x - k] >= 0 and aside + square[y, x - k] < best:
                    best, column = aside + square[y, x - k], x - k
                if x + k < nx and rows[y, x + k] >= 0 and aside + square[y, x + k] < best:
                    best, column = aside + square[y, x + k], x + k
                k += 1
                aside = (k * spacing[0]) ** 2
            if best <= farthest:
                row = rows[y, column]
                found[y, x] = ((z + offsets[z, row, column]) * ny + row) * nx + column
                count += 1
                # Columns to the right still read square; the distance is taken from `found`.
    return count


@njit(cache=True, inline="always")
def _rounded(value: float, whole: bool) -> float:
    return math.floor(value + 0.5) if whole else value


@njit(cache=True, nogil=True)
def finish_holes(
    values: NDArray[Any],
    coverage: NDArray[np.float32],
    offsets: Offsets,
    found: NDArray[np.int64],
    means: NDArray[np.float32],
    spacing: tuple[float, float, float],
    reach: int,
    method: int,
    whole: bool,
    z: int,
) -> None:
    """Give the OPEN voxels of a slice a value and minus their distance to data; those far from it stay.

    found: from `nearest_known`; means: of the slice, for the Gaussian; reach: in voxels; method: index in
    FILLINGS; whole: whether values are whole numbers. A known voxel that was itself filled adds its distance.
    """
    nz, ny, nx = coverage.shape
    flat, weight = values.reshape(-1), coverage.reshape(-1)
    for y in range(ny):
        for x in range(nx):
            at = found[y, x]
            if at < 0:
                continue
            dz = (at // (ny * nx) - z) * spacing[2]
            dy = (at // nx % ny - y) * spacing[1]
            dx = (at % nx - x) * spacing[0]
            away = math.sqrt(dx * dx + dy * dy + dz * dz)
            if method == 0:
                value = float(means[y, x])
            elif method == 1:
                value = float(flat[at])
            else:
                total = weights = 0.0
                for axis in range(3):
                    for sign in (-1, 1):
                        for k in range(1, reach + 1):
                            a = z + sign * k * (axis == 2)
                            b = y + sign * k * (axis == 1)
                            c = x + sign * k * (axis == 0)
                            if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx):
                                break
                            if offsets[a, b, c] == 0:
                                share = 1 / (k * spacing[axis]) ** 2
                                total += share * values[a, b, c]
                                weights += share
                                break
                value = total / weights if weights > 0 else float(flat[at])
            values[z, y, x] = _rounded(value, whole)
            before = weight[at]
            coverage[z, y, x] = -np.float32(away) + (before if before < 0 else np.float32(0))


@njit(cache=True, nogil=True)
def blur_slice(
    values: NDArray[Any], offsets: Offsets, z: int, kernel: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Convolve what is known of a slice along x and y: out (2, y, x), values and their weight."""
    ny, nx = offsets.shape[1:]
    reach = len(kernel) // 2
    row = np.zeros((2, nx + 2 * reach), np.float32)
    blurred = np.empty((2, nx), np.float32)
    out[:] = 0
    for y in range(ny):
        for x in range(nx):
            known = np.float32(1.0) if offsets[z, y, x] == 0 else np.float32(0.0)
            row[0, reach + x] = known * values[z, y, x]
            row[1, reach + x] = known
        blurred[:] = 0
        for j in range(len(kernel)):
            tap = kernel[j]
            for x in range(nx):
                blurred[0, x] += tap * row[0, x + j]
                blurred[1, x] += tap * row[1, x + j]
        for j in range(max(0, y - reach), min(ny, y + reach + 1)):
            tap = kernel[j - y + reach]
            for x in range(nx):
                out[0, j, x] += tap * blurred[0, x]
                out[1, j, x] += tap * blurred[1, x]


@njit(cache=True, nogil=True)
def add_slice(one: NDArray[np.float32], tap: float, total: NDArray[np.float32]) -> None:
    """total += tap * one, each (2, y, x)."""
    source, target = one.reshape(-1), total.reshape(-1)
    factor = np.float32(tap)
    for i in range(target.size):
        target[i] += factor * source[i]


@njit(cache=True, nogil=True)
def divide(total: NDArray[np.float32], means: NDArray[np.float32]) -> None:
    """means (y, x) = values over weights (2, y, x), 0 where there is no weight."""
    for y in range(means.shape[0]):
        for x in range(means.shape[1]):
            weight = total[1, y, x]
            means[y, x] = total[0, y, x] / weight if weight > 0 else np.float32(0.0)
