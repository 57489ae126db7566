"""The echo of a leg before the beam blurs it: the scanner's inner loop.

Coordinates are those of a right leg, mm. Compiled functions take arrays only: `profile` is `Leg.profile` on a
fine lattice along z, `maps` are the skin's height maps, `tissues` is `texture.TISSUES`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from myosweep.phantom.anatomy import BONE_EXPONENT
from myosweep.phantom.texture import (
    ATTENUATION,
    BLOOD,
    CONNECTIVE,
    CONTRAST,
    FAT,
    FIBRE,
    GEL,
    GRAIN,
    LEVEL,
    LINES,
    OTHER_MUSCLE,
    SKIN,
    TENDON,
    TEXTURE_SIZE,
)

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

SKIN_MM = 1.6
# Half thickness of a reflecting surface, and how far from the perpendicular (sine) a beam still sees it.
SURFACE_MM = 0.35
MUSCLE_FACING, FASCIA_FACING, SKIN_FACING, BONE_FACING = 0.15, 0.2, 0.45, 0.3


@numba.njit(cache=True)
def grain(lattice: Float32s, x: float, y: float, z: float) -> Any:
    """Trilinear reading of the periodic lattice."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    dx, dy, dz = x - fx, y - fy, z - fz
    x0, y0, z0 = int(fx) % TEXTURE_SIZE, int(fy) % TEXTURE_SIZE, int(fz) % TEXTURE_SIZE
    x1, y1, z1 = (x0 + 1) % TEXTURE_SIZE, (y0 + 1) % TEXTURE_SIZE, (z0 + 1) % TEXTURE_SIZE
    a = lattice[z0, y0, x0] * (1 - dx) + lattice[z0, y0, x1] * dx
    b = lattice[z0, y1, x0] * (1 - dx) + lattice[z0, y1, x1] * dx
    c = lattice[z1, y0, x0] * (1 - dx) + lattice[z1, y0, x1] * dx
    d = lattice[z1, y1, x0] * (1 - dx) + lattice[z1, y1, x1] * dx
    return (a * (1 - dy) + b * dy) * (1 - dz) + (c * (1 - dy) + d * dy) * dz


@numba.njit(cache=True)
def glint(distance: float, slope: float, bx: float, by: float, facing: float, half_mm: float) -> Any:
    """Amplitude 0..1 of a smooth surface y(x) with `slope`, `distance` along y away, for a beam (bx, by)."""
    norm = 1 + slope * slope
    away = distance * distance / norm / (half_mm * half_mm)
    if away > 9:
        return 0.0
    along = by - bx * slope
    sine2 = 1 - along * along / norm
    return np.exp(-0.5 * away - 0.5 * sine2 / (facing * facing))


@numba.njit(cache=True)
def read_map(values: Floats, row: float, column: float) -> Any:
    """Bilinear reading of a height map."""
    j, i = int(row), int(column)
    v, u = row - j, column - i
    upper = values[j, i] * (1 - u) + values[j, i + 1] * u
    lower = values[j + 1, i] * (1 - u) + values[j + 1, i + 1] * u
    return upper * (1 - v) + lower * v


