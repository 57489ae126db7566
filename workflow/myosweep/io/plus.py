"""Sequences of PLUS and IGSIO: one image file whose header holds every frame's transforms.

Formats: MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr), raw or compressed, pixels in the same file, in
another, or in one for each frame. Frames are stored in the order that `UltrasoundImageOrientation` names and
are handed out as MF (columns towards the marked side, rows away from the probe), the order in which PLUS
calibrates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Matrix, pixel_problem, rigid_problem
from myosweep.io.calibration import read_calibration
from myosweep.io.frame_files import Header, PixelOrder, StoredFrames, read_header, write_frames
from myosweep.io.sweeps import Fan, Rectangle, Sweep

FRAME_FIELD = re.compile(r"Seq_Frame([0-9]{1,9})_(\w+)")
TRANSFORM_FIELD = re.compile(r"([A-Za-z0-9]+?)To([A-Z][A-Za-z0-9]*)Transform")
CROPPED = "CroppedImage"

Pair = tuple[str, str]


def read_sequence(
    path: str | Path,
    image_to_probe: Matrix | None = None,
    clip: Rectangle | None = None,
    world: str = "auto",
    fan: Fan | None = None,
) -> Sweep:
    """Read a sequence's header and poses; the frames are read when they are asked for.

    Parameters
    ----------
    path
        A .mha, .mhd, .nrrd or .nhdr file.
    image_to_probe
        Calibration, pixel index to mm; None where the sequence holds it itself.
    clip
        The image area that the calibration names.
    world
        The frames' coordinate system; "auto": Reference where the sequence has it, else Tracker.
    fan
        The fan that the calibration names.

    Raises
    ------
    InputError
        The file is missing, ends early or is no sequence of B-mode frames; transforms are missing, not finite
        or not rigid; the image cannot be placed in the world; not one frame can be used.
    """
    path = Path(path)
    header = read_header(path)
    order = _pixel_order(path, header.fields.get("ultrasoundimageorientation", "MF"))
    notes = _image_type(path, header)
    count = header.shape[0]
    fixed, per_frame = _sort_fields(path, header, count)
    chain = _chain(path, fixed, per_frame, count, image_to_probe, world)
    image_to_world, problems = _poses(path, chain, per_frame, fixed, count, image_to_probe)
    if all(problems):
        raise InputError(
            path,
            f"not one of {count} frames can be used (frame 0: {problems[0]})",
            "frames whose image and transforms are OK",
            "record again with the tools in view of the tracker, or leave the sweep out",
        )
    timestamps = np.full(count, np.nan)
    for frame, fields in enumerate(per_frame):
        if "Timestamp" in fields:
            time = _numbers(path, f"Seq_Frame{frame:04d}_Timestamp", fields["Timestamp"], 1)[0]
            timestamps[frame] = time if np.isfinite(time) else np.nan
    frames = StoredFrames(header, order)
    return Sweep(path, frames, image_to_world, tuple(problems), timestamps, clip, fan, notes=notes)


def read_plus(path: str | Path, calibration: str | Path | None, world: str) -> Sweep:
    """Read a sequence with the calibration of a configuration, or its own (None)."""
    if calibration is None:
        return read_sequence(path, None, None, world)
    known = read_calibration(calibration)
    return read_sequence(path, known.image_to_probe, known.clip, world, known.fan)


def read_image_size(path: str | Path) -> tuple[int, int, int]:
    """(frames, rows, columns) of a sequence, from its header alone."""
    header = read_header(Path(path))
    order = _pixel_order(Path(path), header.fields.get("ultrasoundimageorientation", "MF"))
    return order.shape(header.shape)


def plus_files(path: str | Path) -> list[Path]:
    """The files that a sequence consists of: the header and those with the pixels."""
    return list(dict.fromkeys([Path(path), *read_header(Path(path), check=False).data_paths]))


def write_sequence(
    path: str | Path,
    frames: NDArray[np.uint8],
    transforms: Mapping[str, NDArray[np.float64]],
    timestamps: NDArray[np.float64],
    statuses: Mapping[str, Sequence[bool]] | None = None,
    compress: bool = True,
    orientation: str = "MFA",
) -> None:
    """Write frames and transforms as a sequence that PLUS, IGSIO and 3D Slicer read.

    Parameters
    ----------
    path
        .mha, .mhd, .nrrd or .nhdr; the latter of each pair puts the data into a second file.
    frames
        uint8, (frame, row, column), in MF order; stored in the order that `orientation` names.
    transforms
        Name ("ProbeToTracker") to matrices of shape (frame, 4, 4).
    timestamps
        Seconds, shape (frame,).
    statuses
        Name of a transform, or "Image", to one truth value per frame; what is not named is OK.
    """
    path = Path(path)
    frames = np.asarray(frames)
    count = len(frames)
    if frames.ndim != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be uint8 (frame, row, column), not {frames.dtype} {frames.shape}")
    matrices = {
        name.removesuffix("Transform"): np.asarray(values, np.float64) for name, values in transforms.items()
    }
    marks = {name.removesuffix("Transform"): list(values) for name, values in (statuses or {}).items()}
    for name, values in matrices.items():
        if values.shape != (count, 4, 4):
            raise ValueError(f"{name} must have the shape ({count}, 4, 4), not {values.shape}")
    if unknown := set(marks) - set(matrices) - {"Image"}:
        raise ValueError(f"statuses of transforms that are not given: {', '.join(sorted(unknown))}")
    fields = []
    for frame in range(count):
        key = f"Seq_Frame{frame:04d}_"
        for name in sorted(matrices):
            text = " ".join(f"{value:.10g}" for value in matrices[name][frame].ravel())
            good = marks[name][frame] if name in marks else True
            fields.append((f"{key}{name}Transform", text))
            fields.append((f"{key}{name}TransformStatus", "OK" if good else "INVALID"))
        fields.append((f"{key}Timestamp", f"{timestamps[frame]:.6f}"))
        good = marks["Image"][frame] if "Image" in marks else True
        fields.append((f"{key}ImageStatus", "OK" if good else "INVALID"))
    write_frames(path, _pixel_order(path, orientation).store(frames), orientation, fields, compress)


def _pixel_order(path: Path, orientation: str) -> PixelOrder:
    """How stored pixels lie against MF order.

    The letters name the directions of the image's x and y axes: M or U towards the marked or the unmarked
    side of the probe, F or N away from it or towards it; A or D is the direction across the image, which a
    single frame does not have (igsioCommon.h, US_IMAGE_ORIENTATION). Where the first letter is F or N, scan
    lines run along x.
    """
    name = orientation.strip().upper()
    if re.fullmatch(r"[MU][FN][AD]?|[FN][MU]", name) is None:
        found = {
            "AMF": "AMF: the image's x axis runs across the slices of a volume",
            "XX": "XX: PLUS did not know the orientation when it recorded",
        }
        raise InputError(
            f"{path}, UltrasoundImageOrientation",
            found.get(name, orientation[:80]),
            "MF, UF, MN or UN (a third letter A or D may follow), FM, FU, NM or NU",
            "convert the sequence with PLUS' EditSequenceFile, or correct the field",
        )
    return PixelOrder(name[0] in "FN", "N" in name, "U" in name)


def _image_type(path: Path, header: Header) -> tuple[str, ...]:
    """Refuse what is no picture; tell of colours."""
    kind = header.fields.get("ultrasoundimagetype", "BRIGHTNESS").strip().upper()
    if kind.startswith("RF"):
        raise InputError(
            f"{path}, UltrasoundImageType",
            f"{kind}: radio-frequency data",
            "BRIGHTNESS or RGB_COLOR",
            "record or export B-mode images",
        )
    if header.channels == 3:
        return ("the frames are in colour and were turned to grey (luma)",)
    return ()


def _sort_fields(path: Path, header: Header, count: int) -> tuple[dict[Pair, str], list[dict[str, str]]]:
    """The header's transforms that hold for all frames, and the fields of each frame."""
    fixed: dict[Pair, str] = {}
    fields: dict[int, dict[str, str]] = {}
    for key, value in header.custom.items():
        if match := FRAME_FIELD.fullmatch(key):
            frame = int(match[1])
            if frame >= count:
                raise InputError(
                    f"{path}, {key}",
                    f"a field of frame {frame}, but the image has {count} frames",
                    "as many frames as the header describes",
                    "correct the header's size, or export the recording again",
                )
            fields.setdefault(frame, {})[match[2]] = value
        elif match := TRANSFORM_FIELD.fullmatch(key):
            fixed[match[1], match[2]] = value
    if not fields:
        raise InputError(
            path,
            "no frame has a transform",
            "fields like Seq_Frame0000_ProbeToTrackerTransform",
            "record with the tracker, or give images and poses",
        )
    if len(fields) < count:
        # Found before anything is made for each of the frames that a header may invent.
        first = next(frame for frame in range(count) if frame not in fields)
        raise InputError(
            f"{path}, frame {first}",
            f"no field of this frame ({len(fields)} of {count} frames have some)",
            "a transform in every frame",
            "correct the header's size, or export the recording again",
        )
    return fixed, [fields[frame] for frame in range(count)]


