"""How much memory training and prediction take, told before anything is read.

Imports nothing heavy: it is asked whenever the workflow is planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# Measured on a full-size leg (benchmarks/full_size_prediction.py): libraries and the slices that are read;
# each voxel in the network; each voxel of the slab of which windows see a part.
LEAST = 900_000_000
BYTES_IN_NETWORK = 1000
BYTES_IN_SLAB = 60
# Of the comparison of networks (results/benchmarks/train): libraries and cases; each voxel of a patch in the
# network that holds most, DAF3D. Then twice what IFSS-Net took around given masks, and of whole limbs twice
# what a voxel took of the others (training steps at their defaults, fields of 72 x 48 x 48).
LEAST_OF_TRAINING = 1_000_000_000
BYTES_IN_TRAINING = 23_000
BYTES_OF_WHOLE_LIMBS = {
    "unet": 2_500,
    "unet_s_r_clstm": 3_000,
    "attention_unet": 3_600,
    "vnet": 8_000,
    "unetr": 12_500,
}
# A transformer's layers have four matrices of its width and two to and from its wider maps; an eighth more is
# around them. Training holds these weights, their mean, the best ones, gradients and two moments, and two
# copies more while it writes a checkpoint. UNETR holds few maps besides.
LAYERS, AROUND = 12, 1.13
COPIES_OF_WEIGHTS = 8
GUIDED = 2_000_000_000
# A field that holds a lower leg, along x, y and z; limbs are measured only once they are compounded.
LIMB_MM = (150.0, 150.0, 430.0)


def prediction_bytes(size: Sequence[int], spacing_mm: float, settings: Mapping[str, Any]) -> int:
    """Memory of a network that segments a volume, bytes.

    It sees a patch, so many slices (`window`), or the whole limb at once.

    Parameters
    ----------
    size
        Voxels of the volume along (x, y, z).
    spacing_mm
        Their edge.
    settings
        Of the network and its training; those that are missing do not count.
    """
    edges = _edges(settings.get("spacing_mm", spacing_mm))
    columns, rows, depth = (
        math.ceil(count * spacing_mm / edge) for count, edge in zip(size, edges, strict=True)
    )
    patch: Sequence[int] | None = settings.get("patch")
    if patch:
        slab = patch[0] * max(rows, patch[1]) * max(columns, patch[2])
        return LEAST + BYTES_IN_NETWORK * math.prod(patch) + BYTES_IN_SLAB * slab
    at_a_time = min(depth, int(settings.get("window", depth)))
    return LEAST + BYTES_IN_NETWORK * at_a_time * rows * columns


def training_bytes(network: str, settings: Mapping[str, Any]) -> int:
    """Memory of a training, bytes: by its patch or weights, by its voxels where it sees whole limbs.

    Less where it sees what lies around given masks.

    Parameters
    ----------
    network
        Its name.
    settings
        Of the network and its training; those that are missing do not count.
    """
    patch: Sequence[int] | None = settings.get("patch")
    if patch:
        width, wider = (int(settings.get(key, 0)) for key in ("hidden_size", "mlp_size"))
        weights = 4 * LAYERS * AROUND * (4 * width**2 + 2 * width * wider)
        held = max(BYTES_IN_TRAINING * math.prod(patch), COPIES_OF_WEIGHTS * weights)
        return LEAST_OF_TRAINING + round(held)
    if settings.get("margin_mm"):
        return GUIDED
    voxels = math.prod(LIMB_MM) / math.prod(_edges(settings["spacing_mm"]))
    return LEAST_OF_TRAINING + round(BYTES_OF_WHOLE_LIMBS.get(network, BYTES_IN_TRAINING) * voxels)


def _edges(spacing_mm: float | Sequence[float]) -> Sequence[float]:
    return [spacing_mm] * 3 if isinstance(spacing_mm, int | float) else spacing_mm
