"""The epochs of a training."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from myosweep.errors import InputError
from myosweep.progress import SECONDS_BETWEEN_LINES, announce, log
from myosweep.training.augmentation import augment
from myosweep.training.checkpoints import load_checkpoint, save_checkpoint
from myosweep.training.data import Sample
from myosweep.training.device import autocast
from myosweep.training.objectives import Growing, Objective
from myosweep.training.scoring import mean_of, score
from myosweep.training.seeds import derived_seed, generator
from myosweep.training.settings import TrainingSettings
from myosweep.training.views import View, tensors

Weights = dict[str, torch.Tensor]
Row = dict[str, float | int | None]


@dataclass
class Run:
    """A training from its first epoch, or from its checkpoint, to its last.

    Attributes
    ----------
    name
        Of the network.
    network, objective, options, device, seed
        What is trained, by which losses, how, where, and with which random numbers.
    view
        What the network is shown.
    structures
        That it learns.
    folder
        Of the checkpoint.
    history
        What each epoch reached.
    kept
        The weights of the best epoch, or of the last one (`keep`).
    last
        Those of the last epoch, once the training has ended.
    """

    name: str
    network: nn.Module
    objective: Objective
    options: TrainingSettings
    view: View
    device: torch.device
    seed: int
    structures: list[str]
    folder: Path
    history: list[Row] = field(default_factory=list)
    kept: Weights = field(default_factory=dict)
    last: Weights = field(default_factory=dict)
    kept_epoch: int = 0
    best_dice: float = -1.0
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
        """Go on from the checkpoint of a training of this fingerprint, where there is one."""
        self.fingerprint = fingerprint
        state = load_checkpoint(self.folder, fingerprint)
        if state is None:
            return
        self.history, self.best_dice = state["history"], state["best_dice"]
        self.kept, self.kept_epoch = state["kept"], state["kept_epoch"]
        self.finished = state["finished"]
        if self.finished:
            self.last = state["last"]
            announce("this training had ended: its weights are written again")
            return
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.steps = state["steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        announce(f"training goes on after epoch {len(self.history)} from {self.folder}")

    def save(self, finished: bool) -> None:
        """Write the checkpoint; of a training that has ended what it found alone."""
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "best_dice": self.best_dice,
            "kept": self.kept,
            "kept_epoch": self.kept_epoch,
            "finished": finished,
        }
        if finished:
            state["last"] = self.last
        else:
            state |= {
                "network": copied(self.network),
                "average": copied(self.average),
                "steps": self.steps,
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            }
        save_checkpoint(self.folder, state)

    def train(self, learned: list[Sample], validation: list[Sample]) -> None:
        """Make the epochs that are left."""
        start = saved = told = time.monotonic()
        first = len(self.history)
        choosing = bool(validation) and self.options.keep == "best"
        while not self.finished and len(self.history) < self.options.epochs:
            epoch = len(self.history)
            last = epoch + 1 == self.options.epochs
            validated = not validation or last or (epoch + 1) % self.options.validation_interval == 0
            row = self._epoch(epoch, learned, validation if validated else [])
            self.history.append(row)
            dice = row["validation_dice"]
            better = dice is None or dice > self.best_dice
            self.best_dice = self.best_dice if dice is None else max(dice, self.best_dice)
            if validated and better if choosing else last:
                self.kept, self.kept_epoch = copied(self.average), epoch + 1
            now = time.monotonic()
            left = (now - start) / (epoch + 1 - first) * (self.options.epochs - epoch - 1)
            say = announce if last or now - told >= SECONDS_BETWEEN_LINES else log
            told = now if say is announce else told
            score = "" if dice is None else f", validation Dice {dice:.4f} (best {self.best_dice:.4f})"
            say(
                f"epoch {epoch + 1} of {self.options.epochs}: loss {row['loss']:.4f}{score}, "
                f"at most {left:.0f} s left"
            )
            if choosing and validated and epoch + 1 - self.kept_epoch >= self.options.patience:
                announce(f"no better validation Dice for {self.options.patience} epochs: training ends")
                break
            if now - saved >= self.options.checkpoint_seconds:
                self.save(finished=False)
                saved = now
        if not self.finished:
            self.last = copied(self.average)

    def _epoch(self, epoch: int, learned: list[Sample], validation: list[Sample]) -> Row:
        # Everything random is a function of seed and epoch, so a resumed epoch is the epoch itself.
        torch.manual_seed(derived_seed(self.seed, "torch", epoch))
        rate = learning_rate(epoch, self.options)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        shown = len(learned)
        if isinstance(self.objective, Growing):
            shown = self.objective.volumes(epoch / self.options.epochs, shown)
        order = generator(self.seed, "order", epoch).permutation(len(learned) * self.options.patches)
        losses: list[list[float]] = [[] for _ in self.optimizers]
        told = time.monotonic()
        for step, index in enumerate(order):
            for task, loss in self._step(epoch, learned[index % shown], int(index // shown)):
                losses[task].append(loss)
            if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                announce(
                    f"epoch {epoch + 1}, step {step + 1} of {len(order)}: loss {sum(_means(losses)):.4f}"
                )
        by_task = _means(losses)
        row: Row = {"epoch": epoch + 1, "learning_rate": rate, "loss": sum(by_task)}
        if len(by_task) > 1:
            row |= {f"loss_{name}": mean for name, mean in zip(self.objective.tasks, by_task, strict=True)}
        scores = np.array([self._score(sample) for sample in validation]).reshape(-1, len(self.structures))
        means = [mean_of(column) for column in scores.T]
        row["validation_dice"] = mean_of(np.array([mean for mean in means if mean is not None]))
        return row | {
            f"validation_dice_{name}": mean for name, mean in zip(self.structures, means, strict=True)
        }

    def _step(self, epoch: int, sample: Sample, number: int) -> Iterator[tuple[int, float]]:
        """Learn from one field; which optimiser stepped, and by which loss, for each of its updates."""
        purpose = (epoch, sample.case, number) if number else (epoch, sample.case)
        random = generator(self.seed, "augment", *purpose)
        changed = augment(sample, self.options, random, self._exchanged())
        field = self.view.drawn(changed, generator(self.seed, "patch", *purpose))
        channels, target, confidence = tensors(field, self.device)
        self.network.train()
        objective = self.objective
        if isinstance(objective, Growing):
            objective = objective.at(epoch / self.options.epochs)
        steps = objective.losses(self.network, channels, target, confidence)
        while True:
            with autocast(self.device, self.options.precision):
                following = next(steps, None)
            if following is None:
                return
            index, loss = following
            self.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            weights = [weight for group in self.optimizers[index].param_groups for weight in group["params"]]
            length = nn.utils.clip_grad_norm_(weights, self.options.clip_norm)
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(float(length))):
                which = f", time {number + 1}" if number or self.options.patches > 1 else ""
                raise InputError(
                    f"case {sample.case}, epoch {epoch + 1}{which}",
                    f"loss {value} and a gradient of length {float(length)}; the image lies in "
                    f"{float(channels.min()):.4g} to {float(channels.max()):.4g}",
                    "numbers",
                    "look at this case's volumes; a smaller learning_rate or precision float32 may help",
                )
            self.optimizers[index].step()
            self._follow()
            yield index, value

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

    def _score(self, sample: Sample) -> list[float]:
        with autocast(self.device, self.options.precision):
            return score(self.average, self.name, self.view.whole(sample), self.device, self.options.patch)

    def summary(self, kept_epoch: int) -> dict[str, Any]:
        """How it went, for the model.json of the weights of an epoch, counted from 1."""
        kept = self.history[kept_epoch - 1]
        return {
            "epochs": len(self.history),
            "kept_epoch": kept_epoch,
            "validation_dice": {name: kept[f"validation_dice_{name}"] for name in self.structures},
        }


def learning_rate(epoch: int, settings: TrainingSettings) -> float:
    """The learning rate of an epoch, counted from 0."""
    warmup = min(settings.warmup_epochs, settings.epochs)
    if epoch < warmup:
        return settings.learning_rate * (epoch + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "step":
        return settings.learning_rate * float(settings.step_factor ** (epoch // settings.step_epochs))
    if settings.schedule == "drop":
        dropped = epoch >= settings.epochs - settings.step_epochs
        return settings.learning_rate * (settings.step_factor if dropped else 1.0)
    done = (epoch - warmup) / max(settings.epochs - warmup, 1)
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _means(losses: Sequence[Sequence[float]]) -> list[float]:
    """Of each optimiser over its updates; an update is a window or a part of a limb, or the whole."""
    return [float(np.mean(own)) if own else 0.0 for own in losses]


def copied(network: nn.Module) -> Weights:
    """The weights as they are now, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
