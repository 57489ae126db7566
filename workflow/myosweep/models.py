"""What a name under `segmentation.models` stands for: a network, what it sees, and its settings.

Read whenever the workflow is planned, so it imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOSSES = ("Dice", "CE", "DiceCE", "CEconf", "DiceCEconf")

# Gonzalez Duque (2024), thesis, part III, 1.3.2: confidence as a second channel, or in the loss.
_NAME = re.compile(
    rf"(?P<network>[^-]+?)(-(?P<preset>.+?))?(_(?P<channels>[12])ch(_(?P<loss>{'|'.join(LOSSES)}))?)?"
)
_FOLD = re.compile(r"fold\d+")
_CHANNELS = {"1": ("image",), "2": ("image", "confidence")}


@dataclass(frozen=True)
class Network:
    """What the workflow must know of a network before it is imported.

    Attributes
    ----------
    binary
        Whether it learns one structure; a model is then one network for each.
    guided
        Whether it segments from a few annotated slices of the case itself.
    presets
        Settings by name, such as a paper's ablations.
    """

    binary: bool = False
    guided: bool = False
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
    binary, guided
        See `Network`.
    structures
        What it learns; all structures where empty.
    """

    name: str
    network: str
    channels: tuple[str, ...]
    settings: dict[str, Any]
    binary: bool = False
    guided: bool = False
    structures: tuple[str, ...] = ()

    @property
    def needs_confidence(self) -> bool:
        """Whether confidence maps are wanted to use the model; training may want them for its loss alone."""
        return "confidence" in self.channels

    @property
    def learns_from_confidence(self) -> bool:
        """Whether confidence maps are wanted to train it."""
        return self.needs_confidence or str(self.settings.get("loss", "")).endswith("conf")


def model_of(name: str, segmentation: Mapping[str, Any], networks: Mapping[str, Network]) -> Model | None:
    """What a name stands for, or None where it is none that can be trained.

    A variant of one's own, or a network's name, which may be followed by one of its presets
    (`unet_s_r_clstm-unet_s`), by what it sees (`_1ch` the image, `_2ch` the confidence map, too) and by its
    loss, where it does not bring its own (`unet_2ch_DiceCE`).

    Parameters
    ----------
    name
        A name under `segmentation.models`.
    segmentation
        The settings `segmentation`, complete.
    networks
        All networks by name.
    """
    variant = segmentation["variants"].get(name)
    channels: Iterable[str] = segmentation["channels"]
    if variant is not None:
        network, changes = variant["network"], variant["settings"]
        channels = variant.get("channels", channels)
    else:
        found = _NAME.fullmatch(name)
        if found is None or found["network"] not in networks:
            return None
        network = found["network"]
        preset, loss = found["preset"], found["loss"]
        if preset is not None and preset not in networks[network].presets:
            return None
        if loss is not None and "loss" not in segmentation[network]:
            return None
        changes = dict(networks[network].presets[preset]) if preset else {}
        if loss is not None:
            changes["loss"] = loss
        if found["channels"]:
            channels = _CHANNELS[found["channels"]]
    kind = networks[network]
    settings = {**segmentation[network], **changes}
    return Model(name, network, tuple(channels), settings, kind.binary, kind.guided)


def model_folders(folder: str | Path, structures: Iterable[str]) -> list[Path]:
    """Where the networks of a model lie: in its folder, or one per structure in folders of their names.

    Of a folder that holds `fold1`, `fold2` and so on, each a model, those of all of them.
    """
    structures = list(structures)
    if (Path(folder) / "model.json").is_file():
        return [Path(folder)]
    folds = [path for path in Path(folder).glob("fold*") if _FOLD.fullmatch(path.name) and path.is_dir()]
    members = sorted(folds, key=lambda path: (int(path.name.removeprefix("fold")), path.name))
    if members:
        return [each for member in members for each in model_folders(member, structures)]
    own = [Path(folder) / name for name in structures]
    return own if any((each / "model.json").is_file() for each in own) else [Path(folder)]


def members_of(folders: Iterable[str | Path]) -> list[list[Path]]:
    """The networks of a model by the training that they come from: that of one of its folds, or its own."""
    members: dict[Path, list[Path]] = {}
    for folder in map(Path, folders):
        fold = [path for path in (folder, folder.parent) if _FOLD.fullmatch(path.name)]
        members.setdefault(fold[0] if fold else Path(), []).append(folder)
    return list(members.values())


def network_in(folder: str | Path, structures: Iterable[str]) -> str:
    """The network of a model on disk, "" where its model.json cannot be read; using it will say why."""
    try:
        text = (model_folders(folder, structures)[0] / "model.json").read_text(encoding="utf-8")
        return str(json.loads(text)["network"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


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
