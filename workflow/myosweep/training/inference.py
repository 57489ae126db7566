"""Prediction: labels on an image's grid from trained networks, and where they are not sure.

The memory that it takes does not depend on the number of the image's slices, nor, unless a network sees
whole limbs, on that of its own: the image is read in slabs, and what networks see and say lies in temporary
files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.slabs import grid_of_source
from myosweep.io.volumes import Volume
from myosweep.progress import announce
from myosweep.training.asking import Limb, mean_probabilities, prepared_for, spacing_of
from myosweep.training.data import UNKNOWN, mirrored
from myosweep.training.guides import NothingToPropagate
from myosweep.training.inference_settings import InferenceSettings
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.model import check_model
from myosweep.training.pieces import fill_holes, keep_largest
from myosweep.training.prepared import Prepared, Source
from myosweep.training.slice_files import SliceFile

DEFAULTS = InferenceSettings()
# What entropy 1, the largest that there can be, is in a map.
FULL = 200


@dataclass(frozen=True)
class Found:
    """Probabilities of one network, or the mean of several of the same structures, at their spacing."""

    structures: dict[str, int]
    scores: SliceFile


@dataclass(frozen=True)
class Segmentation:
    """What networks found in a limb, while their temporary files are there.

    Attributes
    ----------
    grid
        The image's.
    """

    grid: Grid
    _lattice: Lattice
    _side: str
    _found: list[Found]
    _alone: bool
    _left_out: bool
    _settings: InferenceSettings
    _files: ExitStack
    _folder: str | Path | None

    def labels(self) -> Iterator[NDArray[np.uint8]]:
        """Labels (y, x) of the image's slices, uint8; 0 background.

        255 is where no structure was found and one of them could not be looked for. What smaller pieces and
        holes change is changed once, so entropies are asked for first.
        """
        for found in self._found:
            self._tidy(found)
        values = [value for found in self._found for value in found.structures.values()]
        kinds = np.array([UNKNOWN if self._left_out else 0, *values], dtype=np.uint8)
        yield from self._lattice.largest_planes(self._slices(), kinds)

    def entropies(self) -> Iterator[NDArray[np.uint8]]:
        """Entropy (y, x) of the probabilities on the image's slices, uint8: 200 x entropy / log(classes).

        Probabilities are interpolated linearly to the image's voxels. Of networks of one structure each it
        is the largest of theirs.
        """
        streams = [
            self._lattice.entropy_planes(
                np.ascontiguousarray(mirrored(found.scores.read(z), self._side))
                for z in range(self._lattice.shape[0])
            )
            for found in self._found
        ]
        for planes in zip(*streams, strict=True):
            yield np.rint(FULL * np.clip(np.max(planes, axis=0), 0, 1)).astype(np.uint8)

    def _slices(self) -> Iterator[Floats]:
        """Probabilities of background and all structures, slice by slice, not mirrored."""
        for z in range(self._lattice.shape[0]):
            scores = [found.scores.read(z) for found in self._found]
            # A network of its own for each structure: what is less probable than not is background.
            background = scores[0][:1] if self._alone else np.full_like(scores[0][:1], 0.5)
            yield mirrored(np.concatenate([background, *(each[1:] for each in scores)]), self._side)

    def _tidy(self, found: Found) -> None:
        if not (self._settings.largest_component or self._settings.fill_holes):
            return
        shape = (1, *self._lattice.shape)
        winners = self._files.enter_context(SliceFile(shape, np.uint8, self._folder))
        for z in range(self._lattice.shape[0]):
            winners.write(z, found.scores.read(z).argmax(axis=0)[None])
        if self._settings.largest_component:
            keep_largest(found.scores, winners, list(found.structures))
        if self._settings.fill_holes:
            fill_holes(found.scores, winners, list(found.structures))


@contextmanager
def segmented(
    model_dirs: str | Path | Sequence[str | Path],
    image: Source,
    confidence: Source | None,
    side: str,
    guide: Source | None = None,
    settings: InferenceSettings = DEFAULTS,
    *,
    reach_mm: float = 5.0,
    folder: str | Path | None = None,
) -> Iterator[Segmentation]:
    """Segment a limb; what was found is there within the block.

    A network sees the whole limb at its own spacing, or windows of it if it learned from such; probabilities
    are interpolated linearly to the image's grid, where the most probable class wins. Networks of the same
    structures are asked one after the other and count by the mean of their probabilities. Of several, one
    for each structure, the most probable structure wins where it is more probable than not.

    Parameters
    ----------
    model_dirs
        Folders with weights.safetensors and model.json: one network, or one for each structure, or such from
        several trainings.
    image, confidence
        Volumes (z, y, x) or their files, on one grid; confidence may be None where it is no channel of the
        network.
    side
        `left`, `right` or empty; left limbs are mirrored and the labels mirrored back.
    guide
        Labels of this limb on the same grid, 255 unknown, for a network that propagates those of a few
        slices; others do not look at it. A structure of which it has too few is unknown in the result.
    settings
        How networks are asked and what is done with the answers.
    reach_mm
        Farther than this from every voxel above 0 there is background.
    folder
        Where temporary files lie, by default where those of the system do (TMPDIR): for each of the
        network's voxels 4 bytes per channel and per class, and one more.

    Raises
    ------
    InputError
        A model is not whole, image and confidence map do not fit it, or there is nothing to propagate.
    """
    if side not in ("left", "right", ""):
        raise InputError(
            "side", f"'{side}'", "left, right or empty", "correct the cell in the table of cases"
        )
    folders = [model_dirs] if isinstance(model_dirs, str | Path) else list(model_dirs)
    with ExitStack() as files:
        limb = Limb(image, confidence, guide, side, files, folder)
        grid = grid_of_source(image)
        found: list[Found] = []
        missing: dict[str, NothingToPropagate] = {}
        # The networks of several structures see the same channels.
        prepared: dict[tuple[object, ...], Prepared] = {}
        groups = _by_structures(folders)
        for members in groups:
            description = check_model(members[0])
            lattice = Lattice.of(grid, spacing_of(description))
            seen = (*description.spacing_mm, *description.channels)
            if seen not in prepared:
                prepared[seen] = prepared_for(description, limb, lattice)
            try:
                scores = mean_probabilities(members, limb, lattice, prepared[seen], settings, reach_mm)
            except NothingToPropagate as problem:
                missing[", ".join(description.structures)] = problem
                continue
            found.append(Found(description.structures, scores))
        if not found:
            raise _nothing(missing)
        for name, why in missing.items():
            announce(f"{name} is left unknown: found {why.found}; expected {why.expected}")
        alone = len(groups) == 1
        yield Segmentation(grid, lattice, side, found, alone, bool(missing), settings, files, folder)


def predict(
    model_dirs: str | Path | Sequence[str | Path],
    image: Source,
    confidence: Source | None,
    side: str,
    guide: Source | None = None,
    settings: InferenceSettings = DEFAULTS,
    *,
    reach_mm: float = 5.0,
) -> Volume:
    """Labels of a limb in memory, uint8 on the image's grid; see `segmented` and `Segmentation.labels`."""
    with segmented(model_dirs, image, confidence, side, guide, settings, reach_mm=reach_mm) as found:
        return Volume(np.stack(list(found.labels())), found.grid)


def _by_structures(folders: Sequence[str | Path]) -> list[list[str | Path]]:
    groups: dict[tuple[str, ...], list[str | Path]] = {}
    for folder in folders:
        groups.setdefault(tuple(check_model(folder).structures), []).append(folder)
    return list(groups.values())


def _nothing(missing: dict[str, NothingToPropagate]) -> InputError:
    first = next(iter(missing.values()))
    return InputError(
        "the labels of the case",
        "; ".join(f"{name}: {why.found}" for name, why in missing.items()),
        first.expected,
        f"{first.remedy}; or segment it with a network that needs no annotation",
    )
