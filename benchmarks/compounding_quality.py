"""How good the compounded volume of a simulated leg is, by method, in one run.

    python benchmarks/compounding_quality.py RECORDINGS [--spacing 0.5] [--only held-out]

RECORDINGS is a folder that `myosweep.phantom.simulate_case` has written (make one with --simulate PRESET).

Held-out frames: every second frame of each sweep is left out, and the volume of the others is sampled
(trilinear) at the pixels of those left out. RMS: root of the mean squared difference in grey levels over all
their pixels between the first and the last frame that was used, an empty voxel being black; unknown: the
share of these pixels whose nearest voxel is empty. `in shadow`: the same of pixels that bone shadows
(`phantom_shadow`); `beside shadow`: of pixels that no bone shadows, where more than a fifth of what
frames say comes from pixels in shadow: there blending decides.

Seams: where a sweep's volume begins or ends across the limb (x) within what another sweep sees. The step is
the mean of the three voxels inside minus that of the three outside, less the same step of the other sweep
alone, which has no seam there (so that anatomy is no step); steps are averaged over patches of 5 mm of depth
and 10 mm of length, as speckle is no step either, and the mean of their magnitudes is given. In brackets the
same without taking the other sweep's step off, which anatomy and speckle dominate.

Edges: profiles of +-4 mm across the true surfaces of all structures, where two sweeps or more see them, are
averaged over patches of 10 mm; the width is the profile's range divided by its steepest slope. The mean over
patches with a range of at least 15 grey levels is given.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from myosweep.compounding import MAP_LEVELS, case_grid, compound, compound_maps
from myosweep.compounding.grid import frame_corners, frame_gaps
from myosweep.confidence import ConfidenceOptions
from myosweep.confidence.frames import write_maps_of_frames
from myosweep.geometry import Grid, apply_transform
from myosweep.io.frame_maps import FrameMaps, read_frame_maps
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Rectangle, Sweep
from myosweep.io.volumes import read_volume
from myosweep.phantom import simulate_case
from phantom_shadow import Shadows
from scipy import ndimage

Settings = dict[str, Any]
FOLDER = tempfile.TemporaryDirectory()
RIVALS: dict[str, Settings] = {
    "trilinear, Gaussian over 5 voxels": {
        "method": "trilinear",
        "fill": "gaussian",
        "blending": "none",
        "fill_reach_mm": "5 voxels",
    },
    "trilinear, Gaussian as far as gaps": {"method": "trilinear", "fill": "gaussian", "blending": "none"},
    "trilinear, Gaussian to mid-gap": {
        "method": "trilinear",
        "fill": "gaussian",
        "blending": "none",
        "fill_reach_mm": "mid-gap",
    },
    "trilinear, nearest": {"method": "trilinear", "fill": "nearest", "blending": "none"},
    "trilinear, distance": {"method": "trilinear", "fill": "distance", "blending": "none"},
    "squared distance, between": {"method": "squared_distance", "blending": "none"},
    "Gaussian distance, between": {"method": "gaussian", "blending": "none"},
    "nearest pixel, between": {"method": "nearest", "blending": "none"},
    "nearest voxel": {"method": "voxel_nearest", "blending": "none"},
    "between frames": {"method": "between_frames", "blending": "none"},
    "trilinear, between": {"method": "trilinear", "blending": "none"},
    "between frames, feathered": {"method": "between_frames", "blending": "feather"},
    "trilinear, between, feathered": {"method": "trilinear", "blending": "feather"},
    "between frames, confidence": {"method": "between_frames", "blending": "confidence"},
    "between frames, conf. everywhere": {
        "method": "between_frames",
        "blending": "confidence",
        "options": ConfidenceOptions(sink="everywhere", normalisation="fixed"),
    },
    "trilinear, between, confidence": {"method": "trilinear", "blending": "confidence"},
}


def make(sweeps: Sequence[Sweep], grid: Grid, settings: Settings) -> tuple[np.ndarray, np.ndarray, float]:
    chosen = dict(settings)
    if chosen.get("fill_reach_mm") == "5 voxels":
        chosen["fill_reach_mm"] = 2 * grid.spacing[0]
    if chosen.get("fill_reach_mm") == "mid-gap":
        gaps = [frame_gaps(frame_corners(sweep, whole(sweep))[sweep.valid]) for sweep in sweeps]
        chosen["fill_reach_mm"] = float(np.percentile(np.concatenate(gaps), 95)) / 2
    if chosen["blending"] == "confidence":
        options = chosen.pop("options", ConfidenceOptions())
        chosen["confidence"] = [maps_of(sweep.path, options) for sweep in sweeps]
    start = time.process_time()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        volume, coverage, _ = compound(sweeps, grid, image_area="full", threads=2, **chosen)
    return volume.array, coverage.array, time.process_time() - start


@cache
def maps_of(recording: Path, options: ConfidenceOptions) -> FrameMaps:
    """The confidence maps of a recording's frames, made once."""
    path = Path(FOLDER.name) / f"{recording.stem}_{options.sink}.npz"
    sweep = read_sweep(recording, recording.parents[1] / f"calibration_{recording.parent.name}.xml")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        write_maps_of_frames(path, [sweep], options, image_area="full", threads=2)
    return read_frame_maps(path, 1)[0]


