"""Every measure of a label volume against a reference, as one long table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.volumes import Volume, resample
from myosweep.metrics import border, surface
from myosweep.metrics.overlap import Overlap, label_counts, overlap_of_label
from myosweep.metrics.volume import error_percent, volumes

UNKNOWN = 255
TOLERANCE_MM = 1.0

MetricRow = tuple[str, str, str, str, float]
COLUMNS = ["structure", "slice", "metric", "unit", "value"]

UNITS = {
    "dice": "1",
    "iou": "1",
    "precision": "1",
    "recall": "1",
    "hausdorff": "mm",
    "hausdorff_95": "mm",
    "surface_distance": "mm",
    "surface_dice": "1",
    "border_distinct": "%",
    "found_distinct": "%",
    "found_completed": "%",
    "found": "%",
    "volume": "ml",
    "exposed": "%",
    "reference_volume": "ml",
    "volume_error": "ml",
    "volume_error_percent": "%",
    "absolute_volume_error_percent": "%",
    "area": "cm2",
    "reference_area": "cm2",
}

DEFINITIONS = {
    "dice": "Twice the common voxels over the sum of both masks' voxels, 0 to 1 (Dice 1945).",
    "iou": "The common voxels over the voxels of either mask, 0 to 1 (Jaccard 1912).",
    "precision": "The part of the measured mask that lies in the reference, 0 to 1.",
    "recall": "The part of the reference that the measured mask holds, 0 to 1.",
    "hausdorff": "The largest distance from a surface voxel of either mask to the other surface, in mm "
    "(Huttenlocher et al. 1993). This and the two that follow are the diagonal of the labels' grid where one "
    "mask alone is empty.",
    "hausdorff_95": "The larger of the two directions' 95th percentiles of the surface distances, in mm.",
    "surface_distance": "The mean distance from the surface voxels of both masks to the other surface, in mm "
    "(Heimann et al. 2009).",
    "surface_dice": f"The part of the surface voxels of both masks within {TOLERANCE_MM:g} mm of the other "
    "surface, 0 to 1 (Nikolov et al. 2018).",
    "border_distinct": "The part of the reference's border that the image shows, in %: above Otsu's "
    f"threshold of the gradient of the image smoothed by {border.SMOOTHING_MM:g} mm; the rest is completed "
    "(after Gonzalez Duque 2024, part III, equation 2.1).",
    "found_distinct": f"The part of the distinct border within {TOLERANCE_MM:g} mm of the measured mask's "
    "border, in %.",
    "found_completed": f"The part of the completed border within {TOLERANCE_MM:g} mm of the measured mask's "
    "border, in %.",
    "found": f"The part of the whole reference border within {TOLERANCE_MM:g} mm of the measured mask's "
    "border, in %.",
    "volume": "The number of voxels times the voxel's volume, in ml.",
    "exposed": "The part of the measured mask's surface that lies against what was not swept, in %.",
    "reference_volume": "The reference's volume on its own grid, in ml.",
    "volume_error": "Measured minus reference volume, where the reference is known, in ml.",
    "volume_error_percent": "The volume error in % of the reference volume.",
    "absolute_volume_error_percent": "The volume error without its sign, in % of the reference volume.",
    "area": "The measured mask's area in a slice, in square centimetres.",
    "reference_area": "The reference's area in a slice, on the measured grid, in square centimetres.",
}


def evaluate(
    labels: Volume,
    reference: Volume | None,
    structures: Mapping[str, int],
    image: Volume | None = None,
    coverage: Volume | None = None,
    *,
    tolerance_mm: float = TOLERANCE_MM,
    slices: bool = False,
) -> pd.DataFrame:
    """Measure labels, and compare them with a reference where there is one.

    A reference on another grid is resampled to the labels' grid (nearest); beyond its own grid it is
    unknown. A voxel that is unknown (255) in either volume is left out of overlap, surfaces and borders: it
    counts neither as structure nor as surroundings. The volumes are those of the labels' and of the
    reference's own grid; the volume error counts the labels only where the reference is known, and takes
    unknown voxels of the labels as missed.

    An empty prediction of a structure that is there has Dice, IoU, precision, recall and surface Dice 0,
    distances equal to the diagonal of the labels' grid, and 0 % of the border found; so has a prediction of
    a structure that is not there. Where both are empty, the scores are 1 and the distances 0. Border rows
    are left out where there is no such border, or no image.

    Parameters
    ----------
    labels, reference
        uint8, (z, y, x); without a reference only what the labels alone tell.
    structures
        Label value by name.
    image, coverage
        Grey values and what is known of them (0: unknown) on the labels' grid, for the distinct borders.
        Without coverage all of the image is known.
    tolerance_mm
        For the surface Dice and the found borders.
    slices
        Also the areas of each z slice in which either mask has the structure.

    Returns
    -------
    Columns structure, slice (empty for the whole volume), metric, unit, value.
    `DEFINITIONS` says what each means.

    Raises
    ------
    InputError
        A volume does not hold labels or is not on the labels' grid.
    """
    ours = _labels_of(labels, "labels")
    for name, other in (("image", image), ("coverage", coverage)):
        if other is not None and other.array.shape != ours.shape:
            raise InputError(
                f"evaluation: {name}",
                f"shape {other.array.shape}",
                f"the labels' shape {ours.shape}",
                "give the base acquisition's volume",
            )
    rows = [*_own_rows(ours, labels, structures, coverage)]
    if reference is None:
        return pd.DataFrame(rows, columns=COLUMNS)
    own_reference = _labels_of(reference, "reference")
    if reference.grid.same_as(labels.grid):
        theirs = own_reference
    else:
        moved = resample(Volume(own_reference, reference.grid), labels.grid, nearest=True, outside=UNKNOWN)
        theirs = np.asarray(moved.array, dtype=np.uint8)
    counts = label_counts(ours, theirs)
    reference_volumes = volumes(Volume(own_reference, reference.grid), structures)
    spacing = labels.grid.spacing[::-1]
    unknown = (ours == UNKNOWN) | (theirs == UNKNOWN)
    some_unknown: NDArray[np.bool_] | None = unknown if unknown.any() else None
    edges = None if image is None else _Edges(image, coverage, theirs, tuple(structures.values()), spacing)

    for name, value in structures.items():
        found = overlap_of_label(counts, value)
        measured_ml = float(counts[value, :UNKNOWN].sum()) * labels.grid.voxel_ml
        results = [
            *_overlap_rows(found),
            *_surface_rows(ours == value, theirs == value, some_unknown, spacing, tolerance_mm, edges),
            *_volume_rows(measured_ml, reference_volumes[name]),
        ]
        rows += [(name, "", metric, UNITS[metric], result) for metric, result in results]
        if slices:
            rows += [
                (name, str(z), metric, UNITS[metric], area)
                for z, metric, area in _areas(labels, theirs, value)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _own_rows(
    ours: NDArray[np.uint8], labels: Volume, structures: Mapping[str, int], coverage: Volume | None
) -> Iterator[MetricRow]:
    """What the labels tell without a reference."""
    own_volumes = volumes(labels, structures)
    known = None if coverage is None else coverage.array != 0
    for name, value in structures.items():
        yield name, "", "volume", UNITS["volume"], own_volumes[name]
        if known is not None:
            share = surface.exposed_share(ours == value, known, labels.grid.spacing[::-1])
            yield name, "", "exposed", UNITS["exposed"], 100 * share


def _labels_of(volume: Volume, name: str) -> NDArray[np.uint8]:
    array = volume.array
    small = array.dtype.kind in "bui" and (not array.size or (array.min() >= 0 and array.max() <= UNKNOWN))
    if array.ndim != 3 or not small:
        raise InputError(
            f"evaluation: {name}",
            f"an array of shape {array.shape} and type {array.dtype}",
            "integer labels from 0 to 255, (z, y, x)",
            "export the segmentation as a label volume of 8 bits",
        )
    return array.astype(np.uint8, copy=False)


def _overlap_rows(found: Overlap) -> Iterator[tuple[str, float]]:
    yield "dice", found.dice
    yield "iou", found.iou
    yield "precision", found.precision
    yield "recall", found.recall


def _volume_rows(measured_ml: float, reference_ml: float) -> Iterator[tuple[str, float]]:
    percent = error_percent(measured_ml, reference_ml)
    yield "reference_volume", reference_ml
    yield "volume_error", measured_ml - reference_ml
    yield "volume_error_percent", percent
    yield "absolute_volume_error_percent", abs(percent)


class _Edges:
    """Where the image shows an edge, in the box around all reference structures."""

    def __init__(
        self,
        image: Volume,
        coverage: Volume | None,
        reference: NDArray[np.uint8],
        values: tuple[int, ...],
        spacing: tuple[float, ...],
    ) -> None:
        box = surface.box_of(np.isin(reference, values))
        self.offset = np.zeros(3, dtype=np.intp)
        self.shown = np.zeros((0, 0, 0), dtype=bool)
        if box is None:
            return
        margin = [int(np.ceil(4 * border.SMOOTHING_MM / step)) + 1 for step in spacing]
        wide = tuple(
            slice(max(s.start - m, 0), min(s.stop + m, n))
            for s, m, n in zip(box, margin, reference.shape, strict=True)
        )
        known = np.ones_like(image.array[wide], dtype=bool) if coverage is None else coverage.array[wide] != 0
        strength = border.edge_strength(image.array[wide], known, spacing)
        self.offset = np.array([s.start for s in wide])
        self.shown = strength > border.otsu_threshold(strength[strength >= 0])

    def at(self, indices: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether the image shows an edge at voxels of the reference, shape (n, 3)."""
        z, y, x = (indices - self.offset).T
        return np.asarray(self.shown[z, y, x], dtype=bool)


