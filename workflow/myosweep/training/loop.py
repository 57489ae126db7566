"""Training of one network."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from myosweep.errors import InputError
from myosweep.io.files import write_text
from myosweep.memory import exhaustion_explained
from myosweep.networks import create, is_guided, module_of, sizes_of
from myosweep.progress import announce, track
from myosweep.training.annotation_schedule import hide_structure, keep_annotations
from myosweep.training.cases import TrainingCase, check_cases
from myosweep.training.checkpoints import only_one
from myosweep.training.checks import (
    check_pair,
    check_presence,
    check_starts,
    check_step_memory,
    check_training_memory,
    less_memory,
)
from myosweep.training.data import Sample, check_channels, check_structures, load_sample
from myosweep.training.device import faster_precision, lay_out, set_up_torch
from myosweep.training.fields import margin_of
from myosweep.training.model import Description, save_model
from myosweep.training.objectives import objective_of
from myosweep.training.run import Row, Run
from myosweep.training.seeds import derived_seed
from myosweep.training.settings import TrainingSettings, split_settings
from myosweep.training.start import read_start
from myosweep.training.views import View


def train(
    cases: Sequence[TrainingCase],
    *,
    network: str,
    settings: dict[str, Any],
    structures: dict[str, int],
    learned: Sequence[str],
    channels: Sequence[str],
    seed: int,
    checkpoint_dir: str | Path,
    output_dir: str | Path,
    code: str = "",
) -> None:
    """Train a network and write weights.safetensors, model.json and history.csv.

    The folder `last` in theirs holds the model of the last epoch, which may not be the best.
    A training that was stopped goes on from its checkpoint and ends with the same bytes. Cases of the split
    train are learned from; those of validation choose the best epoch and end the training early; others are
    left alone.

    Parameters
    ----------
    cases
        All cases of the study; a participant on two sides of a split is refused.
    network
        Its name.
    settings
        Of training (`training.settings.TrainingSettings`) and of the network, in one mapping; defaults for
        the rest.
    structures
        Label values by name.
    learned
        The structures that the network learns: all, or one for a binary network, to which the others are
        background.
    channels
        What the network sees: `["image"]` or `["image", "confidence"]`. A loss that is weighted by the
        confidence map needs that map, whether the network sees it or not.
    seed
        Of weights, order and augmentation.
    checkpoint_dir
        For the state of the training; one folder for each combination of settings, code and inputs.
    output_dir
        Where the model goes, whole or not at all.
    code
        Digest of the code, for model.json.

    Raises
    ------
    InputError, InputErrors
        A setting, a case or a volume cannot be used, or the loss stops being a number.
    """
    check_channels(channels)
    check_structures(structures)
    options, network_settings = split_settings(network, settings)
    check_pair(network, options, learned)
    seen = len(channels)
    if options.weighs_by_confidence and "confidence" not in channels:
        channels = [*channels, "confidence"]
    check_cases(cases, channels)
    checkpoint_dir, output_dir = Path(checkpoint_dir), Path(output_dir)
    remedy = less_memory(network, network_settings, options)
    with only_one(checkpoint_dir), exhaustion_explained(f"training of {network}", remedy):
        device = set_up_torch(options.threads)
        if options.precision == "automatic":
            options = replace(options, precision=faster_precision(device))
        used = [case for case in cases if case.split in ("train", "validation")]
        check_training_memory(used, network, len(channels), len(learned) + 1, options)
        start = read_start(
            options.start_from,
            network=network,
            network_settings=network_settings,
            structures=learned,
            channels=channels[:seen],
            position=options.position,
            spacing_mm=options.spacing,
            cases=cases,
        )
        samples = {
            case.case: load_sample(case, structures, channels, options.spacing, learned)
            for case in track(used, len(used), "cases loaded")
        }
        structures = {name: structures[name] for name in learned}
        training = [samples[case.case] for case in used if case.split == "train"]
        validation = [samples[case.case] for case in used if case.split == "validation"]
        check_presence(training, structures)
        training = _with_annotations(training, network, network_settings, list(structures))
        if is_guided(network):
            supervision = str(network_settings["supervision"])
            check_starts(training, validation, int(network_settings["window"]), supervision)
        else:
            check_presence(training, structures, left=True)
        if not validation:
            announce(
                f"no case to validate on: training runs all {options.epochs} epochs, the last weights count"
            )
        view = View.of(
            list(samples.values()),
            options,
            seen,
            sizes_of(network, network_settings),
            margin_of(network_settings),
            int(network_settings.get("window", 1)),
        )
        torch.manual_seed(derived_seed(seed, "weights"))
        module = create(network, seen + options.position, len(structures) + 1, network_settings)
        start.give(module)
        module = lay_out(module.to(device))
        objective = objective_of(network, network_settings, options)
        if device.type == "cpu":
            check_step_memory(network, module, objective, view, len(structures) + 1, remedy)
        run = Run(network, module, objective, options, view, device, seed, list(structures), checkpoint_dir)
        run.resume(
            _fingerprint(
                samples, used, network, seen, network_settings, options, structures, seed, start.origin
            )
        )
        run.train(training, validation)
        run.save(finished=True)
        description = Description(
            network=network,
            network_settings=network_settings,
            training_settings=asdict(options),
            structures=dict(structures),
            channels=list(channels[:seen]),
            spacing_mm=list(options.spacing),
            shape=list(view.shape),
            seed=seed,
            participants={
                split: sorted({case.participant for case in used if case.split == split})
                for split in ("train", "validation")
            },
            training=run.summary(run.kept_epoch),
            started_from=dict(start.origin),
            code=code,
        )
        write_text(output_dir / "history.csv", _table(run.history))
        ended = replace(description, training=run.summary(len(run.history)))
        save_model(output_dir / "last", ended, run.last)
        save_model(output_dir, description, run.kept)


def _with_annotations(
    samples: list[Sample], network: str, settings: dict[str, Any], structures: list[str]
) -> list[Sample]:
    """The samples, of whose labels those slices are left that the network's supervision has."""
    module = module_of(network)
    if not hasattr(module, "annotated"):
        return samples
    kept = module.annotated(module.Settings(**settings), [sample.shape[0] for sample in samples])
    if kept is None:
        return samples
    if kept.structure and kept.structure not in structures:
        raise InputError(
            f"segmentation.{network}.sparse_structure",
            f"'{kept.structure}'",
            f"one that the network learns: {', '.join(structures)}",
            "correct the name",
        )
    index = 1 + structures.index(kept.structure) if kept.structure else 0
    return [
        replace(
            sample,
            target=hide_structure(sample.target, index, slices)
            if index
            else keep_annotations(sample.target, slices),
        )
        for sample, slices in zip(samples, kept.slices, strict=True)
    ]


def _fingerprint(
    samples: dict[str, Sample],
    used: Sequence[TrainingCase],
    network: str,
    seen: int,
    network_settings: dict[str, Any],
    options: TrainingSettings,
    structures: dict[str, int],
    seed: int,
    origin: Mapping[str, Any],
) -> str:
    plain = json.dumps([network, seen, network_settings, asdict(options), structures, seed, dict(origin)])
    digest = hashlib.sha256(plain.encode())
    for case in used:
        sample = samples[case.case]
        digest.update(f"{case.case} {case.split} {sample.target.shape}".encode())
        digest.update(sample.channels.tobytes())
        digest.update(sample.target.tobytes())
    return digest.hexdigest()


def _table(history: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
