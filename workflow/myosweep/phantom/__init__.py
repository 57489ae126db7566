"""Simulated sweeps of a lower leg with exact truth."""

from myosweep.phantom.cohort import simulate_case
from myosweep.phantom.settings import DEFAULTS, PRESETS

__all__ = ["DEFAULTS", "PRESETS", "simulate_case"]
