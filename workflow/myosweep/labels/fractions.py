"""How fractions of a structure are stored: uint8, 0 to 250 for 0 to 1, 255 where unknown."""

from __future__ import annotations

from pathlib import Path

from myosweep.io.volumes import Volume, read_volume

FULL = 250
UNKNOWN = 255


def read_fractions(path: str | Path) -> Volume:
    """Read fractions as (z, y, x, structure); of a single structure, a file does not tell that axis."""
    volume = read_volume(path)
    array = volume.array if volume.array.ndim == 4 else volume.array[..., None]
    return Volume(array, volume.grid, volume.metadata)
