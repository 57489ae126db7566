"""Volumes of structures in millilitres."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from myosweep.io.volumes import Volume


def volumes(labels: Volume, structures: Mapping[str, int]) -> dict[str, float]:
    """Volume of every structure in ml: its number of voxels times the voxel's volume.

    Parameters
    ----------
    labels
        (z, y, x), integer labels; unknown voxels (255) belong to no structure, so that where a structure
        has some the volume is a lower bound.
    structures
        Label value by name.
    """
    counts = sum(
        (np.bincount(part.ravel(), minlength=256) for part in labels.array), np.zeros(256, dtype=np.int64)
    )
    return {name: int(counts[value]) * labels.grid.voxel_ml for name, value in structures.items()}


def error_percent(volume_ml: float, reference_ml: float) -> float:
    """Signed error in per cent of the reference; 0 where both are 0, 100 where only the reference is."""
    if reference_ml == 0:
        return 0.0 if volume_ml == 0 else 100.0
    return 100.0 * (volume_ml - reference_ml) / reference_ml
