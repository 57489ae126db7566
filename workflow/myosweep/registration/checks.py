"""Whether a registration is good enough to be used, and why not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Grid, Matrix, apply_transform, rotation_angle
from myosweep.registration.information import sample
from myosweep.registration.residual_scale import residual_scale
from myosweep.registration.shrinking import Shrunk, shrink_further, smoothed
from myosweep.registration.similarity import information_correlation
from myosweep.registration.starts import SMALLEST_OVERLAP

# Speckle is independent in two recordings; what both share is coarser than this (standard deviation, mm).
SIMILARITY_SMOOTHING_MM = 1.5
SIMILARITY_SPACING_MM = 1.0
SMALLEST_SIMILARITY = 0.15
LARGEST_LOSS = 0.02
LARGEST_ROTATION_DEGREES = 45.0
LARGEST_MOTION_MM = 60.0
LARGEST_SCALE_ERROR = 0.03
# A scale that makes the volumes hardly more alike says nothing.
SMALLEST_SCALE_GAIN = 0.008
LARGEST_INCONSISTENCY_MM = 1.0

_COMPARED = 400_000


@dataclass(frozen=True)
class Registration:
    """A rigid motion, what was measured of it, and whether to use it.

    Attributes
    ----------
    fixed_to_moving
        4 x 4: points of the fixed volume's world to points of the moving volume's world, mm.
    measures
        Flat; the unit stands in the name.
    accepted
        Whether the checks passed.
    reason
        Why not; empty where accepted.
    """

    fixed_to_moving: Matrix
    measures: dict[str, float]
    accepted: bool
    reason: str


def refused(reason: str) -> Registration:
    """No motion, for a reason."""
    return Registration(np.eye(4), {}, False, reason)


class Judge:
    """Measures motions between two volumes and says what is wrong with them."""

    def __init__(self, fixed: Shrunk, moving: Shrunk, names: tuple[str, str]) -> None:
        self._names = names
        self._fixed, self._moving = (
            smoothed(shrink_further(volume, SIMILARITY_SPACING_MM), SIMILARITY_SMOOTHING_MM)
            for volume in (fixed, moving)
        )
        inside = np.flatnonzero(self._fixed.known.array)
        ratio = self._moving.grid.voxel_ml / self._fixed.grid.voxel_ml
        theirs = np.count_nonzero(self._moving.known.array) * ratio
        # An odd step, so that it is no divisor of the rows' length.
        index = inside[:: inside.size // _COMPARED | 1]
        self._smaller = max(1.0, min(1.0, theirs / inside.size) * index.size)
        self._values = self._fixed.values.array.ravel()[index]
        self._points = apply_transform(
            self._fixed.grid.index_to_world,
            np.stack(np.unravel_index(index, self._fixed.grid.shape)[::-1], axis=-1),
        )
        self._before = self._compare(np.eye(4))

    @property
    def points(self) -> NDArray[np.float64]:
        """A thousand covered points of the fixed volume or a few more, mm."""
        return self._points[:: max(1, len(self._points) // 1000)]

    def judge(self, motion: Matrix) -> Registration:
        """A verdict on all but its uniqueness and its inverse."""
        if not np.isfinite(motion).all():
            return refused("the motion found is not finite")
        overlap_before, similarity_before, correlation_before = self._before
        overlap, similarity, correlation = self._compare(motion)
        moved = np.linalg.norm(apply_transform(motion, self._points) - self._points, axis=1)
        angle = math.degrees(rotation_angle(motion[:3, :3]))
        measures = {
            "overlap_fraction": overlap,
            "overlap_before_fraction": overlap_before,
            "information_correlation": similarity,
            "information_correlation_before": similarity_before,
            "correlation": correlation,
            "correlation_before": correlation_before,
            "rotation_degrees": angle,
            "displacement_mean_mm": float(moved.mean()),
            "displacement_max_mm": float(moved.max()),
        }
        lost = similarity_before - similarity
        if overlap < SMALLEST_OVERLAP and overlap_before < SMALLEST_OVERLAP:
            reason = f"the volumes overlap by {100 * overlap:.0f} %, less than {100 * SMALLEST_OVERLAP:.0f} %"
        elif similarity < SMALLEST_SIMILARITY:
            reason = (
                f"the aligned volumes do not look alike: information correlation {similarity:.2f}, "
                f"below {SMALLEST_SIMILARITY:g}"
            )
        elif overlap < SMALLEST_OVERLAP:
            reason = f"the volumes overlap by {100 * overlap:.0f} %, less than {100 * SMALLEST_OVERLAP:.0f} %"
        elif lost > LARGEST_LOSS and overlap_before >= SMALLEST_OVERLAP:
            reason = (
                f"the volumes look less alike than before: information correlation {similarity:.2f} "
                f"after {similarity_before:.2f}"
            )
        else:
            reason = self._too_far(motion, angle, float(moved.mean()))
        if not reason:
            known = self._fixed.known.array, self._moving.known.array
            stretch = residual_scale(self._fixed.values, known[0], self._moving.values, known[1], motion)
            measures |= {f"scale_{axis}": value for axis, value in zip("xyz", stretch.scale, strict=True)}
            measures["scale_gain"] = stretch.gain
            worst = max(stretch.scale, key=lambda value: abs(value - 1))
            if abs(worst - 1) > LARGEST_SCALE_ERROR and stretch.gain > SMALLEST_SCALE_GAIN:
                axis = "xyz"[stretch.scale.index(worst)]
                reason = (
                    f"the scales disagree: what measures 10 mm along {axis} in the {self._names[0]} volume "
                    f"measures {10 * worst:.1f} mm in the {self._names[1]} volume; one of the two was "
                    "probably compounded with the calibration of another depth"
                )
        return Registration(motion, measures, not reason, reason)

    def similarity(self, motion: Matrix) -> float:
        """The information correlation of the covered points that a motion leaves in common."""
        return self._compare(motion)[1]

    def _too_far(self, motion: Matrix, angle: float, moved_mm: float) -> str:
        if angle > LARGEST_ROTATION_DEGREES:
            beam = self._fixed.grid.direction[:, 1]
            over = "it lands upside down, " if float(beam @ motion[:3, :3] @ beam) < 0 else ""
            return f"{over}a turn by {angle:.0f} degrees, more than {LARGEST_ROTATION_DEGREES:.0f}"
        if moved_mm > LARGEST_MOTION_MM:
            return f"a motion of {moved_mm:.0f} mm on average, more than {LARGEST_MOTION_MM:.0f} mm"
        return ""

    def _compare(self, motion: Matrix) -> tuple[float, float, float]:
        places = apply_transform(self._moving.grid.world_to_index @ motion, self._points)
        values, inside = sample(self._moving.values.array, self._moving.known.array, places)
        first, second = self._values[inside], values[inside]
        return first.size / self._smaller, information_correlation(first, second), _correlation(first, second)


def gap_mm(fixed: Shrunk, moving: Shrunk) -> float:
    """The distance between the boxes, along the fixed grid's axes, around what two volumes cover."""
    world_to_axes = fixed.grid.direction.T
    boxes = []
    for shrunk in (fixed, moving):
        corners = _covered_corners(shrunk.known.array, shrunk.grid) @ world_to_axes.T
        boxes.append((corners.min(axis=0), corners.max(axis=0)))
    (low, high), (other_low, other_high) = boxes
    return float(np.linalg.norm(np.maximum(0.0, np.maximum(other_low - high, low - other_high))))


def _covered_corners(known: NDArray[np.uint8], grid: Grid) -> NDArray[np.float64]:
    ends = []
    for axis in (2, 1, 0):
        filled = np.flatnonzero(known.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((filled[0], filled[-1]))
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    return apply_transform(grid.index_to_world, corners)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])
