"""Settings that networks with levels share: their checks, and what they ask of a volume's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from myosweep.errors import InputError


def check_levels(network: str, channels: Sequence[int], strides: Sequence[Any], least: int = 1) -> None:
    """Check the feature maps per level, and that a stride lies between each level and the next.

    Raises
    ------
    InputError
        Fewer than two levels or than `least` maps in one, or another number of strides.
    """
    if len(channels) < 2 or any(type(count) is not int or count < least for count in channels):
        raise InputError(
            f"settings of {network}, channels",
            f"{list(channels)}",
            f"two or more numbers from {least}",
            "give one per level",
        )
    if len(strides) != len(channels) - 1:
        raise InputError(
            f"settings of {network}, strides",
            f"{len(strides)} for {len(channels)} levels",
            "one fewer than channels",
            "give one stride between each level and the next",
        )
    if any(edge < 1 for stride in each_axis(strides) for edge in stride):
        raise InputError(
            f"settings of {network}, strides", f"{list(strides)}", "whole numbers from 1", "correct it"
        )


def check_dropout(network: str, dropout: float) -> None:
    """Raise InputError unless `dropout` is a share from 0 to below 1."""
    if not 0 <= dropout < 1:
        raise InputError(
            f"settings of {network}, dropout", f"{dropout}", "a share from 0 to below 1", "correct it"
        )


def each_axis(strides: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Every stride along (z, y, x)."""
    z_y_x = np.array([np.broadcast_to(stride, 3) for stride in strides])
    return [(int(z), int(y), int(x)) for z, y, x in z_y_x]


def multiple_of_strides(strides: Sequence[Any]) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    z, y, x = np.prod(each_axis(strides), axis=0)
    return int(z), int(y), int(x)