def _chain(
    path: Path,
    fixed: dict[Pair, str],
    per_frame: list[dict[str, str]],
    count: int,
    image_to_probe: Matrix | None,
    world: str,
) -> list[Pair]:
    """The transforms that lead from the stored image to the world, forwards or backwards."""
    counts: dict[Pair, int] = {}
    for fields in per_frame:
        for key in fields:
            if match := TRANSFORM_FIELD.fullmatch(key):
                counts[match[1], match[2]] = counts.get((match[1], match[2]), 0) + 1
    known = set(counts) | set(fixed)
    if not counts:
        raise InputError(
            path,
            "no frame has a transform",
            "fields like Seq_Frame0000_ProbeToTrackerTransform",
            "record with the tracker, or give images and poses",
        )
    if image_to_probe is not None:
        known.add(("Image", "Probe"))
    systems = {system for pair in known for system in pair}
    goal = world if world != "auto" else ("Reference" if "Reference" in systems else "Tracker")
    start = CROPPED if ("Image", CROPPED) in known else "Image"
    chain = _shortest_path(known, start, goal)
    if chain is None and world == "auto" and goal == "Reference":
        goal = "Tracker"
        chain = _shortest_path(known, start, goal)
    if chain is None:
        found = ", ".join(sorted(f"{a}To{b}" for a, b in known))
        calibrated = any("Image" in pair and CROPPED not in pair for pair in known)
        raise InputError(
            path,
            f"transforms {found}",
            f"transforms that lead from Image to {goal}",
            f"set world to one of: {', '.join(sorted(systems - {'Image', CROPPED}))}"
            if calibrated
            else "name the calibration file (with ImageToProbe) in the column `calibration`",
        )
    for pair in chain:
        # A calibration from a file goes before what the recording says of itself.
        given = pair == ("Image", "Probe") and image_to_probe is not None
        if not given and pair in counts and counts[pair] < count and pair not in fixed:
            name = f"{pair[0]}To{pair[1]}Transform"
            first = next(frame for frame, fields in enumerate(per_frame) if name not in fields)
            raise InputError(
                f"{path}, frame {first}",
                f"no {name} ({counts[pair]} of {count} frames have one)",
                "a transform in every frame",
                "export the recording again",
            )
    return chain


