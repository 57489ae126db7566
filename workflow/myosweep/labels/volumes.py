"""Labels of one acquisition: memberships of its frames compounded, or decided in space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.compounding import compound_frames
from myosweep.compounding.area import AreaSetting
from myosweep.geometry import Grid, Matrix
from myosweep.io.volumes import Volume, resample
from myosweep.labels.completeness import Exposure, exposure, summary_of
from myosweep.labels.disagreement import disagreement_of
from myosweep.labels.ends import usual_gap
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.interpolation import way_of_frames
from myosweep.labels.methods import NEED_IMAGE, VOLUME_WISE
from myosweep.labels.regions import grow_region, image_on_base, require_image
from myosweep.labels.surface import fit_surface, surface_membership
from myosweep.labels.sweeps import AnnotatedSweep, Part, Placed, axis_of, parts_of
from myosweep.progress import track

# A surface is computed at points this far apart, and linear between: its nodes lie three times as far.
_SURFACE_STEP_MM = 1.0

__all__ = ["AnnotatedSweep", "Labelled", "label_acquisition", "label_structures"]


@dataclass(frozen=True)
class Labelled:
    """What `label_structures` makes.

    Attributes
    ----------
    fractions
        uint8 (z, y, x, structure): 0 to 250 for the fraction of what was seen there that is the structure,
        255 where unknown.
    summaries
        Per structure: status (annotated, partial, not_annotated), reason, annotated_frames, and the measures
        behind them.
    disagreement
        uint8 (z, y, x), see `disagreement_of`; None where it was not asked for.
    """

    fractions: Volume
    summaries: dict[str, dict[str, Any]]
    disagreement: Volume | None


def label_acquisition(
    sweeps: Sequence[AnnotatedSweep],
    grid: Grid,
    base_to_acquisition: Matrix,
    structures: Mapping[str, int],
    method: str,
    image_area: AreaSetting = "auto",
    *,
    ends: str = "cut",
    image: Volume | None = None,
    threads: int = 1,
) -> tuple[Volume, dict[str, dict[str, Any]]]:
    """Fractions and summaries of `label_structures`."""
    made = label_structures(
        sweeps,
        grid,
        base_to_acquisition,
        structures,
        method,
        image_area,
        ends=ends,
        image=image,
        disagreement=False,
        threads=threads,
    )
    return made.fractions, made.summaries


def label_structures(
    sweeps: Sequence[AnnotatedSweep],
    grid: Grid,
    base_to_acquisition: Matrix,
    structures: Mapping[str, int],
    method: str,
    image_area: AreaSetting = "auto",
    *,
    ends: str = "cut",
    image: Volume | None = None,
    disagreement: bool = True,
    threads: int = 1,
) -> Labelled:
    """Label the structures of an acquisition from the masks of all its sweeps.

    A frame outside the first and last annotation of a structure in its sweep says nothing about that
    structure, but for what `ends` adds where no sweep knows anything. Gaps between frames are filled as they
    are in images. What is known is the same for every method.

    Parameters
    ----------
    sweeps
        The acquisition's sweeps; those without masks may be among them.
    grid
        The base acquisition's.
    base_to_acquisition
        4 x 4, points of the base acquisition's world to points of this one's, mm.
    structures
        All structures, name to label value.
    method
        A name in `methods.METHODS`.
    image_area
        As for compounding.
    ends
        A name in `methods.ENDS`; see `ends.beyond`.
    image
        The acquisition's compounded volume in its own world, for the methods in `methods.NEED_IMAGE`.
    disagreement
        Whether to compare the sweeps.
    threads
        For compounding; does not change the result.

    Raises
    ------
    InputError
        The method needs an image, and there is none.
    """
    acquisition_to_base: Matrix = np.linalg.inv(base_to_acquisition).astype(np.float64)
    if method in NEED_IMAGE:
        image = image_on_base(require_image(image, method), grid, base_to_acquisition)
    fractions = np.full((*grid.shape, len(structures)), UNKNOWN, dtype=np.uint8)
    differing = np.full(grid.shape, UNKNOWN, dtype=np.uint8) if disagreement else None
    summaries = {}
    # The volume-wise methods take masks and coverage of the frames alone.
    frame_wise = "zoi" if method in VOLUME_WISE else method
    for component, (name, value) in enumerate(structures.items()):
        parts = list(parts_of(sweeps, name, value, frame_wise, acquisition_to_base, image_area))
        frames = sum(len(part.memberships.annotated) for part in parts)
        axis = axis_of(parts, grid)
        found, seen = Exposure(0.0, 0.0, 0.0), False
        if frames:
            target = fractions[..., component]
            gap = max(part.longest_bridge(grid) for part in parts)
            seen = _compound_into(target, parts, grid, gap, name, method in VOLUME_WISE, threads)
            if method in VOLUME_WISE:
                _decide_in_space(target, parts, grid, method, image)
            found = exposure((target >= FULL // 2) & (target != UNKNOWN), target != UNKNOWN, grid, axis)
            if differing is not None and method not in VOLUME_WISE and len(parts) > 1:
                disagreement_of(differing, target, [part.frames(grid) for part in parts], grid, gap, threads)
            _add_ends(target, parts, grid, gap, ends, threads)
        open_ends = [end for part in parts for end in part.open_ends(grid, axis)]
        summaries[name] = summary_of(found, open_ends, frames, len(parts), axis, seen) | {"ends": ends}
    return Labelled(
        Volume(fractions, grid), summaries, None if differing is None else Volume(differing, grid)
    )


def _compound_into(
    target: NDArray[np.uint8],
    parts: Sequence[Part],
    grid: Grid,
    gap_mm: float,
    name: str,
    constant: bool,
    threads: int,
) -> bool:
    """Write the fractions of all sweeps; whether there is any in the grid."""

    def frames() -> Iterator[Placed]:
        for part in parts:
            yield from part.frames(grid, constant=constant)

    total = sum(part.count + 1 for part in parts)
    made = compound_frames(
        track(frames(), total, f"frames of {name} placed"), grid, gap_mm=gap_mm, threads=threads
    )
    for z in range(grid.shape[0]):
        scaled = np.rint(np.clip(made.values[z], 0, 1) * FULL)
        target[z] = np.where(made.coverage[z] != 0, scaled, UNKNOWN).astype(np.uint8)
    return bool((made.coverage != 0).any())


def _decide_in_space(
    target: NDArray[np.uint8], parts: Sequence[Part], grid: Grid, method: str, image: Volume | None
) -> None:
    """Write a volume-wise method's memberships wherever something is known."""
    slices = [part.slices() for part in parts]
    if method == "surface":
        surface = fit_surface(slices)
        stride = max(1, int(_SURFACE_STEP_MM / max(grid.spacing[:2])))
        for z in range(grid.shape[0]):
            known = target[z] != UNKNOWN
            if known.any():
                values = np.zeros(known.shape, np.float32)
                if surface is not None:
                    values = surface_membership(surface, grid, z, min(grid.spacing), stride)
                target[z][known] = np.rint(values[known] * FULL).astype(np.uint8)
        return
    gaps = [usual_gap(p.memberships, way_of_frames(p.masks, p.poses, p.sweep.valid)) for p in parts]
    grown = grow_region(method, slices, require_image(image, method), float(np.median(gaps)))
    inside = None if grown is None else resample(grown, grid).array
    for z in range(grid.shape[0]):
        known = target[z] != UNKNOWN
        target[z][known] = 0 if inside is None else inside[z][known]


def _add_ends(
    target: NDArray[np.uint8], parts: Sequence[Part], grid: Grid, gap_mm: float, ends: str, threads: int
) -> None:
    """Fill what no annotation knows with what the ends add."""
    if ends == "cut":
        return
    added = [item for part in parts for side in (-1, 1) for item in part.frames_beyond(grid, side, ends)]
    if not added:
        return
    made = compound_frames(added, grid, gap_mm=gap_mm, threads=threads)
    for z in range(grid.shape[0]):
        new = (made.coverage[z] != 0) & (target[z] == UNKNOWN)
        target[z][new] = np.rint(np.clip(made.values[z][new], 0, 1) * FULL).astype(np.uint8)
