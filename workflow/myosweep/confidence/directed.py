"""The confidence of a row from the row above it alone: a directed graph without cycles (Hung et al. 2020)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.confidence.graph import scaled_values
from myosweep.confidence.options import ConfidenceOptions
from myosweep.confidence.roles import relative_depth

# A pixel hears the row above this far to each side, with this variance, both in pixels; the authors'.
REACH = 10
VARIANCE = 8.0
# Added to every difference of grey values, which then are never all 0; of 1, the authors'.
LEAST_DIFFERENCE = 1e-4
# Mean difference between neighbours along the beam, of white: 0.0200 in a limb, 0.0202 in a phantom of a
# spine (frame 10 of the PLUS sequences BoneUltrasound_L14 and SpinePhantomFreehand).
USUAL_DIFFERENCE = 0.02


def directed_map(
    image: NDArray[np.float64], known: NDArray[np.bool_], depth: float, options: ConfidenceOptions
) -> NDArray[np.float64]:
    """Confidence that is handed down from row to row.

    As in the code that Hung, Chen and Galeotti published with their paper (arXiv 2011.11956), without its
    smoothing: C(0, j) = 1, and

        C(i, j) = sum_k g_k C(i - 1, j + k) exp(-xi exp(-alpha d_i) |I(i, j) - I(i - 1, j + k)| / m_k(i))

    over |k| <= 10, with a Gaussian g of variance 8 whose sum is 1, the relative depth d, m_k(i) the row's
    mean of that difference, and xi such that where all differences are alike `options.bottom` is left at the
    end of the depth. Parents that are unknown leave their weight to the others. Where the normalisation is
    fixed the ratio is (difference + u) / (2 u) with one u for all rows of all images: half of what is lost in
    usual tissue is lost in homogeneous one.

    It loses by differences alone, of which speckle has many and a shadow few: smooth images of strong speckle
    first. On the recorded limb, as it was, 0.12 was left behind the bone and 0.20 beside it.

    Returns
    -------
    Shape (rows, cols), 0..1; 1 at the first known pixel of each column, 0 where unknown or where no parent is
    known.
    """
    # Depths from the first step on: exp(-alpha d) of any alpha then begins with 1.
    steps = np.arange(round(depth)) / depth
    relative = np.maximum(relative_depth(known, depth) - 1 / depth, 0.0)
    loss = np.exp(-options.alpha * relative)
    loss *= -math.log(options.bottom) / float(np.exp(-options.alpha * steps).sum())
    offsets = np.arange(-REACH, REACH + 1)
    bump = np.exp(-0.5 / VARIANCE * offsets**2)
    usual = USUAL_DIFFERENCE if options.normalisation == "fixed" else 0.0
    result = np.zeros(known.shape)
    _descend(scaled_values(image, known, options), known, known.argmax(axis=0), loss, bump, usual, result)
    return result


@njit(cache=True, nogil=True)
def _descend(
    values: NDArray[np.float64],
    known: NDArray[np.bool_],
    first: NDArray[np.int64],
    loss: NDArray[np.float64],
    bump: NDArray[np.float64],
    usual: float,
    result: NDArray[np.float64],
) -> None:
    rows, cols = values.shape
    mean = np.empty(bump.size)
    for j in range(cols):
        if known[0, j]:
            result[0, j] = 1.0
    for i in range(1, rows):
        for k in range(bump.size):
            total, count = 0.0, 0
            shift = k - REACH
            for j in range(max(0, -shift), min(cols, cols - shift)):
                if known[i, j] and known[i - 1, j + shift]:
                    total += abs(values[i, j] - values[i - 1, j + shift])
                    count += 1
            mean[k] = total / count if count else 0.0
        for j in range(cols):
            if not known[i, j]:
                continue
            if first[j] == i:
                result[i, j] = 1.0
                continue
            total, weight = 0.0, 0.0
            for k in range(bump.size):
                parent = j + k - REACH
                if parent < 0 or parent >= cols or not known[i - 1, parent]:
                    continue
                difference = abs(values[i, j] - values[i - 1, parent])
                if usual > 0.0:
                    ratio = (difference + usual) / (2.0 * usual)
                else:
                    ratio = (difference + LEAST_DIFFERENCE) / (mean[k] + LEAST_DIFFERENCE)
                total += bump[k] * result[i - 1, parent] * np.exp(-loss[i, j] * ratio)
                weight += bump[k]
            if weight > 0.0:
                result[i, j] = total / weight
