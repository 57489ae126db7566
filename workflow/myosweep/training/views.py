"""What training shows a network of a case: the whole limb, what lies around given masks, or a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from myosweep.networks.sizes import Sizes
from myosweep.training.data import Sample, position_channel
from myosweep.training.device import LAYOUT
from myosweep.training.fields import Box, Place, cut, field_corner, field_shape, guided_box
from myosweep.training.lattice import Floats
from myosweep.training.patches import draw_patch
from myosweep.training.settings import TrainingSettings


@dataclass(frozen=True)
class Field:
    """What the network sees, (channel, z, y, x), its target, and the confidence that weighs the loss."""

    channels: Floats
    target: NDArray[np.uint8]
    confidence: Floats | None


@dataclass(frozen=True)
class View:
    """How the fields of a training are cut out.

    Attributes
    ----------
    options
        Of the training.
    seen
        How many of a case's channels the network sees; one more may weigh the loss.
    shape
        Voxels of a field, (z, y, x).
    guided
        Slices of the guide around which a field is cut out; 0 where the network sees the whole limb.
    """

    options: TrainingSettings
    seen: int
    shape: tuple[int, int, int]
    guided: int = 0

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        options: TrainingSettings,
        seen: int,
        sizes: Sizes,
        margin_mm: float,
        window: int,
    ) -> View:
        """The view that holds every sample, or that of the patches; a shape that the network takes.

        Parameters
        ----------
        samples
            Of training and validation.
        options, seen
            See the attributes.
        sizes
            What the network takes.
        margin_mm, window
            How far a network sees around the masks of so many given slices; 0 for the whole limb.
        """
        shapes = [sample.shape for sample in samples]
        if margin_mm:
            boxes = [(sample.shape, _box(sample, window)) for sample in samples]
            # A case without given masks is not looked at; it must not make all fields as large as its limb.
            started = [(shape, box) for shape, box in boxes if box is not None] or boxes
            shapes = [field_shape(shape, box, margin_mm, options.spacing) for shape, box in started]
        shape = sizes.holding([options.patch] if options.patch else shapes)
        return cls(options, seen, shape, window if margin_mm else 0)

    def drawn(self, sample: Sample, random: np.random.Generator) -> Field:
        """A field to learn from; `random` draws the place of a patch."""
        if self.options.patch:
            return self._cut(sample, draw_patch(sample.target, self.options.patch, random), self.shape)
        return self._cut(sample, self._corner(sample, self.shape), self.shape)

    def whole(self, sample: Sample) -> Field:
        """The field to validate on; of a limb that is learned in patches all of it."""
        shape = Sizes().holding([sample.shape, self.shape]) if self.options.patch else self.shape
        return self._cut(sample, self._corner(sample, shape), shape)

    def _corner(self, sample: Sample, shape: tuple[int, int, int]) -> Place:
        box = _box(sample, self.guided) if self.guided else None
        return field_corner(sample.shape, box, shape)

    def _cut(self, sample: Sample, corner: Place, shape: tuple[int, int, int]) -> Field:
        channels = cut(sample.channels, corner, shape, sample.black)
        confidence = channels[-1] if self.options.weighs_by_confidence else None
        seen = channels[: self.seen]
        if self.options.position:
            # A patch is told where it lies in its limb.
            middle = (sample.shape[2] - 1) / 2 - corner[2] if self.options.patch else None
            seen = np.concatenate([seen, position_channel(shape, self.options.spacing[0], middle)])
        return Field(seen, cut(sample.target, corner, shape), confidence)


def tensors(field: Field, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """What the network sees, the fractions, and the confidence map where the loss is weighted by it."""
    channels = torch.from_numpy(field.channels)[None].to(device, memory_format=LAYOUT)
    target = torch.from_numpy(field.target)[None].to(device).float() / 255
    confidence = None
    if field.confidence is not None:
        confidence = torch.from_numpy(field.confidence)[None, None].to(device)
    return channels, target, confidence


def _box(sample: Sample, window: int) -> Box | None:
    return guided_box(sample.target.astype(np.float32) / np.float32(255), window)
