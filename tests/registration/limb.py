"""A small layered limb with its own speckle in each recording."""

from __future__ import annotations

import numpy as np
from myosweep.geometry import Grid, apply_transform
from myosweep.io.volumes import Volume
from myosweep.registration import Shrunk
from scipy import ndimage

SIZE = 56


def scene(points):
    """Grey values of a layered limb with a bone, at points (..., 3) in mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    values = np.where(y < 8 + 0.1 * x + 3 * np.sin(z / 11), 25.0, 60.0)
    for cx, cy, a, b, grey in ((-9, 26, 14, 9, 40), (12, 31, 11, 8, 35)):
        inside = ((x - cx - 0.1 * z) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - 26) / 30) ** 2
        values = np.where(inside < 1, grey, np.where(inside < 1.2, 130.0, values))
    bone = np.hypot(x - 4, y - 48 + 0.1 * z)
    return np.where(bone < 5, 12.0, np.where(bone < 7, 180.0, values))


def recording(world_to_scene, seed, size=(SIZE, SIZE, SIZE), spacing=1.0, origin=(-28, 0, 0)):
    """The scene with its own speckle; a strip at the side and the depth is not covered."""
    grid = Grid(size, (spacing,) * 3, np.asarray(origin, dtype=float), np.eye(3))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")[::-1], axis=-1)
    points = apply_transform(world_to_scene, apply_transform(grid.index_to_world, index))
    speckle = np.random.default_rng(seed).rayleigh(0.8, grid.shape)
    values = np.clip(scene(points) * (1 + 1.5 * (ndimage.gaussian_filter(speckle, 0.6) - 1)), 0, 255)
    coverage = np.ones(grid.shape, dtype=np.float32)
    coverage[:, :, : int(3 + seed % 3)] = 0
    coverage[:, int(size[1] * 0.93) :] = 0
    coverage[2] *= -1.5
    values[coverage == 0] = 0
    return Volume(values.astype(np.uint8), grid), Volume(coverage, grid)


def as_shrunk(volume, coverage):
    """What shrinking to the same spacing gives."""
    known = (coverage.array != 0).astype(np.uint8)
    values = np.where(known, volume.array, volume.array[known > 0].mean()).astype(np.float32)
    return Shrunk(Volume(values, volume.grid), Volume(known, volume.grid))


def mean_error(found, true):
    points = np.random.default_rng(0).uniform((-20, 8, 5), (20, 48, 50), (1000, 3))
    return np.linalg.norm(apply_transform(found, points) - apply_transform(true, points), axis=1).mean()
