"""The network of `networks.daf3d`: a dilated ResNeXt, a pyramid, and attention to what its levels share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from myosweep.networks.modules.linear_resize import linear_resize

GROUPS = 32
PYRAMID = 128
REFINED = 64
RATES = (1, 6, 12, 18)


def _step(in_maps: int, maps: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv3d(in_maps, maps, kernel, padding=kernel // 2), nn.GroupNorm(GROUPS, maps), nn.PReLU()]


def _three(in_maps: int) -> list[nn.Module]:
    """1 x 1 x 1 and twice 3 x 3 x 3, each with norm and PReLU."""
    return [*_step(in_maps, REFINED, 1), *_step(REFINED, REFINED, 3), *_step(REFINED, REFINED, 3)]


def _attention(in_maps: int) -> nn.Sequential:
    """As `_three`, but a sigmoid in place of the last norm and PReLU."""
    return nn.Sequential(*_three(in_maps)[:-2], nn.Sigmoid())


class Bottleneck(nn.Module):
    """A residual block of ResNeXt (Xie et al. 2017): 1 x 1 x 1, 3 x 3 x 3 in 32 groups, 1 x 1 x 1.

    Parameters
    ----------
    in_maps, maps
        Maps in, and inside; twice as many come out.
    stride
        Along (z, y, x).
    dilation
        Of the middle convolution.
    """

    def __init__(self, in_maps: int, maps: int, stride: tuple[int, int, int], dilation: int) -> None:
        super().__init__()
        self.activation = nn.PReLU()
        self.body = nn.Sequential(
            nn.Conv3d(in_maps, maps, 1, bias=False),
            nn.GroupNorm(GROUPS, maps),
            self.activation,
            nn.Conv3d(
                maps,
                maps,
                3,
                stride=stride,
                padding=dilation,
                dilation=dilation,
                groups=GROUPS,
                bias=False,
            ),
            nn.GroupNorm(GROUPS, maps),
            self.activation,
            nn.Conv3d(maps, 2 * maps, 1, bias=False),
            nn.GroupNorm(GROUPS, 2 * maps),
        )
        same = in_maps == 2 * maps and stride == (1, 1, 1)
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv3d(in_maps, 2 * maps, 1, stride=stride, bias=False), nn.GroupNorm(GROUPS, 2 * maps)
            )
        )

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Map (case, in_maps, z, y, x) to (case, 2 maps, z, y, x), strided."""
        result: torch.Tensor = self.activation(self.body(volume) + self.shortcut(volume))
        return result


def _halved(volume: torch.Tensor) -> torch.Tensor:
    """The largest of 3 x 3 x 3 at every second voxel.

    In two steps: the gradient of torch's own pooling in 3D is not deterministic on every GPU.
    """
    cases, maps, z, y, x = volume.shape
    plane = max_pool2d(volume.reshape(cases, maps * z, y, x), 3, stride=2, padding=1)
    y, x = plane.shape[2:]
    line = max_pool2d(plane.reshape(cases, maps, z, y * x), (3, 1), stride=(2, 1), padding=(1, 0))
    return line.reshape(cases, maps, line.shape[2], y, x)


class AttentivePyramid(nn.Module):
    """DAF3D.

    Parameters
    ----------
    in_channels
        Channels of the input.
    out_channels
        Classes.
    width
        Maps of the first convolution, a multiple of 32.
    blocks
        Residual blocks in each of four stages.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(in_channels, width, 7, stride=(1, 2, 2), padding=3, bias=False),
            nn.GroupNorm(GROUPS, width),
            nn.PReLU(),
        )
        self.stages = nn.ModuleList()
        before = width
        for level, count in enumerate(blocks):
            maps = width * 2 ** (level + 1)
            stage = []
            for index in range(count):
                stride = (1, 2, 2) if level == 1 and index == 0 else (1, 1, 1)
                stage.append(Bottleneck(before, maps, stride, dilation=2 if level >= 2 else 1))
                before = 2 * maps
            self.stages.append(nn.Sequential(*stage))
        outs = [width * 2 ** (level + 2) for level in range(len(blocks))]
        self.lateral = nn.ModuleList(nn.Sequential(*_step(out, PYRAMID, 1)) for out in outs)
        self.fuse = nn.Sequential(*_three(4 * PYRAMID))
        self.attention = nn.ModuleList(_attention(PYRAMID + REFINED) for _ in outs)
        self.refine = nn.ModuleList(nn.Sequential(*_three(PYRAMID + REFINED)) for _ in outs)
        self.join = nn.Sequential(*_step(4 * REFINED, REFINED, 1))
        self.atrous = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(REFINED, REFINED, 3, padding=(1, rate, rate), dilation=(1, rate, rate)),
                nn.GroupNorm(GROUPS, REFINED),
            )
            for rate in RATES
        )
        self.gather = nn.Sequential(
            nn.Conv3d(len(RATES) * REFINED, REFINED, 1), nn.GroupNorm(GROUPS, REFINED)
        )
        self.pyramid_heads = nn.ModuleList(nn.Conv3d(PYRAMID, out_channels, 1) for _ in outs)
        self.refined_heads = nn.ModuleList(nn.Conv3d(REFINED, out_channels, 1) for _ in outs)
        self.head = nn.Conv3d(REFINED, out_channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Map (case, channel, z, y, x) to logits (case, class, z, y, x)."""
        _, _, joined = self._features(channels)
        return self._final(joined, channels.shape[2:])

    def outputs(self, channels: torch.Tensor) -> list[torch.Tensor]:
        """Nine logits (case, class, z, y, x).

        Of the levels of the pyramid and of the refined ones, each from fine to coarse, and the final.
        """
        pyramid, refined, joined = self._features(channels)
        shape = channels.shape[2:]
        heads = [*self.pyramid_heads, *self.refined_heads]
        early = [
            linear_resize(head(level), shape) for head, level in zip(heads, [*pyramid, *refined], strict=True)
        ]
        return [*early, self._final(joined, shape)]

    def _features(
        self, channels: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        volume = _halved(self.stem(channels))
        levels = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            volume = stage(volume)
            levels.append(lateral(volume))
        for level in range(len(levels) - 2, -1, -1):
            levels[level] = levels[level] + linear_resize(levels[level + 1], levels[level].shape[2:])
        pyramid = [linear_resize(level, levels[0].shape[2:]) for level in levels]
        shared = self.fuse(torch.cat(pyramid, dim=1))
        refined = []
        for own, attend, refine in zip(pyramid, self.attention, self.refine, strict=True):
            weight = attend(torch.cat((own, shared), dim=1))
            refined.append(refine(torch.cat((own, weight * shared), dim=1)))
        return pyramid, refined, self.join(torch.cat(refined, dim=1))

    def _final(self, joined: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        context = self.gather(torch.cat([branch(joined) for branch in self.atrous], dim=1))
        return linear_resize(self.head(context), shape)
