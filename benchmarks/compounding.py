"""Frames per second of compounding against numpy.add.at on the same frames, in one run and on one thread.

    python benchmarks/compounding.py [--sweeps 4 --frames 160 --rows 190 --columns 80 --spacing 1.0 --gap 2.0]

CPU seconds (time.process_time) of the fastest of three runs (the rival: of one) count, so that a busy machine
changes little; the peak is that of the process so far.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from myosweep.compounding import case_grid, compound
from myosweep.geometry import Grid, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep

PIXEL = 0.5


def make_sweeps(sweeps: int, frames: int, rows: int, columns: int, gap: float, pixel: float) -> list[Sweep]:
    rng = np.random.default_rng(0)
    made = []
    for sweep in range(sweeps):
        pixels = rng.integers(0, 256, (frames, rows, columns)).astype(np.uint8)
        poses = [
            rigid_transform(
                rotation_about((0.3, 1, 0), 0.05 * np.sin(frame / 20)),
                (0.75 * columns * pixel * sweep + np.sin(frame / 15), 0, gap * frame),
            )
            @ np.diag([pixel, pixel, pixel, 1])
            for frame in range(frames)
        ]
        made.append(Sweep(Path(f"{sweep}"), pixels, np.array(poses), ("",) * frames, np.arange(frames) * 0.1))
    return made


def add_at(sweeps: list[Sweep], grid: Grid, method: str) -> np.ndarray:
    """The rival: the same sums in float64 with numpy.add.at, frame by frame."""
    totals, weights = np.zeros(grid.voxels), np.zeros(grid.voxels)
    rows, columns = np.indices(sweeps[0].frames.shape[1:]).reshape(2, -1)
    points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).astype(np.float64)
    size = np.array(grid.size)[:, np.newaxis]
    for sweep in sweeps:
        for frame in range(sweep.frames.shape[0]):
            values = sweep.frames[frame].ravel()
            index = (grid.world_to_index @ sweep.image_to_world[frame])[:3] @ points
            base = np.floor(index + 0.5) if method == "nearest" else np.floor(index)
            part = index - base
            for corner in [(0, 0, 0)] if method == "nearest" else list(np.ndindex(2, 2, 2)):
                voxel = base.astype(np.int64) + np.array(corner)[:, np.newaxis]
                inside = ((voxel >= 0) & (voxel < size)).all(axis=0)
                x, y, z = voxel[:, inside]
                at = (z * grid.size[1] + y) * grid.size[0] + x
                weight = np.ones(len(at))
                if method != "nearest":
                    for axis, side in enumerate(corner):
                        weight *= part[axis, inside] if side else 1 - part[axis, inside]
                np.add.at(totals, at, weight * values[inside])
                np.add.at(weights, at, weight)
    return np.divide(totals, weights, out=np.zeros_like(totals), where=weights > 1e-6).reshape(grid.shape)


def seconds(work: Callable[[], object], times: int = 3) -> tuple[float, object]:
    """CPU seconds of the fastest run, and what it returned."""
    fastest = float("inf")
    result: object = None
    for _ in range(times):
        start = time.process_time()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            result = work()
        fastest = min(fastest, time.process_time() - start)
    return fastest, result


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweeps", type=int, default=4)
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--rows", type=int, default=190)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--pixel", type=float, default=PIXEL, help="mm")
    parser.add_argument("--gap", type=float, default=2.0, help="mm between frames")
    parser.add_argument("--spacing", type=float, default=1.0, help="mm")
    parser.add_argument("--no-rival", action="store_true", help="leave numpy.add.at out")
    chosen = parser.parse_args()
    sweeps = make_sweeps(chosen.sweeps, chosen.frames, chosen.rows, chosen.columns, chosen.gap, chosen.pixel)
    grid = case_grid(sweeps, "probe", chosen.spacing, "full")
    small = make_sweeps(1, 3, 30, 20, chosen.gap, chosen.pixel)
    count = chosen.sweeps * chosen.frames
    print(f"{count} frames of {chosen.columns} x {chosen.rows} pixels into {grid.size} voxels, one thread")
    print(f"{grid.voxels * 9 / 2**20:.0f} MiB of volume and coverage, {peak_mib():.0f} MiB in use before")
    for method in ("nearest", "trilinear"):
        for fill in (False, True):
            compound(
                small, case_grid(small, "probe", 1.0, "full"), method=method, fill=fill, image_area="full"
            )
            spent, result = seconds(
                lambda method=method, fill=fill: compound(  # type: ignore[misc]
                    sweeps, grid, method=method, fill=fill, image_area="full"
                )
            )
            name = f"{method:10s} {'filled  ' if fill else 'unfilled'}"
            rate = f"{spent:7.2f} CPU s {count / spent:8.0f} frames/s"
            print(f"{name} {rate}, peak {peak_mib():.0f} MiB", flush=True)
            if not fill and not chosen.no_rival:
                rival, expected = seconds(lambda method=method: add_at(sweeps, grid, method), 1)  # type: ignore[misc]
                volume, coverage, _ = result  # type: ignore[misc]
                known = coverage.array > 1e-3
                error = np.abs(volume.array[known] - np.asarray(expected)[known]).max()
                print(f"{'':10s} add.at   {rival:7.2f} CPU s {count / rival:8.0f} frames/s", end="")
                print(f": {rival / spent:.1f} times as long; the means differ by {error:.3f} with rounding")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
