"""The frames that an annotator should outline next, as images beside the folder that waits for the masks."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from myosweep.errors import InputError
from myosweep.io.annotations import NAME, read_annotations, write_mask
from myosweep.io.contours import CONTOURS
from myosweep.io.files import write_text
from myosweep.io.options import recording_options
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from myosweep.labels.disputed import Dispute, disputed_frames
from myosweep.progress import log

# The probe's path is measured from point to point so far apart, as a part of the distance between annotated
# frames: the tremor of a hand would lengthen it.
_STEP = 0.1
# A stretch that is longer by this part is let pass: jitter of tracking lengthens what was spaced exactly.
_LET_PASS = 0.1
# Frames where sweeps disagree keep this part of it from each other: neighbours show the same dispute.
_APART = 0.25


def path_lengths(positions: NDArray[np.float64], step_mm: float) -> NDArray[np.float64]:
    """Length of the path up to each position (n, 3), in mm, along points at least `step_mm` apart."""
    corners = [0]
    for index in range(1, len(positions)):
        if np.linalg.norm(positions[index] - positions[corners[-1]]) >= step_mm:
            corners.append(index)
    lengths = np.linalg.norm(np.diff(positions[corners], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if corners[-1] != len(positions) - 1:
        rest = float(np.linalg.norm(positions[-1] - positions[corners[-1]]))
        corners.append(len(positions) - 1)
        along = np.append(along, along[-1] + rest)
    return np.asarray(np.interp(np.arange(len(positions)), corners, along))


def frames_to_outline(sweep: Sweep, annotated: Collection[int], every_mm: float) -> list[int]:
    """Frames so that no stretch of the sweep longer than `every_mm` is without an outlined frame.

    The first and the last usable frame are always among them: an outline, or an empty mask, at the ends says
    how far a structure reaches. Between frames that are outlined already, others stand evenly.

    Parameters
    ----------
    sweep
        The recording.
    annotated
        Frames that have a mask.
    every_mm
        The largest distance between outlined frames along the probe's path (of the image's centre); a tenth
        more is let pass.

    Returns
    -------
    Ascending frame indices, none of them in `annotated`.
    """
    usable = np.flatnonzero(sweep.valid)
    if not len(usable):
        return []
    along = _along(sweep, usable, every_mm)
    done = [at for at, frame in enumerate(usable.tolist()) if frame in annotated]
    anchors = sorted({0, len(usable) - 1, *done})
    chosen = set(anchors)
    for first, last in pairwise(anchors):
        chosen.update(first + at for at in _evenly(along[first : last + 1], every_mm))
    return [int(usable[at]) for at in sorted(chosen.difference(done))]


def _along(sweep: Sweep, usable: NDArray[np.intp], every_mm: float) -> NDArray[np.float64]:
    """Length of the probe's path up to each usable frame, mm."""
    _, rows, columns = sweep.frames.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2, 0.0, 1.0])
    return path_lengths((sweep.image_to_world[usable] @ centre)[:, :3], _STEP * every_mm)


def _evenly(along: NDArray[np.float64], most: float) -> list[int]:
    """Positions in an ascending list that part it into even stretches of about `most`, where it allows."""
    length = float(along[-1] - along[0])
    least = max(1, int(np.ceil(length / (most * (1 + _LET_PASS)) - 1e-6)))
    found: list[int] = []
    # Positions stand where they stand: some more stretches make up for rounding to the nearest.
    for parts in range(least, min(2 * least, len(along)) + 1):
        targets = np.linspace(along[0], along[-1], parts + 1)
        after = np.clip(np.searchsorted(along, targets), 1, len(along) - 1)
        nearer = targets - along[after - 1] <= along[after] - targets
        found = np.unique(np.where(nearer, after - 1, after)).tolist()
        if np.diff(along[found]).max(initial=0) <= most * (1 + _LET_PASS):
            break
    return found


def write_kit(
    folder: str | Path,
    row: Mapping[str, Any],
    structures: Mapping[str, int],
    every_mm: float,
    world: str = "auto",
    options: Mapping[str, Any] | None = None,
    dispute: Dispute | None = None,
) -> list[int]:
    """Write the images of the frames to outline, and the folder that waits for their masks.

    Nothing that lies in the kit's folders is overwritten: an image or a mask that is there stays. Masks that
    the recording has are copied where the kit has none of that frame. Images of frames that are no longer
    asked for are removed if they still are what was exported.

    Parameters
    ----------
    folder
        Gets `images/frame_NNNN.png`, `masks/` and README.txt.
    row
        A row of the table of sweeps as plain values.
    structures
        Label value of every structure.
    every_mm
        See `frames_to_outline`.
    world, options
        The settings `world` and `recordings`.
    dispute
        Where given, frames are chosen where the sweeps disagree most, at least a quarter of `every_mm` from
        each other and from annotated ones; those that `frames_to_outline` tells only where none disagree.

    Returns
    -------
    The frames that are asked for.
    """
    chosen = recording_options(options)
    sweep = read_sweep(row["path"], row["calibration"] or None, world, chosen)
    folder = Path(folder)
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(exist_ok=True)
    known = _copy_masks(masks, row, sweep, structures, chosen.contour_names)
    frames, why = _choose(sweep, known, every_mm, dispute)
    # What was drawn in the kit stands among its images as well, with its frame.
    drawn = sorted(set(_numbered(masks)) - known)
    frames = sorted({*frames, *(frame for frame in drawn if frame < len(sweep.problems))})
    kept = [_write_image(images, sweep, frame) for frame in frames]
    _remove_images(images, sweep, set(frames))
    if edited := [name for name in kept if name]:
        log(f"{images}: {', '.join(edited)} differ from the recording and were left as they are")
    text = _readme(folder, row, structures, why, frames, sorted(known))
    write_text(folder / "README.txt", text)
    return frames


