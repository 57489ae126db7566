"""A trained network with all that is needed to use it: weights.safetensors and model.json."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.given import misfits
from myosweep.io.files import whole_file, write_json
from myosweep.models import members_of
from myosweep.training.data import NORMALISATION, ORIENTATION

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "myosweep model"
FORMAT_VERSION = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"

# As the format's own reader has it.
_LONGEST_HEADER = 100_000_000
# More than any number of a network's settings; a billion layers would be built before weights are compared.
_LARGEST_SETTING = 16_384
_KINDS = {"torch.float32": "F32", "torch.int64": "I64"}
_TRAIN_AGAIN = "train it again, or copy the whole folder again"


@dataclass(frozen=True)
class Description:
    """What model.json tells about a network.

    Attributes
    ----------
    network
        Its name in the registry.
    network_settings, training_settings
        Complete with defaults.
    structures
        Label values by name; class k of the network is the k-th of them, class 0 the background.
    channels
        What the network sees.
    spacing_mm
        Voxel size that it sees, along (x, y, z).
    shape
        Padded shape (z, y, x) that it was trained on: of whole limbs, or of its patches.
    seed
        Of the training.
    participants
        By split, those that were trained and validated on.
    training
        How it went: epochs, best epoch, validation Dice by structure.
    started_from
        The network whose weights it began with: `weights_sha256`, its `structures`, by split the
        `participants` that it and those before it have seen, and the tensors that were `fresh` all the same;
        empty for random weights.
    code
        Digest of the code that trained it; empty where nobody told.
    """

    network: str
    network_settings: dict[str, Any]
    training_settings: dict[str, Any]
    structures: dict[str, int]
    channels: list[str]
    spacing_mm: list[float]
    shape: list[int]
    seed: int
    participants: dict[str, list[str]]
    training: dict[str, Any]
    started_from: dict[str, Any] = field(default_factory=dict)
    code: str = ""


def save_model(folder: Path, description: Description, weights: dict[str, torch.Tensor]) -> None:
    """Write the weights and model.json; model.json, which seals the weights, last."""
    import torch
    from safetensors.torch import save_file

    with whole_file(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, str(temporary))
        digest = _digest(temporary)
        size = temporary.stat().st_size
    write_json(
        folder / DESCRIPTION,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **asdict(description),
            "normalisation": NORMALISATION,
            "orientation": ORIENTATION,
            "weights": {"file": WEIGHTS, "bytes": size, "sha256": digest},
            "torch": str(torch.__version__),
        },
    )


def check_model(folder: str | Path) -> Description:
    """Check that a model is whole and can be built; no weights are loaded.

    Raises
    ------
    InputError
        A file is missing, truncated or changed, the format is another, or weights do not have the network's
        shapes.
    """
    folder = Path(folder)
    description = _read_description(folder)
    _check_shapes(folder / WEIGHTS, description)
    return description


def check_models(
    folders: Sequence[Path], structures: dict[str, int], channels: Sequence[str]
) -> list[Description]:
    """Check the networks that segment together: one for all structures, or one for each.

    Of an ensemble (see `models.members_of`) every member is checked so, and all must agree.

    Raises
    ------
    InputError
        As `check_model`, a structure is learned by several or by none of a member's networks, or members
        differ in what they learned, what they see or their spacing.
    """
    members = members_of(folders)
    descriptions = [_check_member(member, structures, channels) for member in members]
    for member, own in zip(members, descriptions, strict=True):
        if _agreed(own) != _agreed(descriptions[0]):
            raise InputError(
                member[0] if len(member) == 1 else member[0].parent,
                _agreed(own),
                f"{_agreed(descriptions[0])}, as in {members[0][0]}",
                "make an ensemble of networks that learned the same structures, in one order, from the same "
                "channels at the same spacing",
            )
    return [description for own in descriptions for description in own]


def _agreed(descriptions: list[Description]) -> str:
    return "; ".join(
        f"{', '.join(each.structures)} from {' and '.join(each.channels)} of "
        f"{' x '.join(f'{edge:g}' for edge in each.spacing_mm)} mm"
        for each in descriptions
    )


def _check_member(
    folders: Sequence[Path], structures: dict[str, int], channels: Sequence[str]
) -> list[Description]:
    descriptions = [check_model(folder) for folder in folders]
    told = [{"structures": each.structures, "channels": each.channels} for each in descriptions]
    for problem in misfits(told, str(folders[0]), structures, channels):
        raise problem
    for folder, description in zip(folders, descriptions, strict=True):
        if description.spacing_mm != descriptions[0].spacing_mm:
            raise InputError(
                folder / DESCRIPTION,
                f"a spacing of {description.spacing_mm} mm",
                f"{descriptions[0].spacing_mm} mm, as in {folders[0]}",
                "train the networks of all structures with the same spacing_mm",
            )
    return descriptions


def load_model(folder: str | Path) -> tuple[nn.Module, Description]:
    """The checked network in evaluation mode, on the CPU, and its description."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    description = check_model(folder)
    path = Path(folder) / WEIGHTS
    try:
        weights = load_file(str(path))
    except SafetensorError as error:
        raise InputError(path, f"not a safetensors file ({error})", "weights", _TRAIN_AGAIN) from None
    network = _build(description, Path(folder) / DESCRIPTION)
    network.load_state_dict(weights)
    return network.eval(), description


