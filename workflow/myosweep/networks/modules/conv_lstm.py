"""The convolutional LSTM of Shi et al. (2015) over a sequence of images."""

from __future__ import annotations

import torch
from torch import nn

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
            zeros = driven.new_zeros((len(driven), self.maps, *driven.shape[3:]))
            state = zeros, zeros
        hidden, memory = state
        outputs = []
        for now in driven.unbind(1):
            gates = now + self.recurrent(hidden)
            admit, keep, candidate, show = gates.chunk(4, dim=1)
            memory = torch.sigmoid(keep) * memory + torch.sigmoid(admit) * torch.tanh(candidate)
            hidden = torch.sigmoid(show) * torch.tanh(memory)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, memory)
