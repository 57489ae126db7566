"""The convolutional LSTM of Shi et al. (2015) over a sequence of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_weight

State = tuple[torch.Tensor, torch.Tensor]


class ConvLSTM(nn.Module):
    """One cell, run over a sequence.

    With x_t the input, h_t the output, c_t the memory, * a convolution and o a product by elements (Shi et
    al. 2015, eq. 3):

        i_t = sigmoid(W_xi * x_t + W_hi * h_(t-1) + b_i)
        f_t = sigmoid(W_xf * x_t + W_hf * h_(t-1) + b_f)
        c_t = f_t o c_(t-1) + i_t o tanh(W_xc * x_t + W_hc * h_(t-1) + b_c)
        o_t = sigmoid(W_xo * x_t + W_ho * h_(t-1) + b_o)
        h_t = o_t o tanh(c_t)

    Without the peepholes W_c. o c of Shi et al.: they are as large as an image, which would tie the network
    to one size. Each gate's W_x begins as Glorot and Bengio (2010) draw it, its W_h orthogonal (Saxe et al.
    2014), b_f at 1, so that the memory lasts (Jozefowicz et al. 2015); torch's own, smaller draws let a
    signal fade over a stack of cells.

    Parameters
    ----------
    in_maps, maps
        Maps of x and of h.
    kernel
        Edge of the convolutions, odd, pixels; zeros are padded.
    """

    def __init__(self, in_maps: int, maps: int, kernel: int) -> None:
        super().__init__()
        self.maps = maps
        self.input = nn.Conv2d(in_maps, 4 * maps, kernel, padding=kernel // 2)
        self.recurrent = nn.Conv2d(maps, 4 * maps, kernel, padding=kernel // 2, bias=False)
        assert self.input.bias is not None
        with torch.no_grad():
            for driven, recurrent in zip(
                self.input.weight.chunk(4), self.recurrent.weight.chunk(4), strict=True
            ):
                nn.init.xavier_uniform_(driven)
                nn.init.orthogonal_(recurrent)
            self.input.bias.zero_()
            self.input.bias[maps : 2 * maps] = 1

    def forward(self, sequence: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Run over (case, time, in_maps, y, x) from a state; zeros without one.

        Returns
        -------
        (case, time, maps, y, x) and the state (h, c) after the last image, each (case, maps, y, x).
        """
        driven = self.input(sequence.flatten(0, 1))
        driven = driven.reshape(*sequence.shape[:2], *driven.shape[1:])
        if state is None:
            zeros = driven.new_zeros((len(driven), self.maps, *driven.shape[3:]), dtype=torch.float32)
            state = zeros, zeros
        hidden, memory = state
        outputs, memory = _Recurrence.apply(driven, self.recurrent.weight, hidden, memory)  # type: ignore[no-untyped-call]
        return outputs, (outputs[:, -1], memory)


class _Recurrence(torch.autograd.Function):
    """The loop over time, whose backward pass makes the weights' gradient of all times at once.

    Left to autograd it is made time by time, each as large as the weights: twice the work of a training step
    at the few pixels of a bottleneck. Gates and memory are float32 whatever the convolutions are.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, driven: torch.Tensor, weight: torch.Tensor, hidden: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kind = torch.promote_types(driven.dtype, torch.float32)
        kernel = weight.to(driven.dtype)
        hidden, memory = hidden.to(driven.dtype), memory.to(kind)
        before, gates, memories = [], [], [memory]
        for now in driven.unbind(1):
            before.append(hidden)
            raw = (now + conv2d(hidden, kernel, padding=kernel.shape[-1] // 2)).to(kind)
            admit, keep, candidate, show = raw.chunk(4, dim=1)
            opened = torch.sigmoid(admit), torch.sigmoid(keep), torch.tanh(candidate), torch.sigmoid(show)
            memory = opened[1] * memory + opened[0] * opened[2]
            hidden = (opened[3] * torch.tanh(memory)).to(driven.dtype)
            gates.append(torch.cat(opened, dim=1))
            memories.append(memory)
        outputs = torch.stack([*before[1:], hidden], dim=1)
        ctx.save_for_backward(
            weight, torch.stack(before, dim=1), torch.stack(gates, dim=1), torch.stack(memories, dim=1)
        )
        return outputs, memory

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(  # type: ignore[override]
        ctx: Any, of_outputs: torch.Tensor, of_memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        weight, before, gates, memories = ctx.saved_tensors
        back = weight.to(before.dtype).flip(2, 3).transpose(0, 1).contiguous()
        padding = weight.shape[-1] // 2
        of_hidden = torch.zeros_like(memories[:, 0])
        of_raw = []
        for time in reversed(range(gates.shape[1])):
            of_hidden = of_hidden + of_outputs[:, time]
            admit, keep, candidate, show = gates[:, time].chunk(4, dim=1)
            shown = torch.tanh(memories[:, time + 1])
            of_memory = of_memory + of_hidden * show * (1 - shown.square())
            raw = (
                of_memory * candidate * admit * (1 - admit),
                of_memory * memories[:, time] * keep * (1 - keep),
                of_memory * admit * (1 - candidate.square()),
                of_hidden * shown * show * (1 - show),
            )
            of_raw.append(torch.cat(raw, dim=1).to(before.dtype))
            of_memory = of_memory * keep
            of_hidden = conv2d(of_raw[-1], back, padding=padding).to(of_memory.dtype)
        of_driven = torch.stack(of_raw[::-1], dim=1)
        of_weight = conv2d_weight(  # type: ignore[no-untyped-call]
            before.flatten(0, 1), weight.shape, of_driven.flatten(0, 1), padding=padding
        )
        return of_driven, of_weight.to(weight.dtype), of_hidden, of_memory
