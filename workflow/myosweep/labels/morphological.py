"""Fill between slices: ITK's morphological contour interpolation."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from myosweep.labels.interpolation import Interpolation
from myosweep.labels.itk_filters import from_itk, itk_filter, to_itk


class FillBetweenSlices(Interpolation):
    """Morphological contour interpolation (Zukic, Vicory, McCormick et al. 2016), ITK's.

    It takes the frames of a sweep for parallel slices, one pixel apart or more, and knows no other geometry:
    a volume's slices, or a freehand sweep as if the probe had been led straight. An empty annotated mask is
    the end of the structure for it: nothing is filled towards it. Unknown pixels count as not the structure
    and stay unknown up to the next annotation.
    """

    def _set_up(self) -> None:
        self._gap = lru_cache(maxsize=1)(self._fill)

    def _between(self, before: int, after: int, index: int) -> NDArray[np.float32]:
        unknown = np.isnan(self._own(before)) | np.isnan(self._own(after))
        if self.pixels(before) == 0 or self.pixels(after) == 0:
            values = np.zeros(unknown.shape, dtype=np.float32)
        else:
            values = self._gap(before, after)[index - before].astype(np.float32)
        values[unknown] = np.nan
        return values

    def _fill(self, before: int, after: int) -> NDArray[np.uint8]:
        rows, columns = self._masks[before].shape
        stack = np.zeros((after - before + 1, rows, columns), dtype=np.uint8)
        for index in (before, after):
            stack[index - before] = self._masks[index] == self._value
        return fill_between_slices(stack)


def fill_between_slices(slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill empty slices between others.

    Parameters
    ----------
    slices
        Labels (slice, row, column); a slice without any label is unknown.

    Returns
    -------
    Labels of all slices from the first to the last that holds any.
    """
    shown = np.flatnonzero((slices != 0).any(axis=(1, 2)))
    if len(shown) < 2 or all(b - a == 1 for a, b in pairwise(shown.tolist())):
        return slices.copy()
    # The filter looks beyond the labels' box, and fails at an image that ends there.
    padded = to_itk(np.pad(slices, ((0, 0), (1, 1), (1, 1))))
    interpolator = itk_filter("itkMorphologicalContourInterpolator", np.uint8)
    interpolator.SetInput(padded)
    interpolator.SetAxis(2)
    interpolator.Update()
    made: NDArray[np.uint8] = from_itk(interpolator.GetOutput(), np.uint8)[:, 1:-1, 1:-1]
    return made
