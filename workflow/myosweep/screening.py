"""Screening: what the recordings of a case show before any stage spends time on them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError, InputErrors
from myosweep.io.screens import EXCLUDED, USABLE, gather_screen, read_excluded, write_screens
from myosweep.progress import log

if TYPE_CHECKING:
    from myosweep.io.sweeps import Sweep

__all__ = ["frame_ranges", "gather_screen", "read_excluded", "screen_case", "write_screens"]

Json = dict[str, Any]


def screen_case(
    case: str,
    sweeps: Sequence[Mapping[str, Any]],
    structures: Mapping[str, int],
    world: str = "auto",
    volumes: Sequence[str] = (),
    compounding: Mapping[str, Any] | None = None,
    base_acquisition: str = "",
    options: Mapping[str, Any] | None = None,
) -> Json:
    """Read headers, poses and annotations of a case's recordings, but no image; never raises for a bad case.

    Parameters
    ----------
    case
        The case's id.
    sweeps
        Its rows of the table of sweeps as plain values: `acquisition`, `sweep`, `path`, `calibration`,
        `annotations`, `structures`.
    structures
        Name and label value of every structure.
    world
        The setting `world`.
    volumes
        Its volumes of labels (drawn by hand, reference), whose headers are read.
    compounding
        The settings `compounding`, to foretell the grid and whether it fits into memory; None: left out.
    base_acquisition
        The acquisition that turns the grid; "" for all.
    options
        The settings `recordings`.

    Returns
    -------
    Plain values: `case`, `status` ("usable" or "excluded"), `reason` (one line, or ""), `grid` (None, or size
    and spacing in mm at the most) and per recording, under `sweeps`, what was found; lengths in mm, frames
    counted from 0. `suspect_poses` is by kind (invalid, frozen, jumping, out_of_order), `notes` what its
    reader and the inspection of its poses have to tell.
    """
    from myosweep.io.options import recording_options
    from myosweep.io.recordings import format_of, read_sweep

    chosen = recording_options(options)
    reasons: list[str] = []
    rows = []
    recordings: list[tuple[str, Sweep]] = []
    for row in sweeps:
        found: Json = {"acquisition": row["acquisition"], "sweep": row["sweep"], "path": str(row["path"])}
        found["format"] = format_of(row["path"]) or ""
        try:
            sweep = read_sweep(row["path"], row["calibration"] or None, world, chosen)
            found |= _screen_sweep(row, sweep, structures, chosen.contour_names)
            found["reason"] = ""
            recordings.append((row["acquisition"], sweep))
        except Exception as error:
            found["reason"] = _one_line(error)
            reasons.append(found["reason"])
        rows.append(found)
    for path in volumes:
        try:
            _screen_volume(path, structures, chosen.contour_names)
        except Exception as error:
            reasons.append(_one_line(error))
    for where, reason in _undrawn(rows, sweeps):
        if where is None:
            reasons.append(reason)
        else:
            where["notes"].append(reason)
    grid = None
    if compounding is not None and not reasons:
        try:
            grid = _foretell_grid(recordings, compounding, base_acquisition)
        except Exception as error:
            reasons.append(_one_line(error))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return {
        "case": case,
        "status": EXCLUDED if reasons else USABLE,
        "reason": reasons[0] + more if reasons else "",
        "grid": grid,
        "sweeps": rows,
    }


def _screen_volume(path: str, structures: Mapping[str, int], names: Mapping[str, str]) -> None:
    from myosweep.io.segmentations import check_segmentation

    check_segmentation(path, structures, names)


def _foretell_grid(
    recordings: Sequence[tuple[str, Sweep]], compounding: Mapping[str, Any], base: str
) -> Json:
    """The case's grid; a pose that went astray shows as a grid that no memory holds."""
    from myosweep.compounding.grid import case_grid

    sweeps = [sweep for _, sweep in recordings]
    area = compounding["image_area"]
    if area == "auto":
        # Finding the image's area would take reading frames; the calibration's rectangle or the frame hold
        # it.
        area = "calibration" if all(sweep.clip or sweep.fan for sweep in sweeps) else "full"
    leading = [sweep for acquisition, sweep in recordings if acquisition == base] or sweeps
    grid = case_grid(sweeps, compounding["axes"], compounding["spacing_mm"], area, leading)
    return {"size": list(grid.size), "spacing_mm": grid.spacing[0]}


