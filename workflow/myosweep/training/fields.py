"""The part of a limb's cross-sections that a network sees: all of it, or what lies around the given masks.

A network that is shown where the structure is need not look at the other side of the limb. What it never
sees is background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.training.data import padding, position_channel
from myosweep.training.guides import NothingToPropagate, guiding_slices
from myosweep.training.lattice import Floats
from myosweep.training.propagation import Volume

Box = tuple[slice, slice]
Place = tuple[int, int, int]


def guided_box(fractions: Volume, window: int) -> Box | None:
    """Rows and columns of the masks that guide a network (see `guides.guiding_slices`); None without any."""
    try:
        masks = guiding_slices(fractions, window)
    except NothingToPropagate:
        return None
    covered = np.any([mask > 0 for mask in masks.values()], axis=0)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def field_shape(
    shape: Sequence[int], box: Box | None, margin_mm: float, spacing: Sequence[float]
) -> tuple[int, int, int]:
    """Voxels (z, y, x) of the box and its margin on all sides, or of the whole where there is no box."""
    depth, height, width = shape
    if box is None:
        return depth, height, width
    rows, columns = (
        part.stop - part.start + 2 * ceil(margin_mm / voxel)
        for part, voxel in zip(box, (spacing[1], spacing[0]), strict=True)
    )
    return depth, rows, columns


def field_corner(shape: Sequence[int], box: Box | None, field: Sequence[int]) -> Place:
    """Where a field begins, a voxel (z, y, x) of the volume or before it: its middle is the box's.

    Without a box the volume lies in the middle of the field.
    """
    z, y, x = (-part.start for part in padding(shape, [max(pair) for pair in zip(shape, field, strict=True)]))
    if box is None:
        return z, y, x
    rows, columns = ((part.start + part.stop - size) // 2 for part, size in zip(box, field[1:], strict=True))
    return z, rows, columns


def _overlap(shape: Sequence[int], corner: Place, field: Sequence[int]) -> tuple[Any, Any]:
    """The same voxels as a part of the volume and as a part of the field."""
    low = [max(start, 0) for start in corner]
    high = [
        max(min(start + size, whole), least)
        for start, size, whole, least in zip(corner, field, shape, low, strict=True)
    ]
    inner = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    outer = tuple(slice(a - start, b - start) for a, b, start in zip(low, high, corner, strict=True))
    return inner, outer


def cut(
    array: NDArray[Any], corner: Place, field: Sequence[int], outside: NDArray[Any] | float = 0
) -> NDArray[Any]:
    """A field of (channel, z, y, x), `outside` (a number, or one per channel) where the volume has none."""
    result = np.empty((len(array), *field), dtype=array.dtype)
    result[:] = np.broadcast_to(np.asarray(outside, dtype=array.dtype), len(array))[:, None, None, None]
    inner, outer = _overlap(array.shape[1:], corner, field)
    result[(slice(None), *outer)] = array[(slice(None), *inner)]
    return result


def put_back(scores: Floats, corner: Place, shape: Sequence[int]) -> Floats:
    """Probabilities (class, z, y, x) of a field in the volume, background around."""
    result = np.zeros((len(scores), *shape), dtype=np.float32)
    result[0] = 1
    inner, outer = _overlap(shape, corner, scores.shape[1:])
    result[(slice(None), *inner)] = scores[(slice(None), *outer)]
    return result


def margin_of(network_settings: Mapping[str, Any]) -> float:
    """How far a network sees around the given masks, mm; 0 for the whole limb."""
    return float(network_settings.get("margin_mm", 0))


class Part:
    """A field of a volume, as `cut`, of which slices are read when they are asked for.

    Parameters
    ----------
    volume
        (channel, z, y, x).
    corner, field, outside
        See `cut`.
    position
        Spacing along x, mm, where the position (see `data.position_channel`) is a last channel.
    middle
        From where along x it is told, voxels of the field; by default the field's middle.
    """

    def __init__(
        self,
        volume: Volume,
        corner: Place,
        field: tuple[int, int, int],
        outside: NDArray[Any] | float = 0,
        position: float | None = None,
        middle: float | None = None,
    ) -> None:
        self._volume, self._corner, self._outside = volume, corner, outside
        self._position, self._middle = position, middle
        self.shape = (volume.shape[0] + (position is not None), *field)

    def __getitem__(self, index: tuple[slice, int | slice]) -> Floats:
        _, part = index
        if not isinstance(part, slice):
            result: Floats = self[:, part : part + 1][:, 0]
            return result
        low, high, _ = part.indices(self.shape[1])
        z, y, x = self._corner
        depth = self._volume.shape[1]
        first, stop = (min(max(z + place, 0), depth) for place in (low, high))
        field = (high - low, *self.shape[2:])
        seen = cut(self._volume[:, first:stop], (z + low - first, y, x), field, self._outside)
        if self._position is None:
            return seen
        return np.concatenate([seen, position_channel(field, self._position, self._middle)])


class Turned:
    """A volume turned along the limb, (channel, z, y, x), of which slices are read when asked for."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.shape = volume.shape

    def __getitem__(self, index: tuple[slice, slice]) -> Floats:
        low, high, _ = index[1].indices(self.shape[1])
        count = self.shape[1]
        return np.ascontiguousarray(self._volume[:, count - high : count - low][:, ::-1], dtype=np.float32)