def _shortest_path(pairs: set[Pair], start: str, goal: str) -> list[Pair] | None:
    """Pairs that lead from one coordinate system to another, forwards or backwards."""
    reached: dict[str, list[Pair]] = {start: []}
    front = [start]
    while front:
        following = []
        for system in front:
            for pair in sorted(pairs):
                if system not in pair:
                    continue
                other = pair[1] if pair[0] == system else pair[0]
                if other not in reached:
                    reached[other] = [*reached[system], pair]
                    following.append(other)
        front = following
    return reached.get(goal)


def _poses(
    path: Path,
    chain: list[Pair],
    per_frame: list[dict[str, str]],
    fixed: dict[Pair, str],
    count: int,
    image_to_probe: Matrix | None,
) -> tuple[NDArray[np.float64], list[str]]:
    """Per frame image_to_world, NaN where it is not known, and why the frame cannot be used."""
    problems = []
    for fields in per_frame:
        status = fields.get("ImageStatus", fields.get("Status", "OK"))
        bad = [] if status.strip().upper() == "OK" else [f"the image is {status.strip()}"]
        for source, target in chain:
            if (source, target) == ("Image", "Probe") and image_to_probe is not None:
                continue
            status = fields.get(f"{source}To{target}TransformStatus", "OK")
            if status.strip().upper() != "OK":
                bad.append(f"{source}To{target} is {status.strip()}")
        problems.append("; ".join(bad))
    usable = np.array([not problem for problem in problems])
    total = np.tile(np.eye(4), (count, 1, 1))
    total[~usable] = np.nan
    at = CROPPED if chain and CROPPED in chain[0] else "Image"
    for pair in chain:
        matrices = _matrices(path, pair, per_frame, fixed, usable, image_to_probe)
        if pair[0] == at:
            at = pair[1]
        else:
            matrices = np.linalg.inv(matrices).astype(np.float64, copy=False)
            at = pair[0]
        total[usable] = matrices @ total[usable]
    return total, problems


def _matrices(
    path: Path,
    pair: Pair,
    per_frame: list[dict[str, str]],
    fixed: dict[Pair, str],
    usable: NDArray[np.bool_],
    image_to_probe: Matrix | None,
) -> NDArray[np.float64]:
    """One transform in all usable frames, (usable frame, 4, 4); checked."""
    frames = np.flatnonzero(usable)
    if pair == ("Image", "Probe") and image_to_probe is not None:
        return np.tile(np.asarray(image_to_probe, np.float64), (len(frames), 1, 1))
    name = f"{pair[0]}To{pair[1]}Transform"
    check = pixel_problem if "Image" in pair else rigid_problem
    matrices = np.empty((len(frames), 4, 4))
    for place, frame in enumerate(frames):
        text = per_frame[frame].get(name) or fixed.get(pair, "")
        where = f"{path}, frame {frame}, {name}"
        matrices[place] = _numbers(path, where, text, 16).reshape(4, 4)
        if problem := check(matrices[place]):
            raise InputError(
                where,
                problem,
                "an affine transform of pixels to mm" if "Image" in pair else "a rigid transform in mm",
                f"correct the transform, or set {name}Status of this frame to INVALID",
            )
    return matrices


def _numbers(path: Path, where: str, text: str, count: int) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count:
        where = where if where.startswith(str(path)) else f"{path}, {where}"
        raise InputError(where, f"`{text[:80]}`", f"{count} numbers", "export the recording again")
    return values
