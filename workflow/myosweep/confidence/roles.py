"""What a pixel is to the random walk: where it begins, where it ends, what it never meets; depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.confidence.options import ROUNDING, Sink

OUTSIDE, FREE, SOURCE, SINK = 0, 1, 2, 3

# The part of the columns on either side in which the sink `minimum` does not look; MONAI's.
MARGIN = 0.1


def find_roles(
    image: NDArray[np.float64],
    known: NDArray[np.bool_],
    sink: Sink = "all",
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Say for every pixel whether it is outside the graph, free, source or sink.

    The first known pixel of each column is source. Ends are the last known pixels of columns, those that
    are source left out; which of them are sink, `options.ConfidenceOptions` says. Of an even number of ends
    the middle one is, as in MONAI, the right one of two. A piece of known pixels that touches neither source
    nor sink is outside: no walk reaches it.

    Parameters
    ----------
    image, known
        Shape (rows, cols).
    mask
        Shape (rows, cols), the sink "mask".
    """
    rows = known.shape[0]
    roles = known.astype(np.uint8)
    columns = np.flatnonzero(known.any(axis=0))
    first = known.argmax(axis=0)[columns]
    last = rows - 1 - known[::-1].argmax(axis=0)[columns]
    ended = last > first
    ends = (last[ended], columns[ended])
    if sink == "mask" and mask is not None:
        roles[mask & known] = SINK
    elif sink == "all":
        roles[ends] = SINK
    elif sink == "middle" and ends[0].size:
        roles[ends[0][ends[0].size // 2], ends[1][ends[0].size // 2]] = SINK
    elif sink == "minimum" and ends[0].size:
        margin = int(MARGIN * ends[0].size)
        inner = slice(margin, ends[0].size - margin)
        values = image[ends][inner]
        # As dark as the darkest but for rounding.
        darkest = values - values.min() <= ROUNDING * np.abs(values).max()
        roles[ends[0][inner][darkest], ends[1][inner][darkest]] = SINK
    roles[first, columns] = SOURCE
    if not known.all():
        pieces, count = ndimage.label(known, structure=np.ones((3, 3)))
        reached = np.zeros(count + 1, dtype=bool)
        reached[pieces[roles >= SOURCE]] = True
        roles[~reached[pieces]] = OUTSIDE
    return roles


def longest_beam(known: NDArray[np.bool_]) -> int:
    """Steps from the first to the last known pixel of the longest column (last two axes), at least 1."""
    rows = known.shape[-2]
    first, last = known.argmax(axis=-2), rows - 1 - known[..., ::-1, :].argmax(axis=-2)
    return max(int((last - first)[known.any(axis=-2)].max(initial=1)), 1)


def relative_depth(known: NDArray[np.bool_], depth: float) -> NDArray[np.float64]:
    """Depth below the first known pixel of the column, 1 after `depth` steps; (rows, cols)."""
    steps = np.arange(known.shape[0])[:, None] - known.argmax(axis=0)[None, :]
    relative: NDArray[np.float64] = np.clip(steps, 0, None) / depth
    return relative
