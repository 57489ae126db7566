"""The Siamese network of IFSS-Net; `networks.ifssnet` tells its sources and choices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from myosweep.networks.modules.atrous import Pyramid, Separable
from myosweep.networks.modules.conv_lstm import ConvLSTM
from myosweep.networks.modules.feature_matching import Concatenation, Correlation, GlobalMatching, Residual
from myosweep.networks.modules.slices import Conv, Norm, to_slices, to_windows

if TYPE_CHECKING:
    from myosweep.networks.ifssnet import Settings


@dataclass(frozen=True)
class ImageMaps:
    """What the encoder made of windows of the image, each (slice * case, channels, y, x).

    `extra` are the channels beside the image, which the mask stream sees too; `stages` the maps of each
    stage before pooling; `end` those after the last.
    """

    extra: torch.Tensor
    stages: list[torch.Tensor]
    end: torch.Tensor


class Siamese(nn.Module):
    """Twin encoders, matching, memory and decoder.

    Attributes
    ----------
    window
        Slices of a window.
    recurrence
        Whether predictions are to be fed back.
    aligned
        Whether to the slices that they are of.
    balance
        (2,), present where the Tversky loss is learned: alpha and beta are its softmax.
    """

    def __init__(self, in_channels: int, settings: Settings) -> None:
        super().__init__()
        self.window, self.recurrence = settings.window, settings.recurrence
        self.aligned = settings.aligned
        self.pooling, self.memory_kind = list(settings.pooling), settings.memory
        widths, last = list(settings.widths), settings.widths[-1]
        self.encoder = nn.ModuleList(
            Pyramid(inputs, outputs, rates)
            for (inputs, outputs), rates in zip(
                pairwise([in_channels, *widths]), settings.rates_by_stage, strict=True
            )
        )
        self.match: nn.Module
        if settings.matching == "feature_matching":
            self.match = GlobalMatching(last, settings.window, settings.extent)
        elif settings.matching == "concatenation":
            self.match = Concatenation(last)
        else:
            self.match = Correlation()
        self.residual = Residual(last)
        self.memory = None if settings.memory == "none" else ConvLSTM(last, last, settings.memory_kernel)
        upwards = widths[::-1]
        self.decoder = nn.ModuleList(
            Refinement(inputs, outputs, skip, factor)
            for (inputs, outputs), skip, factor in zip(
                pairwise([last, *upwards]), upwards, self.pooling[::-1], strict=True
            )
        )
        self.head = Conv(widths[0], 2)
        self.after_encoder, self.after_memory, self.after_stage = map(nn.Dropout, settings.dropout)
        self.balance = nn.Parameter(torch.zeros(2)) if settings.index == "tversky" else None

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits of a window from its channels and the masks fed back.

        Parameters
        ----------
        image
            (case, channel, slice, y, x), the image first; y and x multiples of the pooling.
        mask
            (case, slice, y, x), probabilities of the structure, usually one slice behind.

        Returns
        -------
        (case, 2, slice, y, x): background and structure.
        """
        return self.segment(self.encode(image), mask)

    def encode(self, image: torch.Tensor) -> ImageMaps:
        """The image stream, which needs no mask and so can be done for many windows at once."""
        slices = to_slices(image)
        stages, end = self._stream(slices, image.shape[2], None)
        return ImageMaps(slices[:, 1:], stages, end)

    def segment(self, maps: ImageMaps, mask: torch.Tensor) -> torch.Tensor:
        """The rest of the network for windows whose image maps are known; see `forward`."""
        depth = mask.shape[1]
        slices = torch.cat([to_slices(mask[:, None]), maps.extra], dim=1)
        skips, end = self._stream(slices, depth, maps.stages)
        image_end, mask_end = self.after_encoder(maps.end), self.after_encoder(end)
        fused = self.residual(self.match(image_end, mask_end, depth), depth)
        if self.memory is not None:
            fused = self.after_memory(self._remember(fused, depth))
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            fused = self.after_stage(stage(fused, skip, depth))
        return to_windows(self.head(fused, depth), depth)

    def _stream(
        self, slices: torch.Tensor, depth: int, added: list[torch.Tensor] | None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        stages = []
        for place, (stage, factor) in enumerate(zip(self.encoder, self.pooling, strict=True)):
            slices = stage(slices, depth)
            if added is not None:
                slices = slices + added[place]
            stages.append(slices)
            if factor > 1:
                slices = functional.max_pool2d(slices, factor)
        return stages, slices

    def _remember(self, fused: torch.Tensor, depth: int) -> torch.Tensor:
        assert self.memory is not None
        sequence = fused.reshape(depth, -1, *fused.shape[1:]).transpose(0, 1)
        cases = len(sequence)
        if self.memory_kind == "biconvlstm":
            # Both directions are one run of the same cell.
            sequence = torch.cat([sequence, sequence.flip(1)])
        states, _ = self.memory(sequence)
        result = sequence[:cases] + states[:cases]
        if self.memory_kind == "biconvlstm":
            result = result + states[cases:].flip(1)
        flat: torch.Tensor = result.transpose(0, 1).flatten(0, 1)
        return flat.contiguous(memory_format=torch.channels_last)


class Refinement(nn.Module):
    """Upsampling by a transposed convolution in plane, refined with the encoder's maps at that size."""

    def __init__(self, inputs: int, outputs: int, skip: int, factor: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, factor, stride=factor)
        self.of_skip = Separable(skip, outputs)
        self.norm = Norm(outputs)
        self.merge = Separable(outputs, outputs)

    def forward(self, slices: torch.Tensor, skip: torch.Tensor, depth: int) -> torch.Tensor:
        """(slice * case, inputs, y, x) to (slice * case, outputs, y and x of the skip)."""
        merged = functional.relu(self.norm(self.up(slices) + self.of_skip(skip, depth)))
        result: torch.Tensor = merged + self.merge(merged, depth)
        return result
