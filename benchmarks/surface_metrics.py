"""Surface metrics: this library against MONAI, in one run, on a pair of rough ellipsoids.

python benchmarks/surface_metrics.py [--quick] [--without-rival]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.metrics.evaluate import evaluate
from myosweep.metrics.surface import surface_distances

SPACING = 0.277


def ellipsoid(shape: tuple[int, ...], shift: float, amplitude: float) -> np.ndarray:
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :] - shift
    wave = amplitude * np.sin(23 * z) * np.sin(19 * y) * np.sin(17 * x)
    return (z / 0.9) ** 2 + (y / 0.45) ** 2 + (x / 0.45) ** 2 + wave < 1


def measure(name: str, work: Callable[[], str]) -> None:
    start = time.process_time()
    text = work()
    print(f"{name:10} {time.process_time() - start:7.2f} CPU s   {text}")


def ours(a: np.ndarray, b: np.ndarray) -> str:
    found = surface_distances(a, b, (SPACING,) * 3)
    return (
        f"HD {found.hausdorff:.3f}  HD95 {found.percentile(95):.3f}  ASSD {found.average:.3f} mm  "
        f"NSD(1 mm) {found.surface_dice(1):.3f}"
    )


def monai(a: np.ndarray, b: np.ndarray) -> str:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    pair = [torch.from_numpy(mask[None, None]) for mask in (a, b)]
    settings = {"include_background": True, "spacing": SPACING}
    hd = compute_hausdorff_distance(*pair, **settings)
    hd95 = compute_hausdorff_distance(*pair, percentile=95, **settings)
    average = compute_average_surface_distance(*pair, symmetric=True, **settings)
    return f"HD {float(hd):.3f}  HD95 {float(hd95):.3f}  ASSD {float(average):.3f} mm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a pair an eighth of the size")
    parser.add_argument("--without-rival", action="store_true")
    arguments = parser.parse_args()
    shape = (200, 256, 256) if arguments.quick else (400, 512, 512)
    a, b = ellipsoid(shape, 0.02, 0.25), ellipsoid(shape, 0.0, 0.0)
    measure("myosweep", lambda: ours(a, b))
    if not arguments.without_rival:
        measure("MONAI", lambda: monai(a, b))

    shape = (330, 95, 130)
    grid = Grid((shape[2], shape[1], shape[0]), (0.8, 0.8, 1.2), np.zeros(3), np.eye(3))
    image = Volume(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8), grid)
    pair = [ellipsoid(shape, shift, amplitude) for shift, amplitude in ((0.04, 0.1), (0.0, 0.0))]
    labels, reference = (
        Volume(np.where(m, 1 + (np.indices(shape)[2] > 60), 0).astype(np.uint8), grid) for m in pair
    )
    evaluate(labels, reference, {"a": 1, "b": 2}, image)
    measure(
        "evaluate",
        lambda: f"{len(evaluate(labels, reference, {'a': 1, 'b': 2}, image))} rows, two structures",
    )


if __name__ == "__main__":
    main()
