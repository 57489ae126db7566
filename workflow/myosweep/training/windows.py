"""Probabilities of a volume from overlapping windows, in memory that does not grow with its slices."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from myosweep.training.data import padding
from myosweep.training.device import LAYOUT
from myosweep.training.lattice import Floats
from myosweep.training.propagation import Volume

# Standard deviation of the weights as a part of the window's edge, and the least of them, since what only a
# window's corner sees must be divided by its weight: as in MONAI and nnU-Net (Isensee et al. 2021).
SIGMA = 0.125
LEAST_WEIGHT = 1e-3


def starts_along(count: int, edge: int, overlap: float) -> list[int]:
    """Where windows of `edge` voxels begin along an axis of `count`, the last one at its end."""
    step = max(int(edge * (1 - overlap)), 1)
    last = max(count - edge, 0)
    return [*range(0, last, step), last]


def window_weights(patch: Sequence[int]) -> Floats:
    """Gaussian weights (z, y, x) of a window: the middle counts most, where the network sees most around."""
    z, y, x = (
        np.exp(-0.5 * ((np.arange(edge) - (edge - 1) / 2) / (SIGMA * edge)) ** 2).astype(np.float32)
        for edge in patch
    )
    weights: Floats = np.maximum(z[:, None, None] * y[:, None] * x, np.float32(LEAST_WEIGHT))
    return weights


def slide_slices(
    network: nn.Module,
    channels: Volume,
    patch: Sequence[int],
    device: torch.device,
    overlap: float = 0.5,
) -> Iterator[tuple[int, Floats]]:
    """Probabilities slice by slice, the mean of the windows that hold a voxel, weighted by `window_weights`.

    In memory are a slab of `patch[0]` slices of the input and of the classes' sums, whatever the number of
    slices. Windows come in the order of z, y and x.

    Parameters
    ----------
    network
        In evaluation mode, on the device; it gives logits.
    channels
        (channel, z, y, x), float32; read as `channels[:, low:high]`. Around a volume that is smaller than a
        window there is 0.
    patch
        Voxels of a window along (z, y, x), multiples of the network's.
    device
        Where it computes.
    overlap
        The part of a window that the next one sees again, 0 to below 1.

    Yields
    ------
    Slice and probabilities there, (class, y, x), in order.
    """
    count, depth, height, width = channels.shape
    size = [max(pair) for pair in zip((depth, height, width), patch, strict=True)]
    inner = padding((depth, height, width), size)
    places = [starts_along(whole, edge, overlap) for whole, edge in zip(size, patch, strict=True)]
    weights = window_weights(patch)
    edge_z, edge_y, edge_x = patch
    slab = np.zeros((count, edge_z, *size[1:]), dtype=np.float32)
    # For each slice of the slab the weighted sums of the classes, and the sum of weights in the last place.
    sums: deque[Floats] = deque()
    ends = [*places[0][1:], size[0]]
    for low, final in zip(places[0], ends, strict=True):
        first, stop = max(low - inner[0].start, 0), min(low + edge_z - inner[0].start, depth)
        part = slice(first + inner[0].start - low, stop + inner[0].start - low)
        slab[:, part, inner[1], inner[2]] = channels[:, first:stop]
        for y in places[1]:
            for x in places[2]:
                seen = slab[:, :, y : y + edge_y, x : x + edge_x]
                found = _softmax(network, seen, device)
                while len(sums) < edge_z:
                    sums.append(np.zeros((len(found) + 1, *size[1:]), dtype=np.float32))
                for plane, scores, weight in zip(sums, found.swapaxes(0, 1), weights, strict=True):
                    plane[:-1, y : y + edge_y, x : x + edge_x] += scores * weight
                    plane[-1, y : y + edge_y, x : x + edge_x] += weight
        for index in range(low, final):
            plane = sums.popleft()[:, inner[1], inner[2]]
            if inner[0].start <= index < inner[0].stop:
                yield index - inner[0].start, plane[:-1] / plane[-1]


def slide(
    network: nn.Module,
    channels: Floats,
    patch: Sequence[int],
    device: torch.device,
    overlap: float = 0.5,
) -> Floats:
    """Probabilities (class, z, y, x) of a whole volume; see `slide_slices`."""
    planes = [scores for _, scores in slide_slices(network, channels, patch, device, overlap)]
    return np.stack(planes, axis=1)


def _softmax(network: nn.Module, channels: Floats, device: torch.device) -> Floats:
    batch = torch.from_numpy(np.ascontiguousarray(channels))[None].to(device, memory_format=LAYOUT)
    with torch.inference_mode():
        logits = network(batch)
    found: Floats = torch.softmax(logits[0].float(), dim=0).cpu().numpy()
    return found
