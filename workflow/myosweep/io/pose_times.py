"""From the times of poses to the times of frames: interpolation, and the offset between two clocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.sweeps import Frames

Floats = NDArray[np.float64]

# A gap between poses is bridged up to so many usual intervals: two samples in a row may be lost.
LONGEST_GAP = 3.0
# Usual: three quarters of all intervals are not longer. Loggers that write in bursts have many short ones.
USUAL = 75
# Times in files are rounded to microseconds.
SAME_TIME_S = 1e-6
# An offset is looked for within this, from so many image cells per side (single pixels show speckle, which
# tells nothing of how far the probe went), over these times; what changes slower than the trend is anatomy.
LARGEST_LAG_S = 2.0
CELLS = 16
SPANS_S = (0.3, 0.1)
TREND_S = 2.0
# What an estimate must show: pairs of frames, rank correlation, lead before any other lag, and agreement of
# the sweep's two halves in frame intervals.
LEAST_PAIRS = 30
LEAST_CORRELATION = 0.65
LEAST_LEAD = 0.15
LARGEST_DISAGREEMENT = 2.0
ADVICE = "set recordings.time_offset_s to the seconds to add to the times of poses"


@dataclass(frozen=True)
class Offset:
    """An estimated offset: seconds to add to the times of poses, and its rank correlation."""

    seconds: float
    correlation: float


def usual_interval(times: Floats) -> float:
    """The interval that three quarters of consecutive poses keep, s; 0 where there is one pose."""
    return float(np.percentile(np.diff(times), USUAL)) if len(times) > 1 else 0.0


def poses_at(
    times: Floats, pose_times: Floats, matrices: Floats, longest_gap_s: float
) -> tuple[Floats, list[str]]:
    """Interpolate poses: translations linearly, rotations on the shortest way (slerp); never extrapolate.

    Parameters
    ----------
    times
        Where poses are wanted, s.
    pose_times
        s, strictly increasing.
    matrices
        (pose, 4, 4); they differ by rotations and translations alone, and may hold a common scale.
    longest_gap_s
        Poses further apart are not bridged.

    Returns
    -------
    matrices
        (time, 4, 4), NaN where there is no pose.
    problems
        Per time why there is no pose, or "".
    """
    from scipy.spatial.transform import Rotation

    first, last = pose_times[0], pose_times[-1]
    inside = (times >= first - SAME_TIME_S) & (times <= last + SAME_TIME_S)
    at = np.clip(times, first, last)
    right = np.clip(np.searchsorted(pose_times, at, side="left"), 0, len(pose_times) - 1)
    left = np.where(pose_times[right] > at, right - 1, right)
    gaps = pose_times[right] - pose_times[left]
    weights = (at - pose_times[left]) / np.where(gaps > 0, gaps, 1.0)
    # A frame at a pose, but for rounding, has that pose, whatever lies beyond it.
    left = np.where((gaps > 0) & (pose_times[right] - at <= SAME_TIME_S), right, left)
    right = np.where(at - pose_times[left] <= SAME_TIME_S, left, right)
    weights = np.where(left == right, 0.0, weights)
    problems = []
    for time, is_inside, gap, same in zip(times, inside, gaps, left == right, strict=True):
        if not is_inside:
            problems.append(f"no pose at its time ({time:.3f} s; poses from {first:.3f} to {last:.3f} s)")
        elif not same and gap > longest_gap_s * (1 + 1e-6) + SAME_TIME_S:
            problems.append(f"no pose at its time ({time:.3f} s lies in a gap of {gap:.3f} s between poses)")
        else:
            problems.append("")
    result = np.full((len(times), 4, 4), np.nan)
    good = np.array([not problem for problem in problems], bool)
    exact = good & (left == right)
    result[exact] = matrices[left[exact]]
    between = good & (left != right)
    if between.any():
        one, two, share = matrices[left[between]], matrices[right[between]], weights[between, None]
        to_two = two[:, :3, :3] @ np.linalg.inv(one[:, :3, :3])
        part = Rotation.from_rotvec(share * Rotation.from_matrix(to_two).as_rotvec()).as_matrix()
        joined = np.tile(np.eye(4), (len(one), 1, 1))
        joined[:, :3, :3] = part @ one[:, :3, :3]
        joined[:, :3, 3] = (1 - share) * one[:, :3, 3] + share * two[:, :3, 3]
        result[between] = joined
    return result, problems


def estimate_offset(
    path: Path,
    frames: Frames,
    times: Floats,
    pose_times: Floats,
    image_to_world: Floats,
    longest_gap_s: float,
) -> Offset:
    """Estimate what to add to the times of poses so that they are those of frames.

    The further the probe goes between two frames, the more the image changes. Change is the mean absolute
    difference of two frames, averaged in cells; way is that of the image's corners and centre by the poses.
    Of both the logarithm is taken, and its mean over 2 s removed. Their rank correlation (Spearman) is
    computed for lags up to 2 s, first every half frame interval, then finer around the best; once for frames
    0.3 s apart and once for 0.1 s, of which the clearer counts.

    Parameters
    ----------
    path
        The recording, for messages.
    frames, times
        Images and their times, s; all frames are read.
    pose_times, image_to_world
        s, strictly increasing, and (pose, 4, 4).
    longest_gap_s
        Frames that lie in longer gaps between poses are not compared.

    Raises
    ------
    InputError
        Too few frames, or the correlation has no clear peak: the speed hardly changes, or repeats itself.
    """
    count, rows, columns = frames.shape
    corners = [(c, r, 0, 1) for c in (0, columns - 1) for r in (0, rows - 1)]
    points = np.array([*corners, ((columns - 1) / 2, (rows - 1) / 2, 0, 1)], np.float64)
    places = (image_to_world @ points.T)[:, :3].transpose(0, 2, 1).reshape(len(pose_times), -1)
    interval = float(np.median(np.diff(times))) if count > 1 else 0.0
    if count <= LEAST_PAIRS or interval <= 0 or len(pose_times) < 3:
        raise InputError(
            path,
            f"{count} frames and {len(pose_times)} poses",
            f"more than {LEAST_PAIRS} frames, at increasing times, to estimate the offset of time from",
            ADVICE,
        )
    cells = np.stack([_cells(frames[index]) for index in range(count)])
    found = []
    for span in SPANS_S:
        apart = max(1, min(round(span / interval), count - LEAST_PAIRS))
        match = _Match(times, cells, apart, interval, pose_times, places, longest_gap_s)
        found.append(match.best())
    peak, other, offset, disagreement = max(found, key=lambda item: item[0] - item[1])
    sure = disagreement <= LARGEST_DISAGREEMENT * interval and abs(offset) < LARGEST_LAG_S
    if not (sure and peak >= LEAST_CORRELATION and peak - other >= LEAST_LEAD):
        raise InputError(
            path,
            f"no clear offset of time: frames from {times[0]:.3f} to {times[-1]:.3f} s, poses from "
            f"{pose_times[0]:.3f} to {pose_times[-1]:.3f} s, best {offset:.3f} s with correlation {peak:.2f} "
            f"(another lag {other:.2f}; the sweep's halves {disagreement:.3f} s apart)",
            f"a speed that changes in the sweep, and clocks that differ by less than {LARGEST_LAG_S:g} s",
            ADVICE,
        )
    return Offset(offset, peak)


class _Match:
    """Change of images and way of poses between frames that are `apart`, for any lag."""

    def __init__(
        self,
        times: Floats,
        cells: Floats,
        apart: int,
        interval: float,
        pose_times: Floats,
        places: Floats,
        longest_gap_s: float,
    ) -> None:
        self._times = times
        self._apart = apart
        self._interval = interval
        self._trend = max(3, round(TREND_S / interval))
        change = np.abs(cells[apart:] - cells[:-apart]).mean(axis=1)
        # A grabber that hands out an image twice says nothing of motion.
        self._pairs = np.flatnonzero((change > 0) & (times[apart:] > times[:-apart]))
        self._change = change
        self._pose_times = pose_times
        self._places = places
        self._longest_gap_s = longest_gap_s

    def best(self) -> tuple[float, float, float, float]:
        """Correlation at the best lag, the best away from it, the lag, and how far two halves disagree."""
        reach = int(np.ceil(LARGEST_LAG_S / (self._interval / 2)))
        lags = np.arange(-reach, reach + 1) * self._interval / 2
        values = np.array([self._correlate(lag, self._pairs) for lag in lags])
        if not np.isfinite(values).any():
            return 0.0, 0.0, 0.0, np.inf
        top = int(np.nanargmax(values))
        half = len(self._pairs) // 2
        lag, one, two = (
            self._refine(lags[top], pairs) for pairs in (self._pairs, self._pairs[:half], self._pairs[half:])
        )
        return float(values[top]), _next_best(values, top), lag, abs(one - two)

    def _correlate(self, lag: float, pairs: NDArray[np.intp]) -> float:
        ends = np.stack([self._times[pairs], self._times[pairs + self._apart]]) - lag
        pose_times, places = self._pose_times, self._places
        right = np.clip(np.searchsorted(pose_times, ends), 1, len(pose_times) - 1)
        gaps = pose_times[right] - pose_times[right - 1]
        known = (ends >= pose_times[0]) & (ends <= pose_times[-1])
        known &= gaps <= self._longest_gap_s * (1 + 1e-6) + SAME_TIME_S
        used = known.all(axis=0)
        if used.sum() < max(LEAST_PAIRS // 2, len(pairs) // 2):
            return np.nan
        share = (ends - pose_times[right - 1]) / gaps
        at = places[right - 1] + share[..., None] * (places[right] - places[right - 1])
        way = np.linalg.norm((at[1] - at[0]).reshape(len(pairs), -1, 3), axis=2).mean(axis=1)
        return _rank_correlation(
            self._without_trend(self._change[pairs[used]]), self._without_trend(way[used])
        )

    def _without_trend(self, values: Floats) -> Floats:
        from scipy.ndimage import uniform_filter1d

        # Standing still has no logarithm.
        logarithms = np.log(values + 0.05 * np.median(values) + 1e-6)
        return np.asarray(logarithms - uniform_filter1d(logarithms, self._trend, mode="nearest"), np.float64)

    def _refine(self, around: float, pairs: NDArray[np.intp]) -> float:
        """The best lag within two frame intervals, from a parabola through the values there."""
        lags = around + np.linspace(-2, 2, 33) * self._interval
        values = np.array([self._correlate(lag, pairs) for lag in lags])
        known = np.isfinite(values)
        if known.sum() < 5:
            return around
        lags, values = lags[known], values[known]
        coefficients = np.polynomial.Polynomial.fit(lags, values, 2).convert().coef
        if len(coefficients) == 3 and coefficients[2] < 0:
            top = -coefficients[1] / (2 * coefficients[2])
            if lags[0] <= top <= lags[-1]:
                return float(top)
        return float(lags[int(values.argmax())])


def _cells(frame: NDArray[np.uint8]) -> Floats:
    """Mean grey levels of a frame's cells."""
    rows, columns = (max(1, size // CELLS) for size in frame.shape)
    high, wide = frame.shape[0] // rows, frame.shape[1] // columns
    parts = frame[: high * rows, : wide * columns].reshape(high, rows, wide, columns)
    return np.asarray(parts.mean(axis=(1, 3)), np.float64).ravel()


def _rank_correlation(one: Floats, two: Floats) -> float:
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(one), rankdata(two)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    norm = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / norm if norm > 0 else 0.0


def _next_best(values: Floats, best: int) -> float:
    """The highest value away from the peak: beyond where the peak has fallen to half."""
    low, high = best, best
    while low > 0 and not values[low] < values[best] / 2:
        low -= 1
    while high < len(values) - 1 and not values[high] < values[best] / 2:
        high += 1
    others = np.concatenate([values[:low], values[high + 1 :]])
    others = others[np.isfinite(others)]
    return float(others.max()) if len(others) else 0.0
