"""Three-dimensional convolutions of thin windows, done slice by slice.

A window of w slices is kept as (slice * case, channel, y, x), slices outermost and channels last in memory:
so a processor's fast two-dimensional kernels do the work and a shift along the limb is a slice of the tensor.
The weights stay three-dimensional and the result is that of a zero-padded 3D convolution: taps that can meet
nothing but padding are left out, which changes nothing and spares most of the work where the rate exceeds
the map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

Triple = tuple[int, int, int]


def to_slices(windows: torch.Tensor) -> torch.Tensor:
    """(case, channel, slice, y, x) to (slice * case, channel, y, x), channels last in memory."""
    slices = windows.permute(2, 0, 1, 3, 4).flatten(0, 1)
    return slices.contiguous(memory_format=torch.channels_last)


def to_windows(slices: torch.Tensor, depth: int) -> torch.Tensor:
    """(slice * case, channel, y, x) to (case, channel, slice, y, x)."""
    return slices.reshape(depth, -1, *slices.shape[1:]).permute(1, 2, 0, 3, 4)


def taps(kernel: int, rate: int, size: int) -> tuple[slice, int, int]:
    """The taps of a kernel that can meet one of `size` voxels, and the padding that they need on both sides.

    Kernels of even size look one voxel farther ahead than back, as in TensorFlow.
    """
    back, ahead = (kernel - 1) // 2, kernel // 2
    most = (size - 1) // rate
    kept = slice(back - min(back, most), back + min(ahead, most) + 1)
    return kept, min(back, most) * rate, min(ahead, most) * rate


def beside_each_other(slices: torch.Tensor, back: int, ahead: int, rate: int, cases: int) -> torch.Tensor:
    """For each slice the channels of those from `back` behind it to `ahead` of it, in steps of `rate`."""
    if not back and not ahead:
        return slices
    padded = functional.pad(slices, (0, 0, 0, 0, 0, 0, back * cases, ahead * cases))
    count = (back + ahead) // rate + 1
    return torch.cat([padded[tap * rate * cases :][: len(slices)] for tap in range(count)], dim=1)


class Keeping(nn.Module):
    """What makes kernels of its weights, and keeps them by the maps' size while `same_weights` holds."""

    kept: dict[Triple, Any] | None = None


