"""From the times of poses to the times of frames: interpolation, and the offset between two clocks."""

from __future__ import annotations

from collections.abc import Callable
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
# What an estimated offset must show: rank correlation, lead before any other lag, agreement of two halves.
LARGEST_LAG_S = 2.0
LEAST_PAIRS = 30
LEAST_CORRELATION = 0.5
LEAST_LEAD = 0.15
SAMPLES_PER_SIDE = 128
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

    The more an image moves between two frames, the more it changes. The rank correlation (Spearman) of change
    (mean absolute difference of consecutive frames) and way (of the image's corners and centre, by the poses)
    is computed for lags up to 2 s, first every half frame interval, then finer around the best.

    Parameters
    ----------
    path
        The recording, for messages.
    frames, times
        Images and their times, s.
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
    change = _change(frames)
    corners = [(c, r, 0, 1) for c in (0, columns - 1) for r in (0, rows - 1)]
    points = np.array([*corners, ((columns - 1) / 2, (rows - 1) / 2, 0, 1)], np.float64)
    places = (image_to_world @ points.T)[:, :3].transpose(0, 2, 1).reshape(len(pose_times), -1)
    step = float(np.median(np.diff(times))) if count > 1 else 0.0
    # A grabber that hands out an image twice says nothing of motion.
    pairs = np.flatnonzero((change > 0) & (np.diff(times) > 0))
    if len(pairs) < LEAST_PAIRS or len(pose_times) < 3:
        raise InputError(
            path,
            f"{len(pairs)} changing pairs of frames and {len(pose_times)} poses",
            f"at least {LEAST_PAIRS} pairs to estimate the offset of time from",
            ADVICE,
        )

    def correlate(lag: float, chosen: NDArray[np.intp]) -> float:
        way, known = _way(times - lag, chosen, pose_times, places, longest_gap_s)
        if known.sum() < max(LEAST_PAIRS // 2, len(chosen) // 2):
            return np.nan
        return _rank_correlation(change[chosen[known]], way[known])

    reach = int(np.ceil(LARGEST_LAG_S / (step / 2)))
    lags = np.arange(-reach, reach + 1) * step / 2
    values = np.array([correlate(lag, pairs) for lag in lags])
    if not np.isfinite(values).any():
        raise InputError(
            path,
            f"frames from {times[0]:.3f} to {times[-1]:.3f} s and poses from {pose_times[0]:.3f} to "
            f"{pose_times[-1]:.3f} s",
            f"clocks that differ by less than {LARGEST_LAG_S:g} s",
            ADVICE,
        )
    best = int(np.nanargmax(values))
    peak, other = float(values[best]), _next_best(values, best)
    offset = _refine(correlate, pairs, lags[best], step)
    halves = [_refine(correlate, pairs[start::2], lags[best], step) for start in (0, 1)]
    at_end = best in (0, len(lags) - 1)
    unsure = abs(halves[0] - halves[1]) > step
    if peak < LEAST_CORRELATION or peak - other < LEAST_LEAD or at_end or unsure:
        raise InputError(
            path,
            f"no clear offset of time between poses and frames (best {offset:.3f} s with correlation "
            f"{peak:.2f}, another lag {other:.2f})",
            f"a speed that changes in the sweep, and clocks that differ by less than {LARGEST_LAG_S:g} s",
            ADVICE,
        )
    return Offset(offset, peak)


def _change(frames: Frames) -> Floats:
    """Mean absolute difference of consecutive frames, on a lattice of pixels."""
    count, rows, columns = frames.shape
    part = np.s_[:: max(1, rows // SAMPLES_PER_SIDE), :: max(1, columns // SAMPLES_PER_SIDE)]
    change = np.zeros(max(count - 1, 0))
    before = frames[0][part].astype(np.int16)
    for index in range(1, count):
        after = frames[index][part].astype(np.int16)
        change[index - 1] = np.abs(after - before).mean()
        before = after
    return change


def _way(
    times: Floats, pairs: NDArray[np.intp], pose_times: Floats, places: Floats, longest_gap_s: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """How far the image moved between the frames of each pair, mm, and where that is known."""
    ends = np.stack([times[pairs], times[pairs + 1]])
    right = np.clip(np.searchsorted(pose_times, ends), 1, len(pose_times) - 1)
    known = (
        (ends >= pose_times[0])
        & (ends <= pose_times[-1])
        & (pose_times[right] - pose_times[right - 1] <= longest_gap_s * (1 + 1e-6) + SAME_TIME_S)
    )
    share = (ends - pose_times[right - 1]) / (pose_times[right] - pose_times[right - 1])
    at = places[right - 1] + share[..., None] * (places[right] - places[right - 1])
    moved = (at[1] - at[0]).reshape(len(pairs), -1, 3)
    return np.linalg.norm(moved, axis=2).mean(axis=1), known.all(axis=0)


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


def _refine(
    correlate: Callable[[float, NDArray[np.intp]], float],
    pairs: NDArray[np.intp],
    around: float,
    step: float,
) -> float:
    """The best lag within a frame interval, from a parabola through the values there."""
    lags = around + np.linspace(-1, 1, 33) * step
    values = np.array([correlate(lag, pairs) for lag in lags])
    if not np.isfinite(values).all():
        return float(lags[int(np.nanargmax(values))]) if np.isfinite(values).any() else around
    curve = np.polynomial.Polynomial.fit(lags, values, 2).convert()
    if curve.coef[2] < 0:
        top = -curve.coef[1] / (2 * curve.coef[2])
        if lags[0] <= top <= lags[-1]:
            return float(top)
    return float(lags[int(values.argmax())])
