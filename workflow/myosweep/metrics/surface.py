"""Distances between the surfaces of two masks.

Definitions, used throughout. A surface voxel belongs to the mask and shares a face with a voxel that does
not; what lies beyond the array does not belong to the mask, and a face towards an unknown voxel is no
surface. The distance of a surface voxel is that from its centre to the nearest centre of a surface voxel of
the other mask, in mm. With the distances of all surface voxels of both masks:

- Hausdorff distance: the largest (Huttenlocher et al. 1993).
- HD95: the larger of the two 95th percentiles, one per direction, linear between ranks (as in MONAI; MedPy
  takes one percentile of both directions together, which is smaller or equal).
- Average symmetric surface distance: the mean over the surface voxels of both masks (Heimann et al. 2009).
- Normalised surface Dice at a tolerance: the share of surface voxels of both masks whose distance is at most
  the tolerance (Nikolov et al. 2018, who count surface area in place of voxels).

Where both masks are empty the distances are 0 and the surface Dice 1. Where one is empty, the distances are
the diagonal of the grid's box (voxel centre to voxel centre), the largest that can occur, and the surface
Dice is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm between two surfaces; the measures are defined in this module's docstring.

    Attributes
    ----------
    from_prediction
        One per surface voxel of the prediction.
    from_reference
        One per surface voxel of the reference; infinite where the prediction has no surface.
    worst
        What stands for a distance where only one mask has a surface.
    """

    from_prediction: NDArray[np.float64]
    from_reference: NDArray[np.float64]
    worst: float

    @property
    def _defined(self) -> bool:
        return bool(self.from_prediction.size and self.from_reference.size)

    @property
    def _undefined_distance(self) -> float:
        return self.worst if self.from_prediction.size or self.from_reference.size else 0.0

    @property
    def hausdorff(self) -> float:
        """Hausdorff distance in mm."""
        if not self._defined:
            return self._undefined_distance
        return float(max(self.from_prediction.max(), self.from_reference.max()))

    def percentile(self, percent: float = 95.0) -> float:
        """Hausdorff distance at a percentile, in mm."""
        if not self._defined:
            return self._undefined_distance
        directed = (np.percentile(self.from_prediction, percent), np.percentile(self.from_reference, percent))
        return float(max(directed))

    @property
    def average(self) -> float:
        """Average symmetric surface distance in mm."""
        if not self._defined:
            return self._undefined_distance
        total = float(self.from_prediction.sum() + self.from_reference.sum())
        return total / (self.from_prediction.size + self.from_reference.size)

    def surface_dice(self, tolerance_mm: float) -> float:
        """Normalised surface Dice."""
        if not self._defined:
            return 0.0 if self.from_prediction.size or self.from_reference.size else 1.0
        # Distances are sums of squares of multiples of the spacing: 3 x 0.1 must count as within 0.3.
        limit = tolerance_mm * (1 + 1e-9)
        close = np.count_nonzero(self.from_prediction <= limit) + np.count_nonzero(
            self.from_reference <= limit
        )
        return int(close) / (self.from_prediction.size + self.from_reference.size)


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds the mask, or None where it is empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        # One axis after the other, each on what the last one left: the first pass is the only long one.
        part = mask[tuple(box)]
        hit = np.flatnonzero(part.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not hit.size:
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)


def surface_indices(mask: NDArray[np.bool_], unknown: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Indices of the surface voxels of a mask, shape (n, dimensions), in the array's order.

    Parameters
    ----------
    mask
        Any number of dimensions.
    unknown
        Voxels that belong neither to the mask nor to its surroundings; they must not be in the mask.
    """
    box = box_of(mask)
    if box is None:
        return np.empty((0, mask.ndim), dtype=np.intp)
    # Grown by one voxel on each side, within the array, for the neighbours.
    wide = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, mask.shape, strict=True))
    part = mask[wide]
    filled = np.pad(part if unknown is None else part | unknown[wide], 1)
    centre = slice(1, -1)
    inner = part.copy()
    for axis in range(mask.ndim):
        for shifted in (slice(None, -2), slice(2, None)):
            inner &= filled[tuple(shifted if other == axis else centre for other in range(mask.ndim))]
    start = np.array([s.start for s in wide], dtype=np.intp)
    indices: NDArray[np.intp] = np.argwhere(part & ~inner) + start
    return indices


def distances_between(
    prediction: NDArray[np.intp], reference: NDArray[np.intp], spacing: Sequence[float], worst: float
) -> SurfaceDistances:
    """Distances between two sets of surface voxels.

    Parameters
    ----------
    prediction, reference
        Voxel indices, shape (n, dimensions).
    spacing
        mm along each axis of the array.
    worst
        See `SurfaceDistances`.
    """
    if not len(prediction) or not len(reference):
        return SurfaceDistances(np.full(len(prediction), np.inf), np.full(len(reference), np.inf), worst)
    step = np.asarray(spacing, dtype=np.float64)
    ours, theirs = prediction * step, reference * step
    return SurfaceDistances(_nearest(ours, theirs), _nearest(theirs, ours), worst)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    tree = cKDTree(others, balanced_tree=False)
    return np.asarray(tree.query(points)[0], dtype=np.float64)


def grid_diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Distance in mm between the centres of the two voxels that lie farthest apart."""
    return float(np.linalg.norm((np.asarray(shape) - 1) * np.asarray(spacing)))


def surface_distances(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing: Sequence[float],
    unknown: NDArray[np.bool_] | None = None,
) -> SurfaceDistances:
    """Distances between the surfaces of two masks.

    Parameters
    ----------
    prediction, reference
        Masks of the same shape, of any number of dimensions.
    spacing
        mm along each axis of the arrays.
    unknown
        Voxels to leave out of both.
    """
    if unknown is not None:
        prediction, reference = prediction & ~unknown, reference & ~unknown
    return distances_between(
        surface_indices(prediction, unknown),
        surface_indices(reference, unknown),
        spacing,
        grid_diagonal(reference.shape, spacing),
    )


def exposed_share(structure: NDArray[np.bool_], known: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """The share of a structure's surface, by area of voxel faces, that lies against unknown voxels.

    Beyond the array nothing is known. 0 for an empty structure.

    Parameters
    ----------
    structure, known
        (z, y, x).
    spacing
        Along (z, y, x), mm.
    """
    box = find_objects(structure.view(np.uint8), max_label=1)[0]
    if box is None:
        return 0.0
    # One voxel around the box, with unknown ones beyond the array.
    wide = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    missing = [
        (int(part.start == 0), int(part.stop == count))
        for part, count in zip(box, structure.shape, strict=True)
    ]
    inside, seen = np.pad(structure[wide], missing), np.pad(known[wide], missing)
    surface = exposed = 0.0
    for axis in range(3):
        face = float(np.prod(spacing)) / spacing[axis]
        for step in (-1, 1):
            # Rolled around, the outermost layer meets the opposite one: neither holds the structure.
            border = inside & ~np.roll(inside, step, axis)
            surface += face * np.count_nonzero(border)
            exposed += face * np.count_nonzero(border & ~np.roll(seen, step, axis))
    return exposed / surface
