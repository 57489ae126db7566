"""Images and poses: a folder of images, a video or a DICOM file, and a table of poses beside it.

The table is `sweep.csv` for `sweep.mp4`, `sweep.dcm` or the folder `sweep`; in a folder it may be
`poses.csv`. Its layouts are told in `myosweep.io.pose_tables`. Times of frames are those of the video or the
DICOM file, counted from the first frame, those of `frames.csv` in a folder of images (columns `file` and
`time_s`), or the table's own where it says which frame a row belongs to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Matrix
from myosweep.io.calibration import Calibration, read_calibration
from myosweep.io.companions import DICOM_SUFFIXES, VIDEO_SUFFIXES, possible_pose_tables
from myosweep.io.companions import posed_image_files as posed_image_files
from myosweep.io.image_frames import ImageSource, open_folder, places_of_names
from myosweep.io.options import RecordingOptions
from myosweep.io.pose_tables import PoseTable, read_poses
from myosweep.io.pose_times import LONGEST_GAP, estimate_offset, poses_at, usual_interval
from myosweep.io.sweeps import Sweep

Floats = NDArray[np.float64]

# A recording's own scale and the calibration's differ by less than this, unless one is of another depth.
LARGEST_SCALE_ERROR = 0.02


def read_posed_images(
    path: str | Path, calibration: str | Path | None = None, options: RecordingOptions | None = None
) -> Sweep:
    """Read images and poses; frames are read when they are asked for.

    Parameters
    ----------
    path
        A folder of PNG, JPEG or TIFF images, a video, or a DICOM file. Images are sorted by the numbers in
        their names. Colour becomes grey by ITU-R BT.601 luma; equal channels keep their value.
    calibration
        A PLUS configuration or a matrix (.csv); None or "" where the poses map pixels to mm.
    options
        `time_offset_s` is added to the times of poses; "auto": estimated from the motion in both.

    Returns
    -------
    The sweep. Poses are interpolated to the frames' times, never extrapolated, and not across gaps of more
    than three usual intervals; frames without a pose are problems.

    Raises
    ------
    InputError
        The images, their times, the poses or the calibration cannot be used, or do not belong together.
    """
    path = Path(path)
    options = options or RecordingOptions()
    table_path = _table_path(path)
    known = read_calibration(calibration) if calibration else None
    source = _open(path)
    table = read_poses(table_path, of_pixels=known is None)
    count = source.frames.shape[0]
    notes = list(source.notes)
    image_to_probe = np.eye(4) if known is None else known.image_to_probe
    timestamps = source.times
    places = _places(table, source, count)
    if places is None:
        matrices, problems, told = _interpolated(path, table, source, image_to_probe, options.time_offset_s)
        notes += told
    else:
        matrices, problems, timestamps = _by_frame(path, table, places, source, count)
        if options.time_offset_s != 0:
            notes.append(f"time_offset_s has no use: {table.path.name} says which frame each pose belongs to")
    if all(problems):
        raise InputError(
            table.path,
            f"not one of {count} frames can be used (frame 0: {problems[0]})",
            "frames with poses",
            "record again with the tools in view of the tracker, or leave the sweep out",
        )
    clip = known.clip if known is not None and known.clip is not None else source.clip
    fan = None if known is None else known.fan
    sweep = Sweep(path, source.frames, matrices @ image_to_probe, tuple(problems), timestamps, clip, fan)
    return replace(sweep, notes=(*notes, *_scale_notes(sweep, source, known)))


def _open(path: Path) -> ImageSource:
    suffix = path.suffix.lower()
    if path.is_dir():
        return open_folder(path)
    if suffix in VIDEO_SUFFIXES:
        from myosweep.io.video_frames import open_video

        return open_video(path)
    if suffix in DICOM_SUFFIXES:
        from myosweep.io.dicom_frames import open_dicom

        return open_dicom(path)
    raise InputError(
        path,
        f"the suffix `{path.suffix}`",
        f"a folder of images, or {', '.join((*VIDEO_SUFFIXES, *DICOM_SUFFIXES))}",
        "convert the recording, or correct the column `path`",
    )


def _table_path(path: Path) -> Path:
    if not path.exists():
        raise InputError(path, "no such file or folder", "a recording", "correct the path")
    possible = possible_pose_tables(path)
    found = [table for table in possible if table.is_file()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(table) for table in found or possible)
    raise InputError(
        path,
        f"several tables of poses: {names}" if found else "no table of poses",
        "one table of poses" if found else f"one of {names}",
        "move the others elsewhere" if found else "put the table there, and name it so",
    )


def _places(table: PoseTable, source: ImageSource, count: int) -> list[int] | None:
    """The frame of each row; None where the rows have times alone."""
    if table.files is not None:
        if source.names is None:
            raise InputError(
                f"{table.path}, row 1",
                "a column `file` for a recording that is one file",
                "a column `time_s` or `frame`",
                "rename or delete the column",
            )
        cells = zip(table.numbers, table.files, strict=True)
        rows = [(f"{table.path}, row {number}, column file", name) for number, name in cells]
        return places_of_names(table.path, rows, source.names)
    if table.frames is not None:
        seen: dict[int, int] = {}
        for number, frame in zip(table.numbers, table.frames, strict=True):
            where = f"{table.path}, row {number}, column frame"
            if frame >= count:
                raise InputError(
                    where,
                    f"frame {frame}, but the recording has {count} frames",
                    f"0 to {count - 1}: frames are counted from 0",
                    "correct the column, or give the whole recording",
                )
            if frame in seen:
                raise InputError(
                    where,
                    f"frame {frame} for the second time (first in row {seen[frame]})",
                    "a row per frame",
                    "delete one",
                )
            seen[frame] = number
        return list(table.frames)
    if table.times is not None:
        return None
    if len(table.matrices) != count:
        raise InputError(
            table.path,
            f"{len(table.matrices)} poses for {count} frames, and no column that says which is which",
            "a pose for each frame, or a column `time_s`, `frame` or `file`",
            "add the column",
        )
    return list(range(count))


def _by_frame(
    path: Path, table: PoseTable, places: list[int], source: ImageSource, count: int
) -> tuple[Floats, list[str], Floats]:
    """Matrices, problems and times of frames whose rows are known."""
    matrices = np.full((count, 4, 4), np.nan)
    problems = [f"no row in {table.path.name}"] * count
    times = source.times.copy()
    for row, place in enumerate(places):
        matrices[place] = table.matrices[row]
        problems[place] = table.problems[row]
        if table.times is not None:
            times[place] = table.times[row]
    if table.times is not None:
        times[sorted(set(range(count)) - set(places))] = np.nan
        known = np.sort(places)
        back = np.flatnonzero(np.diff(times[known]) < 0)
        if len(back):
            one, two = known[back[0]], known[back[0] + 1]
            raise InputError(
                table.path,
                f"frame {two} at {times[two]:g} s, frame {one} at {times[one]:g} s: time runs backwards",
                "times in the order of frames",
                f"correct the times of {path.name}",
            )
    return matrices, problems, times


def _interpolated(
    path: Path, table: PoseTable, source: ImageSource, image_to_probe: Matrix, offset: float | str
) -> tuple[Floats, list[str], list[str]]:
    """Matrices and problems of frames at their times, and what is to be told."""
    assert table.times is not None
    times = source.times
    if not np.isfinite(times).all():
        where = "frames.csv in the folder" if source.names is not None else "the recording"
        raise InputError(
            path,
            "frames without times, and poses by time",
            f"times of frames in {where}, or poses by frame",
            f"add the columns `file` and `time_s` in frames.csv, or `frame` in {table.path.name}"
            if source.names is not None
            else f"add a column `frame` to {table.path.name}",
        )
    used = np.flatnonzero(table.valid)
    notes = []
    if not len(used):
        raise InputError(
            table.path,
            f"not one of {len(table.problems)} poses can be used ({table.problems[0]})",
            "poses",
            "record again with the tools in view of the tracker, or leave the sweep out",
        )
    first_of_time = np.concatenate([[True], np.diff(table.times[used]) > 0])
    if not first_of_time.all():
        notes.append(
            f"rows that repeat the time of the row before are not used: {int((~first_of_time).sum())}"
        )
        used = used[first_of_time]
    pose_times, matrices = table.times[used], table.matrices[used]
    distinct = np.unique(table.times)
    longest = LONGEST_GAP * usual_interval(distinct)
    if isinstance(offset, str):
        estimate = estimate_offset(path, source.frames, times, pose_times, matrices @ image_to_probe, longest)
        offset = estimate.seconds
        notes.append(
            f"{offset:.3f} s were added to the times of poses (estimated; correlation "
            f"{estimate.correlation:.2f})"
        )
    pose_times = pose_times + offset
    if times[-1] < pose_times[0] or times[0] > pose_times[-1]:
        raise InputError(
            table.path,
            f"poses from {pose_times[0]:.3f} to {pose_times[-1]:.3f} s for frames from {times[0]:.3f} to "
            f"{times[-1]:.3f} s: they do not overlap",
            "poses at the times of frames",
            "set recordings.time_offset_s to what is to be added to the times of poses "
            f"({times[0] - pose_times[0] + offset:.3f} where both start together)",
        )
    found, problems = poses_at(times, pose_times, matrices, longest)
    return found, problems, notes


def _scale_notes(sweep: Sweep, source: ImageSource, known: Calibration | None) -> list[str]:
    if source.pixel_mm is None:
        return []
    width, height = sweep.pixel_spacing
    ratios = (width / source.pixel_mm[0], height / source.pixel_mm[1])
    if max(abs(ratio - 1) for ratio in ratios) <= LARGEST_SCALE_ERROR:
        return []
    return [
        f"pixels of {width:.4f} x {height:.4f} mm by the {'poses' if known is None else 'calibration'}, but "
        f"of {source.pixel_mm[0]:.4f} x {source.pixel_mm[1]:.4f} mm by the recording: is it of another depth?"
    ]
