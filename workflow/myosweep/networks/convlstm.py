"""Convolutional long short-term memory (Shi et al. 2015), forwards or both ways with one set of weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class ConvLSTM(nn.Module):
    """A convolutional LSTM cell over a sequence of two-dimensional maps.

    Gates without peepholes, as in Keras, where the papers' authors took it from; the forget gate's bias starts
    at 1 (Jozefowicz et al. 2015). States start at 0 for every sequence.

    Parameters
    ----------
    inputs, channels
        Maps of the sequence, and of the hidden state.
    kernel
        Rows and columns of the convolutions, odd.
    """

    def __init__(self, inputs: int, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.channels, self.kernel = channels, kernel
        self.of_input = nn.Parameter(torch.empty(4 * channels, inputs, kernel, kernel))
        self.of_state = nn.Parameter(torch.empty(4 * channels, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(4 * channels))
        for weight in (self.of_input, self.of_state):
            bound = 1 / math.sqrt(weight.shape[1] * kernel**2)
            nn.init.uniform_(weight, -bound, bound)
        with torch.no_grad():
            self.bias[channels : 2 * channels] = 1

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Hidden states (step, case, channels, y, x) of a sequence (step, case, inputs, y, x)."""
        return self._run(self._driven(sequence))

    def both_ways(self, sequence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of a forward pass and of a backward pass of the same cell, both in forward order."""
        driven = self._driven(sequence)
        cases = sequence.shape[1]
        states = self._run(torch.cat([driven, driven.flip(0)], dim=1))
        return states[:, :cases], states[:, cases:].flip(0)

    def _driven(self, sequence: torch.Tensor) -> torch.Tensor:
        # What the inputs give to the gates needs no state, so all steps are one convolution.
        maps = functional.conv2d(sequence.flatten(0, 1), self.of_input, self.bias, padding=self.kernel // 2)
        return maps.unflatten(0, sequence.shape[:2])

    def _run(self, driven: torch.Tensor) -> torch.Tensor:
        states: list[torch.Tensor] = []
        memory: torch.Tensor | None = None
        for gates in driven:
            if states:
                gates = gates + functional.conv2d(states[-1], self.of_state, padding=self.kernel // 2)
            enter, forget, leave, new = gates.chunk(4, dim=1)
            fresh = torch.sigmoid(enter) * torch.tanh(new)
            memory = fresh if memory is None else torch.sigmoid(forget) * memory + fresh
            states.append(torch.sigmoid(leave) * torch.tanh(memory))
        return torch.stack(states)