@numba.njit(cache=True)
def muscles(
    x: float, y: float, bx: float, by: float, row: Floats, edges: Floats, half_gap: float, patch: float
) -> Any:
    """Tissue (0: no muscle), echo of surfaces, y below the sheet, front of SOL, distance beside GM and GL."""
    below = y - (row[0] + x * (row[1] + x * (row[2] + x * row[3])))
    slant = row[1] + x * (2 * row[2] + 3 * x * row[3])
    tissue, bright, covered, front, beside = 0, 0.0, 0.0, 0.0, 1e9
    for n in range(3):
        half = row[5 + 4 * n]
        if half <= 0.2:
            continue
        s = (x - row[4 + 4 * n]) / half
        if n < 2:
            beside = min(beside, (abs(s) - 1) * half)
        if s <= -1 or s >= 1:
            continue
        skew, off = row[7 + 4 * n], s - edges[n, 2]
        plain = row[6 + 4 * n] * (1 + s) ** edges[n, 0] * (1 - s) ** edges[n, 1]
        thick = plain * (1 + skew * off)
        change = (plain * skew + thick * (edges[n, 0] / (1 + s) - edges[n, 1] / (1 - s))) / half
        covered = max(covered, min(1.0, thick / 3))
        way = 1 if n == 2 else -1
        depth = way * below - half_gap
        if 0 < depth < thick:
            tissue = n + 1
        bright += 0.32 * patch * glint(depth - thick, slant + way * change, bx, by, MUSCLE_FACING, SURFACE_MM)
        if n == 2:
            front = half_gap + thick
            # The tendinous sheet inside the soleus.
            if thick > 8:
                bright += (
                    0.12
                    * patch
                    * np.exp(-(((x - 4) / 24) ** 4))
                    * glint(depth - 0.48 * thick, slant + 0.4 * change, bx, by, MUSCLE_FACING, SURFACE_MM)
                )
    sheet = 0.45 * covered * (0.35 + 0.65 * patch)
    bright += sheet * glint(below, slant, bx, by, MUSCLE_FACING, max(half_gap / 2, SURFACE_MM))
    return tissue, bright, below, front, beside


@numba.njit(cache=True)
def between_muscles(
    x: float,
    under_skin: float,
    under_fascia: float,
    below: float,
    front: float,
    beside: float,
    tendon: float,
    half_gap: float,
    patch: float,
    vessels: Floats,
) -> Any:
    """Tissue of a point that is in no muscle of ours."""
    if under_skin < SKIN_MM:
        return SKIN
    if under_fascia < 0:
        return FAT
    if -tendon - half_gap < below < half_gap and tendon > 0.3:
        return TENDON
    if below < half_gap:
        # Loose tissue between and beside the heads, fat further out.
        return CONNECTIVE if beside < 1 + 6 * patch or below > -2.5 else FAT
    for n in range(vessels.shape[0]):
        away = np.hypot(x - vessels[n, 0], below - front - vessels[n, 1])
        if away < vessels[n, 2]:
            return BLOOD
        if away < vessels[n, 2] + 0.6:
            return CONNECTIVE
    return OTHER_MUSCLE


@numba.njit(cache=True)
def bone_slope(x: float, y: float, bones: Floats) -> Any:
    """Slope of the back of the bone that (x, y) lies in; NaN outside bone."""
    for n in range(bones.shape[0]):
        across = abs(x - bones[n, 0]) / bones[n, 2]
        deep = abs(y - bones[n, 1]) / bones[n, 3]
        if across < 1 and deep < 1 and across**BONE_EXPONENT + deep**BONE_EXPONENT < 1:
            power = BONE_EXPONENT - 1
            lift = (1 - across**BONE_EXPONENT) ** (1 / BONE_EXPONENT - 1) * across**power
            return lift * bones[n, 3] / bones[n, 2] * (1.0 if x > bones[n, 0] else -1.0)
    return np.nan


