"""What a name under `segmentation.models` stands for: a network, what it sees, and its settings.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LOSSES = ("Dice", "CE", "DiceCE", "CEconf", "DiceCEconf")

# Gonzalez Duque (2024), thesis, part III, 1.3.2: confidence as a second channel, or in the loss.
_CONFIGURATION = re.compile(rf"(?P<network>.+)_(?P<channels>[12])ch(_(?P<loss>{'|'.join(LOSSES)}))?")
_CHANNELS = {"1": ("image",), "2": ("image", "confidence")}


@dataclass(frozen=True)
class Model:
    """A network as it is to be trained.

    Attributes
    ----------
    name
        As `segmentation.models` lists it.
    network
        Its name among the networks.
    channels
        What it sees.
    settings
        Of training and of the network, complete.
    """

    name: str
    network: str
    channels: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def needs_confidence(self) -> bool:
        """Whether confidence maps are wanted to use the model; training may want them for its loss alone."""
        return "confidence" in self.channels


def weighs_by_confidence(settings: Mapping[str, Any]) -> bool:
    """Whether the loss is weighted by the confidence map."""
    return str(settings.get("loss", "")).endswith("conf")


def model_of(name: str, segmentation: Mapping[str, Any], networks: Iterable[str]) -> Model | None:
    """What a name stands for, or None where it is none that can be trained.

    In this order: a variant of one's own, a network, and `{network}_{1,2}ch` or `{network}_{1,2}ch_{loss}`, a
    network that sees the image (1ch) or the confidence map, too (2ch), and is trained with that loss, where
    it does not bring its own.

    Parameters
    ----------
    name
        A name under `segmentation.models`.
    segmentation
        The settings `segmentation`, complete.
    networks
        The names of all networks.
    """
    channels: Iterable[str] = segmentation["channels"]
    variant = segmentation["variants"].get(name)
    found = _CONFIGURATION.fullmatch(name)
    if variant is not None:
        network, changes = variant["network"], variant["settings"]
        channels = variant.get("channels", channels)
    elif name in networks:
        network, changes = name, {}
    elif found and found["network"] in networks and found["loss"] is None:
        network, changes = found["network"], {}
        channels = _CHANNELS[found["channels"]]
    elif found and "loss" in segmentation.get(found["network"], {}):
        network, changes = found["network"], {"loss": found["loss"]}
        channels = _CHANNELS[found["channels"]]
    else:
        return None
    return Model(name, network, tuple(channels), {**segmentation[network], **changes})


def fold_of(participants: Iterable[str], folds: int, seed: int) -> dict[str, int]:
    """The fold of each participant, from 1, for cross-validation.

    Participants are shuffled by a digest of the seed and their name and dealt in turn, so that folds differ
    by one at most, and neither the order of a table nor a program's version changes them.
    """

    def shuffled(name: str) -> str:
        return hashlib.sha256(f"{seed}:fold:{name}".encode()).hexdigest()

    names = sorted(set(participants), key=lambda name: (shuffled(name), name))
    return {name: index % folds + 1 for index, name in enumerate(names)}


def fold_splits(participants: Iterable[str], folds: int, fold: int, seed: int) -> dict[str, str]:
    """Each participant's split where one fold is segmented: it is test, the others train or validation.

    Of the others every fifth validates (as shuffled), where there are four or more; three are too few to
    spare one, and training then runs all its epochs.
    """
    dealt = fold_of(participants, folds, seed)
    splits = {name: "test" if own == fold else "train" for name, own in dealt.items()}
    others = [name for name, split in splits.items() if split == "train"]
    if len(others) >= 4:
        splits |= dict.fromkeys(others[::5], "validation")
    return splits
