"""How a confidence map is made: the settings of its graph and of what lies at its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from myosweep.errors import InputError

Method = Literal["random_walk", "directed"]
Sink = Literal["all", "middle", "minimum", "mask", "everywhere"]
Normalisation = Literal["image", "fixed"]

LEAST_BOTTOM = 1e-6

# Differences of this part of the values are what computing left of equal ones.
ROUNDING = 1e-10


@dataclass(frozen=True)
class ConfidenceOptions:
    """Settings of a confidence map; the defaults are those of the authors' code and of MONAI.

    For maps that agree where images overlap, and are not 0 at the far end where sound still reaches it, take
    the sink `everywhere` and the normalisation `fixed`: of one recorded limb's frame, two parts of 300
    columns that share 140 differed there by 0.003 in the mean, by 0.004 with the sink `all`, and by 0.052
    with the defaults; cut off at two thirds of its depth it changed by 0.02, 0.09 and 0.15.

    Attributes
    ----------
    method
        `random_walk`: Karamalis et al. 2012; `directed`: row by row, each from the one above it (Hung et al.
        2020).
    alpha
        Attenuation along the depth of the image, without unit.
    beta
        Sensitivity to differences between neighbours; random walk only.
    gamma
        Additional cost of a step that is not along the beam; random walk only.
    sink
        Where a random walk ends in vain. `all`: at the far end of every beam; `middle`: at the end of the
        middle beam alone; `minimum`: at the darkest of the ends, the outer tenths left out (the two of
        MONAI's transform, the first of them of the thesis, appendix A.1); `mask`: in pixels that the call
        gives; `everywhere`: nowhere in particular, every pixel absorbs a little, so that nothing hangs on
        where an image ends.
    normalisation
        `image`: grey values and their differences are scaled by their largest in each image, so that its
        brightness does not matter; `fixed`: by `white`, so that maps of different images can be compared.
    white
        The grey value that counts as 1 where the normalisation is fixed.
    bottom
        Confidence left at the end of the longest beam in a homogeneous image; for the directed method and
        for the sink `everywhere`.

    Raises
    ------
    InputError
        A number is negative or not finite, `white` is 0, `bottom` not from 1e-6 to less than 1, or a word
        is unknown.
    """

    method: Method = "random_walk"
    alpha: float = 2.0
    beta: float = 90.0
    gamma: float = 0.05
    sink: Sink = "all"
    normalisation: Normalisation = "image"
    white: float = 255.0
    bottom: float = 0.1

    def __post_init__(self) -> None:
        words = (("method", Method), ("sink", Sink), ("normalisation", Normalisation))
        for name, allowed in words:
            if getattr(self, name) not in get_args(allowed):
                raise InputError(
                    f"confidence: {name}",
                    f"{getattr(self, name)!r}",
                    " or ".join(get_args(allowed)),
                    "correct the setting",
                )
        ranges = (
            ("alpha", self.alpha >= 0.0, "a number of at least 0"),
            ("beta", self.beta >= 0.0, "a number of at least 0"),
            ("gamma", self.gamma >= 0.0, "a number of at least 0"),
            ("white", self.white > 0.0, "a number of more than 0"),
            ("bottom", LEAST_BOTTOM <= self.bottom < 1.0, f"{LEAST_BOTTOM} or more, less than 1"),
        )
        for name, sound, expected in ranges:
            value = getattr(self, name)
            if not (sound and math.isfinite(value)):
                raise InputError(f"confidence: {name}", f"{value:g}", expected, "correct the setting")
