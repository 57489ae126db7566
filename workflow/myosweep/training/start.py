"""The weights of another network that training begins with in place of random ones.

From one muscle to another (Gonzalez Duque et al. 2020 go on from GL with half of the annotations of GM), or
from one study to the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from myosweep.errors import InputError
from myosweep.networks import create
from myosweep.progress import announce
from myosweep.starts import check_source, seen_by
from myosweep.training.cases import TrainingCase
from myosweep.training.model import DESCRIPTION, WEIGHTS, load_model, sealed_digest


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    Attributes
    ----------
    weights
        By name those that are taken over.
    fresh
        Names of those that stay random, since they belong to another number of classes.
    origin
        For model.json: structures, checksum and participants of the source, and what it started from.
    """

    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    fresh: Sequence[str] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    def give(self, network: nn.Module) -> None:
        """Put the weights in their places."""
        if self.weights:
            network.load_state_dict(self.weights, strict=False)


def read_start(
    folder: str | Path,
    *,
    network: str,
    network_settings: dict[str, Any],
    structures: Sequence[str],
    channels: Sequence[str],
    position: bool,
    spacing_mm: float | Sequence[float],
    cases: Sequence[TrainingCase],
) -> Start:
    """Read a trained network's weights and check that a training can begin with them.

    All weights are taken whose shape does not depend on the number of classes, and the others where that
    number is the same: the class of a structure then begins as the class of the source's structure in its
    place.

    Parameters
    ----------
    folder
        With weights.safetensors and model.json; empty for random weights.
    network, network_settings
        Of the training, complete.
    structures
        That it learns, in their order.
    channels, position, spacing_mm
        What it sees.
    cases
        Of the training, by whose splits no participant may go from the source's training to validation or
        test.

    Raises
    ------
    InputError, InputErrors
        The source is not whole, not of this architecture, sees something else, or has seen who is held out.
    """
    if not str(folder):
        return Start()
    module, description = load_model(folder)
    where = str(Path(folder) / DESCRIPTION)
    told = asdict(description)
    check_source(
        told,
        where,
        {case.participant: case.split for case in cases},
        network=network,
        channels=channels,
        position=position,
        spacing_mm=spacing_mm,
    )
    found = dict(module.state_dict())
    inputs = len(channels) + position
    with torch.device("meta"):
        alike = create(network, inputs, len(description.structures) + 1, network_settings).state_dict()
        own = create(network, inputs, len(structures) + 1, network_settings).state_dict()
    for name in [*alike, *found]:
        here, there = (_shape(tensors.get(name)) for tensors in (alike, found))
        if here != there:
            raise InputError(
                where,
                f"a network with {name}: {there}",
                f"{here}, as the settings of this {network} say",
                f"give both the settings of the source, {description.network_settings}, or train it anew",
            )
    broken = [name for name, tensor in found.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(
            Path(folder) / WEIGHTS, f"{broken[0]} that is not finite", "numbers", "train the source again"
        )
    fresh = [name for name in own if own[name].shape != found[name].shape]
    announce(f"training starts from {folder}: {len(found) - len(fresh)} of {len(found)} tensors are taken")
    if fresh:
        announce(f"fresh, of another number of classes ({len(structures) + 1}): {', '.join(fresh)}")
    elif list(structures) != list(description.structures):
        pairs = zip(structures, description.structures, strict=True)
        announce("; ".join(f"{here} begins as {there}" for here, there in pairs))
    there = json.loads(json.dumps(description.network_settings))
    for name, value in json.loads(json.dumps(network_settings)).items():
        if value != there.get(name):
            announce(f"{name} is {value} here and {there.get(name)} in the source")
    origin = {
        "weights_sha256": sealed_digest(folder),
        "structures": description.structures,
        "participants": seen_by(told),
        "fresh": fresh,
    }
    return Start({name: found[name] for name in own if name not in fresh}, fresh, origin)


def _shape(tensor: torch.Tensor | None) -> str:
    return "none" if tensor is None else f"shape {tuple(tensor.shape)}"
