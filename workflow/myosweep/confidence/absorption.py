"""Sound that is lost on the way: the sink that lies everywhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.confidence.graph import Edges

# Half width (standard deviation) of the neighbourhood whose weights are the tissue's, pixels.
NEIGHBOURHOOD = 10.0


def absorption_of(edges: Edges, known: NDArray[np.bool_], depth: float, bottom: float) -> NDArray[np.float64]:
    """Weight of the edge from each pixel to a sink of its own.

    With kappa^2 times the weight of the tissue around it, where cosh(kappa depth) = 1 / bottom: in tissue of
    one kind the equilibrium of the walk is x'' = kappa^2 x, which from 1 at the transducer, with no flow
    through the far end, falls as cosh(kappa (depth - d)) to `bottom`. Behind edges of low weight, a
    reflector, less arrives and the same part of it is lost. What lies farther away than some 1 / kappa no
    longer matters, and so neither does where the image ends.

    The weight of tissue is the geometric mean (the conductance of a random network in the plane, Dykhne 1971)
    of what leads down from a pixel, taken around each pixel and not over the image, which would not be the
    same for the next one. For the defaults 0.09 to 0.11 instead of 0.1 was left at the bottom of speckle of
    three kinds; harmonic means left 0.19 to 0.85.

    Returns
    -------
    Shape (rows, cols), positive where known.
    """
    kappa = math.acosh(1 / bottom) / depth
    exists = edges.down > 0
    downwards = edges.down + edges.diagonal + edges.anti
    logarithm = np.log(downwards, out=np.zeros(known.shape), where=exists)
    weight = ndimage.gaussian_filter(exists.astype(np.float64), NEIGHBOURHOOD)
    mean = ndimage.gaussian_filter(logarithm, NEIGHBOURHOOD) / np.maximum(weight, 1e-9)
    return np.where(known, kappa**2 * np.exp(mean), 0.0)
