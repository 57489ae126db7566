"""One label volume per case, from all acquisitions and from what was drawn by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, find_objects

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.labels.completeness import (
    ANNOTATED,
    NOT_ANNOTATED,
    PARTIAL,
    Exposure,
    OpenEnd,
    exposure,
    summary_of,
)
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.hand import read_hand

# Where less of the kernel lies on known voxels, they are not smoothed: its weights may be negative, and what
# is divided by a few of them could be anything. On a straight border it is 0.5 and more, at a corner 0.47.
_LEAST_WEIGHT = 0.25


def smoothing_kernel(taps: int, smoothing: str = "twicing") -> NDArray[np.float64]:
    """The weights of one axis, which sum to 1.

    `gaussian` is a sampled Gaussian g with the standard deviation that OpenCV gives to this many taps, 0.3
    ((taps - 1) / 2 - 1) + 0.8 voxels: 1.4 for the 7 taps of Gonzalez Duque 2024, who names no sigma. It draws
    a border of curvature k inwards by sigma^2 k / 2, which takes 0.5 to 1 % of a muscle's volume at voxels of
    1 mm. `twicing` (Tukey 1977), 2 g - g * g with 2 taps - 1 weights, smooths almost as much and has no
    second moment: of discs of radius 7 and 10 voxels it takes a third of what the Gaussian takes.
    """
    if taps < 1 or taps % 2 == 0:
        raise InputError(
            "labels.smoothing_voxels",
            str(taps),
            "an odd number of voxels, 1 for none",
            "write 7, for example",
        )
    if smoothing not in ("twicing", "gaussian"):
        raise InputError("labels.smoothing", f"'{smoothing}'", "twicing or gaussian", "correct the word")
    if taps == 1:
        return np.ones(1)
    sigma = 0.3 * ((taps - 1) / 2 - 1) + 0.8
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    gaussian = np.asarray(weights / weights.sum())
    if smoothing == "gaussian":
        return gaussian
    return 2 * np.pad(gaussian, taps // 2) - np.convolve(gaussian, gaussian)


def merge_labels(
    fractions: Sequence[Volume],
    summaries: Sequence[Mapping[str, Mapping[str, Any]]],
    grid: Grid,
    structures: Mapping[str, int],
    *,
    smoothing_voxels: int = 7,
    smoothing: str = "twicing",
    smooth_3d: bool = True,
    hand: Volume | None = None,
    interpolation: str = "shape",
    ends: str = "cut",
) -> tuple[Volume, dict[str, dict[str, Any]]]:
    """Merge, smooth and threshold the fractions of all acquisitions.

    Where several acquisitions know a structure, the mean of their fractions counts. It is smoothed over known
    voxels alone; a known voxel belongs to the structure from 0.5 on. Where two
    structures claim a voxel the larger smoothed value decides, at a tie the first in `structures`.

    Parameters
    ----------
    fractions, summaries
        What `label_acquisition` gave for each acquisition.
    grid
        The base acquisition's.
    structures
        All structures, name to label value.
    smoothing_voxels, smoothing
        Taps of the Gaussian, odd, and what is made of it; see `smoothing_kernel`.
    smooth_3d
        Smooth along z too, not only in the plane of a slice.
    hand
        Labels drawn by hand; they replace the made ones of the structures they hold, as they were drawn,
        and win every overlap.
    interpolation
        For the slices that were not drawn by hand; `shape` for the methods that decide in space.
    ends
        What stands beyond the first and last slice drawn by hand, as in `label_acquisition`.

    Returns
    -------
    labels
        uint8 (z, y, x); 255 where nothing is known of any structure. `metadata["not_annotated"]` names the
        structures that background says nothing about.
    summaries
        Per structure as in `label_acquisition`, judged on the merged volume, and voxels.

    Raises
    ------
    InputError
        Volumes lie on another grid; hand-made labels hold a value that is not in the settings.
    """
    for volume in fractions:
        if not volume.grid.same_as(grid) or volume.array.shape != (*grid.shape, len(structures)):
            raise InputError(
                "label fractions",
                f"{volume.array.shape}",
                f"{(*grid.shape, len(structures))} on the base grid",
                "make them again",
            )
    drawn = read_hand(hand, grid, structures, interpolation, ends) if hand is not None else {}
    kernel = smoothing_kernel(smoothing_voxels, smoothing)
    sources: dict[str, list[NDArray[np.uint8]]] = {}
    for component, name in enumerate(structures):
        made = [
            volume.array[..., component]
            for volume, summary in zip(fractions, summaries, strict=True)
            if summary[name]["annotated_frames"]
        ]
        sources[name] = [drawn[name].fractions] if name in drawn else made

    means = {name: _Means(own, len(kernel)) for name, own in sources.items() if own}
    labels = np.full(grid.shape, UNKNOWN, dtype=np.uint8)
    strongest = np.zeros(grid.shape[1:], dtype=np.float32)
    for z in range(grid.shape[0]):
        strongest[:] = 0
        for name, value in structures.items():
            if not sources[name]:
                continue
            known = _known(sources[name], z)
            labels[z][known & (labels[z] == UNKNOWN)] = 0
            if name in drawn:
                strength = np.where(sources[name][0][z] >= FULL // 2, np.float32(2), np.float32(0))
            else:
                strength = _smoothed(means[name], z, kernel, smooth_3d)
            take = known & (strength >= 0.5) & (strength > strongest)
            labels[z][take] = value
            strongest[take] = strength[take]

    merged = {}
    for name, value in structures.items():
        parts = [summary[name] for summary in summaries if summary[name]["annotated_frames"]]
        if name in drawn:
            parts = [drawn[name].summary]
        merged[name] = _summary(parts, sources[name], labels == value, grid)
        if not parts:
            merged[name] |= _why_nothing([summary[name] for summary in summaries])
        if name in drawn:
            merged[name]["source"] = "hand"
    missing = ",".join(name for name in structures if merged[name]["status"] not in (ANNOTATED, PARTIAL))
    return Volume(labels, grid, {"not_annotated": missing} if missing else {}), merged


def _why_nothing(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Status and reason of a structure that no acquisition shows: a failure says more than an absence."""
    told = sorted(summaries, key=lambda summary: (summary["status"] == NOT_ANNOTATED, not summary["reason"]))
    if not told:
        return {"status": NOT_ANNOTATED, "reason": "no acquisition can be used"}
    return {"status": str(told[0]["status"]), "reason": str(told[0]["reason"])}


