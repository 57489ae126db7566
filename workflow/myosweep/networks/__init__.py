"""Networks by name. One architecture per file; a file is imported only when its network is asked for.

A network's module holds `Settings` (a frozen dataclass: its settings and their defaults), `TRAINING`
(defaults of training that suit it better than the general ones), `multiple(settings)` (the numbers of voxels
along (z, y, x) whose multiples it takes) and `build(in_channels, out_channels, settings)`. It may hold

- `PRESETS`: settings by name, of a paper's variants;
- `SINGLE_VOXEL`: its deepest maps may have one voxel, since no norm takes a deviation there;
- `WITHOUT`: settings of training that mean nothing to it;
- `BINARY`: it learns one structure;
- `objective(settings, options)`: a `training.objectives.Objective`, where it is not trained by Dice and
  cross-entropy of its logits;
- `annotated(settings, slices)`: which slices of each training volume keep their labels, and whose
  (`training.annotation_schedule.Annotations`), None for all;
- `segment(network, channels, masks by slice)`, where it propagates masks of a few slices of the case itself:
  probabilities (class, z, y, x); and `segment_slices`, the same slice by slice;
- `in_windows(network, channels, device)`: probabilities slice by slice, where it takes a limb a few slices at
  a time by itself.

A schema of the same name describes its settings to users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError
from myosweep.networks.sizes import Sizes

if TYPE_CHECKING:
    from torch import nn

NETWORKS = {
    "ifssnet": "myosweep.networks.ifssnet",
    "unet": "myosweep.networks.unet",
    "unet_s_r_clstm": "myosweep.networks.unet_s_r_clstm",
    "vnet": "myosweep.networks.vnet",
    "attention_unet": "myosweep.networks.attention_unet",
    "unetr": "myosweep.networks.unetr",
    "daf3d": "myosweep.networks.daf3d",
}


def module_of(name: str) -> Any:
    """The module of a network.

    Raises
    ------
    InputError
        There is no network of that name.
    """
    if name not in NETWORKS:
        raise InputError(
            "segmentation.models", f"'{name}'", f"one of {', '.join(NETWORKS)}", "correct the name"
        )
    return import_module(NETWORKS[name])


def is_guided(name: str) -> bool:
    """Whether a network propagates masks of a few slices of the case itself."""
    return hasattr(module_of(name), "segment")


def complete_settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The network's settings, checked, with the defaults of those that are not given.

    Raises
    ------
    InputError
        An unknown key, or a value that the network refuses.
    """
    module = module_of(name)
    known = asdict(module.Settings())
    for key in settings:
        if key not in known:
            raise InputError(
                f"settings of {name}, {key}",
                "an unknown key",
                f"one of {', '.join(known)}",
                "correct or remove it",
            )
    values: dict[str, Any] = asdict(module.Settings(**settings))
    return values


def sizes_of(name: str, settings: dict[str, Any]) -> Sizes:
    """Which volumes the network takes."""
    module = module_of(name)
    z, y, x = module.multiple(module.Settings(**settings))
    return Sizes((int(z), int(y), int(x)), 1 if hasattr(module, "SINGLE_VOXEL") else 2)


def check_patch(name: str, settings: dict[str, Any], patch: Sequence[int], where: str) -> None:
    """Check that a network takes patches of so many voxels along (z, y, x); `where` names the setting.

    Raises
    ------
    InputError
        It does not, or its deepest maps would have one voxel of the two they need; sizes that it takes are
        told.
    """
    sizes = sizes_of(name, settings)
    factors = sizes.multiple
    if sizes.too_few(patch):
        raise InputError(
            where,
            f"{list(patch)}, of which the deepest maps of {name} have a single voxel",
            "two voxels or more there",
            f"write `patch: {[2 * factor for factor in factors]}` or more",
        )
    larger = list(sizes.holding([patch]))
    if larger == list(patch):
        return
    smaller = [max(edge // factor, 1) * factor for edge, factor in zip(patch, factors, strict=True)]
    if sizes.too_few(smaller):
        smaller = larger
    good = " or ".join(f"`patch: {size}`" for size in dict.fromkeys(map(str, (smaller, larger))))
    raise InputError(
        where,
        f"{list(patch)}",
        f"multiples of {', '.join(map(str, factors))} along z, y, x, as {name} takes",
        f"write {good}",
    )


def create(name: str, in_channels: int, out_channels: int, settings: dict[str, Any]) -> nn.Module:
    """Build a network with fresh weights, drawn from torch's generator.

    It maps float32 (case, in_channels, z, y, x) to logits (case, out_channels, z, y, x); a guided one takes
    a window of slices and the masks that were fed back, (case, slice, y, x).

    Raises
    ------
    InputError
        There is no such network, or a setting is unknown or refused.
    """
    complete_settings(name, settings)
    module = module_of(name)
    network: nn.Module = module.build(in_channels, out_channels, module.Settings(**settings))
    return network
