"""Random numbers as a function of the seed and of what they are for.

Nothing depends on how many numbers were drawn before, so a training that goes on after a stop draws the same
ones.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed from 0 to 2^63 - 1 for one purpose (`"order", epoch`)."""
    text = ":".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator for one purpose."""
    return np.random.default_rng(derived_seed(seed, *purpose))
