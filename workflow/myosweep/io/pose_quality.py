"""Poses that cannot be right: not known, frozen, jumping, out of order; and poses smoothed over time.

What a pose means is measured where it matters, in the image: the distance of two poses is the farthest way of
three points, two upper corners and the middle of the lowest row. A turn by a wrong angle shows like a shift.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.options import RecordingOptions
from myosweep.io.pose_smoothing import smooth_poses
from myosweep.io.sweeps import Suspects, Sweep

INVALID = "the pose is not known"
RESIZED = "the size or shape of the pixels differs from that in the other frames"
FROZEN = "the pose is frozen while the probe moved on"
JUMPING = "the pose jumps away from the frames around it"
OUT_OF_ORDER = "the time runs backwards"

# Coordinates beyond this (10 km) are no tracker's.
FARTHEST_MM = 1e7
# Seconds beyond this (300 000 years) are no times.
LATEST_S = 1e13
# Files round rotations; a frame whose pixels differ by more was scaled.
SAME_PIXELS = 0.02
# More frames out of order than this are no stray frames: the times themselves are wrong.
MOST_OUT_OF_ORDER = 0.05
# A hand cannot go away and come back within single frames at several times the speed of the whole sweep.
LEAP_SPEEDS = 3.0
# Nor is a tracker's scatter eight times its median (for normal scatter about 5 standard deviations).
LEAP_SCATTERS = 8.0
# A smaller error is not worth a frame: below the thickness of the slice that a probe sees.
SMALLEST_LEAP_MM = 2.0
# A flip of a tracker's axes turns by 180 degrees; no hand turns a probe by half of that between two frames.
FLIP_DEGREES = 90.0
# Away from the track for longer than this part of the sweep, nobody can say which track is the true one.
LONGEST_ABSENCE = 0.25
# Poses repeat where frames come faster than the tracker: this many times as many in a row as usual are many.
LONG_STANDSTILL = 4.0
# The leap after a standstill makes up for what was missed: as many times the sweep's speed, or its inverse.
MISSED = 3.0
# A longer rest at the end, as a part of the sweep, is told.
LONGEST_REST = 0.1
FEWEST_FRAMES = 5
# What stands for a second where frames have no times.
UNTIMED_RATE = 20
# At the ends of a sweep there are neighbours on one side only: no more frames, farther away by this factor.
LONGEST_END, END_LEAPS = 2, 3.0
_LOOK_BACK = 64
_LEAPS_TOLD = 3


@dataclass(frozen=True)
class _Track:
    """The usable frames' places: frame numbers, points (frame, 3, 3) mm, times (frame numbers if unknown)."""

    frames: NDArray[np.int_]
    points: NDArray[np.float64]
    times: NDArray[np.float64]
    timed: bool

    def part(self, chosen: NDArray[np.bool_]) -> _Track:
        return _Track(self.frames[chosen], self.points[chosen], self.times[chosen], self.timed)


# Frame before and after, mm, degrees.
Leap = tuple[int, int, float, float]


