"""Masks from the contours that were drawn in the recording itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.drawn_names import BACKGROUND_NAME, meanings, plain
from myosweep.io.sweeps import Contour, Sweep
from myosweep.progress import log

CONTOURS = "contours"

# The ends of an open contour may be so far apart, as a part of its length.
LARGEST_OPENING = 0.1
# Two contours of one object that share more than this part of the larger one were meant to be one.
DRAWN_TWICE = 0.9
# Contours of one object that cross are patches of one region; those that share more than this part of the
# larger one are two drawings of it, by two annotators for example.
DRAWN_ANEW = 0.5
# Structures drawn one by one overlap along their common border; beyond this part of the smaller one, one of
# them bears the wrong name.
LARGEST_OVERLAP = 0.2
# Edges that are filled at a time.
_EDGES = 1000

Mask = NDArray[np.bool_]


def masks_by_structure(
    sweep: Sweep,
    structures: Mapping[str, int],
    annotated: Sequence[str],
    contour_names: Mapping[str, str] | None = None,
) -> dict[str, dict[int, NDArray[np.uint8]]]:
    """Fill the contours of a recording; each structure gets the masks of the frames that speak of it.

    A frame is annotated for a structure that has a contour there, and says nothing of a structure that has
    none: the expert may not have looked for it. Where an object's name means "background", its contours draw
    nothing and say that the frame was looked at: structures without a contour are not there.

    A pixel belongs to a contour where its centre lies inside. A contour within another one of the same
    structure is a hole, contours that cross are united. An open contour is closed by a straight line where
    its ends are close. Where structures overlap, each pixel goes to the nearest that is drawn alone.

    Parameters
    ----------
    sweep
        The recording.
    structures
        Label value of every structure that is known; all of them are drawn.
    annotated
        The structures whose masks are wanted.
    contour_names
        What annotators typed to structures, or to "background"; without regard to case and to blanks around.
        The structures' own names are always understood, and go before it.

    Returns
    -------
    masks
        Per annotated structure: ascending frame index to labels, uint8 (row, column): a structure's value, or
        0. None of a structure that was not drawn. A frame's mask is one array for all structures.

    Raises
    ------
    InputError
        The recording has no contours, or none of any structure in `annotated`; a name in `contour_names`
        means no structure; an open contour is wide open; a structure was drawn twice; structures overlap
        widely.
    """
    meaning = meanings(structures, contour_names or {})
    if not sweep.contours:
        raise InputError(
            sweep.path,
            "no contour" if sweep.contours is not None else "a kind of recording that holds no contours",
            "contours of objects that are named like the structures",
            "name a folder of masks in the column `annotations`, or leave the cell empty",
        )
    by_frame: dict[int, dict[str, list[Contour]]] = {}
    unknown: dict[str, int] = {}
    for contour in sweep.contours:
        name = meaning.get(plain(contour.name))
        if name is None:
            unknown[contour.name] = unknown.get(contour.name, 0) + 1
        else:
            by_frame.setdefault(contour.frame, {}).setdefault(name, []).append(contour)
    _tell_names(sweep, annotated, by_frame, unknown)
    masks: dict[str, dict[int, NDArray[np.uint8]]] = {name: {} for name in annotated}
    for frame in sorted(by_frame):
        drawn = {
            name: region
            for name in structures
            if (region := _structure_mask(sweep, name, by_frame[frame].get(name, []))) is not None
        }
        looked_at = BACKGROUND_NAME in by_frame[frame]
        about = [name for name in annotated if looked_at or name in drawn]
        if about:
            mask = _labels(sweep, frame, drawn, structures)
            for name in about:
                masks[name][frame] = mask
    return masks


def masks_from_contours(
    sweep: Sweep,
    structures: Mapping[str, int],
    annotated: Sequence[str],
    contour_names: Mapping[str, str] | None = None,
) -> dict[int, NDArray[np.uint8]]:
    """The masks of all frames that speak of at least one annotated structure, as `masks_by_structure`.

    A mask does not show which structures its frame speaks of; who needs that takes `masks_by_structure`.
    """
    found = masks_by_structure(sweep, structures, annotated, contour_names)
    masks = {frame: mask for own in found.values() for frame, mask in own.items()}
    return dict(sorted(masks.items()))


def _tell_names(
    sweep: Sweep,
    annotated: Sequence[str],
    by_frame: Mapping[int, Mapping[str, Sequence[Contour]]],
    unknown: Mapping[str, int],
) -> None:
    """Log the objects that mean nothing; an error where nothing else was drawn."""
    objects = ", ".join(f"`{name}` ({count} contours)" for name, count in sorted(unknown.items()))
    drawn = {name for names in by_frame.values() for name in names}
    if drawn.isdisjoint({*annotated, BACKGROUND_NAME}):
        others = ", ".join(sorted(drawn))
        typed = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: ?" for name in sorted(unknown)[:8])
        raise InputError(
            sweep.path,
            f"contours of {'; '.join(part for part in (objects, others) if part)}",
            f"contours of {', '.join(annotated)}",
            f"say what each name means, {' or '.join(annotated)} or {BACKGROUND_NAME} (which says that a "
            f"frame was looked at): `recordings: {{contour_names: {{{typed or 'what was typed: ?'}}}}}`"
            if annotated
            else "name the annotated structures in the column `structures`",
        )
    if unknown:
        log(f"{sweep.path}: contours of {objects} mean no structure: not used")


def _structure_mask(sweep: Sweep, name: str, contours: Sequence[Contour]) -> Mask | None:
    """What a structure's contours on one frame enclose, or None where they enclose no pixel."""
    size = sweep.frames.shape[1:]
    filled = []
    for points in {contour.points.tobytes(): _closed(sweep, contour) for contour in contours}.values():
        mask = fill(points, (size[0], size[1]))
        if mask.any():
            filled.append(mask)
        else:
            # A click, not a statement that nothing is there.
            log(f"{sweep.path}: a contour of {name} on frame {contours[0].frame} encloses no pixel: not used")
    filled.sort(key=np.count_nonzero, reverse=True)
    region: Mask | None = None
    for at, mask in enumerate(filled):
        around = [other for other in filled[:at] if not (mask & ~other).any()]
        if around and np.count_nonzero(mask) > DRAWN_TWICE * np.count_nonzero(around[-1]):
            raise InputError(
                f"{sweep.path}, frame {contours[0].frame}",
                f"two contours of {name}, one just inside the other",
                "one contour around a structure, and others only around its holes",
                "remove one of them",
            )
        for other in filled[:at]:
            shared = np.count_nonzero(mask & other)
            if shared < np.count_nonzero(mask) and shared > DRAWN_ANEW * np.count_nonzero(other):
                raise InputError(
                    f"{sweep.path}, frame {contours[0].frame}",
                    f"two contours of {name} that share {100 * shared / np.count_nonzero(other):.0f} % of "
                    "the larger one: drawn twice, by two annotators for example",
                    "one drawing of a structure on a frame",
                    "remove one of them, or give the objects of the second annotator other names",
                )
        if region is None:
            region = mask.copy()
        elif around and not (mask & ~region).any():
            region &= ~mask
        else:
            region |= mask
    return region


