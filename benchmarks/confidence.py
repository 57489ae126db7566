"""Confidence maps: this library against MONAI, in one run, and a volume of the default run's size.

python benchmarks/confidence.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from monai.transforms import UltrasoundConfidenceMapTransform
from myosweep.confidence import confidence_map, confidence_volume
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume

SIZES = [(256, 256), (544, 227), (512, 512)]


def speckle(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = rng.rayleigh(50, shape)
    image[..., shape[-2] // 3, :] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """The smallest of `times` runs: what the work takes where nobody else uses the caches."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest image and 20 slices")
    quick = parser.parse_args().quick
    confidence_map(speckle((20, 20)))
    print("rows x cols   myosweep s   MONAI s   ratio   largest difference")
    for shape in SIZES[:1] if quick else SIZES:
        image = speckle(shape)
        rival = UltrasoundConfidenceMapTransform()
        ours = cpu_seconds(lambda image=image: confidence_map(image), 3)
        theirs = cpu_seconds(lambda rival=rival, image=image: rival(image[None].astype(np.float64)), 2)
        difference = np.abs(confidence_map(image) - np.asarray(rival(image[None].astype(np.float64)))).max()
        times = f"{ours:10.3f}   {theirs:7.3f}   {theirs / ours:5.1f}"
        print(f"{shape[0]:4} x {shape[1]:4}   {times}   {difference:.1e}")

    shape = (20 if quick else 330, 95, 130)
    grid = Grid((shape[2], shape[1], shape[0]), (0.8, 0.8, 1.2), np.zeros(3), np.eye(3))
    volume, coverage = Volume(speckle(shape), grid), Volume(np.ones(shape, dtype=np.float32), grid)
    seconds = cpu_seconds(lambda: confidence_volume(volume, coverage), 1)
    print(f"{shape[0]} slices of 95 x 130: {seconds:.2f} CPU s, {1000 * seconds / shape[0]:.1f} ms a slice")


if __name__ == "__main__":
    main()