def inspect(sweep: Sweep, options: RecordingOptions | None = None) -> Sweep:
    """Find poses that cannot be right, leave their frames out, and smooth poses where the options ask for it.

    - Invalid: a pose that is not finite, or whose pixels have another size or shape than those of the other
      frames (a scaled or sheared matrix). Always left out.
    - Out of order: a frame that was recorded before an earlier one; the fewest frames are taken whose absence
      leaves times that never run backwards. Equal times are allowed.
    - Frozen: a pose repeated to the last bit for `LONG_STANDSTILL` times as many frames as usual in this
      sweep, and then a leap that makes up for what the probe missed at the sweep's speed. A probe that rests
      and moves on is not frozen.
    - Jumping: frames to which the pose leaps and from which it comes back, at `LEAP_SPEEDS` times the speed
      that 95 % of the frames keep (of the track without its outliers), beyond the tracker's scatter and at
      least `SMALLEST_LEAP_MM`. Of a flip by 180 degrees that does not come back, the shorter part. One or two
      frames at an end that are far away. Any other leap that does not come back is told in the notes, for
      frames may simply be missing.

    In real sequences (PLUS: bone, spine, N-wires) and simulated ones no step between neighbours comes near
    these limits: the largest is 0.5 of what is allowed.

    Parameters
    ----------
    sweep
        As its reader made it.
    options
        `suspect_poses` ("keep": only report what is frozen, jumping or out of order), `pose_smoothing_s`.

    Returns
    -------
    sweep
        With `problems`, `suspects` and `notes` completed, poses smoothed.

    Raises
    ------
    InputError
        Times run backwards in more than `MOST_OUT_OF_ORDER` of the frames, or no frame is left.
    """
    options = options or RecordingOptions()
    sweep = replace(sweep, timestamps=_sound_times(sweep.timestamps))
    matrices = np.asarray(sweep.image_to_world, np.float64)
    problems = list(sweep.problems)
    usable = np.array([not problem for problem in problems], bool)
    unknown = usable & ~_known(matrices)
    resized = _resized(matrices, usable & ~unknown)
    _mark(problems, unknown, INVALID)
    _mark(problems, resized, RESIZED)
    invalid = ~usable | unknown | resized
    disordered = _out_of_order(sweep, ~invalid)
    track = _track(sweep, matrices, ~invalid & ~disordered)
    frozen = np.isin(np.arange(len(problems)), _frozen(track))
    jumping, leaps = _jumping(track.part(~frozen[track.frames]))
    away = np.isin(np.arange(len(problems)), jumping)
    if options.suspect_poses == "leave_out":
        for found, problem in ((frozen, FROZEN), (away, JUMPING), (disordered, OUT_OF_ORDER)):
            _mark(problems, found, problem)
    left = np.array([not problem for problem in problems], bool)
    if not left.any():
        raise InputError(
            sweep.path,
            f"not one of {len(problems)} frames can be used (frame 0: {problems[0]})",
            "frames with poses",
            "record again with the tools in view of the tracker, or leave the sweep out",
        )
    notes = [*sweep.notes, *_notes(track, leaps, len(problems))]
    if np.linalg.det(matrices[left][0, :3, :3]) < 0:
        notes.append("the image's third axis points against the cross product of the first two: mirrored?")
    if options.pose_smoothing_s > 0:
        matrices, remarks = _smoothed(sweep, matrices, left, options.pose_smoothing_s)
        notes += remarks
    return replace(
        sweep,
        image_to_world=matrices,
        problems=tuple(problems),
        notes=tuple(dict.fromkeys(notes)),
        suspects=Suspects(_numbers(invalid), _numbers(frozen), _numbers(away), _numbers(disordered)),
    )


def _notes(track: _Track, leaps: list[Leap], count: int) -> Iterator[str]:
    if (still := _still_at_the_end(track)) > LONGEST_REST * count:
        yield f"the last {still} usable frames have one pose: the probe rested, or the tracker froze"
    for before, after, way, turn in leaps[:_LEAPS_TOLD]:
        yield f"the pose leaps by {way:.1f} mm ({turn:.0f} degrees) between frames {before} and {after}"
    if len(leaps) > _LEAPS_TOLD:
        yield f"there are {len(leaps) - _LEAPS_TOLD} more places where the pose leaps"


def _smoothed(
    sweep: Sweep, matrices: NDArray[np.float64], usable: NDArray[np.bool_], seconds: float
) -> tuple[NDArray[np.float64], list[str]]:
    """Matrices with the usable frames smoothed, and what is to be told of it."""
    track = _track(sweep, matrices, usable)
    remarks = []
    if not track.timed:
        remarks.append(
            f"without times in order, poses are smoothed as if {UNTIMED_RATE} frames were a second"
        )
        seconds *= UNTIMED_RATE
    _, rows, columns = sweep.frames.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2, 0.0])
    smooth = matrices.copy()
    smooth[usable] = smooth_poses(matrices[usable], track.times, _starts(track), seconds, centre)
    return smooth, remarks