def sealed_digest(folder: str | Path) -> str:
    """SHA-256 of a checked model's weights."""
    return _digest(Path(folder) / WEIGHTS)


def _build(description: Description, path: Path) -> nn.Module:
    from myosweep.networks import create

    channels = len(description.channels) + bool(description.training_settings["position"])
    classes = len(description.structures) + 1
    network, settings = description.network, description.network_settings
    try:
        if _largest(settings) > _LARGEST_SETTING:
            raise ValueError(f"a number above {_LARGEST_SETTING}")
        return create(network, channels, classes, settings)
    except InputError as problem:
        what = problem.where.replace("segmentation.models", "network")
        found = f"{what}: {problem.found}, expected {problem.expected}"
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RuntimeError) as error:
        found = f"settings of {network} with which it cannot be built ({error})"
    raise InputError(
        path,
        found,
        "a network of this release and its settings, as training writes them",
        "use the release of myosweep that trained the model, or train it again",
    )


def _largest(values: Any) -> float:
    """The largest number in plain values."""
    if isinstance(values, dict | list):
        inner = values.values() if isinstance(values, dict) else values
        return max(map(_largest, inner), default=0.0)
    return abs(values) if isinstance(values, int | float) else 0.0


def _read_description(folder: Path) -> Description:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(folder, f"no {DESCRIPTION}", "a folder with a trained model", "correct the path")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise KeyError("format")
        version = values["format_version"]
        if version != FORMAT_VERSION:
            raise InputError(
                path,
                f"format version {version}",
                f"format version {FORMAT_VERSION}",
                "use the release of myosweep that trained the model, or train it again",
            )
        seal = values["weights"]
        expected_bytes, expected_digest = int(seal["bytes"]), str(seal["sha256"])
        # Models of earlier releases do not tell where they started, nor by which code.
        told = {"started_from": {}, "code": "", **values}
        description = Description(**{key: told[key] for key in Description.__dataclass_fields__})
        _check_values(description)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            path, f"not a model's description ({error})", "a model.json as training writes it", _TRAIN_AGAIN
        ) from None
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise InputError(weights, "no such file", f"the weights that {path} names", _TRAIN_AGAIN)
    size = weights.stat().st_size
    if size != expected_bytes:
        raise InputError(weights, f"{size} bytes", f"{expected_bytes} bytes, as {path} says", _TRAIN_AGAIN)
    if _digest(weights) != expected_digest:
        raise InputError(weights, "a checksum that differs", f"the one in {path}", _TRAIN_AGAIN)
    return description


def _check_values(description: Description) -> None:
    """Raise ValueError, TypeError or KeyError unless what inference relies on is of the right kind."""
    training = description.training_settings
    good = {
        "spacing_mm": len(description.spacing_mm) == 3
        and all(math.isfinite(edge) and edge > 0 for edge in description.spacing_mm),
        "shape": len(description.shape) == 3 and all(type(n) is int and n > 0 for n in description.shape),
        "structures": bool(description.structures)
        and all(type(value) is int for value in description.structures.values()),
        "channels": isinstance(description.channels, list)
        and all(isinstance(channel, str) for channel in description.channels),
        "participants": _are_participants(description.participants),
        "started_from": _are_participants(description.started_from.get("participants", {})),
        "network": isinstance(description.network, str),
        "network_settings": isinstance(description.network_settings, dict),
        "training_settings.threads": type(training["threads"]) is int and 1 <= training["threads"] <= 1024,
        "training_settings.position": isinstance(training["position"], bool),
        "training_settings.precision": training["precision"] in ("float32", "bfloat16"),
        "training_settings.patch": training.get("patch") is None
        or (
            len(training["patch"]) == 3 and all(type(edge) is int and edge > 0 for edge in training["patch"])
        ),
    }
    for name, is_good in good.items():
        if not is_good:
            raise ValueError(f"{name} cannot be that")


def _are_participants(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value.values()
    )


def _check_shapes(path: Path, description: Description) -> None:
    import torch

    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(path.stat().st_size, _LONGEST_HEADER):
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        found = {
            name: (entry["dtype"], *entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(path, f"not a safetensors file ({error})", "weights", _TRAIN_AGAIN) from None
    with torch.device("meta"):
        expected = {
            name: (_KINDS[str(tensor.dtype)], *tensor.shape)
            for name, tensor in _build(description, path.with_name(DESCRIPTION)).state_dict().items()
        }
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise InputError(
                path,
                f"{name}: {_told(found.get(name))}",
                f"{_told(expected.get(name))}, as {DESCRIPTION} describes the network",
                _TRAIN_AGAIN,
            )


def _told(tensor: tuple[Any, ...] | None) -> str:
    return "no such tensor" if tensor is None else f"{tensor[0]} of shape {tensor[1:]}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
