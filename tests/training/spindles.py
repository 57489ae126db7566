"""A stand-in for a limb: three spindles in speckle, GM and GL alike but for their side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, write_volume
from myosweep.training.cases import TrainingCase
from myosweep.training.loop import train

STRUCTURES = {"GM": 1, "GL": 2, "SOL": 3}
QUICK = {"spacing_mm": 2.0, "channels": [8, 16, 32], "strides": [2, 2], "threads": 1}


def spindles(seed: int, side: str = "right") -> tuple[Volume, Volume, Volume]:
    """Image, confidence, labels: 64 x 32 x 48 voxels of 1 mm; left limbs are right ones mirrored."""
    random = np.random.default_rng(seed)
    grid = Grid((48, 32, 64), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    z, y, x = np.mgrid[0:64, 0:32, 0:48].astype(float)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    brightness = np.full(grid.shape, 150.0)
    for value, (cz, cy, cx), (rz, ry, rx) in (
        (3, (32, 22, 24), (26, 7, 18)),
        (1, (26, 10, 13), (22, 6, 10)),
        (2, (30, 10, 35), (22, 6, 9)),
    ):
        centre = np.array((cz, cy, cx)) + random.uniform(-1.5, 1.5, 3)
        radii = np.array((rz, ry, rx)) * random.uniform(0.9, 1.1)
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True)) < 1
        labels[inside] = value
        brightness[inside] = 80.0
    image = np.clip(brightness * random.rayleigh(0.8, grid.shape), 1, 255).astype(np.uint8)
    confidence = np.broadcast_to(np.linspace(1, 0, 32, dtype=np.float32)[:, None], grid.shape).copy()
    if side == "left":
        image, labels = image[..., ::-1].copy(), labels[..., ::-1].copy()
    return Volume(image, grid), Volume(confidence, grid), Volume(labels, grid)


def write_case(folder: Path, seed: int, split: str, side: str = "right") -> TrainingCase:
    name = f"s{seed:02d}"
    paths = [folder / f"{name}_{kind}.mha" for kind in ("image", "confidence", "labels")]
    for path, volume in zip(paths, spindles(seed, side), strict=True):
        write_volume(path, volume)
    return TrainingCase(name, f"p{name}", side, split, paths[0], paths[1], paths[2])


def train_network(
    cases: Sequence[TrainingCase], folder: Path, network: str, settings: dict[str, Any], **changes: Any
) -> None:
    """Train with the image alone on all structures; state in `folder`/state, the model in `folder`/model."""
    places = {"checkpoint_dir": folder / "state", "output_dir": folder / "model"}
    learning = {"structures": STRUCTURES, "learned": list(STRUCTURES), "channels": ["image"], "seed": 1}
    train(cases, network=network, settings=settings, **{**places, **learning, **changes})
