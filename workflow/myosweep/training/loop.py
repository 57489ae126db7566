"""Training of one network."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from myosweep.errors import InputError
from myosweep.io.files import write_text
from myosweep.io.volumes import read_grid
from myosweep.memory import check_memory, exhaustion_explained, machine_memory
from myosweep.networks import create, module_of, multiple_of
from myosweep.progress import SECONDS_BETWEEN_LINES, announce, log, track
from myosweep.training.annotation_schedule import hide_structure, keep_annotations
from myosweep.training.augmentation import augment
from myosweep.training.cases import TrainingCase, check_cases
from myosweep.training.checkpoints import load_checkpoint, only_one, save_checkpoint
from myosweep.training.data import (
    UNKNOWN,
    Sample,
    check_channels,
    check_structures,
    load_sample,
    position_channel,
    uniform_shape,
)
from myosweep.training.device import LAYOUT, autocast, lay_out, set_up_torch
from myosweep.training.fields import (
    Box,
    Place,
    cut,
    field_corner,
    field_shape,
    guided_box,
    margin_of,
)
from myosweep.training.guides import NothingToPropagate
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.model import Description, save_model
from myosweep.training.objectives import Growing, Objective, objective_of
from myosweep.training.patches import draw_patch
from myosweep.training.seeds import derived_seed, generator
from myosweep.training.segmenting import probabilities
from myosweep.training.settings import TrainingSettings, split_settings
from myosweep.training.start import read_start

Weights = dict[str, torch.Tensor]
Row = dict[str, float | int | None]


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
) -> None:
    """Train a network and write weights.safetensors, model.json and history.csv.

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

    Raises
    ------
    InputError, InputErrors
        A setting, a case or a volume cannot be used, or the loss stops being a number.
    """
    check_channels(channels)
    check_structures(structures)
    options, network_settings = split_settings(network, settings)
    _check_pair(network, options, learned)
    seen = len(channels)
    if options.weighs_by_confidence and "confidence" not in channels:
        channels = [*channels, "confidence"]
    check_cases(cases, channels)
    checkpoint_dir, output_dir = Path(checkpoint_dir), Path(output_dir)
    remedy = _less_memory(network, network_settings, options)
    with only_one(checkpoint_dir), exhaustion_explained(f"training of {network}", remedy):
        device = set_up_torch(options.threads)
        used = [case for case in cases if case.split in ("train", "validation")]
        _check_memory(used, network, len(channels), len(learned) + 1, options)
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
        training = _with_annotations(training, network, network_settings, list(structures))
        _check_presence(training, structures)
        if not validation:
            announce(
                f"no case to validate on: training runs all {options.epochs} epochs, the last weights count"
            )
        margin, window = margin_of(network_settings), int(network_settings.get("window", 1))
        shapes = [
            field_shape(sample.shape, _box(sample, window), margin, options.spacing)
            if margin
            else sample.shape
            for sample in samples.values()
        ]
        shape = uniform_shape(
            [tuple(options.patch)] if options.patch else shapes, multiple_of(network, network_settings)
        )
        torch.manual_seed(derived_seed(seed, "weights"))
        module = create(network, seen + options.position, len(structures) + 1, network_settings)
        start.give(module)
        module = lay_out(module.to(device))
        objective = objective_of(network, network_settings, options)
        run = _Run(
            network,
            module,
            objective,
            options,
            seen,
            shape,
            device,
            seed,
            list(structures),
            checkpoint_dir,
            window if margin else 0,
        )
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
            shape=list(shape),
            seed=seed,
            participants={
                split: sorted({case.participant for case in used if case.split == split})
                for split in ("train", "validation")
            },
            training=run.summary(),
            started_from=dict(start.origin),
        )
        write_text(output_dir / "history.csv", _table(run.history))
        save_model(output_dir, description, run.best)


def learning_rate(epoch: int, settings: TrainingSettings) -> float:
    """The learning rate of an epoch, counted from 0."""
    warmup = min(settings.warmup_epochs, settings.epochs)
    if epoch < warmup:
        return settings.learning_rate * (epoch + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (epoch - warmup) / max(settings.epochs - warmup, 1)
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def dice_of(prediction: np.ndarray, target: np.ndarray, classes: int) -> list[float]:  # type: ignore[type-arg]
    """Dice of each class from 1 on where the target is not 255 (unknown); NaN where neither has it."""
    known = target != UNKNOWN
    scores = []
    for index in range(1, classes):
        mine, truth = (prediction == index) & known, target == index
        total = int(mine.sum()) + int(truth.sum())
        scores.append(2 * int((mine & truth).sum()) / total if total else math.nan)
    return scores


@dataclass(frozen=True)
class _Field:
    """What the network sees, (channel, z, y, x), its target, and the confidence that weighs the loss."""

    channels: Floats
    target: NDArray[np.uint8]
    confidence: Floats | None


@dataclass
class _Run:
    name: str
    network: nn.Module
    objective: Objective
    options: TrainingSettings
    seen: int
    shape: tuple[int, int, int]
    device: torch.device
    seed: int
    structures: list[str]
    folder: Path
    # Slices of the guide around which a field is cut out; 0 where the network sees the whole limb.
    guided: int = 0
    history: list[Row] = field(default_factory=list)
    best: Weights = field(default_factory=dict)
    best_dice: float = -1.0
    best_epoch: int = 0
    finished: bool = False
    steps: int = 0
    fingerprint: str = ""

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[self.options.optimizer]
        self.optimizers = [
            kind(weights, lr=self.options.learning_rate, weight_decay=self.options.weight_decay, fused=True)
            for weights in self.objective.parameters(self.network)
        ]

    def resume(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        state = load_checkpoint(self.folder, fingerprint)
        if state is None:
            return
        self.history, self.best = state["history"], state["best"]
        self.best_dice, self.best_epoch = state["best_dice"], state["best_epoch"]
        self.finished = state["finished"]
        if self.finished:
            announce("this training had ended: its weights are written again")
            return
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        announce(f"training goes on after epoch {len(self.history)} from {self.folder}")

    def save(self, finished: bool) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "best": self.best,
            "best_dice": self.best_dice,
            "best_epoch": self.best_epoch,
            "finished": finished,
        }
        if not finished:
            state |= {
                "network": _copied(self.network),
                "average": _copied(self.average),
                "steps": self.steps,
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            }
        save_checkpoint(self.folder, state)

    def train(self, learned: list[Sample], validation: list[Sample]) -> None:
        start = saved = told = time.monotonic()
        first = len(self.history)
        while not self.finished and len(self.history) < self.options.epochs:
            epoch = len(self.history)
            row = self._epoch(epoch, learned, validation)
            self.history.append(row)
            dice = row["validation_dice"]
            if dice is None or dice > self.best_dice:
                self.best = _copied(self.average)
                self.best_dice, self.best_epoch = (-1.0 if dice is None else dice), epoch + 1
            now = time.monotonic()
            left = (now - start) / (epoch + 1 - first) * (self.options.epochs - epoch - 1)
            say = announce if now - told >= SECONDS_BETWEEN_LINES or epoch + 1 == self.options.epochs else log
            told = now if say is announce else told
            score = "" if dice is None else f", validation Dice {dice:.4f} (best {self.best_dice:.4f})"
            say(
                f"epoch {epoch + 1} of {self.options.epochs}: loss {row['loss']:.4f}{score}, "
                f"at most {left:.0f} s left"
            )
            if validation and epoch + 1 - self.best_epoch >= self.options.patience:
                announce(f"no better validation Dice for {self.options.patience} epochs: training ends")
                break
            if now - saved >= self.options.checkpoint_seconds:
                self.save(finished=False)
                saved = now

    def _epoch(self, epoch: int, learned: list[Sample], validation: list[Sample]) -> Row:
        # Everything random is a function of seed and epoch, so a resumed epoch is the epoch itself.
        torch.manual_seed(derived_seed(self.seed, "torch", epoch))
        rate = learning_rate(epoch, self.options)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        count = len(learned)
        order = generator(self.seed, "order", epoch).permutation(count * self.options.patches)
        losses = [self._step(epoch, learned[index % count], int(index // count)) for index in order]
        row: Row = {"epoch": epoch + 1, "learning_rate": rate, "loss": float(np.mean(losses))}
        scores = np.array([self._score(sample) for sample in validation]).reshape(-1, len(self.structures))
        means = [_mean(column) for column in scores.T]
        row["validation_dice"] = _mean(np.array([mean for mean in means if mean is not None]))
        return row | {
            f"validation_dice_{name}": mean for name, mean in zip(self.structures, means, strict=True)
        }

    def _step(self, epoch: int, sample: Sample, number: int) -> float:
        purpose = (epoch, sample.case, number) if number else (epoch, sample.case)
        random = generator(self.seed, "augment", *purpose)
        changed = augment(sample, self.options, random, self._exchanged())
        if self.options.patch:
            random = generator(self.seed, "patch", *purpose)
            corner = draw_patch(changed.target, self.options.patch, random)
        else:
            corner = self._corner(changed)
        channels, target, confidence = self._tensors(self._cut(changed, corner, self.shape))
        self.network.train()
        objective = self.objective
        if isinstance(objective, Growing):
            objective = objective.at(epoch / self.options.epochs)
        steps = objective.losses(self.network, channels, target, confidence)
        total = 0.0
        while True:
            with autocast(self.device, self.options.precision):
                following = next(steps, None)
            if following is None:
                return total
            index, loss = following
            self.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            weights = [weight for group in self.optimizers[index].param_groups for weight in group["params"]]
            length = nn.utils.clip_grad_norm_(weights, self.options.clip_norm)
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(float(length))):
                which = f", time {number + 1}" if self.options.patches > 1 else ""
                raise InputError(
                    f"case {sample.case}, epoch {epoch + 1}{which}",
                    f"loss {value} and a gradient of length {float(length)}; the image lies in "
                    f"{float(channels.min()):.4g} to {float(channels.max()):.4g}",
                    "numbers",
                    "look at this case's volumes; a smaller learning_rate or precision float32 may help",
                )
            self.optimizers[index].step()
            self._follow()
            total += value

    def _follow(self) -> None:
        self.steps += 1
        # The first weights are random: a short memory at first.
        decay = min(self.options.averaging, self.steps / (10 + self.steps))
        with torch.no_grad():
            now = self.network.state_dict()
            for name, mean in self.average.state_dict().items():
                if mean.is_floating_point():
                    mean.lerp_(now[name], 1 - decay)
                else:
                    mean.copy_(now[name])

    def _exchanged(self) -> tuple[int, int] | None:
        """The classes that change places where a limb is mirrored."""
        if not self.options.flip_laterally:
            return None
        one, other = (1 + self.structures.index(name) for name in self.options.flip_laterally)
        return one, other

    def _corner(self, sample: Sample) -> Place:
        """Where in a case the field lies that the network sees, if it is no patch."""
        box = _box(sample, self.guided) if self.guided else None
        return field_corner(sample.shape, box, self.shape)

    def _cut(self, sample: Sample, corner: Place, shape: Sequence[int]) -> _Field:
        """The part of a case that the network sees, padded."""
        channels = cut(sample.channels, corner, shape, sample.black)
        confidence = channels[-1] if self.options.weighs_by_confidence else None
        seen = channels[: self.seen]
        if self.options.position:
            # A patch is told where it lies in its limb.
            middle = (sample.shape[2] - 1) / 2 - corner[2] if self.options.patch else None
            z, y, x = shape
            told = position_channel((z, y, x), self.options.spacing[0], middle)
            seen = np.concatenate([seen, told])
        return _Field(seen, cut(sample.target, corner, shape), confidence)

    def _tensors(self, field: _Field) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """What the network sees, the fractions, and the confidence map where the loss is weighted by it."""
        channels = torch.from_numpy(field.channels)[None].to(self.device, memory_format=LAYOUT)
        target = torch.from_numpy(field.target)[None].to(self.device).float() / 255
        confidence = None
        if field.confidence is not None:
            confidence = torch.from_numpy(field.confidence)[None, None].to(self.device)
        return channels, target, confidence

    def _score(self, sample: Sample) -> list[float]:
        corner, shape = self._corner(sample), self.shape
        if self.options.patch:
            shape = uniform_shape([sample.shape, self.shape], (1, 1, 1))
            corner = field_corner(sample.shape, None, shape)
        field = self._cut(sample, corner, shape)
        fractions = field.target
        try:
            with autocast(self.device, self.options.precision):
                scores = probabilities(
                    self.average,
                    self.name,
                    field.channels,
                    self.device,
                    fractions.astype(np.float32) / np.float32(255),
                    patch=self.options.patch,
                )
        except NothingToPropagate:
            return [math.nan] * len(self.structures)
        mostly_known = fractions.sum(axis=0, dtype=np.int64) > 127
        target = np.where(mostly_known, fractions.argmax(axis=0), UNKNOWN)
        return dice_of(scores.argmax(axis=0), target, len(self.structures) + 1)

    def summary(self) -> dict[str, Any]:
        best = self.history[self.best_epoch - 1]
        return {
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "validation_dice": {name: best[f"validation_dice_{name}"] for name in self.structures},
        }


def _box(sample: Sample, window: int) -> Box | None:
    return guided_box(sample.target.astype(np.float32) / np.float32(255), window)


def _mean(values: np.ndarray) -> float | None:  # type: ignore[type-arg]
    finite = values[np.isfinite(values)] if len(values) else values
    return float(finite.mean()) if len(finite) else None


def _copied(network: nn.Module) -> Weights:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


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


def _check_memory(
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


def _less_memory(network: str, settings: dict[str, Any], options: TrainingSettings) -> str:
    further = [name for name in ("window", "widths", "channels", "features") if name in settings][:1]
    others = [f", or lower {name} (now {settings[name]})" for name in further]
    if "patch" not in getattr(module_of(network), "WITHOUT", ()):
        now = f"lower patch (now {list(options.patch)})" if options.patch else "train on patches (patch)"
        others.append(f", or {now}")
    return (
        f"raise segmentation.{network}.spacing_mm (now {list(options.spacing)}; twice along each axis takes "
        f"an eighth){''.join(others)}"
    )


def _check_pair(network: str, options: TrainingSettings, learned: Sequence[str]) -> None:
    missing = [name for name in options.flip_laterally or () if name not in learned]
    if missing:
        raise InputError(
            f"segmentation.{network}.flip_laterally",
            f"{', '.join(missing)}, which this network does not learn",
            f"two of {', '.join(learned)}" if len(learned) > 1 else "null for a network of one structure",
            "correct the names, or leave the key out",
        )


def _check_presence(learned: list[Sample], structures: dict[str, int]) -> None:
    for index, name in enumerate(structures, start=1):
        if not any(sample.target[index].any() for sample in learned):
            raise InputError(
                f"structures, {name}",
                "no voxel of it in any case of the split train",
                "at least one training case that has it",
                "annotate it in a training case, or take it out of structures",
            )


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
