"""Training of one encoder by two tasks in turn, window by window along the sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, cast

import torch
from torch import nn

from myosweep.networks.modules.conv_lstm import State
from myosweep.networks.modules.two_decoders import TwoDecoders
from myosweep.training.consistency import st_mse, st_sdc


class TwoTasks:
    """Reconstruction and segmentation, each with its optimiser (Gonzalez Duque et al. 2020, section 3).

    Encoder and memory belong to both. Of every window the image is reconstructed first, then, with the new
    weights, the slices are segmented; the memory's state goes on to the next window, gradients do not. A
    network without second decoder has one optimiser and the second loss alone.

    Parameters
    ----------
    negative_labels
        See `consistency.st_sdc`.
    """

    tasks: ClassVar[Sequence[str]] = ("segmentation", "reconstruction")

    def __init__(self, negative_labels: str = "known") -> None:
        self.negative_labels = negative_labels

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """The weights of segmentation and, where there is that decoder, of reconstruction."""
        whole = cast(TwoDecoders, network)
        shared = [*whole.encoder.parameters(), *whole.memory.parameters()]
        decoders = [whole.segmentation, whole.reconstruction]
        return [[*shared, *decoder.parameters()] for decoder in decoders if decoder is not None]

    def losses(
        self,
        network: nn.Module,
        channels: torch.Tensor,
        target: torch.Tensor,
        confidence: torch.Tensor | None = None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """For each window st-MSE of channel 0 (optimiser 1), then st-SDC (optimiser 0).

        A window of which nothing is known has no second loss.
        """
        whole = cast(TwoDecoders, network)
        state: list[State] | None = None
        for part, window in whole.windows(channels):
            if whole.reconstruction is not None:
                image = whole.run(window, state, segment=False, reconstruct=True).reconstruction
                assert image is not None
                yield 1, st_mse(window[:, :1], image)
            truth = target[:, :, part]
            labelled = bool(truth.any())
            with torch.set_grad_enabled(labelled):
                result = whole.run(window, state, segment=labelled)
            state = [(hidden.detach(), memory.detach()) for hidden, memory in result.state]
            if labelled:
                assert result.segmentation is not None
                yield 0, st_sdc(result.segmentation, truth, negative_labels=self.negative_labels)

    def rehearse(self, network: nn.Module, channels: torch.Tensor) -> None:
        """The segmentation of one window."""
        whole = cast(TwoDecoders, network)
        _, window = next(iter(whole.windows(channels)))
        whole.run(window, None, segment=True)
