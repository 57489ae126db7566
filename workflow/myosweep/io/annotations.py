"""What an expert drew on some frames of a sweep: images `frame_NNNN.png`, or contours in the recording."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from myosweep.errors import InputError
from myosweep.io.contours import CONTOURS, masks_by_structure, masks_from_contours
from myosweep.io.files import whole_file
from myosweep.io.sweeps import Sweep
from myosweep.progress import log

NAME = re.compile(r"frame_(\d+)\.png", re.IGNORECASE)
BACKGROUND = 0
UNKNOWN = 255


def read_annotations(
    folder: str | Path,
    sweep: Sweep,
    structures: Mapping[str, int],
    annotated: Sequence[str],
    contour_names: Mapping[str, str] | None = None,
) -> dict[int, NDArray[np.uint8]]:
    """Read the masks of a sweep.

    Parameters
    ----------
    folder
        Holds `frame_NNNN.png`; NNNN is the index of the frame in the recording, from 0. "contours": what was
        drawn in the recording itself (`contours.masks_from_contours`).
    structures
        Label value of every structure that is known.
    annotated
        The structures that were annotated in this recording.
    contour_names
        Names of objects in the recording to structures, beside the structures' own.

    Returns
    -------
    masks
        Frame index to labels, uint8 (row, column): a structure's value, 0 background, 255 unknown.

    Raises
    ------
    InputError
        There is no mask; a mask is no 8-bit grey or palette image, has another size than the frames, holds a
        value that no structure has, or belongs to a frame that does not exist. Contours: see there.
    """
    if str(folder) == CONTOURS:
        return masks_from_contours(sweep, structures, annotated, contour_names)
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "a folder of masks", "correct the column `annotations`")
    masks: dict[int, NDArray[np.uint8]] = {}
    allowed = np.zeros(256, bool)
    allowed[[BACKGROUND, UNKNOWN, *structures.values()]] = True
    for path in sorted(folder.iterdir()):
        # Archives and shared drives leave hidden companions beside files.
        if path.suffix.lower() != ".png" or path.name.startswith("."):
            continue
        frame = _frame_of(path, sweep.frames.shape[0])
        if frame in masks:
            raise InputError(path, f"a second mask of frame {frame}", "one mask per frame", "remove one")
        masks[frame] = _read_mask(path, sweep.frames.shape[1:], allowed, structures)
    if not masks:
        raise InputError(
            folder,
            "no mask",
            "files frame_0000.png, frame_0001.png, ...",
            "export the masks, or leave the cell `annotations` empty",
        )
    names = {value: name for name, value in structures.items()}
    drawn = {names[value] for mask in masks.values() for value in np.unique(mask).tolist() if value in names}
    if extra := sorted(drawn - set(annotated)):
        log(f"{folder}: {', '.join(extra)} drawn, but not named as annotated: not used")
    return dict(sorted(masks.items()))


def read_annotations_by_structure(
    folder: str | Path,
    sweep: Sweep,
    structures: Mapping[str, int],
    annotated: Sequence[str],
    contour_names: Mapping[str, str] | None = None,
) -> list[tuple[list[str], dict[int, NDArray[np.uint8]]]]:
    """Read the masks of a sweep, as `read_annotations`, with the structures that they speak of.

    A mask from a folder speaks of all annotated structures, a frame with contours of those that it shows.

    Returns
    -------
    Names of structures, and frame index to labels; every annotated structure once.
    """
    if str(folder) == CONTOURS:
        found = masks_by_structure(sweep, structures, annotated, contour_names)
        return [([name], masks) for name, masks in found.items()]
    return [(list(annotated), read_annotations(folder, sweep, structures, annotated))]


def _frame_of(path: Path, count: int) -> int:
    match = NAME.fullmatch(path.name)
    if not match:
        raise InputError(path, "a name without a frame", "frame_NNNN.png", "rename or remove the file")
    frame = int(match[1])
    if frame >= count:
        raise InputError(
            path,
            f"a mask of frame {frame}",
            f"a frame from 0 to {count - 1}",
            "number the frames from 0 as they stand in the recording",
        )
    return frame


def _read_mask(
    path: Path, shape: tuple[int, ...], allowed: NDArray[np.bool_], structures: Mapping[str, int]
) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode not in ("L", "P"):
                raise InputError(
                    path,
                    f"an image of mode {mode}",
                    "an 8-bit grey or palette image",
                    "export one label value per pixel",
                )
            if (image.height, image.width) != tuple(shape):
                raise InputError(
                    path,
                    f"{image.width} x {image.height} pixels",
                    f"{shape[1]} x {shape[0]}, the size of the frames",
                    "draw on the frames as recorded",
                )
            mask = np.array(image, dtype=np.uint8)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(path, f"not a readable image ({error})", "a PNG image", "export it again") from None
    strange = np.unique(mask[~allowed[mask]])
    if len(strange):
        known = ", ".join(f"{value} {name}" for name, value in structures.items())
        raise InputError(
            path,
            f"the values {', '.join(str(value) for value in strange[:8])}",
            f"0 background, {known}, 255 unknown",
            "correct the mask, or name the structure in the setting `structures`",
        )
    return mask


def write_mask(path: str | Path, mask: NDArray[np.uint8]) -> None:
    """Write labels, uint8 (row, column), as an 8-bit grey PNG."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"a mask must be uint8 (row, column), not {mask.dtype} {mask.shape}")
    with whole_file(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG")