def _surface_rows(
    ours: NDArray[np.bool_],
    theirs: NDArray[np.bool_],
    unknown: NDArray[np.bool_] | None,
    spacing: tuple[float, ...],
    tolerance_mm: float,
    edges: _Edges | None,
) -> Iterator[tuple[str, float]]:
    if unknown is not None:
        ours, theirs = ours & ~unknown, theirs & ~unknown
    reference = surface.surface_indices(theirs, unknown)
    distances = surface.distances_between(
        surface.surface_indices(ours, unknown), reference, spacing, surface.grid_diagonal(ours.shape, spacing)
    )
    yield "hausdorff", distances.hausdorff
    yield "hausdorff_95", distances.percentile(95)
    yield "surface_distance", distances.average
    yield "surface_dice", distances.surface_dice(tolerance_mm)
    if edges is not None and len(reference):
        shares = border.border_shares(distances.from_reference, edges.at(reference), tolerance_mm)
        for metric, share in (
            ("border_distinct", shares.distinct),
            ("found_distinct", shares.found_distinct),
            ("found_completed", shares.found_completed),
            ("found", shares.found),
        ):
            if share is not None:
                yield metric, share


def _areas(labels: Volume, reference: NDArray[np.uint8], value: int) -> Iterator[tuple[int, str, float]]:
    pixel_cm2 = labels.grid.spacing[0] * labels.grid.spacing[1] / 100.0
    ours = np.count_nonzero(labels.array == value, axis=(1, 2))
    theirs = np.count_nonzero(reference == value, axis=(1, 2))
    for z in np.flatnonzero(ours | theirs):
        yield int(z), "area", int(ours[z]) * pixel_cm2
        yield int(z), "reference_area", int(theirs[z]) * pixel_cm2
