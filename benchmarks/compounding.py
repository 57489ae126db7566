"""Speed and memory of compounding, in one run.

    python benchmarks/compounding.py [--sequences FOLDER] [--full RECORDINGS ...]

1. Nearest and trilinear sums of 500 frames of 544 x 227 pixels against `numpy.add.at` doing nearest-neighbour
   sums (values and numbers of pixels in float64) of the same frames, frame by frame; once with the time it
   takes numpy to compute the voxels, once with these given. Ours is the whole of `compound`, volume and
   coverage.
2. Gaussian filling over 5 voxels of a volume of 160 million voxels, of which 60 % are holes, against copying
   that volume as float32 ten times.
3. With --sequences: frames per second on the bone and spine sequences of PlusLib (820 x 616 pixels into
   voxels of 0.5 mm), one thread. IGSIO, the code in PLUS and 3D Slicer, did 15 to 31 (LINEAR) and 245 to 420
   (NEAREST) frames per second on sequences of this kind on such a machine; that was another run.
4. With --full: simulated full-size legs (see `compounding_quality.py --simulate full_sparse`), compounded at
   0.277 mm with the default settings in a process of their own: CPU seconds and peak memory.

Seconds are those on the wall where threads are compared, and CPU seconds elsewhere; the fastest of three.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from myosweep.compounding import case_grid, compound
from myosweep.compounding.between import OPEN
from myosweep.compounding.holes import fill_holes
from myosweep.geometry import Grid, rigid_transform, rotation_about
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep

SEQUENCES = {
    "bone": ("BoneUltrasound_L14.igs.mha", "BoneUltrasound_L14_config.xml"),
    "spine": ("SpinePhantomFreehand.igs.mha", "Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml"),
}


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


def voxels_of(sweeps: Sequence[Sweep], grid: Grid) -> list[tuple[np.ndarray, np.ndarray]]:
    """Flat voxel and value of every pixel inside, frame by frame."""
    rows, columns = np.indices(sweeps[0].frames.shape[1:]).reshape(2, -1)
    points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).astype(np.float64)
    size = np.array(grid.size)[:, np.newaxis]
    found = []
    for sweep in sweeps:
        for frame in range(sweep.frames.shape[0]):
            index = (grid.world_to_index @ sweep.image_to_world[frame])[:3] @ points
            voxel = np.floor(index + 0.5).astype(np.int64)
            inside = ((voxel >= 0) & (voxel < size)).all(axis=0)
            x, y, z = voxel[:, inside]
            at = (z * grid.size[1] + y) * grid.size[0] + x
            found.append((at, sweep.frames[frame].ravel()[inside].astype(np.float64)))
    return found


def add_at(found: Sequence[tuple[np.ndarray, np.ndarray]], grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The rival: sums of values and numbers of pixels."""
    totals, counts = np.zeros(grid.voxels), np.zeros(grid.voxels)
    for at, values in found:
        np.add.at(totals, at, values)
        np.add.at(counts, at, 1.0)
    return totals, counts


def fastest(work: Callable[[], object], clock: Callable[[], float], times: int = 3) -> tuple[float, object]:
    best, result = float("inf"), None
    for _ in range(times):
        start = clock()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            result = work()
        best = min(best, clock() - start)
    return best, result


def against_add_at() -> None:
    sweeps = make_sweeps(5, 100, 544, 227, 1.38, 0.176)
    grid = case_grid(sweeps, "probe", 0.5, "full")
    print(f"500 frames of 227 x 544 pixels into {grid.size} voxels, seconds on the wall")
    wall = time.perf_counter
    start = wall()
    found = voxels_of(sweeps, grid)
    indices = wall() - start
    alone, (totals, counts) = fastest(lambda: add_at(found, grid), wall)  # type: ignore[misc]
    print(f"  numpy.add.at             {alone:6.2f} s, and {indices:.2f} s for the voxels of the pixels")
    for method, threads in (("nearest", 1), ("nearest", 2), ("trilinear", 1), ("trilinear", 2)):

        def work(method: str = method, threads: int = threads) -> object:
            return compound(
                sweeps,
                grid,
                image_area="full",
                method=method,
                blending="none",
                fill=False,
                threads=threads,
            )

        work()
        spent, result = fastest(work, wall)
        print(
            f"  {method:9s} {threads} thread{'s' * (threads > 1):1s}      {spent:6.2f} s: add.at takes"
            f" {alone / spent:4.1f} times as long, {(alone + indices) / spent:4.1f} with the voxels"
        )
        if method == "nearest":
            means = np.divide(totals, counts, out=np.zeros_like(totals), where=counts > 0)
            assert np.array_equal(np.rint(means.reshape(grid.shape)), result[0].array)  # type: ignore[index]


def hole_filling() -> None:
    rng = np.random.default_rng(1)
    shape = (500, 560, 572)
    values = rng.integers(0, 256, shape, np.uint8).astype(np.float32)
    coverage = np.where(rng.random(shape, np.float32) < 0.4, np.float32(1), OPEN)
    small = np.ascontiguousarray(coverage[:30])
    fill_holes(values[:30].copy(), small, (0.5,) * 3, 1.0, "gaussian")
    cpu = time.process_time

    def copy() -> None:
        for _ in range(10):
            values.copy()

    copying, _ = fastest(copy, cpu)
    start = cpu()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        fill_holes(values, coverage, (0.5,) * 3, 1.0, "gaussian")
    spent = cpu() - start
    print(f"Gaussian filling of {values.size / 1e6:.0f} million voxels: {spent:.1f} CPU s on one thread,")
    print(f"  {spent / copying:.1f} times what copying the volume ten times takes ({copying:.1f} CPU s)")


def sequences(folder: Path) -> None:
    for name, (recording, config) in SEQUENCES.items():
        sweep = read_sweep(folder / "sequences" / recording, folder / "configs" / config)
        grid = case_grid([sweep], "world", 0.5, "calibration")
        count = int(sweep.valid.sum())
        for method in ("nearest", "trilinear", "between_frames"):
            sweep.frames[0]

            def work(method: str = method, sweep: Sweep = sweep, grid: Grid = grid) -> object:
                return compound(
                    [sweep],
                    grid,
                    image_area="calibration",
                    method=method,
                    blending="none",
                    fill=method[0] == "b",
                )

            work()
            spent, _ = fastest(work, time.process_time)
            print(f"{name}, {method}: {count / spent:.0f} frames/s ({grid.size} voxels of 0.5 mm)")


def full_leg(recordings: Path) -> None:
    calibration = recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", 0.277)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        _, _, summary = compound(sweeps, grid, threads=2)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    frames = summary["frames_used"]
    print(f"{recordings}: {frames} frames into {grid.size} voxels of 0.277 mm")
    seconds = usage.ru_utime + usage.ru_stime
    print(f"  {seconds:.0f} CPU s with imports, peak {usage.ru_maxrss / 2**20:.2f} GiB")
    shares = (f"{key} {summary[f'{key}_percent']:.2f} %" for key in ("covered", "filled", "unfilled"))
    print(f"  {', '.join(shares)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=Path, help="folder with PlusLib's sequences/ and configs/")
    parser.add_argument(
        "--full", type=Path, nargs="*", default=[], help="folders of simulated full-size legs"
    )
    parser.add_argument("--leg", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.leg:
        full_leg(chosen.leg)
        return
    against_add_at()
    hole_filling()
    if chosen.sequences:
        sequences(chosen.sequences)
    sys.stdout.flush()
    for recordings in chosen.full:
        subprocess.run([sys.executable, __file__, "--leg", recordings], check=True)


if __name__ == "__main__":
    main()