@numba.njit(cache=True)
def sound(
    poses: Floats,
    noise: Float32s,
    spacing: float,
    mirror: int,
    half_gap: float,
    edges: Floats,
    profile: Floats,
    profile_step: float,
    maps: Floats,
    map_x: float,
    map_z: float,
    map_step: float,
    bones: Floats,
    vessels: Floats,
    lattice: Float32s,
    tissues: Floats,
    frequency: float,
    noise_db: float,
    gain_limit_db: float,
) -> tuple[Float32s, Float32s]:
    """Complex echo (n, 2, rows, columns), and the amplitude of the receiver's noise by row.

    `poses` map pixels to mm, `noise` is white, (n, 2, rows, columns); `profile` and `maps` begin at `map_z`.
    """
    count, _, rows, columns = noise.shape
    signal = np.empty((count, 2, rows, columns), np.float32)
    gains = np.minimum(2 * 0.5 * frequency * np.arange(rows) * spacing / 10, gain_limit_db)
    receiver = (10 ** ((noise_db + gains) / 20)).astype(np.float32)
    nepers = np.log(10.0) / 20
    _, nz, nx = maps.shape
    row = np.empty(profile.shape[1])
    for f in range(count):
        m = poses[f]
        bx, by = mirror * m[0, 1] / spacing, m[1, 1] / spacing
        for c in range(columns):
            # What the way down has cost, dB; how far the beam is inside bone, mm (-1: not yet).
            lost, in_bone = 0.0, -1.0
            # The outer elements of an array see less.
            edge = -2.5 * max(0.0, 1 - min(c, columns - 1 - c) / columns / 0.08)
            for r in range(rows):
                x = mirror * (m[0, 0] * c + m[0, 1] * r + m[0, 3])
                y = m[1, 0] * c + m[1, 1] * r + m[1, 3]
                z = m[2, 0] * c + m[2, 1] * r + m[2, 3]
                u = min(max((x - map_x) / map_step, 0.0), nx - 1.001)
                v = min(max((z - map_z) / map_step, 0.0), nz - 1.001)
                under_skin = y - read_map(maps[0], v, u)
                tissue, bright = GEL, 0.0
                if under_skin > -1.5:
                    under_fascia = y - read_map(maps[1], v, u)
                    j, i = int(v), int(u)
                    outline = (maps[1, j, i + 1] - maps[1, j, i]) / map_step
                    bright = 0.35 * glint(under_skin, outline, bx, by, SKIN_FACING, SURFACE_MM)
                if under_skin >= 0:
                    w = min(max((z - map_z) / profile_step, 0.0), profile.shape[0] - 1.001)
                    k = int(w)
                    w -= k
                    for n in range(row.size):
                        row[n] = profile[k, n] * (1 - w) + profile[k + 1, n] * w
                    # Surfaces are not seen everywhere, even where they face the beam.
                    patch = min(max(0.65 + 0.55 * grain(lattice, x / 14, 7.3, z / 30), 0.04), 1.2)
                    tissue, shine, below, front, beside = muscles(x, y, bx, by, row, edges, half_gap, patch)
                    bright += shine
                    bright += (
                        0.3
                        * (0.4 + 0.6 * patch)
                        * glint(under_fascia, outline, bx, by, FASCIA_FACING, SURFACE_MM)
                    )
                    if tissue == 0:
                        tendon = read_map(maps[2], v, u)
                        tissue = between_muscles(
                            x,
                            under_skin,
                            under_fascia,
                            below,
                            front,
                            beside,
                            tendon,
                            half_gap,
                            patch,
                            vessels,
                        )
                    if in_bone < 0:
                        slope = bone_slope(x, y, bones)
                        if not np.isnan(slope):
                            in_bone = 0.0
                            bright += 0.25 + 2.5 * glint(0.0, slope, bx, by, BONE_FACING, 1.0)
                look = tissues[tissue]
                amount = 0.0
                if tissue != GEL:
                    lean = y + look[FIBRE] * x
                    fine = grain(lattice, x / look[GRAIN], lean / look[GRAIN + 1], z / look[GRAIN + 2])
                    coarse = grain(lattice, x / 10 + 11, y / 8, z / 25)
                    # Connective tissue lies where the noise changes its sign: thin, long, wavy lines.
                    line = np.exp(-25 * fine * fine) * min(max(0.55 + 0.6 * coarse, 0.0), 1.3)
                    amount = look[CONTRAST] * (0.6 * coarse + 0.5 * fine) + look[LINES] * line
                here = gains[r] - lost + edge
                diffuse = np.exp(nepers * (look[LEVEL] + amount + here))
                clear = 0.0
                if bright > 1e-4:
                    clear = 0.35 * bright * np.exp(nepers * here)
                if in_bone >= 0:
                    # A strong echo of the surface, then reverberation that fades.
                    sharp = np.exp(-in_bone / 0.45)
                    clear *= sharp
                    if in_bone > 0:
                        clear += 0.25 * sharp * np.exp(nepers * here)
                    diffuse *= max(sharp, 0.45 * np.exp(-in_bone / 9))
                    in_bone += spacing
                    lost += 2 * 0.6 * frequency * spacing / 10
                else:
                    lost += 2 * look[ATTENUATION] * frequency * spacing / 10
                re, im = noise[f, 0, r, c], noise[f, 1, r, c]
                signal[f, 0, r, c] = diffuse * re + clear * (1 + 0.35 * re)
                signal[f, 1, r, c] = diffuse * im + clear * 0.35 * im
    return signal, receiver
