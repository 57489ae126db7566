"""Which part of a structure's border the image shows, and how much of it a prediction finds.

The thesis (Gonzalez Duque 2024, part III, section 2.2, equation 2.1) splits the border B of a reference:
B_distinct = Thres(I * K_smooth * K_sobel) x B is what the image I shows, the rest is completed from anatomy
and neighbouring frames. The equation leaves open the kernels and the threshold. Here

- K_smooth is a Gaussian of 0.5 mm over the known voxels alone (normalised convolution, Knutsson and Westin
  1993);
- K_sobel stands for the magnitude of the Sobel gradient per mm along all axes of the volume;
- Thres is Otsu's threshold (1979) of that magnitude over the known voxels of the box around all reference
  structures, one for all structures of an image; beside an unknown voxel there is no gradient, and the
  border is completed;
- B are the surface voxels of the reference; one is found where a surface voxel of the prediction lies within
  the tolerance (both as in `surface`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

SMOOTHING_MM = 0.5
BINS = 1024


@dataclass(frozen=True)
class BorderShares:
    """Shares of a reference border in per cent; None where there is no such border to find.

    Attributes
    ----------
    distinct
        Part of the border that the image shows; the rest is completed.
    found_distinct, found_completed, found
        Part of the distinct, of the completed and of the whole border that the prediction found.
    """

    distinct: float | None
    found_distinct: float | None
    found_completed: float | None
    found: float | None


@njit(cache=True)
def _sobel_magnitude(
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
    steps: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Magnitude of the Sobel gradient per mm; -1 where one of its 27 voxels is unknown or outside."""
    depth, rows, cols = values.shape
    result = np.full(values.shape, np.float32(-1))
    for z in range(1, depth - 1):
        for y in range(1, rows - 1):
            for x in range(1, cols - 1):
                if not known[z, y, x]:
                    continue
                gz = gy = gx = 0.0
                whole = True
                for i in range(-1, 2):
                    for j in range(-1, 2):
                        for k in range(-1, 2):
                            whole &= known[z + i, y + j, x + k]
                            value = values[z + i, y + j, x + k]
                            gz += i * (2 - abs(j)) * (2 - abs(k)) * value
                            gy += j * (2 - abs(i)) * (2 - abs(k)) * value
                            gx += k * (2 - abs(i)) * (2 - abs(j)) * value
                if whole:
                    # The kernel's weights over two steps add up to 32.
                    gz, gy, gx = gz / (32 * steps[0]), gy / (32 * steps[1]), gx / (32 * steps[2])
                    result[z, y, x] = np.sqrt(gz * gz + gy * gy + gx * gx)
    return result


def edge_strength(
    image: NDArray[np.generic],
    known: NDArray[np.bool_],
    spacing: Sequence[float],
    smoothing_mm: float = SMOOTHING_MM,
) -> NDArray[np.float32]:
    """Magnitude of the smoothed image's gradient in grey levels per mm; -1 where it is not known.

    Parameters
    ----------
    image, known
        Shape (z, y, x).
    spacing
        mm along (z, y, x).
    """
    sigma = [smoothing_mm / step for step in spacing]
    values = np.where(known, image, 0).astype(np.float32)
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, mode="constant", truncate=3.0)
    values = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0)
    values /= np.maximum(weight, np.float32(1e-6))
    return _sobel_magnitude(values, known, np.asarray(spacing, dtype=np.float64))


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """The threshold between the two classes whose means differ most, weighted by their sizes (Otsu 1979).

    Values above it are the upper class; of constant values none is above it.
    """
    if not values.size:
        return 0.0
    low, high = float(values.min()), float(values.max())
    if low == high:
        return high
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return float(edges[1 + int(between.argmax())])


def border_shares(
    distances: NDArray[np.float64], distinct: NDArray[np.bool_], tolerance_mm: float
) -> BorderShares:
    """Shares of a border.

    Parameters
    ----------
    distances
        From each voxel of the reference's border to the nearest voxel of the prediction's, mm; infinite
        without one.
    distinct
        Whether the image shows the border there, same length.
    tolerance_mm
        How far a found border may lie.
    """
    close = distances <= tolerance_mm * (1 + 1e-9)
    return BorderShares(
        _percent(distinct), _percent(close[distinct]), _percent(close[~distinct]), _percent(close)
    )


def _percent(hits: NDArray[np.bool_]) -> float | None:
    return 100.0 * int(np.count_nonzero(hits)) / hits.size if hits.size else None
