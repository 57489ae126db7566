"""bfloat16 on a processor, without the convolutions whose gradients come out wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (torch.conv2d, torch.conv3d, torch.conv_transpose2d, torch.conv_transpose3d)
_AFTER_PADDING = dict.fromkeys(
    (torch.conv_transpose2d, torch.conv_transpose3d), ("output_padding", "groups", "dilation")
)


class FaultyInFloat32(TorchFunctionMode):
    """Convolutions of maps narrower than the filter, and dilated ones by channel, are computed in float32.

    Of such the gradient of the filter is wrong in bfloat16 with oneDNN (torch 2.13, processors with
    avx512_bf16): what lay in memory before, not numbers, or the end of the process. Measured wrong were 3
    wide filters on 2 voxels, 5 wide ones on 1 to 4 and 7 wide ones on 1 to 6, with a stride of 2 also those
    on 1, and transposed ones alike; never those on as many voxels as the filter is wide, unless they are
    dilated and by channel. float32 is right throughout. So small maps cost next to nothing.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, in float32 where it is a convolution with wrong gradients."""
        kwargs = dict(kwargs or {})
        if func not in CONVOLUTIONS:
            return func(*args, **kwargs)
        names = ("input", "weight", "bias")
        places = (*names, "stride", "padding", *_AFTER_PADDING.get(func, ("dilation", "groups")))
        maps = {**kwargs, **dict(zip(places, args, strict=False))}
        given, weight = maps["input"], maps["weight"]
        narrow = any(size < edge for size, edge in zip(given.shape[2:], weight.shape[2:], strict=True))
        by_channel = maps.get("groups", 1) > 1 and weight.shape[1] == 1
        if not (narrow or (by_channel and _largest(maps.get("dilation", 1)) > 1)):
            return func(*args, **kwargs)
        with torch.autocast(given.device.type, enabled=False):
            full = {name: value.float() for name in names if (value := maps.get(name)) is not None}
            rest = {key: value for key, value in kwargs.items() if key not in names}
            return func(full["input"], full["weight"], full.get("bias"), *args[3:], **rest)


def _largest(dilation: int | Sequence[int]) -> int:
    return dilation if isinstance(dilation, int) else max(dilation)
