"""Time and memory of prediction on a full-size leg, 564 x 632 voxels of 0.277 mm in each of its slices.

    python benchmarks/full_size_prediction.py [--networks unet vnet ...] [--voxels default native]
        [--slices 100 200] [--patch 64] [--precision automatic]

Each network has its default settings and weights that were drawn and not trained: what it finds is nothing,
time and memory are what they are. It sees image and confidence map, an ellipse in speckle. `default`: the
network's default spacing, the whole limb at once; `native`: voxels of 0.277 mm, networks of whole limbs in
windows of `--patch` voxels along each axis. `--precision` is that of training, which prediction keeps: by
default the faster of float32 and bfloat16 here, and printed. Networks for three structures; of `ifssnet`,
which learns one, one network, around three given masks of 60 x 30 mm.

Each prediction runs in a process of its own with one thread, from the files of the image and the map to that
of the labels. Given are CPU seconds per slice of the image, the peak of the process's memory (VmHWM), and the
CPU minutes of a leg of 1443 slices, extrapolated by the slope between the two numbers of slices, or the time
per slice of a single one. The peak grows with the slices at the network's default spacing, where it sees the
whole limb; with windows it must not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROWS, COLUMNS, WHOLE = 632, 564, 1443
VOXEL = 0.277
STRUCTURES = {"GM": 1, "GL": 2, "SOL": 3}
NETWORKS = ("unet", "unet_s_r_clstm", "ifssnet", "attention_unet", "vnet", "unetr", "daf3d")


def ellipse(height_mm: float, width_mm: float) -> np.ndarray:
    y, x = np.mgrid[:ROWS, :COLUMNS]
    away = ((y - ROWS / 2) / (height_mm / VOXEL / 2)) ** 2 + ((x - COLUMNS / 2) / (width_mm / VOXEL / 2)) ** 2
    return away < 1


def write_leg(folder: Path, slices: int, apart: int) -> None:
    """Image, confidence map, and masks on three slices so far apart."""
    from myosweep.geometry import Grid
    from myosweep.io.volumes import write_planes

    grid = Grid((COLUMNS, ROWS, slices), (VOXEL, VOXEL, VOXEL), np.zeros(3), np.eye(3))
    limb, muscle = ellipse(150, 140), ellipse(30, 60)
    brightness = np.where(limb, np.where(muscle, 80.0, 150.0), 0.0)
    given = [slices // 2 + step * apart for step in (-1, 0, 1)]

    def images() -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for _ in range(slices):
            yield np.clip(brightness * random.rayleigh(0.8, limb.shape), limb, 255).astype(np.uint8)

    fading = np.repeat(np.linspace(1, 0, ROWS, dtype=np.float32)[:, None], COLUMNS, axis=1)
    unknown = np.full(limb.shape, 255, np.uint8)
    labels = (muscle.astype(np.uint8) if z in given else unknown for z in range(slices))
    if not (folder / "image.mha").exists():
        write_planes(folder / "image.mha", grid, np.dtype(np.uint8), images())
        write_planes(folder / "map.mha", grid, np.dtype(np.float32), (fading for _ in range(slices)))
    write_planes(folder / f"masks_{apart}.mha", grid, np.dtype(np.uint8), labels)


def write_model(folder: Path, name: str, *, native: bool, patch: int, precision: str) -> int:
    """A model with drawn weights; how many of the image's slices one of its own is long."""
    import torch
    from myosweep.networks import create, is_guided, module_of
    from myosweep.training.model import Description, save_model
    from myosweep.training.run import copied
    from myosweep.training.settings import split_settings

    training, own = split_settings(name, {})
    values: dict[str, Any] = {**vars(training), "threads": 1, "patch": None, "precision": precision}
    spacing = np.broadcast_to(VOXEL if native else training.spacing_mm, 3).tolist()
    if native and not is_guided(name) and not hasattr(module_of(name), "in_windows"):
        values["patch"] = [patch] * 3
    structures = {"GM": 1} if is_guided(name) else STRUCTURES
    torch.manual_seed(1)
    network = create(name, 2 + bool(training.position), len(structures) + 1, own)
    description = Description(
        name, own, values, structures, ["image", "confidence"], spacing, [1, 1, 1], 1, {}, {}
    )
    save_model(folder, description, copied(network))
    return max(round(spacing[2] / VOXEL), 1)


def predict_one(leg: Path, model: Path, apart: int) -> None:
    """In a process of its own: predict, and print what it took."""
    start = time.process_time()
    from myosweep.io.volumes import write_planes
    from myosweep.training.inference import segmented

    files = leg / "image.mha", leg / "map.mha", "right", leg / f"masks_{apart}.mha"
    with segmented(model, *files, folder=leg) as found:
        write_planes(leg / "labels.mha", found.grid, np.dtype(np.uint8), found.labels())
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    print(json.dumps({"cpu": time.process_time() - start, "peak": peak}))


def measured(leg: Path, model: Path, apart: int) -> dict[str, float]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--one", str(leg), str(model), str(apart)]
    done = subprocess.run(
        command, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{model.name} ended with {done.returncode}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--voxels", nargs="+", choices=("default", "native"), default=("default", "native"))
    parser.add_argument("--slices", nargs="+", type=int, default=[100, 200])
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--precision", choices=("automatic", "float32", "bfloat16"), default="automatic")
    parser.add_argument("--folder", type=Path, help="where volumes are kept; default: a temporary folder")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        leg, model, apart = given.one
        predict_one(Path(leg), Path(model), int(apart))
        return
    precision = given.precision
    if precision == "automatic":
        import torch
        from myosweep.training.device import faster_precision

        precision = faster_precision(torch.device("cpu"))
    print(f"precision {precision}")
    print("network, voxels, slices, CPU s per slice, peak GB, leg of 1443 slices in CPU min (extrapolated)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for voxels in given.voxels:
            for name in given.networks:
                model = Path(temporary) / f"{name}_{voxels}"
                native = voxels == "native"
                apart = write_model(model, name, native=native, patch=given.patch, precision=precision)
                before: tuple[int, float] | None = None
                for slices in given.slices:
                    leg = folder / f"leg_{slices}"
                    leg.mkdir(parents=True, exist_ok=True)
                    write_leg(leg, slices, apart)
                    found = measured(leg, model, apart)
                    cpu = found["cpu"]
                    minutes = cpu / slices * WHOLE / 60
                    if before is not None:
                        slope = (cpu - before[1]) / (slices - before[0])
                        minutes = (cpu + slope * (WHOLE - slices)) / 60
                    before = slices, cpu
                    print(
                        f"{name}, {voxels}, {slices}, {cpu / slices:.3f}, {found['peak'] / 1e9:.2f}, "
                        f"{minutes:.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
