"""Methods that grow annotated pixels through the compounded image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.errors import InputError
from myosweep.geometry import Grid, Matrix
from myosweep.io.volumes import Volume, resample
from myosweep.labels.fractions import FULL
from myosweep.labels.itk_filters import from_itk, itk_filter, to_itk
from myosweep.labels.surface import Slice

# Voxels that a method works on at most; a larger region is taken at coarser voxels.
MOST_VOXELS = 3_000_000
# The region reaches this many usual gaps beyond what was drawn, at least the margin in mm.
_MARGIN_MM = 10.0
# The image is smoothed before its gradient is taken, mm.
_SMOOTHING_MM = 1.5
_STRUCTURE, _BACKGROUND = 2, 1

Grower = Callable[[NDArray[np.float32], NDArray[np.uint8], tuple[float, float, float]], NDArray[np.bool_]]


def grow_region(
    method: str, sweeps: Sequence[Sequence[Slice]], image: Volume, gap_mm: float
) -> Volume | None:
    """Grow one structure from its annotated pixels through the image.

    Parameters
    ----------
    method
        "grow_from_seeds" or "watershed".
    sweeps
        Per sweep its annotated frames, in the image's world.
    image
        Grey values (z, y, x), 0 where nothing is known.
    gap_mm
        The usual way between annotated frames.

    Returns
    -------
    Fractions 0 or 250, uint8 (z, y, x), in the box around what was drawn and a margin, beyond which there is
    nothing of the structure; at most `MOST_VOXELS`. None where nothing was drawn.
    """
    box = _box(sweeps, image.grid, max(gap_mm, _MARGIN_MM))
    if box is None:
        return None
    seeds = _seeds(sweeps, box)
    if not (seeds == _STRUCTURE).any():
        return None
    values = resample(Volume(image.array.astype(np.float32), image.grid), box).array
    # One slice of background all round, so that something stops the structure where nothing was drawn.
    for axis in range(3):
        for side in (0, -1):
            face = np.moveaxis(seeds, axis, 0)[side]
            face[face == 0] = _BACKGROUND
    grown = _GROWERS[method](np.asarray(values, dtype=np.float32), seeds, box.spacing)
    return Volume(np.where(grown, FULL, 0).astype(np.uint8), box)


def _box(sweeps: Sequence[Sequence[Slice]], grid: Grid, margin: float) -> Grid | None:
    """The part of the grid around the structure, at voxels so large that it is not too many."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for frames in sweeps:
        for item in frames:
            if not item.mask.any():
                continue
            row, column = np.nonzero(item.mask)
            corners = np.array(
                [(x, y, 0, 1) for x in (column.min(), column.max()) for y in (row.min(), row.max())]
            )
            place = (grid.world_to_index @ item.image_to_world @ corners.T)[:3]
            low, high = np.minimum(low, place.min(axis=1)), np.maximum(high, place.max(axis=1))
    reach = margin / np.array(grid.spacing)
    first = np.clip(np.floor(low - reach), 0, np.array(grid.size) - 1)
    last = np.clip(np.ceil(high + reach), 0, np.array(grid.size) - 1)
    if not (np.isfinite(low).all() and (last > first).all()):
        return None
    size = (last - first + 1).astype(int)
    box = Grid(
        (int(size[0]), int(size[1]), int(size[2])),
        grid.spacing,
        (grid.index_to_world @ np.array([*first, 1.0]))[:3],
        grid.direction,
    )
    if box.voxels <= MOST_VOXELS:
        return box
    volume = float(np.prod(np.array(box.spacing) * size))
    return box.resized(max(*box.spacing, (volume / MOST_VOXELS) ** (1 / 3)))


def _seeds(sweeps: Sequence[Sequence[Slice]], box: Grid) -> NDArray[np.uint8]:
    """Each voxel that an annotated pixel lies in: structure, background, or 0; by majority."""
    votes = np.zeros((2, box.voxels), dtype=np.int32)
    nx, ny, nz = box.size
    for frames in sweeps:
        for item in frames:
            row, column = np.nonzero(item.known)
            place = box.world_to_index @ item.image_to_world @ np.stack([column, row, 0 * row, 1 + 0 * row])
            x, y, z = np.rint(place[:3]).astype(np.int64)
            inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
            flat = ((z * ny + y) * nx + x)[inside]
            drawn = item.mask[row, column][inside]
            votes[0] += np.bincount(flat[~drawn], minlength=box.voxels).astype(np.int32)
            votes[1] += np.bincount(flat[drawn], minlength=box.voxels).astype(np.int32)
    seeds = np.where(votes[1] > votes[0], _STRUCTURE, np.where(votes[0] > 0, _BACKGROUND, 0))
    return seeds.astype(np.uint8).reshape(box.shape)


def _grow_cut(
    image: NDArray[np.float32], seeds: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Fast GrowCut (Zhu, Kolesov, Gao et al. 2014), ITK's module of 3D Slicer's Grow from seeds."""
    # Slicer takes whole grey values; the distance of two voxels is the difference of theirs.
    cut = itk_filter("itkFastGrowCut", np.int16, np.uint8)
    grey, marks = to_itk(np.rint(image).astype(np.int16), spacing), to_itk(seeds, spacing)
    cut.SetInput(grey)
    cut.SetSeedImage(marks)
    cut.Update()
    return np.asarray(from_itk(cut.GetOutput(), np.uint8) == _STRUCTURE)


def _watershed(
    image: NDArray[np.float32], seeds: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Flooding of the smoothed image's gradient from markers (Beucher and Meyer 1993), SimpleITK's."""
    import SimpleITK as sitk

    sigma = [_SMOOTHING_MM / size for size in spacing[::-1]]
    gradient = ndimage.gaussian_gradient_magnitude(image, sigma)
    flooded = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(gradient), sitk.GetImageFromArray(seeds), markWatershedLine=False
    )
    return np.asarray(sitk.GetArrayFromImage(flooded) == _STRUCTURE)


_GROWERS: dict[str, Grower] = {"grow_from_seeds": _grow_cut, "watershed": _watershed}


def require_image(image: Volume | None, method: str) -> Volume:
    """The compounded image that a method needs."""
    if image is None:
        raise InputError(
            f"labels.interpolation: {method}",
            "no compounded volume",
            "the acquisition's volume",
            "compound the acquisition first",
        )
    return image


def image_on_base(image: Volume, grid: Grid, base_to_acquisition: Matrix) -> Volume:
    """An acquisition's image on a grid in the base acquisition's world."""
    return resample(image, grid, base_to_acquisition)
