"""Prediction: labels on an image's grid from a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.errors import InputError
from myosweep.io.volumes import Volume
from myosweep.networks import multiple_of
from myosweep.progress import log
from myosweep.training.data import (
    mirrored,
    pad_channels,
    padding,
    position_channel,
    prepare_channels,
    uniform_shape,
)
from myosweep.training.device import LAYOUT, autocast, set_up_torch
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.model import load_model


def predict(
    model_dir: str | Path,
    image: Volume,
    confidence: Volume | None,
    side: str,
    *,
    largest_component: bool = True,
    reach_mm: float = 5.0,
) -> Volume:
    """Segment a limb.

    The network sees the whole limb at its own spacing; its probabilities are interpolated linearly to the
    image's grid, where the most probable class wins.

    Parameters
    ----------
    model_dir
        A folder with weights.safetensors and model.json.
    image, confidence
        Volumes (z, y, x) on one grid; confidence may be None where it is no channel of the network.
    side
        `left`, `right` or empty; left limbs are mirrored and the labels mirrored back.
    largest_component
        Whether only each structure's largest connected piece is kept (6 neighbours, at the network's
        spacing).
    reach_mm
        Farther than this from every voxel above 0 there is background.

    Returns
    -------
    uint8 label values on the image's grid, 0 background.

    Raises
    ------
    InputError
        The model is not whole, or image and confidence map do not fit it.
    """
    if side not in ("left", "right", ""):
        raise InputError(
            "side", f"'{side}'", "left, right or empty", "correct the cell in the table of cases"
        )
    network, description = load_model(model_dir)
    device = set_up_torch(int(description.training_settings["threads"]))
    x, y, z = description.spacing_mm
    lattice = Lattice.of(image.grid, (x, y, z))
    channels, black = prepare_channels(image, confidence, side, description.channels, lattice, "the image")
    shape = uniform_shape(
        [channels.shape[1:], tuple(description.shape)],
        multiple_of(description.network, description.network_settings),
    )
    seen = pad_channels(channels, black, shape)
    if description.training_settings["position"]:
        seen = np.concatenate([seen, position_channel(shape, x)])
    batch = torch.from_numpy(seen)[None].to(device, memory_format=LAYOUT)
    network = network.to(device).to(memory_format=LAYOUT)  # type: ignore[call-overload]
    with torch.inference_mode(), autocast(device, str(description.training_settings["precision"])):
        logits = network(batch)
    inner = (slice(None), *padding(channels.shape[1:], shape))
    scores: Floats = torch.softmax(logits[0].float(), dim=0).cpu().numpy()[inner]
    if not np.isfinite(scores).all():
        raise InputError(model_dir, "probabilities that are not numbers", "numbers", "train the model again")
    _keep_near(scores, channels[0] > black[0], (z, y, x), reach_mm)
    if largest_component:
        _keep_largest(scores, list(description.structures))
    values = np.array([0, *description.structures.values()], dtype=np.uint8)
    scores = np.ascontiguousarray(mirrored(scores, side))
    return Volume(lattice.largest(scores, values), image.grid)


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