def _choose(
    sweep: Sweep, known: Collection[int], every_mm: float, dispute: Dispute | None
) -> tuple[list[int], str]:
    """Frames to outline, and what is reached with them."""
    usable = np.flatnonzero(sweep.valid)
    if dispute is not None and len(usable):
        along = _along(sweep, usable, every_mm)
        frames = disputed_frames(sweep, known, dispute, along, _APART * every_mm)
        if frames:
            return frames, "There the sweeps disagree most about what was drawn so far."
        log(f"{sweep.path}: no sweep disagrees with this one; frames are chosen by distance")
    return (
        frames_to_outline(sweep, known, every_mm),
        f"With them no stretch of the sweep longer than {every_mm:g} mm is without an outlined frame.",
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """Frame numbers and the files of a folder that bear them."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        # Frame numbers beyond any recording are no frame numbers.
        if match and len(match[1]) < 10:
            found.setdefault(int(match[1]), path)
    return found


def _copy_masks(
    masks: Path,
    row: Mapping[str, Any],
    sweep: Sweep,
    structures: Mapping[str, int],
    contour_names: Mapping[str, str],
) -> set[int]:
    """Copy the masks that the table of sweeps knows; the frames that have one."""
    source = row["annotations"]
    if not source:
        return set()
    if source != CONTOURS and not any(path.suffix.lower() == ".png" for path in _listed(Path(source))):
        # A folder that waits for its masks, as the one of a kit does.
        return set()
    found = read_annotations(source, sweep, structures, list(row["structures"]), contour_names)
    there = _numbered(masks)
    files = {} if source == CONTOURS else _numbered(Path(source))
    for frame, mask in found.items():
        if frame in there:
            continue
        target = masks / f"frame_{frame:04d}.png"
        if frame in files:
            shutil.copyfile(files[frame], target)
        else:
            write_mask(target, mask)
    return set(found)


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "a folder of masks", "correct the column `annotations`")
    return list(folder.iterdir())


def _write_image(images: Path, sweep: Sweep, frame: int) -> str:
    """Write a frame where there is none; its file's name where another image stands in its place."""
    path = images / f"frame_{frame:04d}.png"
    if not path.exists():
        write_mask(path, np.ascontiguousarray(sweep.frames[frame]))
        return ""
    return "" if _shows(path, sweep, frame) else path.name


def _shows(path: Path, sweep: Sweep, frame: int) -> bool:
    """Whether a file holds nothing but the frame as recorded."""
    try:
        with Image.open(path) as image:
            return image.mode == "L" and np.array_equal(np.array(image), sweep.frames[frame])
    except (OSError, SyntaxError, ValueError):
        return False


def _remove_images(images: Path, sweep: Sweep, frames: set[int]) -> None:
    for frame, path in _numbered(images).items():
        exported = frame not in frames and frame < len(sweep.problems)
        if exported and path.name == f"frame_{frame:04d}.png" and _shows(path, sweep, frame):
            path.unlink()


def _readme(
    folder: Path,
    row: Mapping[str, Any],
    structures: Mapping[str, int],
    why: str,
    frames: Sequence[int],
    known: Sequence[int],
) -> str:
    name = f"{row['case']}_{row['acquisition']}_{row['sweep']}"
    values = "\n".join(f"    {value:>3}  {structure}" for structure, value in structures.items())
    annotated = ",".join(row["structures"]) or ",".join(structures)
    have = (
        f"Masks of {len(known)} frames were there already and lie in `masks` as well ({_some(known)})."
        if known
        else "No frame of this recording has a mask yet."
    )
    return f"""Case {row["case"]}, acquisition {row["acquisition"]}, sweep {row["sweep"]}
Recording: {row["path"]}

`images` holds {len(frames)} frames to outline: {_some(frames)}.
{why}
{have}

What to do
  1. Open an image, images/frame_NNNN.png (NNNN: its index in the recording, from 0).
  2. Draw the structures and save a mask under the same name in `masks`: an 8-bit grey or palette PNG of the
     same width and height, one value per pixel:

      0  background
{values}
    255  unknown: it cannot be told what is there

  3. Where none of the structures is to be seen, save a mask that is 0 everywhere: so an end of a muscle is
     known. A frame without a mask says nothing.
  4. Copy the folder `masks` to where your data lie (results/ is a place that people empty), for example:

      mkdir -p annotations && cp -r {folder / "masks"} annotations/{name}

     and write into the row of this recording in the table of sweeps:

      annotations  annotations/{name}
      structures   {annotated}

     `structures` names what you outlined in this recording; a structure that is not named there is unknown,
     not absent.

The workflow can be asked for this folder again: what lies in `images` and `masks` is never overwritten.
"""


def _some(frames: Sequence[int]) -> str:
    shown = ", ".join(str(frame) for frame in frames[:40])
    return f"{shown}, ..." if len(frames) > 40 else shown or "none"
