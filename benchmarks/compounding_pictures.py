"""Pictures of what compounding does to seams and gaps, for README.

    python benchmarks/compounding_pictures.py DENSE SPARSE docs

DENSE and SPARSE are folders with simulated full-size legs (`compounding_quality.py --simulate full_dense`).
Writes seams.png, a cross-section of the dense leg, and gaps.png, a longitudinal section of the sparse one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from compounding_quality import RIVALS, make
from myosweep.compounding import case_grid
from myosweep.io.recordings import read_sweep


def volumes(recordings: Path, spacing: float, names: list[str]) -> list[np.ndarray]:
    calibration = recordings / "calibration_deep.xml"
    sweeps = [read_sweep(path, calibration) for path in sorted((recordings / "deep").glob("*.mha"))]
    grid = case_grid(sweeps, "probe", spacing, "full")
    return [make(sweeps, grid, RIVALS[name])[0] for name in names]


def draw(images: list[np.ndarray], titles: list[str], spacing: float, path: Path, width: float) -> None:
    height = width / len(images) * images[0].shape[0] / images[0].shape[1]
    figure, axes = plt.subplots(1, len(images), figsize=(width, height + 0.35), dpi=110)
    for axis, image, title in zip(axes, images, titles, strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.plot([8, 8 + 20 / spacing], [image.shape[0] - 8] * 2, color="white", linewidth=2)
        axis.text(8, image.shape[0] - 14, "20 mm", color="white", fontsize=7)
        axis.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.995 - 0.3 / (height + 0.35), 0.02)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("sparse", type=Path)
    parser.add_argument("output", type=Path)
    chosen = parser.parse_args()
    names = ["trilinear, between", "between frames, feathered"]
    shown = volumes(chosen.dense, 0.4, names)
    at = int(0.42 * len(shown[0]))
    draw(
        [volume[at] for volume in shown],
        ["plain mean: seams where sweeps end", "myosweep: feathered"],
        0.4,
        chosen.output / "seams.png",
        9.0,
    )
    names = ["trilinear, Gaussian over 5 voxels", "between frames, feathered"]
    shown = volumes(chosen.sparse, 0.4, names)
    at = int(0.5 * shown[0].shape[2])
    draw(
        [volume[: int(140 / 0.4), :, at].T for volume in shown],
        ["a frame every 5 mm: trilinear, holes of 5 voxels filled", "myosweep: interpolated between frames"],
        0.4,
        chosen.output / "gaps.png",
        9.0,
    )


if __name__ == "__main__":
    main()
