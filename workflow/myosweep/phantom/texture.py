"""What tissue looks like to ultrasound: levels in dB, attenuation, and a texture that is fixed in the leg."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEXTURE_SIZE = 32

# Tissues of the scanner's kernel; the muscles keep their labels.
GEL, GM, GL, SOL, SKIN, FAT, CONNECTIVE, OTHER_MUSCLE, TENDON, BLOOD = range(10)

# Columns of TISSUES: level of the scatterers in dB below full white; how far the grain moves it, dB per unit
# of noise; how far connective lines stand out, dB; attenuation one way, dB per cm and MHz, near the 0.5 that
# is usual for soft tissue; slope of the fibres in the image; step of the lattice in mm across, along the beam
# and along the leg.
LEVEL, CONTRAST, LINES, ATTENUATION, FIBRE, GRAIN = range(6)
TISSUES = np.array(
    [
        [-95.0, 0.0, 0.0, 0.25, 0.0, 1.0, 1.0, 1.0],
        [-43.5, 4.0, 13.0, 0.50, 0.20, 5.0, 1.25, 16.0],
        [-41.5, 4.5, 12.0, 0.50, -0.25, 4.6, 1.15, 14.0],
        [-46.0, 4.0, 13.0, 0.50, 0.08, 6.0, 1.5, 18.0],
        [-22.0, 1.5, 0.0, 0.60, 0.0, 3.0, 0.8, 8.0],
        [-48.0, 2.5, 19.0, 0.45, 0.06, 9.0, 2.2, 16.0],
        [-36.5, 3.0, 5.0, 0.55, 0.0, 4.0, 1.2, 12.0],
        [-42.0, 4.0, 8.0, 0.50, -0.1, 3.5, 2.4, 14.0],
        [-28.0, 4.0, 4.0, 0.70, 0.0, 1.2, 0.6, 40.0],
        [-66.0, 0.0, 0.0, 0.15, 0.0, 2.0, 2.0, 2.0],
    ]
)


def draw_texture(rng: np.random.Generator) -> NDArray[np.float32]:
    """A periodic lattice (32, 32, 32) of unit Gaussian noise, to be read with linear interpolation."""
    return rng.standard_normal((TEXTURE_SIZE,) * 3, dtype=np.float32)
