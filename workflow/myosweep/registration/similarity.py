"""How alike two sets of grey values are, whatever relates them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def information_correlation(first: NDArray[np.float32], second: NDArray[np.float32], bins: int = 32) -> float:
    """Informational coefficient of correlation, sqrt(1 - exp(-2 I)) (Linfoot 1957), 0 to 1.

    I is the mutual information in nats of the joint histogram, less its bias (cells - 1)^2 / 2n. For jointly
    normal values it is the size of the ordinary correlation; it needs no linear relation.
    """
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    joint = np.histogram2d(first, second, bins=bins)[0]
    joint = joint[joint.any(axis=1)][:, joint.any(axis=0)]
    bias = (joint.shape[0] - 1) * (joint.shape[1] - 1) / (2 * first.size)
    joint /= joint.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    information = float((joint[filled] * np.log(joint[filled] / product[filled])).sum())
    return math.sqrt(1 - math.exp(-2 * max(0.0, information - bias)))
