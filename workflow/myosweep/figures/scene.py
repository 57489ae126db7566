"""What the pictures of a case have in common: its arrays on one grid, and what was counted in them once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, resample

UNKNOWN = 255

# A slice whose outline is open over more than this share has no closed border of its own.
OPEN_OUTLINE_SHARE = 0.05


@dataclass(frozen=True)
class Scene:
    """A case on one grid.

    Attributes
    ----------
    image
        uint8 (z, y, x).
    coverage
        float32 (z, y, x): pixels per voxel, minus the distance in mm where filled, 0 where unknown.
    labels
        uint8 (z, y, x) for each source, in the order in which they are drawn.
    reference
        uint8 (z, y, x) or None.
    structures
        Label value of each structure.
    along
        What the z axis is called.
    """

    case: str
    image: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    labels: dict[str, NDArray[np.uint8]]
    reference: NDArray[np.uint8] | None
    structures: dict[str, int]
    grid: Grid
    along: str

    @property
    def main(self) -> str | None:
        """The first source, or None."""
        return next(iter(self.labels), None)

    @property
    def masks(self) -> dict[str, NDArray[np.uint8]]:
        """All label arrays, the reference last under its own name."""
        masks = dict(self.labels)
        if self.reference is not None:
            masks["reference"] = self.reference
        return masks


def make_scene(
    case: str,
    image: Volume,
    coverage: Volume,
    labels: dict[str, Volume],
    reference: Volume | None,
    structures: dict[str, int],
    axes: str,
) -> Scene:
    """Bring everything onto the image's grid (nearest voxel; beyond a mask's own box it is unknown)."""

    def fitted(volume: Volume, outside: float) -> NDArray[Any]:
        if volume.grid.same_as(image.grid):
            return volume.array
        return resample(volume, image.grid, nearest=True, outside=outside).array

    return Scene(
        case=case,
        image=image.array,
        coverage=fitted(coverage, 0),
        labels={name: fitted(volume, UNKNOWN) for name, volume in labels.items()},
        reference=None if reference is None else fitted(reference, UNKNOWN),
        structures=structures,
        grid=image.grid,
        along="z, along the sweep (mm)" if axes == "probe" else "z (mm)",
    )


@dataclass(frozen=True)
class Areas:
    """What one label volume holds in each slice.

    Attributes
    ----------
    area_cm2
        (structures, z); nan where the whole slice is unknown.
    open_share
        (structures, z): the share of a structure's outline, in the slice, that borders on unknown voxels or
        on the edge of the volume.
    volume_ml
        For each structure.
    """

    area_cm2: NDArray[np.float64]
    open_share: NDArray[np.float64]
    volume_ml: NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Counts over a scene.

    Attributes
    ----------
    covered, filled
        Voxels per slice, (z,).
    muscle_covered, muscle_filled, muscle_far, muscle
        The same within the structures of the main source, and all voxels of these.
    fill_distance_mm
        Median and largest distance of filled voxels from data, or None.
    box
        First and last voxel with data along z, y, x.
    muscle_box
        The same for all structures of all sources and the reference; without any, the box of the data.
    centre
        Voxel (z, y, x) through which the cuts go.
    areas
        For each source, and `reference`.
    """

    covered: NDArray[np.int64]
    filled: NDArray[np.int64]
    muscle_covered: NDArray[np.int64]
    muscle_filled: NDArray[np.int64]
    muscle_far: NDArray[np.int64]
    muscle: NDArray[np.int64]
    fill_distance_mm: tuple[float, float] | None
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    muscle_box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    centre: tuple[int, int, int]
    areas: dict[str, Areas]


DISTANCE_BINS_PER_MM = 20
DISTANCE_BINS = 2000
# A filled voxel is far from data beyond this; frames 5 mm apart, as published, leave 2.5 mm.
FAR_MM = 3.0


