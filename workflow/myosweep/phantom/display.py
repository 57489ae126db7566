"""From echoes to grey levels."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]


@numba.njit(cache=True)
def show(
    signal: Float32s,
    receiver: Float32s,
    noise: Float32s,
    axial: Float32s,
    lateral: Float32s,
    display: Float32s,
    range_db: float,
    images: NDArray[np.uint8],
) -> None:
    """Blur by pulse and beam, add the receiver's noise, detect, blur for the display, compress to 8 bits.

    `axial` is one kernel, `lateral` one per row, `display` one that sums to 1; `images` is filled.
    """
    count, _, rows, columns = signal.shape
    reach, side, near = len(axial) // 2, lateral.shape[1] // 2, len(display) // 2
    pulse = np.empty((2, columns), np.float32)
    line = np.empty((2, columns), np.float32)
    envelope = np.empty((rows, columns), np.float32)
    across = np.empty((rows, columns), np.float32)
    total = np.empty(columns, np.float32)
    per_db = np.float32(255.0 / range_db)
    for f in range(count):
        for r in range(rows):
            pulse[:] = 0
            for k in range(max(-reach, -r), min(reach, rows - 1 - r) + 1):
                weight = axial[k + reach]
                for part in range(2):
                    for c in range(columns):
                        pulse[part, c] += weight * signal[f, part, r + k, c]
            line[:] = 0
            for k in range(-side, side + 1):
                weight = lateral[r, k + side]
                if weight < 1e-4:
                    continue
                for part in range(2):
                    for c in range(max(0, -k), min(columns, columns - k)):
                        line[part, c] += weight * pulse[part, c + k]
            for c in range(columns):
                re = line[0, c] + receiver[r] * noise[f, 1, r, c]
                im = line[1, c] + receiver[r] * noise[f, 0, r, c]
                envelope[r, c] = np.sqrt(re * re + im * im)
            total[:] = 0
            across[r] = 0
            for k in range(-near, near + 1):
                low, high = max(0, -k), min(columns, columns - k)
                for c in range(low, high):
                    across[r, c] += display[k + near] * envelope[r, c + k]
                    total[c] += display[k + near]
            for c in range(columns):
                across[r, c] /= total[c]
        for r in range(rows):
            pulse[0] = 0
            weights = np.float32(0)
            for k in range(max(-near, -r), min(near, rows - 1 - r) + 1):
                weights += display[k + near]
                for c in range(columns):
                    pulse[0, c] += display[k + near] * across[r + k, c]
            for c in range(columns):
                level = np.float32(20) * np.log10(pulse[0, c] / weights + np.float32(1e-6))
                grey = np.float32(255.5) + per_db * level
                images[f, r, c] = np.uint8(min(max(grey, np.float32(0)), np.float32(255)))
