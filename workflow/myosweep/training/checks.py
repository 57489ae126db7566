"""What is looked at before a training begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from myosweep.errors import InputError
from myosweep.io.volumes import read_grid
from myosweep.memory import check_memory, machine_memory
from myosweep.networks import module_of
from myosweep.progress import announce
from myosweep.training.cases import TrainingCase
from myosweep.training.data import Sample
from myosweep.training.lattice import Lattice
from myosweep.training.objectives import Objective
from myosweep.training.propagation import starting_windows
from myosweep.training.rehearsal import bytes_held
from myosweep.training.settings import TrainingSettings
from myosweep.training.views import View


def check_training_memory(
    used: Sequence[TrainingCase], network: str, channels: int, classes: int, options: TrainingSettings
) -> None:
    """Refuse what cannot fit whatever the network: all samples, and channels, fractions and logits of one."""
    counts = {
        case.image: math.prod(Lattice.of(read_grid(case.image), options.spacing).shape) for case in used
    }
    held = sum(counts.values()) * (4 * channels + classes)
    largest = max(counts, key=lambda image: counts[image])
    needed = held + counts[largest] * (4 * channels + 8 * classes)
    fits = [float(f"{1.05 * edge * (needed / machine_memory()) ** (1 / 3):.2g}") for edge in options.spacing]
    check_memory(
        needed,
        largest,
        f"training on {len(used)} volumes, this one of {counts[largest] / 1e6:.0f} million voxels of "
        f"{' x '.join(f'{edge:g}' for edge in options.spacing)} mm,",
        f"set segmentation.{network}.spacing_mm to {fits} or more",
    )


def check_step_memory(
    network: str, module: nn.Module, objective: Objective, view: View, classes: int, remedy: str
) -> None:
    """Refuse a training of which what a single step holds for its gradients does not fit."""
    options = view.options
    held = bytes_held(module, objective, view.shape, view.seen + options.position, classes)
    check_memory(
        held // 2 if options.precision == "bfloat16" else held,
        f"training of {network}",
        f"a step on {' x '.join(map(str, view.shape))} voxels",
        remedy,
    )


def less_memory(network: str, settings: dict[str, Any], options: TrainingSettings) -> str:
    """What to do where memory does not suffice, in words."""
    ways = ("reach", "window", "widths", "channels", "width", "feature_size")
    further = [name for name in ways if settings.get(name)][:1]
    others = [f", or lower {name} (now {settings[name]})" for name in further]
    if "patch" not in getattr(module_of(network), "WITHOUT", ()):
        now = f"lower patch (now {list(options.patch)})" if options.patch else "train on patches (patch)"
        others.append(f", or {now}")
    return (
        f"raise segmentation.{network}.spacing_mm (now {list(options.spacing)}; twice along each axis takes "
        f"an eighth){''.join(others)}"
    )


def check_pair(network: str, options: TrainingSettings, learned: Sequence[str]) -> None:
    """Refuse limbs mirrored for structures that the network does not learn."""
    missing = [name for name in options.flip_laterally or () if name not in learned]
    if missing:
        raise InputError(
            f"segmentation.{network}.flip_laterally",
            f"{', '.join(missing)}, which this network does not learn",
            f"two of {', '.join(learned)}" if len(learned) > 1 else "null for a network of one structure",
            "correct the names, or leave the key out",
        )


def check_starts(
    learned: Sequence[Sample], validation: Sequence[Sample], window: int, supervision: str
) -> None:
    """Tell the cases in which a guided network finds no window to start from, and refuse it where all are.

    Parameters
    ----------
    learned, validation
        At the network's spacing, of one structure.
    window
        Slices of a window.
    supervision
        `full`, or what has left annotations on a share of the slices of `learned`.

    Raises
    ------
    InputError
        No case has as many neighbouring annotated slices with the structure as a window.
    """

    def without(samples: Sequence[Sample]) -> list[str]:
        return [
            sample.case for sample in samples if not starting_windows(torch.from_numpy(sample.target), window)
        ]

    few = f"fewer than {window} neighbouring slices of the network are annotated and show the structure"
    unused = without(learned)
    if len(unused) == len(learned):
        left = "" if supervision == "full" else f" (supervision {supervision} hides the others)"
        remedy = "annotate more slices, or give spacing_mm smaller voxels along the limb"
        raise InputError(
            "the labels of the cases to train on",
            f"none with {window} neighbouring annotated slices, of those that the network sees{left}, that "
            "show it",
            f"{window} neighbouring slices with the structure, at the network's spacing along the limb",
            f"raise annotated_percent, {remedy}" if left else remedy,
        )
    if unused:
        announce(f"nothing is learned from {', '.join(unused)}: {few}")
    unseen = without(validation)
    if unseen:
        alone = len(unseen) == len(validation)
        end = "; training runs all its epochs, the last weights count" if alone else ""
        announce(f"nothing is validated on {', '.join(unseen)}: {few}{end}")


def check_presence(learned: list[Sample], structures: dict[str, int], *, left: bool = False) -> None:
    """Refuse structures that no training case shows; `left` on the slices that its settings leave."""
    where = " on the slices that annotated_percent leaves" if left else ""
    remedy = "raise annotated_percent" if left else "annotate it in a training case"
    for index, name in enumerate(structures, start=1):
        if not any(sample.target[index].any() for sample in learned):
            raise InputError(
                f"structures, {name}",
                f"no voxel of it in any case of the split train{where}",
                f"at least one training case that has it{where and ' there'}",
                f"{remedy}, or take it out of structures",
            )