def _closed(sweep: Sweep, contour: Contour) -> NDArray[np.float64]:
    points = contour.points
    if not contour.closed and len(points) > 1:
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        opening = float(np.linalg.norm(points[-1] - points[0]))
        if opening > LARGEST_OPENING * float(steps.sum()):
            raise InputError(
                f"{sweep.path}, frame {contour.frame}",
                f"an open contour of {contour.name} whose ends are {opening:.0f} pixels apart",
                "closed contours around structures",
                "close the contour, or give the line an object of another name",
            )
    return points


def fill(points: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    """The pixels whose centres lie inside a polygon, by the even-odd rule.

    A centre on a left or upper edge is inside, one on a right or lower edge is not, so that polygons that
    share an edge share no pixel.

    Parameters
    ----------
    points
        (point, 2): (column, row); the last point is joined to the first.
    shape
        (rows, columns) of the image.

    Returns
    -------
    bool (row, column).
    """
    rows, columns = shape
    starts, ends = points, np.roll(points, -1, axis=0)
    swap = starts[:, 1] > ends[:, 1]
    low, high = np.where(swap[:, None], ends, starts), np.where(swap[:, None], starts, ends)
    first = np.clip(np.ceil(low[:, 1]), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high[:, 1]), 0, rows).astype(np.int64)
    crossings = np.zeros(rows * (columns + 1), np.int64)
    for part in range(0, len(points), _EDGES):
        edges = np.arange(part, min(part + _EDGES, len(points)))
        edges = np.repeat(edges, (last - first)[edges])
        if not len(edges):
            continue
        begun = np.r_[0, np.flatnonzero(np.diff(edges)) + 1]
        steps = np.arange(len(edges)) - np.repeat(begun, np.diff(np.r_[begun, len(edges)]))
        row = first[edges] + steps
        slope = (high[edges, 0] - low[edges, 0]) / (high[edges, 1] - low[edges, 1])
        at = low[edges, 0] + slope * (row - low[edges, 1])
        column = np.clip(np.ceil(at), 0, columns).astype(np.int64)
        crossings += np.bincount(row * (columns + 1) + column, minlength=len(crossings))
    inside = np.cumsum(crossings.reshape(rows, columns + 1), axis=1)[:, :columns] % 2 == 1
    return np.asarray(inside, np.bool_)


def _labels(
    sweep: Sweep, frame: int, drawn: Mapping[str, Mask], structures: Mapping[str, int]
) -> NDArray[np.uint8]:
    labels = np.zeros(sweep.frames.shape[1:], np.uint8)
    names = list(drawn)
    for name in names:
        labels[drawn[name]] = structures[name]
    shared = sum(mask.astype(np.uint8) for mask in drawn.values()) > 1 if len(names) > 1 else None
    if shared is None or not np.any(shared):
        return labels
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            both = np.count_nonzero(drawn[first] & drawn[second])
            smaller = min(np.count_nonzero(drawn[first]), np.count_nonzero(drawn[second]))
            if both > LARGEST_OVERLAP * smaller:
                raise InputError(
                    f"{sweep.path}, frame {frame}",
                    f"{first} and {second} drawn over each other on {both} pixels, "
                    f"{100 * both / smaller:.0f} % of the smaller one",
                    "structures that at most overlap along their border",
                    "correct the contours, or the name of one",
                )
    from scipy.ndimage import distance_transform_edt

    width, height = sweep.pixel_spacing
    away = [
        np.where(drawn[name], distance_transform_edt(~drawn[name] | shared, sampling=(height, width)), np.inf)
        for name in names
    ]
    values = np.array([structures[name] for name in names], np.uint8)
    labels[shared] = values[np.argmin(away, axis=0)[shared]]
    return labels