def kinds_of(suspects: Suspects) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Kind and frames of every suspicion that there is."""
    for item in fields(suspects):
        if frames := getattr(suspects, item.name):
            yield item.name, frames


def _numbers(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(chosen).tolist())


def _mark(problems: list[str], chosen: NDArray[np.bool_], problem: str) -> None:
    for frame in np.flatnonzero(chosen).tolist():
        problems[frame] = problems[frame] or problem


def _known(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Frames whose matrix is a place that can be, (frame,)."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = (np.abs(matrices) < FARTHEST_MM).all(axis=(1, 2))
        affine = (np.abs(matrices[:, 3] - (0, 0, 0, 1)) < 1e-6).all(axis=1)
        area = np.linalg.norm(np.cross(matrices[:, :3, 0], matrices[:, :3, 1]), axis=1)
        lengths = np.linalg.norm(matrices[:, :3, :2], axis=1)
        return np.asarray(near & affine & (area > 1e-3 * lengths.prod(axis=1)))


def _resized(matrices: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Usable frames whose pixels have another width, height or angle than the median frame's."""
    found = np.zeros(len(matrices), bool)
    if not usable.any():
        return found
    axes = matrices[usable][:, :3, :2]
    sizes = np.linalg.norm(axes, axis=1)
    cosine = (axes[:, :, 0] * axes[:, :, 1]).sum(axis=1) / sizes.prod(axis=1)
    off = np.abs(sizes / np.median(sizes, axis=0) - 1).max(axis=1)
    found[usable] = np.maximum(off, np.abs(cosine - np.median(cosine))) > SAME_PIXELS
    return found


def _sound_times(times: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.abs(times) < LATEST_S, times, np.nan))


def _out_of_order(sweep: Sweep, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The fewest usable frames without which times never run backwards."""
    found = np.zeros(len(usable), bool)
    frames = np.flatnonzero(usable & np.isfinite(sweep.timestamps))
    times = sweep.timestamps[frames].tolist()
    if all(first <= second for first, second in pairwise(times)):
        return found
    # The longest subsequence that never falls (patience sorting).
    ends: list[float] = []
    places: list[int] = []
    before = [-1] * len(times)
    for index, time in enumerate(times):
        at = bisect_right(ends, time)
        before[index] = places[at - 1] if at else -1
        ends[at : at + 1] = [time]
        places[at : at + 1] = [index]
    found[frames] = True
    index = places[-1]
    while index >= 0:
        found[frames[index]] = False
        index = before[index]
    count = int(found.sum())
    if count > MOST_OUT_OF_ORDER * len(frames):
        first = next(i for i in range(1, len(times)) if times[i] < times[i - 1])
        raise InputError(
            f"{sweep.path}, frame {frames[first]}",
            f"the time {times[first]:g} s after {times[first - 1]:g} s; {count} of {len(frames)} frames "
            "are out of order",
            "times that do not run backwards",
            "sort the frames by time, or export the recording again",
        )
    return found


def _track(sweep: Sweep, matrices: NDArray[np.float64], usable: NDArray[np.bool_]) -> _Track:
    _, rows, columns = sweep.frames.shape
    corners = np.array([(0, 0, 0, 1), (columns - 1, 0, 0, 1), ((columns - 1) / 2, rows - 1, 0, 1)], float)
    frames = np.flatnonzero(usable)
    points = np.einsum("fij,pj->fpi", matrices[frames], corners)[:, :, :3]
    times = sweep.timestamps[frames]
    # Times of frames that were kept may run backwards; their order is all that is left then.
    timed = bool(
        len(times) and np.isfinite(times).all() and (np.diff(times) >= 0).all() and np.ptp(times) > 0
    )
    return _Track(frames, points, times if timed else frames.astype(np.float64), timed)


def _steps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the next frame, mm."""
    return np.asarray(np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1, initial=0.0))


