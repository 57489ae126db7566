"""What a network sees of a limb, on disk: means over its voxels, normalised as slices are read.

The numbers are those of `data.prepare_channels`, which holds whole volumes in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.slabs import grid_of_source, slabs_of
from myosweep.io.volumes import Volume
from myosweep.training.data import classes_of, mirrored
from myosweep.training.guides import NothingToPropagate
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.slice_files import SliceFile

Source = Volume | str | Path
# Slices of an image that are read at a time.
PLANES = 16


class Prepared:
    """The channels (channel, z, y, x) of a limb, mirrored if left.

    Attributes
    ----------
    shape
        (channel, z, y, x), the network's voxels.
    black
        Per channel the value of nothing, (channel,).
    """

    def __init__(self, means: SliceFile, side: str, mean: np.float32, deviation: np.float32) -> None:
        self.shape = means.shape
        self._means, self._side = means, side
        self._mean, self._deviation = mean, deviation
        self.black = np.zeros(self.shape[0], dtype=np.float32)
        self.black[0] = -mean / deviation

    def __getitem__(self, index: tuple[slice, slice]) -> Floats:
        found: Floats = self._means[index]
        # In float32 as the black, so that a voxel of 0 is exactly the value of nothing.
        found[0] = (found[0] - self._mean) / self._deviation
        return mirrored(found, self._side)

    def known(self, z: int) -> NDArray[np.bool_]:
        """Where a slice, (y, x), is above the value of nothing."""
        above: NDArray[np.bool_] = self[:, z : z + 1][0, 0] > self.black[0]
        return above


def prepare(
    image: Source,
    confidence: Source | None,
    side: str,
    channels: Sequence[str],
    lattice: Lattice,
    files: ExitStack,
    folder: str | Path | None = None,
) -> Prepared:
    """Read an image, and the confidence map where it is a channel, slab by slab.

    Parameters
    ----------
    image, confidence
        Volumes or their files, on one grid.
    side
        `left`, `right` or empty.
    channels
        What the network sees.
    lattice
        The network's voxels in the image.
    files
        What closes the temporary file.
    folder
        Where that lies, see `SliceFile`.

    Raises
    ------
    InputError
        The image is empty or not a single component, or the confidence map is missing or on another grid.
    """
    where = "the image" if isinstance(image, Volume) else image
    sources = [image]
    if "confidence" in channels:
        if confidence is None:
            raise InputError(where, "no confidence map", "one, as the network has that channel", "make it")
        if not grid_of_source(confidence).same_as(grid_of_source(image)):
            raise InputError(where, "a confidence map on another grid", "the image's grid", "make it again")
        sources.append(confidence)
    means = files.enter_context(SliceFile((len(sources), *lattice.shape), np.float32, folder))
    streams = [lattice.means(_grey(slabs_of(source, PLANES)[1], where)) for source in sources]
    total, count, finite = 0.0, 0, True
    for z, planes in enumerate(zip(*streams, strict=True)):
        means.write(z, np.stack(planes))
        inside = planes[0][planes[0] > 0]
        total, count = total + float(inside.sum(dtype=np.float64)), count + inside.size
        finite = finite and bool(np.isfinite(planes[0]).all())
    if not count or not finite:
        raise InputError(
            where, "an image without a voxel above 0, or not finite", "an image", "compound it again"
        )
    mean, squares = total / count, 0.0
    for z in range(lattice.shape[0]):
        plane = means.read(z)[0]
        squares += float(((plane[plane > 0].astype(np.float64) - mean) ** 2).sum())
    deviation = max(float(np.sqrt(squares / count)), 1e-6 * max(float(np.float32(mean)), 1.0))
    return Prepared(means, side, np.float32(mean), np.float32(deviation))


def _grey(slabs: Any, where: str | Path) -> Any:
    for slab in slabs:
        if slab.ndim != 3:
            raise InputError(
                where,
                f"an image of {slab.shape[-1]} components",
                "one component",
                "give a grey image",
            )
        yield slab


def prepare_guide(
    guide: Source | None,
    image: Source,
    lattice: Lattice,
    structures: dict[str, int],
    side: str,
    files: ExitStack,
    folder: str | Path | None = None,
) -> SliceFile:
    """The parts (class, z, y, x) of a case's labels in the network's voxels; see `prepare`.

    Raises
    ------
    InputError
        There are no labels, or they are on another grid.
    """
    if guide is None:
        raise NothingToPropagate("the labels of the case", "none", "labels on a few slices", "annotate it")
    if not grid_of_source(guide).same_as(grid_of_source(image)):
        raise InputError("the labels of the case", "another grid", "the image's grid", "make them again")
    count = len(structures) + 1
    fractions = files.enter_context(SliceFile((count, *lattice.shape), np.float32, folder))
    slabs = slabs_of(guide, PLANES)[1]
    for z, parts in enumerate(lattice.fractions_by_slice(slabs, classes_of(structures), count)):
        if parts.any():
            fractions.write(z, mirrored(parts, side))
    return fractions
