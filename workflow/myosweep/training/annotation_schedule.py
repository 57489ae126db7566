"""How many slices of each training volume an expert annotates, and which (thesis II.2.4.3; MICCAI 2020).

The thesis gives 233, 116, 58, 56, 53, 51, ... of 1400 slices for 29 volumes, 3.5 % in all. One rule gives
those numbers and that total: in volume 1, 2, 3, 4, 5, 6, ... one slice of every 6, 12, 24, 25, 26, 27, ... is
annotated (1400 / 25 = 56, 1400 / 26 = 53.8, ...), down to one in 50 in volume 29; 1/6 + 1/12 + 1/24 + ... +
1/50 = 1.0149 = 29 x 3.4997 %.

For other cohorts all intervals are stretched or shrunk alike, so that the total stays what was asked for. A
volume needs a window of annotated slices to start from: none gets fewer, and the others give up what that
costs. Where a window for each is more than the total (3.5 % of volumes of less than 86 slices), each gets one
window, and the total is that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Annotations:
    """Which slices of the training volumes keep their annotations.

    Attributes
    ----------
    slices
        Indices from 0, a list per volume.
    structure
        Whose annotations the other slices lose; "" for all structures'.
    """

    slices: list[list[int]]
    structure: str = ""


def interval(volume: int) -> int:
    """One slice of how many is annotated in a volume, counted from 0, of the thesis's cohort."""
    return (6, 12)[volume] if volume < 2 else 22 + volume


def annotation_counts(slices: Sequence[int], supervision: str, percent: float, window: int) -> list[int]:
    """The number of annotated slices of each volume.

    Parameters
    ----------
    slices
        Slices of each training volume, in the order in which they are added to the training.
    supervision
        `full`, `decremental`, or `fixed` (the same share of each volume).
    percent
        Share of all slices that is annotated, unless supervision is full.
    window
        The fewest of a volume.

    Returns
    -------
    One number per volume: at most its slices, at least the window where it has as many.
    """
    if supervision not in ("full", "decremental", "fixed"):
        raise ValueError(f"supervision is '{supervision}', expected full, decremental or fixed")
    if supervision == "full":
        return list(slices)
    weights = [1.0 if supervision == "fixed" else 1 / interval(place) for place in range(len(slices))]
    total = percent / 100 * sum(slices)

    def counts(scale: float) -> list[float]:
        return [
            min(count, max(window, scale * weight * count))
            for weight, count in zip(weights, slices, strict=True)
        ]

    low, high = 0.0, 1 / min(weights, default=1)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(counts(middle)) <= total else (low, middle)
    # A billionth: 14 slices must not become 13 by rounding.
    return [floor(count + 1e-9) for count in counts(low)]


def annotated_slices(slices: int, count: int, window: int) -> list[int]:
    """Which slices are annotated: groups of neighbours, as in the paper, each in the middle of its part.

    Parameters
    ----------
    slices
        Slices of the volume, divided into as many equal parts as there are groups.
    count
        Slices to annotate; what is left over after whole groups is not, and there is one group at least.
    window
        Slices of a group.

    Returns
    -------
    Indices from 0, ascending.
    """
    if count >= slices:
        return list(range(slices))
    groups = max(count // window, 1)
    starts = [floor((2 * group + 1) * slices / (2 * groups) - window / 2) for group in range(groups)]
    return [start + step for start in starts for step in range(window) if 0 <= start + step < slices]


def even_slices(slices: int, percent: float) -> list[int]:
    """So many per cent of a volume's slices, one at least, as evenly spread as can be.

    Parameters
    ----------
    slices
        Slices of the volume.
    percent
        Above 0, at most 100.

    Returns
    -------
    Indices from 0, ascending; each in the middle of its part of the volume.
    """
    count = max(round(percent / 100 * slices), 1)
    return [floor((2 * place + 1) * slices / (2 * count)) for place in range(count)]


def keep_annotations(target: NDArray[np.uint8], kept: Sequence[int]) -> NDArray[np.uint8]:
    """The fractions (class, z, y, x) with all slices but `kept` unknown, that is 0 in every class."""
    result = np.zeros_like(target)
    result[:, list(kept)] = target[:, list(kept)]
    return result


def hide_structure(target: NDArray[np.uint8], index: int, kept: Sequence[int]) -> NDArray[np.uint8]:
    """The fractions (class, z, y, x) as if one class had not been looked for on all slices but `kept`.

    There the class and the background are 0: where the structure may be, nobody knows what there is. The
    other classes stay.
    """
    result = target.copy()
    hidden = np.setdiff1d(np.arange(target.shape[1]), kept)
    for unknown in (0, index):
        result[unknown, hidden] = 0
    return result
