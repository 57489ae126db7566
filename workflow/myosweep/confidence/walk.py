"""The random walk from a pixel to the transducer: Karamalis et al., Medical Image Analysis 2012."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from myosweep.confidence.absorption import absorption_of
from myosweep.confidence.dissection import Memory, solve
from myosweep.confidence.graph import fill_links, weigh_edges
from myosweep.confidence.options import ConfidenceOptions
from myosweep.confidence.roles import OUTSIDE, SINK, SOURCE, find_roles, relative_depth
from myosweep.errors import InputError


def random_walk_map(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    options: ConfidenceOptions,
    sink: NDArray[np.bool_] | None,
    depth: float,
    memory: Memory,
    where: str,
) -> NDArray[np.float64]:
    """The probability that a random walk from a pixel meets a source before a sink.

    Karamalis et al. 2012, after Grady 2006: with the Laplacian L of the graph, (L + A) x = 0 at free pixels,
    x = 1 at sources and x = 0 at sinks; A is diagonal, what each pixel absorbs, and 0 but for the sink
    `everywhere`. The system is solved exactly (`dissection`). A known piece without a sink has 1, one
    without a source 0 (nothing in it was reached from the transducer). A pixel that is alone in its column
    is source.

    Parameters
    ----------
    image, known
        Shape (rows, cols), at least one pixel known.
    sink
        Shape (rows, cols), the sink "mask".
    depth
        Pixels along the beam that count as the whole depth.
    where
        What an error names.

    Returns
    -------
    Shape (rows, cols), 0..1; 0 where unknown.

    Raises
    ------
    InputError
        No known pixel of the sink mask is anything but source.
    """
    rows, cols = image.shape
    roles = find_roles(image, known, options.sink, sink)
    if options.sink == "mask" and not (roles == SINK).any():
        raise InputError(
            where,
            "a sink mask without a known pixel that is not source",
            "at least one pixel where the walk ends",
            "mark pixels within the image area, below its first row",
        )
    edges = weigh_edges(image, known, relative_depth(known, depth), options)
    if options.sink == "everywhere":
        absorption = absorption_of(edges, known, depth, options.bottom)
    else:
        absorption = np.zeros(image.shape)
    solution, links = np.empty(image.size), memory.take("links", 5 * image.size)
    weights = (weight.ravel() for weight in (edges.right, edges.anti, edges.down, edges.diagonal))
    fill_links(links, solution, roles.ravel(), absorption.ravel(), cols, *weights)
    solve(links, solution, cols, memory)
    result = np.clip(solution.reshape(rows, cols), 0.0, 1.0)
    result[roles == SOURCE] = 1.0
    result[roles == OUTSIDE] = 0.0
    return result