def _known(sources: Sequence[NDArray[np.uint8]], z: int) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = sources[0][z] != UNKNOWN
    for source in sources[1:]:
        known = known | (source[z] != UNKNOWN)
    return known


class _Means:
    """The means of a structure's sources by slice; those that a slice's neighbours need again are kept."""

    def __init__(self, sources: Sequence[NDArray[np.uint8]], kept: int) -> None:
        self.sources = sources
        self.kept = kept
        self.slices: dict[int, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]] = {}

    def of(self, z: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """The mean fraction (0 where unknown), 1 where it is known, 1 where it is more than 0."""
        if z not in self.slices:
            for old in [other for other in self.slices if other < z - self.kept]:
                del self.slices[old]
            self.slices[z] = self._mean(z)
        return self.slices[z]

    def _mean(self, z: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        total = np.zeros(self.sources[0].shape[1:], dtype=np.float32)
        count = np.zeros_like(total)
        for source in self.sources:
            known = source[z] != UNKNOWN
            total += np.where(known, source[z], 0)
            count += known
        mean = total / (FULL * np.maximum(count, 1))
        return mean, (count > 0).astype(np.float32), (mean > 0).view(np.uint8)


def _smoothed(means: _Means, z: int, kernel: NDArray[np.float64], smooth_3d: bool) -> NDArray[np.float32]:
    """The smoothed fraction of one slice; 0 further than the kernel from any of the structure."""
    depth = means.sources[0].shape[0]
    reach = len(kernel) // 2
    near = range(max(0, z - reach), min(depth, z + reach + 1)) if smooth_3d else range(z, z + 1)
    strength = np.zeros(means.sources[0].shape[1:], dtype=np.float32)
    found = find_objects(np.bitwise_or.reduce([means.of(other)[2] for other in near]), max_label=1)[0]
    if found is None:
        return strength
    box = (
        slice(max(0, found[0].start - reach), found[0].stop + reach),
        slice(max(0, found[1].start - reach), found[1].stop + reach),
    )
    own, own_known = (part[box] for part in means.of(z)[:2])
    total, weight = own, own_known
    if smooth_3d:
        total, weight = np.zeros_like(own), np.zeros_like(own_known)
        for other in near:
            tap = np.float32(kernel[other - z + reach])
            part, known, _ = means.of(other)
            total += tap * part[box]
            weight += tap * known[box]
    for axis in range(2):
        total = correlate1d(total, kernel, axis=axis, mode="constant")
        weight = correlate1d(weight, kernel, axis=axis, mode="constant")
    enough = weight >= _LEAST_WEIGHT
    strength[box] = np.where(enough, total, own) / np.where(enough, weight, np.maximum(own_known, 1e-6))
    return strength


def _summary(
    parts: Sequence[Mapping[str, Any]],
    sources: Sequence[NDArray[np.uint8]],
    structure: NDArray[np.bool_],
    grid: Grid,
) -> dict[str, Any]:
    axis = "zyx".index(parts[0]["axis"]) if parts else 0
    known = np.zeros(grid.shape, dtype=bool)
    for source in sources:
        known |= source != UNKNOWN
    ends = [OpenEnd(**end) for part in parts for end in part["open_ends"]]
    frames = sum(part["annotated_frames"] for part in parts)
    found = exposure(structure, known, grid, axis)
    if any(part.get("ends", "cut") != "cut" for part in parts):
        # What the ends added hides where annotations ended; an end that one acquisition saw is not open.
        low = min(part["exposed_low_mm2"] for part in parts)
        high = min(part["exposed_high_mm2"] for part in parts)
        found = Exposure(low, high, found.side_share)
    sweeps = sum(part["sweeps"] for part in parts)
    summary = summary_of(found, ends, frames, sweeps, axis, bool(known.any()))
    return {**summary, "voxels": int(np.count_nonzero(structure)), "source": "annotations" if parts else ""}
