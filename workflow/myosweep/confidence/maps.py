"""Confidence maps of images and of compounded volumes (Karamalis et al., Medical Image Analysis 2012)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from myosweep.confidence.beams import beams_of
from myosweep.confidence.checks import check_depth, check_size, checked_image, checked_mask, checked_sink
from myosweep.confidence.directed import directed_map
from myosweep.confidence.dissection import Memory
from myosweep.confidence.options import ConfidenceOptions
from myosweep.confidence.roles import longest_beam
from myosweep.confidence.walk import random_walk_map
from myosweep.errors import InputError
from myosweep.io.sweeps import Fan
from myosweep.progress import track

if TYPE_CHECKING:
    from myosweep.io.volumes import Volume

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
    """How far the sound can be trusted at each pixel: 1 at the transducer, falling along the beam.

    With the options' defaults the probability that a random walk from a pixel meets the transducer before the
    far end of a beam (Karamalis et al. 2012, `walk.random_walk_map`); of an image that is known everywhere
    it is MONAI's UltrasoundConfidenceMapTransform (mode B, sink all, middle, minimum or mask) to 1e-9. With
    `method` "directed" it is handed down from row to row (Hung et al. 2020, `directed.directed_map`).

    The beam runs down the columns, or, where a fan is given, from its apex: the image is read along the
    beams, mapped there, and the map is brought back to the pixels (`beams.beams_of`). Unknown pixels lie
    outside the graph: a column of a compounded slice begins and ends where its own data do, and depth counts
    from there, relative to the longest column.

    Parameters
    ----------
    image
        Shape (rows, cols), real. What it is scaled by, `options.normalisation` says.
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
        The image is not a plane of finite real numbers or has more than 4 million pixels, a mask does not
        fit, the sink mask has no pixel in the graph or is not what the options ask for, the fan is none, or
        the depth is less than a pixel.
    """
    image = np.asarray(image)
    mask = checked_mask(image, known, "known")
    values = checked_image(image, mask)
    sinks = checked_sink(options, image, sink)
    check_depth(depth)
    if fan is None:
        return _boxed(values, mask, options, sinks, depth, memory or Memory())
    check_size(image.shape, "confidence map")
    beams = beams_of(fan, *image.shape)
    samples, sampled = beams.sample(values, mask)
    marked = None if sinks is None else beams.mark(sinks)
    result = _boxed(samples, sampled, options, marked, depth, memory or Memory())
    return np.clip(beams.back(result, sampled, mask), 0.0, 1.0)


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
        How the maps are made. Where the normalisation is fixed, one depth counts for all slices.
    sink
        Shape (z, y, x); see `confidence_map`.

    Returns
    -------
    float32 in 0..1 on the volume's grid, 0 where unknown.

    Raises
    ------
    InputError
        The volumes do not fit together, a value is not finite, or a slice is too large or without sink.
    """
    # SimpleITK takes 90 MB, a map alone needs none of it.
    from myosweep.io.volumes import Volume

    values, covered = volume.array, coverage.array
    if values.ndim != 3 or covered.shape != values.shape:
        raise InputError(
            "confidence map",
            f"a volume of shape {values.shape} with coverage of shape {covered.shape}",
            "grey values and coverage on the same grid (z, y, x)",
            "give the coverage that was made with the volume",
        )
    sinks = checked_sink(options, values, sink)
    # One depth for all slices where their maps are to be compared.
    depth: int | None = None
    if options.normalisation == "fixed":
        depth = max((longest_beam(plane != 0) for plane in covered), default=1)
    result = np.zeros(values.shape, dtype=np.float32)
    memory = Memory()
    for z in track(range(len(values)), len(values), "slices mapped"):
        known = covered[z] != 0
        if known.any():
            where = f"confidence map, slice {z}"
            image = checked_image(values[z], known, where)
            marked = None if sinks is None else sinks[z]
            result[z] = _boxed(image, known, options, marked, depth, memory, where)
    return Volume(result, volume.grid)


def _boxed(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    options: ConfidenceOptions,
    sink: NDArray[np.bool_] | None,
    depth: float | None,
    memory: Memory,
    where: str = "confidence map",
) -> NDArray[np.float64]:
    """The map of what is known, solved in the smallest box around it."""
    result = np.zeros(image.shape)
    if not known.any():
        return result
    box = _box(known)
    check_size(image[box].shape, where)
    length = float(depth or longest_beam(known))
    if options.method == "directed":
        result[box] = directed_map(image[box], known[box], length, options)
    else:
        marked = None if sink is None else sink[box]
        result[box] = random_walk_map(image[box], known[box], options, marked, length, memory, where)
    return result


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
