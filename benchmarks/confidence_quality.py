"""Where confidence maps are better made, on frames or on slices, in one run.

    python benchmarks/confidence_quality.py RECORDINGS [--spacing 1.0] [--simulate default] [--cores 2]

RECORDINGS is a folder that `myosweep.phantom.simulate_case` has written (make one with --simulate PRESET).

The phantom tells where each frame lies in the shadow of bone (`phantom_shadow`). Compounded with the weights
of the frames this is the share of a voxel that comes from shadow: more than half is shadow, less than 5 % is
lit. A map is good where shadow has less confidence than what is lit *at the same depth* (depth alone would
tell most of it): the area under the ROC curve between the two in each layer of 5 mm, averaged with the number
of pairs as weights; .5 is chance. `step`: mean confidence of what is lit minus that of shadow, over the sum
of both, in the same layers. `at the border`: the area under the curve of voxels at most 5 mm beside the
border between the two, across the limb. `overlap`: mean of |a - b| / (a + b), a and b being the confidence
that two sweeps alone give to a voxel that both see lit: less is better, as tissue and depth are the same.
`ends`: the least depth in mm below which the confidence of lit voxels falls under 1 % in the mean.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from myosweep.compounding import MAP_LEVELS, case_grid, compound, compound_maps
from myosweep.confidence import ConfidenceOptions, confidence_volume
from myosweep.confidence.frames import write_maps_of_frames
from myosweep.geometry import Grid
from myosweep.io.frame_maps import read_frame_maps
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from myosweep.phantom import simulate_case
from phantom_shadow import Shadows
from scipy import ndimage
from scipy.stats import rankdata

LAYER_MM = 5.0
VARIANTS = {
    "sink all": ConfidenceOptions(),
    "sink everywhere": ConfidenceOptions(sink="everywhere", normalisation="fixed"),
    "directed": ConfidenceOptions(method="directed", normalisation="fixed"),
}


class Depth:
    """Depth along the beam as a map, 0..1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._map = np.broadcast_to(np.linspace(0, 1, shape[1], dtype=np.float32)[:, None], shape[1:])

    def __getitem__(self, index: int) -> np.ndarray:
        return self._map


@contextlib.contextmanager
def quietly():
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def area_under_curve(dark: np.ndarray, bright: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([dark, bright]))
    wins = ranks[len(dark) :].sum() - len(bright) * (len(bright) + 1) / 2
    return float(wins / (len(dark) * len(bright)))


def by_layer(confidence: np.ndarray, shadow: np.ndarray, lit: np.ndarray, layer: np.ndarray) -> tuple:
    areas, steps, pairs = [], [], []
    for number in np.unique(layer[shadow]):
        dark, bright = confidence[shadow & (layer == number)], confidence[lit & (layer == number)]
        if min(len(dark), len(bright)) < 200:
            continue
        areas.append(area_under_curve(dark, bright))
        steps.append((bright.mean() - dark.mean()) / max(bright.mean() + dark.mean(), 1e-9))
        pairs.append(np.sqrt(len(dark) * len(bright)))
    return np.average(areas, weights=pairs), np.average(steps, weights=pairs)


def on_frames(sweeps: Sequence[Sweep], grid: Grid, options: ConfidenceOptions, cores: int) -> list:
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = Path(folder) / "maps.npz"
        write_maps_of_frames(path, sweeps, options, image_area="full", threads=cores)
        maps = read_frame_maps(path, len(sweeps))
        some = [list(range(len(sweeps))), *([k] for k in range(len(sweeps)))]
        return [
            compound_maps([sweeps[k] for k in own], [maps[k] for k in own], grid, image_area="full")
            / MAP_LEVELS
            for own in some
        ]


def on_slices(sweeps: Sequence[Sweep], grid: Grid, options: ConfidenceOptions) -> list:
    made = []
    with quietly():
        for own in [list(sweeps), *([sweep] for sweep in sweeps)]:
            volume, coverage, _ = compound(own, grid, image_area="full")
            made.append(confidence_volume(volume, coverage, options).array)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--simulate", help="a preset of the phantom: make the recordings first")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--spacing", type=float, default=1.0, help="mm")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    chosen = parser.parse_args()
    if chosen.simulate and not chosen.recordings.exists():
        simulate_case(chosen.recordings, "leg", "left", {"preset": chosen.simulate}, chosen.seed)
    calibration = chosen.recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((chosen.recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", chosen.spacing, "full")
    with quietly():
        _, coverage, _ = compound(sweeps, grid, image_area="full")
        alone = [compound([sweep], grid, image_area="full")[1].array != 0 for sweep in sweeps]
        shadows = [Shadows(chosen.recordings, sweep) for sweep in sweeps]
        share = compound_maps(sweeps, shadows, grid, image_area="full") / MAP_LEVELS
        each = [
            compound_maps([sweep], [shadow], grid, image_area="full") / MAP_LEVELS
            for sweep, shadow in zip(sweeps, shadows, strict=True)
        ]
        depths = [Depth(sweep.frames.shape) for sweep in sweeps]
        depth = compound_maps(sweeps, depths, grid, image_area="full") / MAP_LEVELS
    depth_mm = depth * (sweeps[0].frames.shape[1] - 1) * sweeps[0].pixel_spacing[1]
    known = coverage.array != 0
    shadow, lit = known & (share > 0.5), known & (share < 0.05)
    layer = (depth_mm / LAYER_MM).astype(np.int16)
    reach = 2 * round(5 / grid.spacing[0]) + 1
    near_dark, near_lit = (ndimage.maximum_filter1d(mask, reach, axis=2) for mask in (shadow, lit))
    print(f"{grid.size} voxels of {grid.spacing[0]:g} mm; {shadow.sum()} in shadow, {lit.sum()} lit")
    both = [
        (a, b, lit & alone[a] & alone[b] & (each[a] + each[b] == 0))
        for a, b in combinations(range(len(sweeps)), 2)
    ]
    both = [(a, b, mask) for a, b, mask in both if mask.sum() > 1000]
    for name in chosen.variants:
        for where in ("frames", "slices"):
            start = time.process_time()
            if where == "frames":
                all_of_them, *single = on_frames(sweeps, grid, VARIANTS[name], chosen.cores)
            else:
                all_of_them, *single = on_slices(sweeps, grid, VARIANTS[name])
            area, step = by_layer(all_of_them, shadow, lit, layer)
            border, _ = by_layer(all_of_them, shadow & near_lit, lit & near_dark, layer)
            differences = np.concatenate(
                [
                    np.abs(single[a][mask] - single[b][mask])
                    / np.maximum(single[a][mask] + single[b][mask], 1e-9)
                    for a, b, mask in both
                ]
            )
            mean = ndimage.mean(all_of_them, np.where(lit, layer, -1), np.arange(layer.max() + 1))
            under = np.flatnonzero(mean < 0.01)
            ends = f"{LAYER_MM * under[0]:.0f}" if len(under) else "-"
            print(
                f"  {name:16s} on {where}: area {area:.3f}  step {step:.3f}  at the border {border:.3f}"
                f"  overlap {differences.mean():.3f}  ends {ends}  {time.process_time() - start:.0f} CPU s",
                flush=True,
            )


if __name__ == "__main__":
    main()