def whole(sweep: Sweep) -> Rectangle:
    return Rectangle(0, 0, sweep.frames.shape[2], sweep.frames.shape[1])


class Mean:
    """A mean of many numbers."""

    def __init__(self) -> None:
        self._total, self._count = 0.0, 0

    def add(self, values: np.ndarray) -> None:
        self._total += float(values.sum())
        self._count += values.size

    @property
    def root(self) -> float:
        return float(np.sqrt(self._total / self._count)) if self._count else float("nan")


def every_second(sweep: Sweep) -> Sweep:
    kept = np.flatnonzero(sweep.valid)[::2]
    problems = ["left out"] * len(sweep.problems)
    for frame in kept:
        problems[frame] = ""
    return replace(sweep, problems=tuple(problems))


def held_out(sweeps: Sequence[Sweep], grid: Grid, recordings: Path) -> None:
    print(f"held-out frames, {grid.size} voxels of {grid.spacing[0]:g} mm", flush=True)
    halves = [every_second(sweep) for sweep in sweeps]
    shadows = [Shadows(recordings, sweep) for sweep in sweeps]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        share = compound_maps(halves, shadows, grid, image_area="full", blending="none", threads=2)
    for name, settings in RIVALS.items():
        array, coverage, seconds = make(halves, grid, settings)
        unknown = count = 0.0
        errors = {"": Mean(), "in shadow": Mean(), "beside shadow": Mean()}
        for sweep, half, shadow in zip(sweeps, halves, shadows, strict=True):
            used = np.flatnonzero(half.valid)
            for frame in np.flatnonzero(sweep.valid & ~half.valid):
                if not used[0] < frame < used[-1]:
                    continue
                pixels = sweep.frames[int(frame)]
                rows, columns = np.indices(pixels.shape)
                points = np.stack([columns, rows, np.zeros_like(rows)], -1).reshape(-1, 3)
                matrix = grid.world_to_index @ sweep.image_to_world[frame]
                index = apply_transform(matrix, points)[:, ::-1].T
                # Out of the plane frames tremble by more than a voxel at the borders of what was swept.
                inside = ((index >= 0) & (index <= np.array(grid.shape)[:, np.newaxis] - 1)).all(axis=0)
                index = index[:, inside]
                nearest = tuple(np.rint(index).astype(int))
                seen = ndimage.map_coordinates(array, index, np.float32, order=1)
                square = (seen - pixels.reshape(-1)[inside]) ** 2
                dark = shadow[int(frame)].reshape(-1)[inside] > 0
                errors[""].add(square)
                errors["in shadow"].add(square[dark])
                errors["beside shadow"].add(square[~dark & (share[nearest] > 0.2 * MAP_LEVELS)])
                unknown += np.count_nonzero(coverage[nearest] == 0)
                count += index.shape[1]
        print(
            f"  {name:36s} RMS{', '.join(f' {key} {error.root:5.2f}' for key, error in errors.items())}"
            f"  unknown {100 * unknown / count:5.1f} %  {seconds:6.1f} CPU s",
            flush=True,
        )


def seams_and_edges(sweeps: Sequence[Sweep], grid: Grid, truth: Path) -> None:
    print(f"seams and edges, {grid.size} voxels of {grid.spacing[0]:g} mm", flush=True)
    plain = {"method": "trilinear", "blending": "none"}
    alone = [make([sweep], grid, plain)[:2] for sweep in sweeps]
    seams = find_seams([coverage != 0 for _, coverage in alone], grid)
    many = np.sum([coverage != 0 for _, coverage in alone], axis=0, dtype=np.uint8) >= 2
    points, normals, patches = border(truth, grid)
    floor = np.concatenate([np.abs(steps(alone[other][0], *rest)) for other, *rest in seams])
    print(f"  {len(seams)} seams, {len(floor)} patches; without a seam ({floor.mean():.2f}) levels")
    for name, settings in RIVALS.items():
        array, coverage, _ = make(sweeps, grid, settings)
        found = [(steps(array, *rest), steps(alone[other][0], *rest)) for other, *rest in seams]
        size, raw = (
            np.abs(np.concatenate(parts)).mean()
            for parts in ([one - two for one, two in found], [one for one, _ in found])
        )
        width = edge_width(array, (coverage != 0) & many, points, normals, patches, grid)
        print(f"  {name:36s} step {size:5.2f} ({raw:5.2f}) levels  edge {width:5.3f} mm", flush=True)


