"""Muscle volumes from tracked freehand 3D ultrasound."""

__version__ = "0.1.0"
