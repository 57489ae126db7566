"""What tissue looks like to ultrasound: levels in dB, attenuation, and a texture that is fixed in the leg."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TEXTURE_SIZE = 32

# Tissues of the scanner's kernel; the muscles keep their labels.
GEL, GM, GL, SOL, SKIN, FAT, CONNECTIVE, OTHER_MUSCLE, TENDON, BLOOD = range(10)

# Level of the scatterers in dB below full white, by tissue.
LEVELS_DB = np.array([-95.0, -43.5, -41.5, -46.0, -22.0, -48.0, -36.5, -42.0, -28.0, -66.0])
# How far the grain moves that level, dB per unit of noise, and how far connective lines stand out, dB.
CONTRAST_DB = np.array([0.0, 4.0, 4.5, 4.0, 1.5, 2.5, 3.0, 4.0, 4.0, 0.0])
LINES_DB = np.array([0.0, 13.0, 12.0, 13.0, 0.0, 19.0, 5.0, 8.0, 4.0, 0.0])
# Attenuation in dB per cm and MHz, one way: fat and muscle after Culjat et al. 2010, table 1, rounded; a gel pad.
ATTENUATION = np.array([0.25, 0.5, 0.5, 0.5, 0.6, 0.45, 0.55, 0.5, 0.7, 0.15])
# Period of the texture's lattice in mm across, along the beam, and along the leg; slope of fibres in the image.
GRAIN_MM = np.array(
    [
        [1.0, 1.0, 1.0],
        [5.0, 1.25, 16.0],
        [4.6, 1.15, 14.0],
        [6.0, 1.5, 18.0],
        [3.0, 0.8, 8.0],
        [9.0, 2.2, 16.0],
        [4.0, 1.2, 12.0],
        [3.5, 2.4, 14.0],
        [1.2, 0.6, 40.0],
        [2.0, 2.0, 2.0],
    ]
)
FIBRE_SLOPE = np.array([0.0, 0.20, -0.25, 0.08, 0.0, 0.06, 0.0, -0.1, 0.0, 0.0])


def draw_texture(rng: np.random.Generator) -> NDArray[np.float32]:
    """A periodic lattice (32, 32, 32) of unit Gaussian noise, to be read with linear interpolation."""
    return rng.standard_normal((TEXTURE_SIZE,) * 3, dtype=np.float32)