class Conv(Keeping):
    """A 3D convolution that keeps the size, zero-padded, of windows kept as slices.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Taps along (slice, y, x).
    rate
        Dilation along all three.
    depthwise
        Whether each channel is filtered by itself; `outputs` must equal `inputs`.
    bias
        Whether a number is added per output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Triple = (1, 1, 1),
        *,
        rate: int = 1,
        depthwise: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.rate, self.depthwise = rate, depthwise
        self.weight = nn.Parameter(torch.empty(outputs, 1 if depthwise else inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        bound = math.sqrt(3 / math.prod(self.weight.shape[1:]))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, slices: torch.Tensor, depth: int) -> torch.Tensor:
        """(slice * case, channel, y, x) of windows of `depth` slices to the same with `outputs` channels."""
        _, back, ahead = taps(self.weight.shape[2], self.rate, depth)
        _, top, bottom = taps(self.weight.shape[3], self.rate, slices.shape[2])
        _, left, right = taps(self.weight.shape[4], self.rate, slices.shape[3])
        weights = self.useful((depth, slices.shape[2], slices.shape[3]))
        if top != bottom or left != right:
            slices = functional.pad(slices, (left, right, top, bottom))
            top = left = 0
        cases = len(slices) // depth
        if self.depthwise:
            return self._depthwise(slices, weights, (top, left), back // self.rate, cases)
        slices = beside_each_other(slices, back, ahead, self.rate, cases)
        return functional.conv2d(slices, weights[0], self.bias, padding=(top, left), dilation=self.rate)

    def useful(self, size: Triple) -> list[torch.Tensor]:
        """The weights whose taps meet voxels of maps of a size, as 2D kernels.

        Depthwise, one per tap along the limb; else one for all, (outputs, tap and input, y, x).
        """
        if self.kept is not None and size in self.kept:
            found: list[torch.Tensor] = self.kept[size]
            return found
        cuts = [taps(kernel, self.rate, n)[0] for kernel, n in zip(self.weight.shape[2:], size, strict=True)]
        weight = self.weight[:, :, cuts[0], cuts[1], cuts[2]]
        if self.depthwise:
            weights = [tap.contiguous() for tap in weight.unbind(2)]
        else:
            weights = [weight.transpose(1, 2).flatten(1, 2)]
        if self.kept is not None:
            self.kept[size] = weights
        return weights

    def _depthwise(
        self,
        slices: torch.Tensor,
        weights: list[torch.Tensor],
        padding: tuple[int, int],
        middle: int,
        cases: int,
    ) -> torch.Tensor:
        kind = torch.promote_types(slices.dtype, torch.float32)
        shifts = [(tap - middle) * self.rate * cases for tap in range(len(weights))]
        result: torch.Tensor = _ByChannel.apply(  # type: ignore[no-untyped-call]
            slices.to(kind), padding, self.rate, shifts, *[weight.to(kind) for weight in weights]
        )
        return result if self.bias is None else result + self.bias[:, None, None]


class _ByChannel(torch.autograd.Function):
    """Each channel filtered by itself: for each tap along the limb a 2D filter of slices so far ahead.

    What a tap adds goes where it belongs, forwards and backwards. Left to autograd it is padded with zeros
    first and then added, and a training step takes a tenth more. In float32 at least.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        slices: torch.Tensor,
        padding: tuple[int, int],
        rate: int,
        shifts: list[int],
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(slices, *weights)
        ctx.padding, ctx.rate, ctx.shifts = padding, rate, shifts
        groups = slices.shape[1]
        middle = shifts.index(0)
        # There is no autocast of tensors without data.
        with nullcontext() if slices.is_meta else torch.autocast(slices.device.type, enabled=False):
            result = functional.conv2d(slices, weights[middle], padding=padding, dilation=rate, groups=groups)
            for shift, weight in zip(shifts, weights, strict=True):
                if shift:
                    source, place = _shifted(len(slices), shift)
                    result[place] += functional.conv2d(
                        slices[source], weight, padding=padding, dilation=rate, groups=groups
                    )
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, of_result: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        slices, *weights = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], any(ctx.needs_input_grad[4:]), False]
        of_slices: torch.Tensor | None = None
        of_weights: list[torch.Tensor | None] = [None] * len(weights)
        # The middle tap first, whose gradient has all slices.
        for tap in sorted(range(len(weights)), key=lambda tap: abs(ctx.shifts[tap])):
            source, place = _shifted(len(slices), ctx.shifts[tap])
            part, of_weights[tap], _ = torch.ops.aten.convolution_backward(
                *(of_result[place], slices[source], weights[tap], None),
                *([1, 1], ctx.padding, [ctx.rate] * 2, False, [0, 0], slices.shape[1], wanted),
            )
            if of_slices is None:
                of_slices = part
            elif part is not None:
                of_slices[source] += part
        return of_slices, None, None, None, *of_weights


def _shifted(count: int, shift: int) -> tuple[slice, slice]:
    """Of `count` slices those that a tap sees, and those to which it adds what it makes of them."""
    return slice(max(shift, 0), count + min(shift, 0)), slice(max(-shift, 0), count - max(shift, 0))


@contextmanager
def same_weights(network: nn.Module) -> Iterator[None]:
    """While it holds, weights do not change, and are cut to the maps' sizes once for all windows.

    Gradients of many windows are then summed over what is left of the weights and not over all of them.
    """
    keeping = [module for module in network.modules() if isinstance(module, Keeping)]
    for module in keeping:
        module.kept = {}
    try:
        yield
    finally:
        for module in keeping:
            module.kept = None


class Norm(nn.Module):
    """Mean 0 and deviation 1 over the channels of each voxel (Ba et al. 2016), then a learned gain and shift.

    Voxel by voxel, so that nothing far away and no padding has a part in it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """(slice * case, channel, y, x) to the same."""
        result: torch.Tensor = self.norm(slices.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return result
