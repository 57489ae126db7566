"""From volumes on disk to what a network sees.

A case is brought to the network's voxels (means of the image, fractions of the labels), left limbs are
mirrored along x, and intensities are shifted and scaled to mean 0 and standard deviation 1 over the case's
known voxels. GM and GL differ by their position alone, so a limb is mirrored along x for augmentation only
where the two are exchanged, and a part of a limb is told where in the limb it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, read_volume
from myosweep.training.cases import TrainingCase
from myosweep.training.lattice import Floats, Lattice

CHANNELS = ("image", "confidence")
UNKNOWN = 255

NORMALISATION = (
    "image: mean over each of the network's voxels, then (value - mean) / standard deviation over the case's "
    "voxels above 0; confidence: mean over each of them, 0 to 1; padding: image 0, confidence 0"
)
ORIENTATION = (
    "arrays (z, y, x): z along the limb, y with the beam, x lateral; limbs of side left are mirrored in x, "
    "so that all limbs look like right ones; an empty side counts as right"
)


@dataclass(frozen=True)
class Sample:
    """One case on the network's voxels, not yet padded.

    Attributes
    ----------
    case
        Its name.
    channels
        float32 (channel, z, y, x).
    target
        uint8 (class, z, y, x): 255 times the part of each voxel that a class takes; class 0 is the
        background, then the structures in their order. What is missing to 255 is unknown. Parts, since voxels
        of 2 mm on a muscle of 60 mm that are all or nothing cost 4 to 5 % of its volume.
    black
        Per channel the value of nothing, (channel,): what padding and shadows hold.
    """

    case: str
    channels: Floats
    target: NDArray[np.uint8]
    black: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        z, y, x = self.target.shape[1:]
        return z, y, x


def check_channels(channels: Sequence[str]) -> None:
    """Raise InputError unless `channels` are the image, or the image and the confidence map."""
    if list(channels) not in (["image"], ["image", "confidence"]):
        raise InputError(
            "segmentation.channels", f"{list(channels)}", "[image] or [image, confidence]", "correct the list"
        )


def check_structures(structures: dict[str, int]) -> None:
    """Raise InputError unless there are structures with distinct values from 1 to 254."""
    values = list(structures.values())
    if not values or len(set(values)) < len(values) or min(values) < 1 or max(values) > 254:
        raise InputError(
            "structures", f"{structures}", "names with distinct values from 1 to 254", "correct them"
        )


def prepare_channels(
    image: Volume, confidence: Volume | None, side: str, channels: Sequence[str], lattice: Lattice, where: str
) -> tuple[Floats, Floats]:
    """The channels (channel, z, y, x) of a limb, mirrored if left, and their value of nothing (channel,).

    Raises
    ------
    InputError
        The image is empty or not a single component, or the confidence map is missing or on another grid.
    """
    if image.array.ndim != 3:
        raise InputError(
            where, f"an image of shape {image.array.shape}", "one component", "give a grey image"
        )
    coarse = lattice.mean(image.array)
    inside = coarse > 0
    if not inside.any() or not np.isfinite(coarse).all():
        raise InputError(
            where, "an image without a voxel above 0, or not finite", "an image", "compound it again"
        )
    mean = np.float32(coarse[inside].mean(dtype=np.float64))
    deviation = np.float32(max(float(coarse[inside].std(dtype=np.float64)), 1e-6 * max(float(mean), 1.0)))
    # In float32 as the image, so that a voxel of 0 is exactly the value of nothing.
    stack = [(coarse - mean) / deviation]
    black = [float(-mean / deviation)]
    if "confidence" in channels:
        if confidence is None:
            raise InputError(where, "no confidence map", "one, as the network has that channel", "make it")
        if not confidence.grid.same_as(image.grid):
            raise InputError(where, "a confidence map on another grid", "the image's grid", "make it again")
        stack.append(lattice.mean(confidence.array))
        black.append(0.0)
    result = np.stack(stack).astype(np.float32)
    return mirrored(result, side), np.asarray(black, dtype=np.float32)


def mirrored(array: NDArray[np.generic], side: str) -> NDArray:  # type: ignore[type-arg]
    """The array mirrored along its last axis (x) if the side is left; its own inverse."""
    return np.ascontiguousarray(array[..., ::-1]) if side == "left" else array


def classes_of(structures: dict[str, int]) -> NDArray[np.uint8]:
    """The class of each label value, (256,): structures from 1 in order, 255 unknown, else background."""
    classes = np.zeros(256, dtype=np.uint8)
    classes[UNKNOWN] = UNKNOWN
    for index, value in enumerate(structures.values(), start=1):
        classes[value] = index
    return classes


def load_sample(
    case: TrainingCase,
    structures: dict[str, int],
    channels: Sequence[str],
    spacing: tuple[float, float, float],
    learned: Sequence[str] | None = None,
) -> Sample:
    """Read one case and bring it to the network's voxels.

    Parameters
    ----------
    case
        Where its volumes lie.
    structures
        Label values of all structures.
    channels
        See `prepare_channels`.
    spacing
        Of the network's voxels along (x, y, z), mm.
    learned
        The structures that the network learns, to which the others are background; default: all.

    Raises
    ------
    InputError
        A volume cannot be read, grids differ, or labels hold a value that is no structure's.
    """
    image = read_volume(case.image)
    lattice = Lattice.of(image.grid, spacing)
    confidence = read_volume(case.confidence) if case.confidence and "confidence" in channels else None
    stack, black = prepare_channels(image, confidence, case.side, channels, lattice, str(case.image))
    del confidence
    labels = read_volume(case.labels)
    _check_labels(labels, image.grid, case, structures)
    wanted = list(structures if learned is None else learned)
    classes = classes_of({name: structures[name] for name in wanted})
    missing = labels.metadata.get("not_annotated", "").split(",")
    if any(name in missing for name in wanted):
        # What is none of the annotated structures may be one that nobody looked for.
        classes[classes == 0] = UNKNOWN
        for name in structures:
            if name not in missing and name not in wanted:
                classes[structures[name]] = 0
    target = lattice.fractions(labels.array, classes, len(wanted) + 1)
    return Sample(case.case, stack, mirrored(np.rint(255 * target).astype(np.uint8), case.side), black)


def _check_labels(labels: Volume, grid: Grid, case: TrainingCase, structures: dict[str, int]) -> None:
    if not labels.grid.same_as(grid):
        raise InputError(
            case.labels,
            f"a grid of {labels.grid.size} voxels",
            f"that of {case.image}, {grid.size}",
            "make it again",
        )
    if labels.array.dtype != np.uint8 or labels.array.ndim != 3:
        raise InputError(
            case.labels,
            f"{labels.array.dtype} of shape {labels.array.shape}",
            "uint8 (z, y, x)",
            "make it again",
        )
    counts = np.zeros(256, dtype=np.int64)
    for plane in labels.array:
        counts += np.bincount(plane.ravel(), minlength=256)
    strange = set(np.flatnonzero(counts).tolist()) - {0, UNKNOWN, *structures.values()}
    if strange:
        raise InputError(
            case.labels,
            f"label {', '.join(map(str, sorted(strange)))}",
            f"0, 255 or one of {structures}",
            "name the value under structures, or correct the labels",
        )


def padding(shape: Sequence[int], padded: Sequence[int]) -> tuple[slice, slice, slice]:
    """Where an array of `shape` lies, centred, in one of shape `padded`."""
    z, y, x = (
        slice((big - small) // 2, (big - small) // 2 + small)
        for small, big in zip(shape, padded, strict=True)
    )
    return z, y, x


def position_channel(shape: tuple[int, int, int], spacing_x: float, middle: float | None = None) -> Floats:
    """The distance of each voxel from the middle along x in units of 50 mm, (1, z, y, x).

    `middle` is the place of the middle in voxels along x, for a part of a limb that of the limb; default:
    halfway.
    """
    distance = (np.arange(shape[2]) - ((shape[2] - 1) / 2 if middle is None else middle)) * spacing_x / 50
    return np.broadcast_to(distance.astype(np.float32), (1, *shape))
