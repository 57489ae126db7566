"""Prediction: labels on an image's grid from a trained network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from myosweep.errors import InputError
from myosweep.io.volumes import Volume
from myosweep.memory import check_memory, exhaustion_explained
from myosweep.networks import is_guided, multiple_of
from myosweep.progress import announce, log
from myosweep.training.data import (
    UNKNOWN,
    classes_of,
    mirrored,
    position_channel,
    prepare_channels,
    uniform_shape,
)
from myosweep.training.device import autocast, lay_out, set_up_torch
from myosweep.training.fields import cut, field_corner, field_shape, guided_box, margin_of, put_back
from myosweep.training.guides import NothingToPropagate
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.model import Description, load_model
from myosweep.training.segmenting import probabilities


def predict(
    model_dirs: str | Path | Sequence[str | Path],
    image: Volume,
    confidence: Volume | None,
    side: str,
    guide: Volume | None = None,
    *,
    largest_component: bool = True,
    reach_mm: float = 5.0,
) -> Volume:
    """Segment a limb.

    The network sees the whole limb at its own spacing; its probabilities are interpolated linearly to the
    image's grid, where the most probable class wins. Of several networks, one for each structure, the most
    probable structure wins where it is more probable than not.

    Parameters
    ----------
    model_dirs
        A folder with weights.safetensors and model.json, or one for each structure.
    image, confidence
        Volumes (z, y, x) on one grid; confidence may be None where it is no channel of the network.
    side
        `left`, `right` or empty; left limbs are mirrored and the labels mirrored back.
    guide
        Labels of this limb on the same grid, 255 unknown, for a network that propagates those of a few
        slices; others do not look at it. A structure of which it has too few is unknown in the result.
    largest_component
        Whether only each structure's largest connected piece is kept (6 neighbours, at the network's
        spacing).
    reach_mm
        Farther than this from every voxel above 0 there is background.

    Returns
    -------
    uint8 label values on the image's grid, 0 background; 255 where no structure is found and one of them
    could not be looked for.

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
    found: dict[str, Floats] = {}
    missing: dict[str, NothingToPropagate] = {}
    values: dict[str, int] = {}
    # The networks of several structures see the same channels.
    prepared: dict[tuple[object, ...], tuple[Floats, Floats]] = {}
    for folder in folders:
        network, description = load_model(folder)
        values |= description.structures
        lattice = Lattice.of(image.grid, _spacing(description))
        seen = (*description.spacing_mm, *description.channels)
        if seen not in prepared:
            prepared[seen] = prepare_channels(
                image, confidence, side, description.channels, lattice, "the image"
            )
        try:
            scores, known = _scores(folder, network, description, image, lattice, prepared[seen], side, guide)
        except NothingToPropagate as problem:
            missing[", ".join(description.structures)] = problem
            continue
        _keep_near(scores, known, _spacing(description)[::-1], reach_mm)
        if largest_component:
            _keep_largest(scores, list(description.structures))
        found |= dict(zip(description.structures, scores[1:], strict=True))
        rest = scores[0]
    if not found:
        first = next(iter(missing.values()))
        raise InputError(
            "the labels of the case",
            "; ".join(f"{name}: {why.found}" for name, why in missing.items()),
            first.expected,
            f"{first.remedy}; or segment it with a network that needs no annotation",
        )
    for name, why in missing.items():
        announce(f"{name} is left unknown: found {why.found}; expected {why.expected}")
    # A network of its own for each structure: what is less probable than not is background.
    background = rest if len(folders) == 1 else np.full_like(rest, 0.5)
    scores = np.ascontiguousarray(mirrored(np.stack([background, *found.values()]), side))
    kinds = np.array([UNKNOWN if missing else 0, *(values[name] for name in found)], dtype=np.uint8)
    return Volume(lattice.largest(scores, kinds), image.grid)


def _spacing(description: Description) -> tuple[float, float, float]:
    x, y, z = description.spacing_mm
    return x, y, z


def _scores(
    folder: str | Path,
    network: nn.Module,
    description: Description,
    image: Volume,
    lattice: Lattice,
    prepared: tuple[Floats, Floats],
    side: str,
    guide: Volume | None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Probabilities (class, z, y, x) at the network's spacing, and where the image is known."""
    device = set_up_torch(int(description.training_settings["threads"]))
    spacing = _spacing(description)
    channels, black = prepared
    fractions, box = None, None
    size: tuple[int, ...] = channels.shape[1:]
    if is_guided(description.network):
        fractions = _guide_fractions(guide, image, lattice, description.structures, side)
        margin = margin_of(description.network_settings)
        if margin:
            box = guided_box(fractions, int(description.network_settings["window"]))
            size = field_shape(size, box, margin, spacing)
    shape = uniform_shape(
        [size, tuple(description.shape)], multiple_of(description.network, description.network_settings)
    )
    remedy = (
        f"segment where there is more memory (rule predict, resources mem_mb), or train with a larger "
        f"segmentation.{description.network}.spacing_mm"
    )
    check_memory(
        math.prod(shape) * (4 * len(description.channels) + 8 * (len(description.structures) + 1)),
        folder,
        f"a volume of {' x '.join(map(str, shape))} of the network's voxels of "
        f"{' x '.join(f'{edge:g}' for edge in spacing)} mm",
        remedy,
    )
    corner = field_corner(channels.shape[1:], box, shape)
    seen = cut(channels, corner, shape, black)
    if description.training_settings["position"]:
        seen = np.concatenate([seen, position_channel(shape, spacing[0])])
    if fractions is not None:
        fractions = cut(fractions, corner, shape)
    network = lay_out(network.to(device))
    precision = str(description.training_settings["precision"])
    with exhaustion_explained(folder, remedy), autocast(device, precision):
        scores = probabilities(network, description.network, seen, device, fractions)
    scores = put_back(scores, corner, channels.shape[1:])
    if not np.isfinite(scores).all():
        raise InputError(folder, "probabilities that are not numbers", "numbers", "train the model again")
    return scores, channels[0] > black[0]


def _guide_fractions(
    guide: Volume | None, image: Volume, lattice: Lattice, structures: dict[str, int], side: str
) -> Floats:
    if guide is None:
        raise NothingToPropagate("the labels of the case", "none", "labels on a few slices", "annotate it")
    if not guide.grid.same_as(image.grid):
        raise InputError("the labels of the case", "another grid", "the image's grid", "make them again")
    fractions = lattice.fractions(guide.array, classes_of(structures), len(structures) + 1)
    return mirrored(fractions, side)


def _keep_near(scores: Floats, known: NDArray[np.bool_], spacing: tuple[float, ...], reach_mm: float) -> None:
    far = np.asarray(ndimage.distance_transform_edt(~known, sampling=spacing)) > reach_mm
    scores[:, far] = 0
    scores[0, far] = 1


def _keep_largest(scores: Floats, names: list[str]) -> None:
    for index, name in enumerate(names, start=1):
        mask = scores.argmax(axis=0) == index
        pieces, count = ndimage.label(mask)
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        lost = mask & (pieces != 1 + int(sizes.argmax()))
        log(f"{name}: {count - 1} smaller pieces left out, {int(lost.sum())} voxels of {int(mask.sum())}")
        scores[index][lost] = 0
