"""Windows over a volume: against MONAI, a function without context, and in memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from myosweep.training.windows import slide, slide_slices, starts_along, window_weights
from torch import nn

CPU = torch.device("cpu")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)).eval()


def volume(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "patch", "overlap"),
    [
        ((21, 30, 26), (8, 12, 10), 0.5),
        ((8, 12, 10), (8, 12, 10), 0.5),
        ((20, 7, 9), (8, 12, 10), 0.25),
        ((5, 30, 9), (8, 12, 10), 0.0),
        ((17, 13, 23), (6, 7, 5), 0.7),
    ],
)
def test_windows_are_weighted_as_monai_s(
    shape: tuple[int, ...], patch: tuple[int, int, int], overlap: float
) -> None:
    convolutions, channels = network(), volume(shape)
    with torch.inference_mode():
        expected = sliding_window_inference(
            torch.from_numpy(channels)[None],
            patch,
            1,
            lambda seen: torch.softmax(convolutions(seen), dim=1),
            overlap=overlap,
            mode="gaussian",
            sigma_scale=0.125,
        )[0].numpy()
    found = slide(convolutions, channels, patch, CPU, overlap)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(found, slide(convolutions, channels, patch, CPU, overlap))


def test_what_has_no_context_comes_back_as_it_is() -> None:
    """A 1 x 1 x 1 convolution says the same of a voxel in every window."""
    torch.manual_seed(0)
    pointwise, channels = nn.Conv3d(2, 3, 1), volume((19, 11, 14))
    with torch.inference_mode():
        expected = torch.softmax(pointwise(torch.from_numpy(channels)[None]), dim=1)[0].numpy()
    np.testing.assert_allclose(slide(pointwise, channels, (6, 6, 6), CPU), expected, atol=1e-6)


def test_around_a_small_volume_there_is_nothing() -> None:
    convolutions, channels = network(), volume((4, 5, 6))
    padded = np.zeros((2, 8, 8, 8), dtype=np.float32)
    padded[:, 2:6, 1:6, 1:7] = channels
    expected = slide(convolutions, padded, (8, 8, 8), CPU)[:, 2:6, 1:6, 1:7]
    np.testing.assert_array_equal(slide(convolutions, channels, (8, 8, 8), CPU), expected)


def test_windows_reach_both_ends_and_leave_nothing_out() -> None:
    assert starts_along(10, 4, 0.5) == [0, 2, 4, 6]
    assert starts_along(11, 4, 0.5) == [0, 2, 4, 6, 7]
    assert starts_along(4, 4, 0.5) == starts_along(3, 4, 0.5) == [0]
    assert window_weights((9, 9, 9)).min() == np.float32(1e-3)


class Endless:
    """A volume that exists where it is read."""

    def __init__(self, slices: int) -> None:
        self.shape = (1, slices, 32, 32)

    def __getitem__(self, index: Any) -> Any:
        part = index[1]
        return np.ones((1, part.stop - part.start, 32, 32), dtype=np.float32)


def test_memory_does_not_grow_with_the_slices() -> None:
    pointwise = nn.Conv3d(1, 2, 1)

    def peak(slices: int) -> int:
        tracemalloc.start()
        seen = [index for index, _ in slide_slices(pointwise, Endless(slices), (8, 16, 16), CPU)]
        assert seen == list(range(slices))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(8)
    assert peak(320) < peak(40) + 50_000
