"""Confidence maps: this library against MONAI, in one run; two processes against one; a full-size leg.

    python benchmarks/confidence.py [--quick] [--full DENSE [--volume VOLUME --coverage COVERAGE]]

One thread each. CPU seconds are the least of a few runs. Peak memory is that of a process that makes one map,
with what it imports; in brackets what was added after the imports. Two processes that work at the same time
are compared with one alone, in turns: by images per second of wall time, which other users of the machine
disturb, and by CPU seconds per image (twice as many images, each as much dearer as shared memory and caches
make it).

DENSE is a folder with a simulated full-size leg (`compounding_quality.py --simulate full_dense`): every
14th of its frames is mapped as the workflow does, on two threads, and so is every 14th slice of its volume
(VOLUME and COVERAGE, or else compounded here); the time of all is extrapolated from them.
"""

from __future__ import annotations

import argparse
import contextlib
import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

SIZES = [(256, 256), (544, 227), (512, 512)]
EVERY = 14


def speckle(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = rng.rayleigh(50, shape)
    image[..., shape[-2] // 3, :] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


def ours() -> Callable[[np.ndarray], object]:
    from myosweep.confidence import ConfidenceOptions, confidence_map
    from myosweep.confidence.dissection import Memory

    memory, options = Memory(), ConfidenceOptions()
    return lambda image: confidence_map(image, options, memory=memory)


def monai() -> Callable[[np.ndarray], object]:
    from monai.transforms import UltrasoundConfidenceMapTransform

    rival = UltrasoundConfidenceMapTransform()
    return lambda image: rival(image[None].astype(np.float64))


MAKERS = {"myosweep": ours, "MONAI": monai}


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """The smallest of `times` runs: what the work takes where nobody else uses the caches."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def speed(sizes: list[tuple[int, int]]) -> None:
    print("rows x cols   myosweep s   MONAI s   ratio   largest difference")
    make, rival = ours(), monai()
    for shape in sizes:
        image = speckle(shape)
        difference = np.abs(np.asarray(make(image)) - np.asarray(rival(image))).max()
        mine = cpu_seconds(lambda image=image: make(image), 5)
        theirs = cpu_seconds(lambda image=image: rival(image), 2)
        times = f"{mine:10.3f}   {theirs:7.3f}   {theirs / mine:5.1f}"
        print(f"{shape[0]:4} x {shape[1]:4}   {times}   {difference:.1e}", flush=True)


def own_script(*arguments: object) -> list[str]:
    return [sys.executable, __file__, *map(str, arguments)]


def memory(sizes: list[tuple[int, int]]) -> None:
    print("rows x cols   peak of a process that makes one map, MB")
    for shape in sizes:
        told = {
            name: subprocess.run(
                own_script("--one", name, *shape), check=True, capture_output=True, text=True
            ).stdout.split()
            for name in MAKERS
        }
        (mine, added), (theirs, rival) = (map(float, told[name]) for name in MAKERS)
        print(
            f"{shape[0]:4} x {shape[1]:4}   myosweep {mine:.0f} ({added:.0f}), MONAI {theirs:.0f}"
            f" ({rival:.0f}): {mine / theirs:.2f} ({added / rival:.2f}) of it",
            flush=True,
        )


def peak_mb() -> float:
    # getrusage would begin with what the process that started this one had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def one_map(name: str, shape: tuple[int, int]) -> None:
    """Print the peak of one map, and what it adds to that of a map of 20 x 20, in MB."""
    make = MAKERS[name]()
    make(speckle((20, 20)))
    before = peak_mb()
    make(speckle(shape))
    print(peak_mb(), peak_mb() - before)


def work_for(count: int, shape: tuple[int, int]) -> None:
    """Make maps when told to; print wall and CPU seconds."""
    make, image = ours(), speckle(shape)
    make(image)
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.monotonic(), time.process_time()
        for _ in range(count):
            make(image)
        print(time.monotonic() - wall, time.process_time() - cpu, flush=True)


def throughput(shape: tuple[int, int], count: int, rounds: int) -> None:
    command = own_script("--work", count, *shape)
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()

    def timed(working: list[subprocess.Popen[str]]) -> tuple[float, float]:
        start = time.monotonic()
        for worker in working:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        told = [worker.stdout.readline().split() for worker in working if worker.stdout is not None]
        return time.monotonic() - start, sum(float(cpu) for _, cpu in told) / len(working)

    alone, together = [], []
    for _ in range(rounds):
        alone.append(timed(workers[:1]))
        together.append(timed(workers))
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    wall, cpu = (min(times) for times in zip(*alone, strict=True))
    both_wall, both_cpu = (min(times) for times in zip(*together, strict=True))
    print(
        f"two processes, {shape[0]} x {shape[1]}: {2 * wall / both_wall:.2f} times the images per second of"
        f" one (load {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors);"
        f" by CPU seconds {2 * cpu / both_cpu:.2f} times ({cpu / count:.3f} and {both_cpu / count:.3f} s)",
        flush=True,
    )


@contextlib.contextmanager
def quietly():
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def told(what: str, count: int, whole: int, wall: float, cpu: float) -> None:
    print(
        f"{what}: {count} measured, {cpu / count:.3f} CPU s and {wall / count:.3f} s of wall time each on two"
        f" threads, peak {peak_mb() / 1024:.2f} GiB; {whole} of them (extrapolated):"
        f" {cpu / count * whole:.0f} CPU s, {wall / count * whole / 60:.1f} min",
        flush=True,
    )


def full_frames(recordings: Path) -> None:
    from myosweep.confidence.frames import write_maps_of_frames
    from myosweep.io.recordings import read_sweep

    sweeps, count, whole = [], 0, 0
    for path in sorted((recordings / "deep").glob("*.mha")):
        sweep = read_sweep(path, recordings / "calibration_deep.xml")
        whole += int(sweep.valid.sum())
        problems = [p or ("left out" if k % EVERY else "") for k, p in enumerate(sweep.problems)]
        sweeps.append(replace(sweep, problems=tuple(problems)))
        count += int(sweeps[-1].valid.sum())
    with tempfile.TemporaryDirectory() as folder, quietly():
        wall, cpu = time.monotonic(), time.process_time()
        write_maps_of_frames(Path(folder) / "maps.npz", sweeps, image_area="full", threads=2)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        size = (Path(folder) / "maps.npz").stat().st_size / count
    rows, columns = sweeps[0].frames.shape[1:]
    told(f"frames of {rows} x {columns} ({size / 1e3:.0f} kB each on disk)", count, whole, wall, cpu)


def full_slices(volume: Path, coverage: Path) -> None:
    from myosweep.confidence.slices import write_maps_of_slices
    from myosweep.geometry import Grid
    from myosweep.io.slabs import read_slabs
    from myosweep.io.volumes import write_planes

    with tempfile.TemporaryDirectory() as folder, quietly():
        chosen = []
        for name, path in (("volume", volume), ("coverage", coverage)):
            grid, slabs = read_slabs(path, 1)
            columns, rows, whole = grid.size
            count = len(range(0, whole, EVERY))
            some = Grid((columns, rows, count), grid.spacing, grid.origin, grid.direction)
            planes = (slab[0] for k, slab in enumerate(slabs) if k % EVERY == 0)
            kind = np.dtype(np.uint8 if name == "volume" else np.float32)
            chosen.append(Path(folder) / f"{name}.mha")
            write_planes(chosen[-1], some, kind, planes)
        wall, cpu = time.monotonic(), time.process_time()
        write_maps_of_slices(Path(folder) / "maps.mha", *chosen, threads=2)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    told(f"slices of {rows} x {columns}", count, whole, wall, cpu)


def full_compounded(recordings: Path) -> None:
    """Compound maps of all frames of the leg; constants stand for the maps, which are measured apart."""
    from myosweep.compounding import case_grid
    from myosweep.confidence.frames import write_compounded_maps
    from myosweep.io.frame_maps import read_frame_maps, write_frame_maps
    from myosweep.io.recordings import read_sweep

    calibration = recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", 0.277, "full")
    ramp = np.linspace(1, 0, sweeps[0].frames.shape[1])[:, None] ** np.ones(sweeps[0].frames.shape[1:])
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = Path(folder) / "maps.npz"
        numbers = [(k, int(f)) for k, sweep in enumerate(sweeps) for f in np.flatnonzero(sweep.valid)]
        write_frame_maps(path, ((sweep, frame, ramp) for sweep, frame in numbers))
        cpu = time.process_time()
        maps = read_frame_maps(path, len(sweeps))
        write_compounded_maps(Path(folder) / "c.mha", sweeps, maps, grid, image_area="full", threads=2)
        cpu = time.process_time() - cpu
    print(
        f"maps of {len(numbers)} frames into {grid.size} voxels: {cpu:.0f} CPU s, peak"
        f" {peak_mb() / 1024:.2f} GiB",
        flush=True,
    )


def full_volume(recordings: Path, folder: Path) -> None:
    from myosweep.compounding import case_grid, compound
    from myosweep.io.recordings import read_sweep
    from myosweep.io.volumes import write_volume

    calibration = recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", 0.277, "full")
    with quietly():
        volume, coverage, _ = compound(sweeps, grid, image_area="full", threads=2)
    write_volume(folder / "volume.mha", volume)
    write_volume(folder / "coverage.mha", coverage)


def full_leg(recordings: Path, volume: Path | None, coverage: Path | None) -> None:
    """Each part in a process of its own, whose memory tells of it alone."""
    with tempfile.TemporaryDirectory() as folder:
        if volume is None or coverage is None:
            subprocess.run(own_script("--make-volume", recordings, folder), check=True)
            volume, coverage = Path(folder) / "volume.mha", Path(folder) / "coverage.mha"
        subprocess.run(own_script("--frames", recordings), check=True)
        subprocess.run(own_script("--compounded", recordings), check=True)
        subprocess.run(own_script("--slices", volume, coverage), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the smallest image alone")
    parser.add_argument("--full", type=Path, help="folder of a simulated full-size leg, which alone is used")
    parser.add_argument("--volume", type=Path)
    parser.add_argument("--coverage", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--compounded", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slices", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make-volume", nargs=2, type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one_map(chosen.one[0], (int(chosen.one[1]), int(chosen.one[2])))
    elif chosen.work:
        work_for(chosen.work[0], (chosen.work[1], chosen.work[2]))
    elif chosen.frames:
        full_frames(chosen.frames)
    elif chosen.compounded:
        full_compounded(chosen.compounded)
    elif chosen.slices:
        full_slices(*chosen.slices)
    elif chosen.make_volume:
        full_volume(*chosen.make_volume)
    elif chosen.full:
        full_leg(chosen.full, chosen.volume, chosen.coverage)
    else:
        sizes = SIZES[:1] if chosen.quick else SIZES
        speed(sizes)
        memory(sizes)
        for shape in sizes[:2] if chosen.quick else SIZES[1:]:
            throughput(shape, 2 if chosen.quick else 10, 2 if chosen.quick else 5)


if __name__ == "__main__":
    main()
