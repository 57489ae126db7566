"""One encoder over slices, a memory along them, and a decoder for each of two tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from myosweep.networks.modules.conv_lstm import ConvLSTM, State
from myosweep.networks.modules.residual_blocks import ResidualBlock


@dataclass(frozen=True)
class Pass:
    """What a pass over some slices gave.

    Attributes
    ----------
    segmentation
        Logits (case, class, z, y, x), or None where they were not asked for.
    reconstruction
        The image (case, 1, z, y, x), or None.
    state
        Of the memory's cells after the last slice; where the next slices go on.
    """

    segmentation: torch.Tensor | None
    reconstruction: torch.Tensor | None
    state: list[State]


class Decoder(nn.Module):
    """The encoder's mirror image: up by a 2 x 2 transposed convolution, the skipped maps beside, a block.

    Parameters
    ----------
    widths
        The encoder's, from the finest on.
    in_maps
        Maps of the input.
    out_maps
        Maps of the last 1 x 1 convolution.
    separable, norm
        See `ResidualBlock`.
    skips
        Whether the encoder's maps are joined.
    dropout
        Share dropped between a block and the next.
    pool_after_last
        Whether the input is half as large as the encoder's coarsest maps; else the first block does not
        enlarge.
    """

    def __init__(
        self,
        widths: Sequence[int],
        in_maps: int,
        out_maps: int,
        *,
        separable: bool,
        norm: str,
        skips: bool,
        dropout: float,
        pool_after_last: bool,
    ) -> None:
        super().__init__()
        self.skips = skips
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            enlarge = pool_after_last or level < len(widths) - 1
            self.ups.append(nn.ConvTranspose2d(in_maps, width, 2, stride=2) if enlarge else nn.Identity())
            inside = width if enlarge else in_maps
            self.blocks.append(ResidualBlock(inside + skips * width, width, separable=separable, norm=norm))
            in_maps = width
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(in_maps, out_maps, 1)

    def forward(self, images: torch.Tensor, skipped: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode (image, in_maps, y, x); `skipped` from the finest on."""
        for level, (up, block) in enumerate(zip(self.ups, self.blocks, strict=True)):
            images = up(self.dropout(images) if level else images)
            if self.skips:
                images = torch.cat((images, skipped[-1 - level]), dim=1)
            images = block(images)
        result: torch.Tensor = self.head(images)
        return result


def windows_of(slices: int, window: int) -> list[slice]:
    """Windows of so many slices one after the other, the last one shorter.

    A single slice that is left over goes with the window before it: norms that take a window's statistics
    have too little to go by in one, and none where its deepest maps are a single pixel.
    """
    starts = list(range(0, slices, window))
    if window > 1 and len(starts) > 1 and slices - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], slices], strict=True)]


class TwoDecoders(nn.Module):
    """The network of `networks.unet_s_r_clstm`, which tells what is what and why.

    Every slice (z) is encoded by itself; ConvLSTM cells run along z at the bottleneck, from slice 0 up; both
    decoders read what the memory gives. Slices are taken `window` at a time and the memory's state goes from
    window to window, so memory of the machine does not grow with the sequence. In evaluation mode the result
    is that of the whole sequence at once, unless norms take a window's statistics.

    Parameters
    ----------
    in_channels
        Channels of the input.
    out_channels
        Classes.
    widths
        Maps per block of the encoder, from the finest on.
    separable, norm, dropout, pool_after_last
        See `Decoder`.
    memory_cells, memory_kernel
        ConvLSTM cells, as wide as the last block, and the edge of their convolutions in pixels.
    reconstruction
        Whether there is a decoder for the image.
    reconstruction_skips
        Whether that decoder is given the encoder's maps.
    window
        Slices at a time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        widths: Sequence[int],
        separable: bool,
        norm: str,
        memory_cells: int,
        memory_kernel: int,
        reconstruction: bool,
        reconstruction_skips: bool,
        dropout: float,
        pool_after_last: bool,
        window: int,
    ) -> None:
        super().__init__()
        self.window = window
        self.pool_after_last = pool_after_last
        before = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            ResidualBlock(a, b, separable=separable, norm=norm) for a, b in zip(before, widths, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        width = widths[-1]
        self.memory = nn.ModuleList(ConvLSTM(width, width, memory_kernel) for _ in range(memory_cells))

        def decoder(out_maps: int, skips: bool) -> Decoder:
            return Decoder(
                widths,
                width,
                out_maps,
                separable=separable,
                norm=norm,
                skips=skips,
                dropout=dropout,
                pool_after_last=pool_after_last,
            )

        self.segmentation = decoder(out_channels, skips=True)
        self.reconstruction = decoder(1, skips=reconstruction_skips) if reconstruction else None

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Map (case, channel, z, y, x) to logits (case, class, z, y, x); y and x multiples of the pooling."""
        state: list[State] | None = None
        logits = []
        for _, part in self.windows(channels):
            result = self.run(part, state)
            assert result.segmentation is not None
            logits.append(result.segmentation)
            state = result.state
        return torch.cat(logits, dim=2)

    def windows(self, channels: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Parts of `channels` in their order, and which slices they are: see `windows_of`."""
        for part in windows_of(channels.shape[2], self.window):
            yield part, channels[:, :, part]

    def run(
        self,
        channels: torch.Tensor,
        state: Sequence[State] | None = None,
        *,
        segment: bool = True,
        reconstruct: bool = False,
    ) -> Pass:
        """Pass over some slices (case, channel, z, y, x) in one go, from the state that others left.

        Raises
        ------
        RuntimeError
            `reconstruct`, and the network has no decoder for the image.
        """
        if reconstruct and self.reconstruction is None:
            raise RuntimeError("this network was built without a decoder for the image")
        cases, slices = channels.shape[0], channels.shape[2]
        images = channels.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        skipped = []
        for level, block in enumerate(self.encoder):
            images = block(images)
            skipped.append(images)
            if self.pool_after_last or level < len(self.encoder) - 1:
                images = max_pool2d(images, 2)
            images = self.dropout(images)
        after = []
        if self.memory:
            sequence = images.reshape(cases, slices, *images.shape[1:])
            for index, cell in enumerate(self.memory):
                sequence, left = cell(sequence, state[index] if state else None)
                after.append(left)
            images = sequence.flatten(0, 1)

        def decoded(decoder: nn.Module | None) -> torch.Tensor:
            assert decoder is not None
            result: torch.Tensor = decoder(images, skipped)
            return result.reshape(cases, slices, *result.shape[1:]).transpose(1, 2)

        return Pass(
            decoded(self.segmentation) if segment else None,
            decoded(self.reconstruction) if reconstruct else None,
            after,
        )
