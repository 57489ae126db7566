"""How much a pixel counts: nothing outside of the image, less towards its edge where sweeps are blended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from myosweep.compounding.area import ImageArea

BLENDINGS = ("feather", "confidence", "none")
# The edge must still count, or what only an edge saw would be lost.
LEAST_WEIGHT = 1 / 256


def pixel_weights(area: ImageArea, blending: str) -> NDArray[np.float32] | None:
    """Weight of every pixel of the area's rectangle, float32 (row, column); None where all count the same.

    "feather": the distance to the nearest pixel outside of the area, relative to the largest one, so that a
    sweep fades out towards the sides of its frames and the lower edge, and where two overlap one becomes the
    other without a step (as mosaics of photographs are feathered; Szeliski 2006, "Image alignment and
    stitching", section 6.2). "confidence": the same, to be multiplied with each frame's own map (`weigh`).
    "none": one inside of the area.
    """
    if blending == "none":
        return None if area.mask is None else area.mask.astype(np.float32)
    inside = np.ones((area.rectangle.rows, area.rectangle.columns), bool) if area.mask is None else area.mask
    distance = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    weights = np.maximum(distance / max(float(distance.max()), 1.0), LEAST_WEIGHT).astype(np.float32)
    weights[~inside] = 0
    return weights


def weigh(weights: NDArray[np.float32], confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of a frame's pixels times their confidence, 0..1; what is image keeps a little."""
    product: NDArray[np.float32] = np.maximum(weights * confidence, np.float32(LEAST_WEIGHT**2))
    product[weights == 0] = 0
    return product