def _intervals(track: _Track) -> NDArray[np.float64]:
    """Time to the next frame; a stamp that came late or early makes no interval shorter than the usual."""
    intervals = np.diff(track.times)
    moving = intervals[intervals > 0]
    return np.maximum(intervals, np.median(moving) if len(moving) else 1.0)


def _speed_and_scatter(track: _Track) -> tuple[float, float]:
    """The speed that 95 % of the frames keep, and the median distance to the running median, of the track.

    A median over 5 frames keeps the way of a probe that stops and goes, and loses up to two outliers.
    """
    padded = np.pad(track.points, ((2, 2), (0, 0), (0, 0)), mode="edge")
    smooth = np.median([padded[shift : shift + len(track.points)] for shift in range(5)], axis=0)
    speed = float(np.percentile(_steps(smooth) / _intervals(track), 95))
    scatter = float(np.median(np.linalg.norm(track.points - smooth, axis=2).max(axis=1)))
    return speed, scatter


def _allowed(speed: float, scatter: float, interval: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """The way in mm that a frame may be from another, `interval` later."""
    return np.maximum(SMALLEST_LEAP_MM, LEAP_SPEEDS * speed * np.asarray(interval) + LEAP_SCATTERS * scatter)


def _frozen(track: _Track) -> list[int]:
    """Frames that repeat a pose while the probe went on."""
    if len(track.frames) < FEWEST_FRAMES:
        return []
    steps, intervals = _steps(track.points), _intervals(track)
    moved = np.concatenate([[True], steps > 1e-9])
    starts = np.flatnonzero(moved)
    ends = np.append(starts[1:], len(moved)) - 1
    lengths = ends - starts + 1
    usual = float(np.median(lengths))
    going = steps[steps > 1e-9]
    if not len(going):
        return []
    # Of the frames that move, for a sweep may stand still for most of its time.
    speed = float(np.median(going)) / (usual * float(np.median(intervals)))
    found: list[int] = []
    for start, end, length in zip(starts.tolist(), ends.tolist(), lengths.tolist(), strict=True):
        if length < max(3.0, LONG_STANDSTILL * usual) or end + 1 >= len(moved):
            continue
        leap = steps[end]
        missed = speed * float(intervals[start : end + 1].sum())
        expected = LEAP_SPEEDS * float(np.median(going))
        if leap > max(SMALLEST_LEAP_MM, expected) and missed / MISSED < leap < missed * MISSED:
            found += track.frames[start + 1 : end + 1].tolist()
    return found


def _still_at_the_end(track: _Track) -> int:
    """How many usable frames at the end have one pose, if more than are usual; else 0."""
    if len(track.frames) < FEWEST_FRAMES:
        return 0
    moved = np.flatnonzero(_steps(track.points) > 1e-9)
    length = len(track.frames) - 1 - int(moved[-1]) if len(moved) else len(track.frames)
    usual = float(np.median(np.diff(moved))) if len(moved) > 1 else 1.0
    return length if length >= max(3.0, LONG_STANDSTILL * usual) else 0


def _jumping(track: _Track) -> tuple[list[int], list[Leap]]:
    """Frames away from the track, and leaps that do not come back: frames before and after, mm, degrees."""
    if len(track.frames) < FEWEST_FRAMES:
        return [], []
    speed, scatter = _speed_and_scatter(track)
    steps = _steps(track.points)
    allowed = _allowed(speed, scatter, _intervals(track))
    leaping = steps > allowed
    if not leaping.any():
        return [], []
    starts = np.concatenate([[0], np.flatnonzero(leaping) + 1])
    ends = np.append(starts[1:], len(track.frames)) - 1
    kept = _best_chain(track, starts, ends, speed, scatter)
    away = np.zeros(len(track.frames), bool)
    leaps: list[Leap] = []
    for before, after in zip([-1, *kept], [*kept, len(starts)], strict=True):
        if after - before <= 1:
            continue
        first, last = int(starts[before + 1]), int(ends[after - 1])
        if before < 0 or after == len(starts):
            wrong = _wrong_end(track, first, last, float(allowed[first - 1 if first else last]))
        else:
            left, right = int(ends[before]), int(starts[after])
            leaving = min(_distance(track, left, first), _distance(track, last, right))
            short = last - first + 1 <= LONGEST_ABSENCE * len(track.frames)
            wrong = short and leaving > _distance(track, left, right)
        if wrong:
            away[first : last + 1] = True
        else:
            joints = range(max(before, 0), min(after, len(starts) - 1))
            leaps += [_leap(track, int(ends[k]), int(starts[k + 1])) for k in joints]
    return track.frames[away].tolist(), leaps


def _wrong_end(track: _Track, first: int, last: int, allowed: float) -> bool:
    """Whether frames at an end of the sweep, where the track leaps to, are wrong: flipped, or few and far."""
    before, after = (first - 1, first) if first else (last, last + 1)
    few = last - first + 1 <= LONGEST_END
    far = _distance(track, before, after) > END_LEAPS * allowed
    return _turn(track, before, after) > FLIP_DEGREES or (few and far)


def _best_chain(
    track: _Track, starts: NDArray[np.int_], ends: NDArray[np.int_], speed: float, scatter: float
) -> list[int]:
    """Of the pieces between leaps those that follow one another and hold the most frames."""
    counts = (ends - starts + 1).tolist()
    best: list[int] = []
    before: list[int] = []
    usual = float(np.median(_intervals(track)))
    for piece, count in enumerate(counts):
        low = max(0, piece - _LOOK_BACK)
        best.append(count)
        before.append(-1)
        if piece == 0:
            continue
        way = np.linalg.norm(track.points[starts[piece]] - track.points[ends[low:piece]], axis=2).max(axis=1)
        interval = np.maximum(track.times[starts[piece]] - track.times[ends[low:piece]], usual)
        for other in np.flatnonzero(way <= _allowed(speed, scatter, interval)).tolist():
            if best[low + other] + count > best[piece]:
                best[piece], before[piece] = best[low + other] + count, low + other
    chain = [int(np.argmax(best))]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    return chain[::-1]


def _distance(track: _Track, first: int, second: int) -> float:
    return float(np.linalg.norm(track.points[second] - track.points[first], axis=1).max())


def _axes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image's axes from its three points, 3 x 3."""
    x = points[1] - points[0]
    z = np.cross(x, points[2] - points[0])
    x, z = x / max(np.linalg.norm(x), 1e-12), z / max(np.linalg.norm(z), 1e-12)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _turn(track: _Track, first: int, second: int) -> float:
    """Angle between two frames, degrees."""
    turned = _axes(track.points[second]) @ _axes(track.points[first]).T
    return float(np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))))


def _leap(track: _Track, before: int, after: int) -> Leap:
    way, turn = _distance(track, before, after), _turn(track, before, after)
    return int(track.frames[before]), int(track.frames[after]), way, turn


def _starts(track: _Track) -> list[int]:
    """Where stretches begin that smoothing must not mix: behind frames left out, pauses and leaps."""
    if len(track.frames) < 2:
        return [0]
    intervals = np.diff(track.times)
    apart = np.diff(track.frames) > 1
    apart |= intervals > 5 * np.median(_intervals(track))
    if len(track.frames) >= FEWEST_FRAMES:
        apart |= _steps(track.points) > _allowed(*_speed_and_scatter(track), _intervals(track))
    return [0, *(np.flatnonzero(apart) + 1).tolist()]
