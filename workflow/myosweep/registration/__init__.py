"""Rigid registration of two volumes of one limb."""

from myosweep.registration.checks import Registration
from myosweep.registration.engines import ENGINES
from myosweep.registration.information import METRICS
from myosweep.registration.rigid import register
from myosweep.registration.shrinking import Shrunk, shrink
from myosweep.registration.similarity import information_correlation

__all__ = ["ENGINES", "METRICS", "Registration", "Shrunk", "information_correlation", "register", "shrink"]