def find_seams(known: Sequence[np.ndarray], grid: Grid) -> list[tuple[int, np.ndarray, int, np.ndarray]]:
    """Per seam the sweep that sees both sides, voxels (3, n) just inside, the direction inwards, patches."""
    seams = []
    patch = [max(1, round(size / grid.spacing[0])) for size in (10.0, 5.0)]
    for own, mask in enumerate(known):
        for other, around in enumerate(known):
            if other == own:
                continue
            wide = ndimage.minimum_filter1d(around, 9, axis=2)
            for side in (1, -1):
                # Three voxels inside and three outside of the edge, all seen by the other sweep.
                at = mask & wide
                for away in (1, 2):
                    at &= np.roll(mask, -side * away, axis=2)
                for away in (1, 2, 3):
                    at &= ~np.roll(mask, side * away, axis=2)
                voxels = np.array(np.nonzero(at))
                if voxels.shape[1] < 100:
                    continue
                z, y = voxels[0] // patch[0], voxels[1] // patch[1]
                _, number = np.unique(z * 100000 + y, return_inverse=True)
                seams.append((other, voxels, side, number))
    return seams


def steps(array: np.ndarray, voxels: np.ndarray, side: int, patches: np.ndarray) -> np.ndarray:
    """Mean step of every patch of a seam."""
    z, y, x = voxels
    nx = array.shape[2]
    inside = sum(array[z, y, np.clip(x + side * k, 0, nx - 1)].astype(float) for k in (0, 1, 2)) / 3
    outside = sum(array[z, y, np.clip(x - side * k, 0, nx - 1)].astype(float) for k in (1, 2, 3)) / 3
    sizes = np.bincount(patches)
    means = np.bincount(patches, inside - outside) / sizes
    return means[sizes >= 20]


def border(truth: Path, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 3) in the world on the true surfaces, their normals, and the patch of each."""
    labels = read_volume(truth)
    points, normals, patches = [], [], []
    for value in (1, 2, 3):
        mask = labels.array == value
        smooth = ndimage.gaussian_filter(mask.astype(np.float32), 2.0)
        surface = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        gradient = np.stack([ndimage.sobel(smooth, axis)[tuple(surface.T)] for axis in (2, 1, 0)], -1)
        length = np.linalg.norm(gradient, axis=1)
        surface, gradient, length = surface[length > 1e-4], gradient[length > 1e-4], length[length > 1e-4]
        points.append(apply_transform(labels.grid.index_to_world, surface[:, ::-1]))
        normals.append((gradient / length[:, np.newaxis]) @ labels.grid.direction.T)
        cell = np.floor(points[-1] / 10).astype(int) - np.floor(points[-1] / 10).astype(int).min(axis=0)
        patches.append(value * 10**9 + cell @ [1, 1000, 10**6])
    return np.concatenate(points), np.concatenate(normals), np.concatenate(patches)


def edge_width(
    array: np.ndarray,
    known: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    patches: np.ndarray,
    grid: Grid,
) -> float:
    offsets = np.arange(-4, 4.01, 0.25)
    profiles = np.empty((len(points), len(offsets)), np.float32)
    usable = np.ones(len(points), bool)
    for k, offset in enumerate(offsets):
        index = apply_transform(grid.world_to_index, points + offset * normals)[:, ::-1].T
        profiles[:, k] = ndimage.map_coordinates(array, index, np.float32, order=1)
        usable &= ndimage.map_coordinates(known.view(np.uint8), index, np.uint8, order=0) > 0
    widths = []
    _, numbers = np.unique(patches, return_inverse=True)
    for patch in range(numbers.max() + 1):
        chosen = usable & (numbers == patch)
        if chosen.sum() < 40:
            continue
        mean = profiles[chosen].mean(axis=0)
        if np.ptp(mean) >= 15:
            widths.append(np.ptp(mean) / np.abs(np.gradient(mean, 0.25)).max())
    return float(np.mean(widths))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--simulate", help="a preset of the phantom: make the recordings first")
    parser.add_argument("--spacing", type=float, default=0.5, help="mm")
    parser.add_argument("--only", choices=["held-out", "seams"])
    parser.add_argument("--methods", nargs="*", help="names of the table to be run; all by default")
    chosen = parser.parse_args()
    for name in set(RIVALS) - set(chosen.methods or RIVALS):
        del RIVALS[name]
    if chosen.simulate and not chosen.recordings.exists():
        simulate_case(chosen.recordings, "leg", "left", {"preset": chosen.simulate}, 11)
    calibration = chosen.recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((chosen.recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", chosen.spacing, "full")
    if chosen.only != "seams":
        held_out(sweeps, grid, chosen.recordings)
    if chosen.only != "held-out":
        seams_and_edges(sweeps, grid, chosen.recordings / "truth.mha")


if __name__ == "__main__":
    main()
