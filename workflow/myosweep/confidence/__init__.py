"""Confidence maps: how far each pixel of a B-mode image can be trusted, from the image alone."""

from myosweep.confidence.maps import confidence_map, confidence_volume

__all__ = ["confidence_map", "confidence_volume"]
