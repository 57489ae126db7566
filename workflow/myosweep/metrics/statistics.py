"""Agreement between measured and reference values (Bland and Altman 1986 and 1999)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FEWEST_CASES = 3


@dataclass(frozen=True)
class Agreement:
    """How measured values agree with reference values; a value that cannot be had from so few pairs is NaN.

    Attributes
    ----------
    n
        Number of pairs.
    bias
        Mean difference, measured minus reference, in the values' unit (per cent where relative).
    sd
        Standard deviation of the differences (n - 1), same unit.
    low, high
        95 % limits for the difference of one further pair: bias -+ t sd sqrt(1 + 1/n), with t the 97.5 %
        point of Student's distribution of n - 1 degrees of freedom. For many pairs these are Bland and
        Altman's limits of agreement, bias -+ 1.96 sd; for few pairs those are too narrow (Bland and Altman
        1999, section 2; Ludbrook 2010).
    mean_absolute
        Mean of the absolute differences, same unit.
    r
        Pearson's correlation of measured and reference values.
    """

    n: int
    bias: float
    sd: float
    low: float
    high: float
    mean_absolute: float
    r: float


def agreement(measured: Sequence[float], reference: Sequence[float], *, relative: bool = False) -> Agreement:
    """Bland-Altman statistics of pairs.

    Parameters
    ----------
    measured, reference
        Values of the same length; pairs with a value that is not finite are left out.
    relative
        Take each difference in per cent of its reference; pairs whose reference is not positive are left out.
    """
    ours, theirs = np.asarray(measured, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    keep = np.isfinite(ours) & np.isfinite(theirs)
    if relative:
        keep &= theirs > 0
    ours, theirs = ours[keep], theirs[keep]
    differences = 100.0 * (ours - theirs) / theirs if relative else ours - theirs
    n = len(differences)
    bias = float(differences.mean()) if n else math.nan
    sd = float(differences.std(ddof=1)) if n > 1 else math.nan
    half = float(stats.t.ppf(0.975, n - 1)) * sd * math.sqrt(1 + 1 / n) if n > 1 else math.nan
    mean_absolute = float(np.abs(differences).mean()) if n else math.nan
    return Agreement(n, bias, sd, bias - half, bias + half, mean_absolute, _correlation(ours, theirs))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def true_volume_interval(volume_ml: float, agreed: Agreement) -> tuple[float, float] | None:
    """Bounds in ml between which the true volume lies with 95 % probability, given one measured volume.

    With low and high the limits of the relative error of the same source and structure, the measured volume
    is between (1 + low) and (1 + high) times the true one, hence the true one between volume / (1 + high)
    and volume / (1 + low).

    Parameters
    ----------
    volume_ml
        The measured volume.
    agreed
        Of `agreement(..., relative=True)` over the cases that have a reference.

    Returns
    -------
    None where fewer than three cases have a reference, or where they scatter so much that there is no upper
    bound (the lower limit of the error reaches -100 %).
    """
    if agreed.n < FEWEST_CASES or not agreed.low > -100.0:
        return None
    return volume_ml / (1 + agreed.high / 100.0), volume_ml / (1 + agreed.low / 100.0)