def _screen_sweep(
    row: Mapping[str, Any], sweep: Sweep, structures: Mapping[str, int], contour_names: Mapping[str, str]
) -> Json:
    count, image_rows, image_columns = sweep.frames.shape
    usable = sweep.valid
    left_out = [(frame, problem) for frame, problem in enumerate(sweep.problems) if problem]
    width, height = sweep.pixel_spacing
    log(f"{row['path']}: {int(usable.sum())} of {count} frames can be used")
    return {
        "frames": count,
        "usable_frames": int(usable.sum()),
        "left_out": [
            {"reason": reason, "frames": frame_ranges([frame for frame, own in left_out if own == reason])}
            for reason in dict.fromkeys(reason for _, reason in left_out)
        ],
        "suspect_poses": _suspect_poses(sweep),
        "image_columns": image_columns,
        "image_rows": image_rows,
        "pixel_width_mm": width,
        "pixel_height_mm": height,
        **_path_of(sweep),
        "annotated_frames": _annotated_frames(row, sweep, structures, contour_names),
        "landmarks": len(sweep.landmarks),
        "notes": list(sweep.notes),
    }


def _suspect_poses(sweep: Sweep) -> list[Json]:
    """What is wrong with poses by kind: frames, and how many of them are used nevertheless."""
    from myosweep.io.pose_quality import kinds_of

    return [
        {
            "kind": kind,
            "count": len(frames),
            "kept": sum(not sweep.problems[frame] for frame in frames),
            "frames": frame_ranges(frames),
        }
        for kind, frames in kinds_of(sweep.suspects)
    ]


def _path_of(sweep: Sweep) -> Json:
    """Gaps and length of the path of the image's centre over the usable frames; None for a single frame."""
    import numpy as np

    _, rows, columns = sweep.frames.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0])
    positions = (sweep.image_to_world[sweep.valid] @ centre)[:, :3]
    gaps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if not len(gaps):
        return dict.fromkeys(("gap_median_mm", "gap_95_mm", "gap_max_mm", "length_mm"))
    return {
        "gap_median_mm": float(np.median(gaps)),
        "gap_95_mm": float(np.percentile(gaps, 95)),
        "gap_max_mm": float(gaps.max()),
        "length_mm": float(gaps.sum()),
    }


def _annotated_frames(
    row: Mapping[str, Any], sweep: Sweep, structures: Mapping[str, int], contour_names: Mapping[str, str]
) -> Json:
    """Per annotated structure usable frames with a mask, those that show it, and masks of unusable frames."""
    if not row["annotations"]:
        return {}
    from myosweep.io.annotations import read_annotations_by_structure

    names = list(row["structures"])
    found: Json = {}
    for about, masks in read_annotations_by_structure(
        row["annotations"], sweep, dict(structures), names, contour_names
    ):
        usable = {frame: mask for frame, mask in masks.items() if not sweep.problems[frame]}
        for name in about:
            found[name] = {
                "annotated": len(usable),
                "drawn": sum(bool((mask == structures[name]).any()) for mask in usable.values()),
                "unusable": len(masks) - len(usable),
            }
    return found


def _undrawn(found: Sequence[Json], rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Json | None, str]]:
    """Structures that are named as annotated, but that no mask of an acquisition shows.

    Yields the recording that a remark belongs to, or None where two acquisitions contradict each other: masks
    without a structure say that it is not there, and would cut it out of what the other acquisition shows.
    """
    drawn: dict[str, dict[str, int]] = {}
    for recording in found:
        for name, counts in recording.get("annotated_frames", {}).items():
            own = drawn.setdefault(name, {})
            if counts["annotated"]:
                own[recording["acquisition"]] = own.get(recording["acquisition"], 0) + counts["drawn"]
    for name, counts_of in drawn.items():
        shown = [acquisition for acquisition, count in counts_of.items() if count]
        for acquisition in (acquisition for acquisition, count in counts_of.items() if not count):
            if shown:
                row = next(row for row in rows if row["acquisition"] == acquisition and row["annotations"])
                yield (
                    None,
                    f"{row['path']}: no mask of acquisition {acquisition} shows {name}, as if it was "
                    f"not there, but acquisition {shown[0]} shows it; expected only what was looked for; "
                    f"take {name} out of the column `structures` in the rows of acquisition {acquisition}",
                )
            else:
                first = next(item for item in found if item["acquisition"] == acquisition and "notes" in item)
                yield first, f"no mask of this acquisition shows {name}: its volume will be 0"


def _one_line(error: Exception) -> str:
    """The reason in one line; a failure of the reader itself leaves its trace in the log."""
    if isinstance(error, InputErrors):
        error = error.problems[0]
    if isinstance(error, InputError):
        log(str(error))
        text = f"{error.where}: {error.found}; expected {error.expected}; {error.remedy}"
    else:
        log("".join(traceback.format_exception(error)))
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def frame_ranges(frames: Iterable[int]) -> str:
    """Ascending frame numbers in short: "3-7,12"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
