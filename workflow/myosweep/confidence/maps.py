"""Confidence maps of images and of compounded volumes (Karamalis et al., Medical Image Analysis 2012)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.confidence.dissection import MOST_PIXELS, Memory, solve
from myosweep.confidence.graph import OUTSIDE, SOURCE, fill_links, find_roles, weigh_edges
from myosweep.confidence.options import ConfidenceOptions
from myosweep.errors import InputError
from myosweep.io.sweeps import Fan
from myosweep.io.volumes import Volume
from myosweep.progress import track

DEFAULTS = ConfidenceOptions()


def confidence_map(
    image: NDArray[Any],
    options: ConfidenceOptions = DEFAULTS,
    *,
    known: NDArray[np.bool_] | None = None,
    fan: Fan | None = None,
    sink: NDArray[np.bool_] | None = None,
    depth: float | None = None,
    memory: Memory | None = None,
) -> NDArray[np.float64]:
    """The probability that a random walk from a pixel meets the transducer before the far end of the beam.

    The beam runs down the columns. Source is the first known pixel of each column (the transducer's row),
    sink the last one; the walk steps to the eight neighbours with the weights of `graph.weigh_edges`. The
    linear system is solved exactly (`dissection`). With every pixel known this is MONAI's
    UltrasoundConfidenceMapTransform (mode B, all sinks) to 1e-9. Unknown pixels lie outside the graph: a
    column of a compounded slice begins and ends where its own data do, and depth counts from there,
    relative to the longest column. A known piece without a sink has confidence 1, one without a source 0
    (nothing in it was reached from the transducer), and so has one that touches no column's end. A pixel
    that is alone in its column is source.

    Parameters
    ----------
    image
        Shape (rows, cols), real. Its brightness and its range do not matter.
    options
        How the map is made.
    known
        Shape (rows, cols); default: all pixels.
    fan
        The image area of a curved or sector probe, in pixels of the image: the beam then runs from its apex.
    sink
        Shape (rows, cols); the sink of `options.sink` "mask", and only of that.
    depth
        Pixels along the beam that count as the whole depth; default: the longest beam of the image. What is
        to be compared needs one depth.
    memory
        Arrays to be used again for the next image; default: none.

    Returns
    -------
    Shape (rows, cols), 0..1; 0 where unknown.

    Raises
    ------
    InputError
        The image is not a plane of finite real numbers or has more than 4 million pixels, the mask does
        not fit, or a parameter is negative.
    """
    _refuse_what_is_not_built(options, fan, sink, depth)
    image = _checked_image(np.asarray(image), known)
    mask = np.ones(image.shape, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    result = np.zeros(image.shape)
    if mask.any():
        box = _box(mask)
        result[box] = _solve(image[box], mask[box], options, memory or Memory())
    return result


def confidence_volume(
    volume: Volume,
    coverage: Volume,
    options: ConfidenceOptions = DEFAULTS,
    *,
    sink: NDArray[np.bool_] | None = None,
) -> Volume:
    """Confidence maps of all z slices of a compounded volume on a probe-oriented grid.

    Parameters
    ----------
    volume
        Grey values, (z, y, x); the beam runs along y.
    coverage
        On the same grid; 0 marks what is unknown (negative: filled, and known).
    options
        How the maps are made.
    sink
        Shape (z, y, x); see `confidence_map`.

    Returns
    -------
    float32 in 0..1 on the volume's grid, 0 where unknown.

    Raises
    ------
    InputError
        The volumes do not fit together, a value is not finite, or a parameter is negative.
    """
    _refuse_what_is_not_built(options, None, sink, None)
    values, covered = volume.array, coverage.array
    if values.ndim != 3 or covered.shape != values.shape:
        raise InputError(
            "confidence map",
            f"a volume of shape {values.shape} with coverage of shape {covered.shape}",
            "grey values and coverage on the same grid (z, y, x)",
            "give the coverage that was made with the volume",
        )
    result = np.zeros(values.shape, dtype=np.float32)
    memory = Memory()
    for z in track(range(len(values)), len(values), "slices mapped"):
        mask = covered[z] != 0
        if mask.any():
            box = _box(mask)
            image = _checked_image(values[z], mask, f"confidence map, slice {z}")
            result[z][box] = _solve(image[box], mask[box], options, memory)
    return Volume(result, volume.grid)


def _solve(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    options: ConfidenceOptions,
    memory: Memory,
) -> NDArray[np.float64]:
    rows, cols = image.shape
    if image.size > MOST_PIXELS:
        raise InputError(
            "confidence map", f"{rows} x {cols} pixels", f"at most {MOST_PIXELS} pixels", "reduce the image"
        )
    edges = weigh_edges(image, known, options.alpha, options.beta, options.gamma)
    roles = find_roles(known)
    solution, links = np.empty(image.size), memory.take("links", 5 * image.size)
    weights = (edges.right, edges.anti, edges.down, edges.diagonal)
    fill_links(links, solution, roles.ravel(), cols, *(weight.ravel() for weight in weights))
    solve(links, solution, cols, memory)
    result = np.clip(solution.reshape(rows, cols), 0.0, 1.0)
    result[roles == SOURCE] = 1.0
    result[roles == OUTSIDE] = 0.0
    return result


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _refuse_what_is_not_built(options: ConfidenceOptions, fan: object, sink: object, depth: object) -> None:
    plain = (options.method, options.sink, options.normalisation) == ("random_walk", "all", "image")
    if not plain or any(given is not None for given in (fan, sink, depth)):
        raise InputError(
            "confidence map",
            f"{options}",
            "random_walk, sink all, normalisation image, no fan, sink or depth",
            "leave these at their defaults in this version",
        )


def _checked_image(
    image: NDArray[Any], known: NDArray[np.bool_] | None, where: str = "confidence map"
) -> NDArray[np.float64]:
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise InputError(
            where,
            f"an array of shape {image.shape} and type {image.dtype}",
            "one grey image (rows, columns)",
            "give one channel of one frame or slice",
        )
    if known is not None and np.shape(known) != image.shape:
        raise InputError(
            where,
            f"a mask of shape {np.shape(known)} for an image of shape {image.shape}",
            "a mask of the image's size",
            "make the mask from the same frame or slice",
        )
    image = image.astype(np.float64)
    finite = np.isfinite(image) if known is None else np.isfinite(image) | ~np.asarray(known, dtype=bool)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(
            where,
            f"{int((~finite).sum())} values that are not finite, the first in row {row}, column {column}",
            "finite grey values",
            "mark these pixels as unknown or repair the image",
        )
    return image
