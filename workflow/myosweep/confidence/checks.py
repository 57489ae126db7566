"""What a confidence map is made of, as it must be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.confidence.dissection import MOST_PIXELS
from myosweep.confidence.options import ConfidenceOptions
from myosweep.errors import InputError

DEEPEST = 100_000


def check_size(shape: tuple[int, ...], where: str) -> None:
    """Raise InputError where an image is larger than the solver takes."""
    rows, cols = shape
    if rows * cols > MOST_PIXELS:
        found = f"{rows} x {cols} pixels"
        raise InputError(where, found, f"at most {MOST_PIXELS} pixels", "reduce the image")


def check_depth(depth: float | None) -> None:
    """Raise InputError unless the depth is None or a length in pixels."""
    if depth is not None and not 1 <= depth <= DEEPEST:
        raise InputError(
            "confidence map: depth", f"{depth:g}", f"pixels, from 1 to {DEEPEST}", "correct the depth"
        )


def checked_mask(image: NDArray[Any], mask: NDArray[np.bool_] | None, what: str) -> NDArray[np.bool_]:
    """Of the image's shape; all pixels where none is given."""
    if mask is None:
        return np.ones(image.shape, dtype=bool)
    if np.shape(mask) != image.shape:
        raise InputError(
            "confidence map",
            f"a mask ({what}) of shape {np.shape(mask)} for an image of shape {image.shape}",
            "a mask of the image's size",
            "make the mask from the same frame or slice",
        )
    return np.asarray(mask, dtype=bool)


def checked_sink(
    options: ConfidenceOptions, image: NDArray[Any], sink: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """The sink mask, where the options want one."""
    wanted = options.sink == "mask" and options.method == "random_walk"
    if wanted != (sink is not None):
        raise InputError(
            "confidence map: sink",
            f"{'a' if sink is not None else 'no'} sink mask with the sink {options.sink!r}"
            f" and the method {options.method!r}",
            "a mask with the sink 'mask' of the random walk, and none otherwise",
            "give the mask, or choose another sink",
        )
    return None if sink is None else checked_mask(image, sink, "sink")


def checked_image(
    image: NDArray[Any], known: NDArray[np.bool_], where: str = "confidence map"
) -> NDArray[np.float64]:
    """As float64, 0 where unknown."""
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise InputError(
            where,
            f"an array of shape {image.shape} and type {image.dtype}",
            "one grey image (rows, columns)",
            "give one channel of one frame or slice",
        )
    image = image.astype(np.float64)
    finite = np.isfinite(image) | ~known
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(
            where,
            f"{int((~finite).sum())} values that are not finite, the first in row {row}, column {column}",
            "finite grey values",
            "mark these pixels as unknown or repair the image",
        )
    return np.where(known, image, 0.0)