def survey(scene: Scene) -> Survey:
    """Count slice by slice, so that a full leg needs no second copy of itself."""
    depth, rows, columns = scene.image.shape
    counts = np.zeros((6, depth), dtype=np.int64)
    known_y, known_x = np.zeros(rows, dtype=bool), np.zeros(columns, dtype=bool)
    muscle_z = np.zeros(depth, dtype=np.int64)
    muscle_y, muscle_x = np.zeros(rows, dtype=np.int64), np.zeros(columns, dtype=np.int64)
    distances = np.zeros(DISTANCE_BINS, dtype=np.int64)
    farthest = 0.0
    values = np.array(list(scene.structures.values()), dtype=np.intp)
    is_structure = np.zeros(256, dtype=bool)
    is_structure[values] = True
    areas = {name: _AreaCounter(depth, values) for name in scene.masks}
    for z in range(depth):
        coverage = scene.coverage[z]
        covered, filled = coverage > 0, coverage < 0
        counts[0, z], counts[1, z] = covered.sum(), filled.sum()
        known = covered | filled
        known_y |= known.any(axis=1)
        known_x |= known.any(axis=0)
        if counts[1, z]:
            distance = -coverage[filled]
            farthest = max(farthest, float(distance.max()))
            bins = np.minimum(distance * DISTANCE_BINS_PER_MM, DISTANCE_BINS - 1).astype(np.intp)
            distances += np.bincount(bins, minlength=DISTANCE_BINS)
        for name, mask in scene.masks.items():
            areas[name].count(z, mask[z])
            muscle = is_structure[mask[z]]
            muscle_z[z] += muscle.sum()
            muscle_y += muscle.sum(axis=1)
            muscle_x += muscle.sum(axis=0)
            if name == scene.main:
                counts[2, z], counts[3, z] = (muscle & covered).sum(), (muscle & filled).sum()
                counts[4, z] = muscle.sum()
                counts[5, z] = (muscle & (coverage < -FAR_MM)).sum()
    box = (_ends(counts[0] + counts[1] > 0), _ends(known_y), _ends(known_x))
    muscle_box, centre = box, tuple((low + high) // 2 for low, high in box)
    if muscle_z.any():
        muscle_box = (_ends(muscle_z > 0), _ends(muscle_y > 0), _ends(muscle_x > 0))
        centre = tuple(_median(profile) for profile in (muscle_z, muscle_y, muscle_x))
    fill = None
    if distances.any():
        fill = ((_median(distances) + 0.5) / DISTANCE_BINS_PER_MM, farthest)
        fill = (min(fill), farthest)
    return Survey(
        covered=counts[0],
        filled=counts[1],
        muscle_covered=counts[2],
        muscle_filled=counts[3],
        muscle_far=counts[5],
        muscle=counts[4],
        fill_distance_mm=fill,
        box=box,
        muscle_box=muscle_box,
        centre=(centre[0], centre[1], centre[2]),
        areas={name: counter.areas(scene.grid) for name, counter in areas.items()},
    )


class _AreaCounter:
    def __init__(self, depth: int, values: NDArray[np.intp]) -> None:
        self.values = values
        self.size = np.zeros((len(values), depth), dtype=np.int64)
        self.edge = np.zeros_like(self.size)
        self.open = np.zeros_like(self.size)
        self.known = np.zeros(depth, dtype=bool)

    def count(self, z: int, mask: NDArray[np.uint8]) -> None:
        histogram = np.bincount(mask.ravel(), minlength=256)
        self.size[:, z] = histogram[self.values]
        self.known[z] = histogram[UNKNOWN] < mask.size
        if not self.size[:, z].any():
            return
        padded = np.pad(mask, 1, constant_values=UNKNOWN)
        neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        edge, opened = np.zeros(mask.shape, dtype=bool), np.zeros(mask.shape, dtype=bool)
        for neighbour in neighbours:
            edge |= neighbour != mask
            opened |= neighbour == UNKNOWN
        self.edge[:, z] = np.bincount(mask[edge], minlength=256)[self.values]
        self.open[:, z] = np.bincount(mask[opened], minlength=256)[self.values]

    def areas(self, grid: Grid) -> Areas:
        pixel_cm2 = grid.spacing[0] * grid.spacing[1] / 100.0
        area = np.asarray(self.size * pixel_cm2, dtype=np.float64)
        area[:, ~self.known] = np.nan
        return Areas(
            area_cm2=area,
            open_share=self.open / np.maximum(self.edge, 1),
            volume_ml=self.size.sum(axis=1) * grid.voxel_ml,
        )


def _ends(found: NDArray[np.bool_]) -> tuple[int, int]:
    where = np.flatnonzero(found)
    if len(where) == 0:
        return 0, len(found) - 1
    return int(where[0]), int(where[-1])


def _median(profile: NDArray[np.int64]) -> int:
    return int(np.searchsorted(np.cumsum(profile), profile.sum() / 2))
