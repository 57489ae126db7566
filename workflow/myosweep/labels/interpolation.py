"""Masks for the frames between annotated frames of one sweep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Matrix
from myosweep.labels.distance import blend, signed_distance

UNKNOWN = 255

# Frames closer than this, or moved almost within their own plane, do not say which way the sweep went.
_SHORTEST_STEP_MM = 0.05
_SMALLEST_SINE = 0.2


class Interpolation(ABC):
    """Membership of one structure, frame by frame.

    Attributes
    ----------
    annotated
        Sorted indices of the frames that say something about the structure.
    """

    def __init__(
        self,
        masks: Mapping[int, NDArray[np.uint8]],
        image_to_world: NDArray[np.float64],
        valid: NDArray[np.bool_],
        value: int,
    ) -> None:
        self._masks = masks
        self._poses = image_to_world
        self._valid = valid
        self._value = value
        self.annotated = sorted(
            index for index, mask in masks.items() if valid[index] and (mask != UNKNOWN).any()
        )
        self._pixels = {index: int(np.count_nonzero(masks[index] == value)) for index in self.annotated}

    def pixels(self, index: int) -> int:
        """Number of pixels of the structure in an annotated frame."""
        return self._pixels[index]

    def membership(self, index: int) -> NDArray[np.float32] | None:
        """Degree to which the pixels of a frame belong to the structure.

        Returns
        -------
        float32 (row, column), 0 to 1, NaN where unknown; or None where the frame has no pose or lies before
        the first or after the last annotation.
        """
        if not self.annotated or not self._valid[index]:
            return None
        after = bisect_right(self.annotated, index)
        if after and self.annotated[after - 1] == index:
            return self._own(index)
        if after == 0 or after == len(self.annotated):
            return None
        return self._between(self.annotated[after - 1], self.annotated[after], index)

    def _own(self, index: int) -> NDArray[np.float32]:
        mask = self._masks[index]
        values: NDArray[np.float32] = (mask == self._value).astype(np.float32)
        values[mask == UNKNOWN] = np.nan
        return values

    @abstractmethod
    def _between(self, before: int, after: int, index: int) -> NDArray[np.float32]: ...


class ZeroOrder(Interpolation):
    """Zero-order interpolation (Gonzalez Duque 2024, part I, section 1.3).

    The smaller of two neighbouring annotated masks (fewer pixels; the earlier where both have as many)
    stands in every frame between them. The volume is underestimated wherever the cross-section changes.
    """

    def _between(self, before: int, after: int, index: int) -> NDArray[np.float32]:
        return self._own(before if self._pixels[before] <= self._pixels[after] else after)


class ShapeBased(Interpolation):
    """Shape-based interpolation of signed distances (Raya and Udupa 1990), in the frames' true geometry.

    A pixel looks along the line between the centres of the two annotated frames, finds the signed distance
    to the outline (mm) where that line meets either frame, and weights both by its distance to them. So a
    probe that tilts, wobbles or changes its speed between two annotations does not bend the muscle. Where
    the line lies almost within the frames, pixels are compared with the pixels of the same index, weighted
    by frame number.

    Next to a mask without the structure, the empty mask counts as a signed distance of minus the largest
    inner distance of its neighbour: the structure tapers and ends half way. The membership falls from 1 to
    0 over one pixel across the outline.
    """

    def __init__(
        self,
        masks: Mapping[int, NDArray[np.uint8]],
        image_to_world: NDArray[np.float64],
        valid: NDArray[np.bool_],
        value: int,
    ) -> None:
        super().__init__(masks, image_to_world, valid, value)
        self._distance = lru_cache(maxsize=2)(self._compute_distance)

    def _compute_distance(self, index: int) -> NDArray[np.float32]:
        mask = self._masks[index]
        distance = signed_distance(mask == self._value, _spacing(self._poses[index]))
        distance[mask == UNKNOWN] = np.nan
        return distance

    def _between(self, before: int, after: int, index: int) -> NDArray[np.float32]:
        if self._pixels[before] == 0 and self._pixels[after] == 0:
            return self._own(before) + self._own(after)
        ends = [self._distance(end) for end in (before, after)]
        for here, there in ((0, 1), (1, 0)):
            if self._pixels[(before, after)[here]] == 0:
                ends[here] = np.where(np.isnan(ends[here]), np.nan, -np.nanmax(ends[there])).astype(
                    np.float32
                )
        lines = _lines(self._poses[before], self._poses[after], self._poses[index], ends[0].shape)
        if lines is None:
            weight = (index - before) / (after - before)
            same = np.array([[1.0, 0, 0], [0, 1, 0]])
            lines = (same, same, np.array([0, 0, weight]), np.array([0, 0, 1 - weight]))
        return blend(ends[0], ends[1], *lines, min(_spacing(self._poses[index])))


METHODS: dict[str, type[Interpolation]] = {"zoi": ZeroOrder, "shape": ShapeBased}


def interpolate(
    masks: Mapping[int, NDArray[np.uint8]],
    image_to_world: NDArray[np.float64],
    valid: NDArray[np.bool_],
    value: int,
    method: str,
) -> Interpolation:
    """Interpolate one structure between the annotated frames of a sweep.

    Parameters
    ----------
    masks
        Frame index to mask, uint8 (row, column); 255 is unknown. Masks of frames that are not valid, and
        masks without a known pixel, are left out.
    image_to_world
        (frame, 4, 4), mm per pixel.
    valid
        Per frame whether its pose can be used.
    value
        The structure's label in the masks.
    method
        A name in `METHODS`.
    """
    return METHODS[method](masks, image_to_world, valid, value)


def _spacing(pose: Matrix) -> tuple[float, float]:
    """Pixel size in mm, (along a row, along a column)."""
    return float(np.linalg.norm(pose[:3, 0])), float(np.linalg.norm(pose[:3, 1]))


def _lines(
    before: Matrix, after: Matrix, frame: Matrix, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Where lines along the sweep, through the pixels of a frame, meet the two annotated frames.

    Returns two (2, 3) maps of (column, row, 1) to column and row in the frames before and after, and two (3,)
    maps to the distances in mm from them; None where the sweep does not leave the frames' planes.
    """
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2, 0, 1])
    step = (after @ centre - before @ centre)[:3]
    length = float(np.linalg.norm(step))
    if length < _SHORTEST_STEP_MM:
        return None
    direction = step / length
    maps = []
    for end in (before, after):
        axes = np.column_stack([end[:3, 0], end[:3, 1], direction])
        if abs(np.linalg.det(axes)) < _SMALLEST_SINE * np.prod(np.linalg.norm(axes, axis=0)):
            return None
        offsets = np.column_stack([frame[:3, 0], frame[:3, 1], frame[:3, 3] - end[:3, 3]])
        maps.append(np.linalg.solve(axes, offsets))
    return maps[0][:2], maps[1][:2], maps[0][2], -maps[1][2]
