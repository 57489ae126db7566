"""What the frames say of one slab of slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding.between import EVERYWHERE, MARK, WHERE_OPEN, add_between, finish_between
from myosweep.compounding.combination import COMBINATIONS, absorb, take_medians
from myosweep.compounding.distribution import (
    MOST_PACKED,
    ONE,
    add_channels,
    add_nearest,
    add_trilinear,
    count_nearest,
    finish,
    unpack,
)
from myosweep.compounding.placement import EQUAL, Pair, Placed, most_in_a_voxel, slice_ranges, touching
from myosweep.compounding.plan import Plan
from myosweep.compounding.spreading import KINDS, spread
from myosweep.compounding.voxels import finish_nearest, take_nearest
from myosweep.errors import InputError
from myosweep.geometry import Matrix

Images = NDArray[np.float32]

# A frame that goes this part of its way in front of the other's plane slides in that plane.
SLIDING = 0.05


class Slabs:
    """Frames that are compounded slab by slab; slabs do not depend on each other.

    Parameters
    ----------
    placed
        The frames, in the order of their recording.
    pairs
        Consecutive frames.
    shape
        Of the grid, (z, y, x).
    voxel_mm
        Its smallest spacing.
    plan
        How they become a volume.
    channels
        Of the frames; 0 for frames (row, column).

    Raises
    ------
    InputError
        More pixels may fall into one voxel than its sum can hold.
    """

    def __init__(
        self,
        placed: Sequence[Placed],
        pairs: Sequence[Pair],
        shape: tuple[int, int, int],
        voxel_mm: float,
        plan: Plan,
        channels: int = 0,
    ) -> None:
        self._placed, self._pairs, self._plan = placed, pairs, plan
        self._shape, self._voxel_mm, self._channels = shape, voxel_mm, channels
        self._ranges = slice_ranges(placed)
        ends = [self._ranges[[pair.first, pair.second]] for pair in pairs]
        self._pair_ranges = np.array([(e[:, 0].min(), e[:, 1].max()) for e in ends], np.float64).reshape(
            -1, 2
        )
        self._looked_up = self._lookup_mode()
        joined = [
            pair
            for pair in pairs
            if pair.bridged and not _slides(placed[pair.first], placed[pair.second], pair)
        ]
        followed, led = {pair.first for pair in joined}, {pair.second for pair in joined}
        self._lonely = {i for i in range(len(placed)) if i not in followed or i not in led}
        self._require_room()
        alike = not channels and not any(item.weights.size or item.confidence for item in placed)
        self._packed = plan.method == "nearest" and plan.combine == "mean" and alike

    def _lookup_mode(self) -> int | None:
        """Where voxels are looked up between frames: EVERYWHERE, WHERE_OPEN, or not at all (None)."""
        if self._plan.method == "between_frames":
            return EVERYWHERE
        if self._plan.fill == "between" and self._plan.method != "voxel_nearest":
            return WHERE_OPEN
        return None

    def _is_looked_up(self, pair: Pair) -> bool:
        """Whether the voxels between two frames get their values there, so that none stays to be marked."""
        if self._looked_up is None or not pair.bridged:
            return False
        close = self._plan.close_voxels * self._voxel_mm if self._looked_up == WHERE_OPEN else 0.0
        return pair.gap_mm > close

    def _require_room(self) -> None:
        """Refuse what would overflow a sum."""
        method, reach = self._plan.method, 2 * self._plan.radius_voxels
        # Across the voxels that a pixel gives to; a voxel that looks for pixels takes one of each frame.
        wide = {"nearest": 1.0, "squared_distance": reach, "gaussian": reach}.get(method, 2.0)
        giving = [
            item
            for i, item in enumerate(self._placed)
            if method in KINDS or (method == "between_frames" and i in self._lonely)
        ]
        worst = most_in_a_voxel(giving, wide)
        if worst >= MOST_PACKED:
            raise InputError(
                "compounding.spacing_mm",
                f"voxels of {self._voxel_mm:g} mm that may get {worst / 1e6:.0f} million pixels each",
                f"at most {MOST_PACKED / 1e6:.0f} million",
                "choose smaller voxels",
            )

    def make(self, bottom: int, top: int) -> tuple[Images, Images]:
        """Values and coverage of slices bottom to top - 1, float32 (z, y, x) or (z, y, x, channel).

        Voxels that were swept but have no value have the coverage OPEN, where the plan fills.
        """
        shape = (top - bottom, *self._shape[1:], max(1, self._channels))
        values, coverage = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        method = self._plan.method
        if method == "voxel_nearest":
            self._add_between(bottom, MARK, values, coverage)
            self._take_nearest(bottom, values, coverage)
        elif method == "between_frames":
            self._add_between(bottom, EVERYWHERE, values, coverage)
            self._add_lonely(bottom, values, coverage)
        else:
            self._distribute(bottom, values, coverage)
        if self._looked_up == WHERE_OPEN:
            self._add_between(bottom, WHERE_OPEN, values, coverage)
        if self._plan.fill == "none":
            far = coverage < 0
            values[far], coverage[far] = 0, 0
        elif method != "voxel_nearest":
            self._add_between(bottom, MARK, values, coverage)
        if self._channels:
            return values, coverage
        return values[..., 0], coverage[..., 0]

    def _near(self, bottom: int, count: int, reach: float) -> list[int]:
        return touching(self._ranges, bottom, bottom + count, reach)

    def _add_lonely(self, bottom: int, values: Images, coverage: Images) -> None:
        """Distribute frames that lead to no other on one side to the voxels that are still unknown."""
        near = [i for i in self._near(bottom, len(values), 1.0) if i in self._lonely]
        if near:
            own_values, own_coverage = np.zeros_like(values), np.zeros_like(coverage)
            self._sum(near, bottom, own_values, own_coverage)
            unknown = coverage == 0
            values[unknown], coverage[unknown] = own_values[unknown], own_coverage[unknown]

    def _distribute(self, bottom: int, values: Images, coverage: Images) -> None:
        plan = self._plan
        near = self._near(bottom, len(values), max(1.0, plan.radius_voxels) + 0.5)
        if plan.combine != "mean":
            self._combine(near, bottom, values, coverage)
            return
        if self._packed:
            packed = np.zeros(values.shape[:3], np.int64)
            for index in near:
                item = self._placed[index]
                count_nearest(item.read(), _shifted(item.image_to_index, bottom), packed)
            unpack(packed, values[..., 0], coverage[..., 0])
            return
        self._sum(near, bottom, values, coverage)

    def _sum(self, near: list[int], bottom: int, values: Images, coverage: Images) -> None:
        sums = np.zeros((*values.shape, 2), np.int64)
        for index in near:
            self._add(self._placed[index], bottom, sums)
        finish(sums, values, coverage)

    def _add(self, item: Placed, bottom: int, sums: NDArray[np.int64]) -> None:
        pixels, matrix, method = item.read(), _shifted(item.image_to_index, bottom), self._plan.method
        weights = item.weigh()
        plain = method in ("nearest", "trilinear", "between_frames")
        if plain and (self._channels or pixels.dtype != np.uint8):
            add_channels(_with_channels(pixels), weights, matrix, method == "nearest", sums)
        elif method == "nearest":
            add_nearest(pixels, weights, matrix, sums)
        elif method in ("trilinear", "between_frames"):
            add_trilinear(pixels, weights, matrix, sums)
        else:
            nothing = np.empty(0, np.int64)
            spread(pixels, weights, matrix, KINDS[method], self._plan.radius_voxels, sums, nothing)

    def _combine(self, near: list[int], bottom: int, values: Images, coverage: Images) -> None:
        plan = self._plan
        how = COMBINATIONS[plan.combine]
        own = np.zeros((*values.shape, 2), np.int64)
        weights = np.zeros(values.shape[:3], np.int64)
        touched = np.empty(weights.size, np.int64)
        all_says = []
        for index in near:
            item = self._placed[index]
            matrix = _shifted(item.image_to_index, bottom)
            mask = (item.weights > 0).astype(np.float32)
            count = spread(item.read(), mask, matrix, KINDS[plan.method], plan.radius_voxels, own, touched)
            says = np.empty(count if plan.combine == "median" else 0, np.int64)
            said = absorb(own, touched, count, how, values[..., 0], weights, says)
            all_says.append(says[:said])
        coverage[..., 0] = weights / ONE
        if plan.combine == "median" and all_says:
            together = np.concatenate(all_says)
            together.sort()
            take_medians(together, values[..., 0])

    def _add_between(self, bottom: int, mode: int, values: Images, coverage: Images) -> None:
        """Look voxels up between frames, or mark those between the other pairs."""
        pairs = [
            self._pairs[index]
            for index in touching(self._pair_ranges, bottom, bottom + len(values), 1.0)
            if self._is_looked_up(self._pairs[index]) == (mode != MARK)
        ]
        if not pairs:
            return
        sums = np.zeros((*values.shape, 2) if mode != MARK else (0, 0, 0, values.shape[3], 2), np.int64)
        distance = np.full(values.shape if mode != MARK else (0, 0, 0, values.shape[3]), np.inf, np.float32)
        for pair in pairs:
            one, two = self._placed[pair.first], self._placed[pair.second]
            if one.shape != two.shape:
                continue
            if mode == MARK:
                before = after = np.empty((*one.shape, 0), np.uint8)
            else:
                before, after = (item.read().reshape(*item.shape, -1) for item in (one, two))
            # Where voxels are only marked, confidence, which is never 0 inside of an image, changes nothing.
            weights, later = one.weights, EQUAL
            if mode != MARK and (one.confidence or two.confidence):
                weights, later = one.weigh(), two.weigh()
            add_between(
                before,
                after,
                weights,
                later,
                one.index_to_image,
                two.index_to_image,
                bottom,
                mode,
                coverage,
                sums,
                distance,
            )
        if mode != MARK:
            within = 0.5 * self._voxel_mm if mode == EVERYWHERE else -1.0
            finish_between(sums, distance, within, values, coverage)

    def _take_nearest(self, bottom: int, values: Images, coverage: Images) -> None:
        square = np.full(values.shape[:3], np.inf, np.float32)
        within = 0.5 * self._voxel_mm
        reach = max(self._plan.reach_mm, within)
        for index in self._near(bottom, len(values), reach / self._voxel_mm + 1):
            item = self._placed[index]
            take_nearest(
                item.read(),
                item.weights,
                item.index_to_image,
                item.pixel_mm,
                reach,
                within,
                bottom,
                coverage[..., 0],
                values[..., 0],
                square,
            )
        finish_nearest(square, within, coverage[..., 0])


def _slides(one: Placed, two: Placed, pair: Pair) -> bool:
    """Whether a frame lies in the plane of the one before: there is nothing between them."""
    away = one.index_to_image[2] @ two.image_to_index @ two.corners
    return bool(np.abs(away).max() < SLIDING * pair.gap_mm)


def _shifted(matrix: Matrix, bottom: int) -> Matrix:
    shifted = matrix.copy()
    shifted[2, 3] -= bottom
    return shifted


def _with_channels(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32, copy=False).reshape(pixels.shape[0], pixels.shape[1], -1)
