"""Frames where they lie in a grid, read when a slab needs them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.area import ImageArea
from myosweep.compounding.weights import weigh
from myosweep.geometry import Grid, Matrix
from myosweep.io.sweeps import Rectangle

# A gap is bridged up to this many times the gap that 95 % of the frames keep: one lost frame is, a lost
# tracker is not.
LONGEST_BRIDGE = 2.5
SHORTEST_BRIDGE_VOXELS = 5
# Read frames that are kept, bytes: a tilted frame is asked for by several slabs.
KEPT_BYTES = 256 << 20

EQUAL: NDArray[np.float32] = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Placed:
    """A frame in a grid.

    Attributes
    ----------
    read
        Reads the pixels of the used area: uint8 or float32, (row, column) or (row, column, channel).
    shape
        Of the used area, (rows, columns).
    weights
        float32, (row, column) of the used area; EQUAL, which is empty, where all pixels count the same.
    image_to_index
        Pixel index within the used area to voxel index.
    index_to_image
        3 x 4: voxel index to column, row and mm in front of the frame's plane.
    pixel_mm
        Width and height of a pixel.
    confidence
        Reads the confidence of the used area's pixels, float32 0..1, by which their weights are multiplied;
        None: one.
    """

    read: Callable[[], NDArray[Any]]
    shape: tuple[int, int]
    weights: NDArray[np.float32]
    image_to_index: Matrix
    index_to_image: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    confidence: Callable[[], NDArray[np.float32]] | None = None

    def weigh(self) -> NDArray[np.float32]:
        """The weights with the confidence, or EQUAL."""
        return self.weights if self.confidence is None else weigh(self.weights, self.confidence())

    @property
    def corners(self) -> NDArray[np.float64]:
        """The outermost pixels of the used area, homogeneous, as columns of (4, 4)."""
        columns, rows = self.shape[1] - 1, self.shape[0] - 1
        return np.array([(0, columns, 0, columns), (0, 0, rows, rows), (0,) * 4, (1,) * 4], np.float64)

    @property
    def slices(self) -> tuple[float, float]:
        """The lowest and the highest slice index that the used area reaches."""
        return self.along(2)

    def along(self, axis: int) -> tuple[float, float]:
        """The lowest and the highest index along an axis (x, y, z) that the used area reaches."""
        ends = self.image_to_index[axis] @ self.corners
        return float(ends.min()), float(ends.max())


@dataclass(frozen=True)
class Pair:
    """Two consecutive frames by number, the largest way between them in mm, and whether it is filled."""

    first: int
    second: int
    gap_mm: float
    bridged: bool


class Cache:
    """The pixels read last, up to KEPT_BYTES; one thread reads at a time, as not all readers can do more."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._rims: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._lock = Lock()

    def read(self, source: Any, area: ImageArea, number: int, frame: int) -> NDArray[Any]:
        """The area's rectangle of a frame, its rim as in the area; `number` tells sources apart."""
        key = (number, frame)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            pixels = self._cut(source[frame], area, number)
            self._held[key] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
            return pixels

    def _cut(self, frame: NDArray[Any], area: ImageArea, number: int) -> NDArray[Any]:
        of = area.rectangle
        part = np.asarray(frame)[of.row : of.row + of.rows, of.column : of.column + of.columns]
        if area.mask is None:
            return np.ascontiguousarray(part)
        pixels = np.array(part, order="C")
        if number not in self._rims:
            self._rims[number] = area.rim
        rim, inside = self._rims[number]
        pixels.reshape(-1)[rim] = pixels.reshape(-1)[inside]
        return pixels


def place(
    read: Callable[[], NDArray[Any]],
    image_to_world: Matrix,
    grid: Grid,
    rectangle: Rectangle,
    weights: NDArray[np.float32] | None = None,
    confidence: Callable[[], NDArray[np.float32]] | None = None,
) -> Placed:
    """Place the rectangle of a frame that `read` reads; image_to_world: of the whole frame, pixels to mm."""
    corner = np.eye(4)
    corner[:2, 3] = rectangle.column, rectangle.row
    to_world: Matrix = image_to_world @ corner
    across, down = to_world[:3, 0], to_world[:3, 1]
    normal = np.cross(across, down)
    full = np.eye(4)
    full[:3] = np.column_stack([across, down, normal / np.linalg.norm(normal), to_world[:3, 3]])
    return Placed(
        read,
        (rectangle.rows, rectangle.columns),
        EQUAL if weights is None else weights,
        grid.world_to_index @ to_world,
        np.ascontiguousarray((np.linalg.inv(full) @ grid.index_to_world)[:3]),
        (float(np.linalg.norm(across)), float(np.linalg.norm(down))),
        confidence,
    )


def longest_bridge(gaps: NDArray[np.float64], grid: Grid) -> float:
    """The longest way between consecutive frames of a sweep that is filled, mm, from all its ways (mm)."""
    usual = float(np.percentile(gaps, 95)) if len(gaps) else 0.0
    return max(LONGEST_BRIDGE * usual, SHORTEST_BRIDGE_VOXELS * min(grid.spacing))


def consecutive(offset: int, gaps: NDArray[np.float64], longest_mm: float) -> list[Pair]:
    """Pairs of consecutive frames from number `offset` on."""
    return [
        Pair(offset + i, offset + i + 1, gap, gap <= longest_mm)
        for i, gap in enumerate(np.asarray(gaps).tolist())
    ]


def touching(ranges: NDArray[np.float64], bottom: int, top: int, reach: float) -> list[int]:
    """Which of (item, (lowest slice, highest slice)) come within `reach` slices of bottom to top - 1."""
    near = (ranges[:, 0] < top - 1 + reach) & (ranges[:, 1] > bottom - reach)
    return [int(index) for index in np.flatnonzero(near)]


def most_in_a_voxel(placed: Sequence[Placed], wide: float) -> float:
    """A bound of the number of pixels in any cube of `wide` voxels.

    Of a frame, so many lie in a cut through the cube; the frames that reach one slice of the cubes are
    counted, along the axis that parts frames best.
    """
    if not placed:
        return 0.0
    # No cut through a cube is longer than sqrt(3) of its edge.
    sizes = np.array([np.linalg.norm(item.image_to_index[:3, :2], axis=0).min() for item in placed])
    most = np.minimum((2 * wide / sizes + 2) ** 2, [item.shape[0] * item.shape[1] for item in placed])
    worst = np.inf
    for axis in range(3):
        low, high = np.array([item.along(axis) for item in placed]).T
        # Frames begin before others end at the same place.
        places, change = np.concatenate([low - wide / 2, high + wide / 2]), np.concatenate([most, -most])
        order = np.lexsort((-change, places))
        worst = min(worst, float(np.cumsum(change[order]).max()))
    return worst


def slice_ranges(placed: Sequence[Placed]) -> NDArray[np.float64]:
    """(frame, 2): lowest and highest slice index of every frame."""
    return np.array([item.slices for item in placed], np.float64).reshape(-1, 2)
