"""PG-Net as the thesis compares with it (II.2.4): IFSS-Net without the memory module."""

from __future__ import annotations

from dataclasses import dataclass

from myosweep.networks import ifssnet
from myosweep.networks.ifssnet import TRAINING, build, multiple, objective

__all__ = ["TRAINING", "Settings", "build", "multiple", "objective"]


@dataclass(frozen=True)
class Settings(ifssnet.Settings):
    """Settings of IFSS-Net; `memory` is `none`."""

    memory: str = "none"
