"""Confidence maps: how far each pixel of a B-mode image can be trusted, from the image alone."""

from myosweep.confidence.maps import confidence_map, confidence_volume
from myosweep.confidence.options import ConfidenceOptions

__all__ = ["ConfidenceOptions", "confidence_map", "confidence_volume"]
