"""B-mode images of a leg as a linear probe makes them.

Scatterers of random phase, as strong as their tissue, and smooth reflectors, as strong as they face the beam, are
blurred by the beam's width and the pulse's length, attenuated, amplified with depth, joined by the receiver's
noise, and shown as the logarithm of the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from myosweep.phantom import texture
from myosweep.phantom.anatomy import Leg
from myosweep.phantom.skin import Skin

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

DYNAMIC_RANGE_DB = 60.0
SOUND_MM_PER_US = 1.54
# Focal length over aperture, and cycles of a pulse: usual for linear arrays in B-mode.
F_NUMBER = 3.0
CYCLES = 2.0
FOCUS_MM = {"low": 45.0, "high": 25.0}
PROFILE_STEP_MM = 0.2
# Scan conversion and compounding of a few beams blur what is shown.
DISPLAY_SIGMA_MM = 0.26
FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class Scanner:
    """A probe at one setting.

    Attributes
    ----------
    frequency_mhz
        Centre frequency.
    focus_mm
        Depth where the beam is narrowest.
    noise_db
        Level of the receiver's noise before amplification, relative to full white.
    gain_limit_db
        The most that depth is amplified.
    """

    frequency_mhz: float
    focus_mm: float
    noise_db: float = -104.0
    gain_limit_db: float = 48.0

    @property
    def axial_sigma_mm(self) -> float:
        """Standard deviation of the pulse's envelope."""
        return CYCLES * SOUND_MM_PER_US / self.frequency_mhz / 2 / 2.355

    def lateral_sigma_mm(self, depth_mm: Floats) -> Floats:
        """Standard deviation of the beam at a depth: diffraction at the focus, spread around it."""
        narrow = F_NUMBER * SOUND_MM_PER_US / self.frequency_mhz / 2.355
        spread = 0.4 * (depth_mm - self.focus_mm) / self.focus_mm
        values: Floats = narrow * np.sqrt(1 + np.minimum(spread**2 * 4, 3.0))
        return values


@dataclass(frozen=True)
class Body:
    """A leg as the kernel reads it."""

    leg: Leg
    skin: Skin
    texture: Float32s
    profile: Floats
    first_z: float
    bones: Floats
    vessels: Floats


def prepare_body(leg: Leg, skin: Skin, rng: np.random.Generator) -> Body:
    """Tabulate what the images need; vessels are drawn."""
    last = skin.first_z + skin.step * (len(skin.skin) - 1)
    z = np.arange(skin.first_z, last, PROFILE_STEP_MM)
    bones = [[b.x_mm, b.y_mm, b.half_width_mm, b.half_depth_mm] for b in leg.bones]
    tibia, fibula = leg.bones
    # Posterior tibial and peroneal bundles in front of the soleus, small saphenous vein behind the septum:
    # x, distance in front of the soleus (or behind the sheet, negative), radius.
    vessels = [
        [tibia.x_mm - 16 + rng.uniform(-2, 2), 3.4, rng.uniform(1.3, 1.9)],
        [tibia.x_mm - 21 + rng.uniform(-1, 1), 4.0, rng.uniform(1.0, 1.4)],
        [fibula.x_mm + 15 + rng.uniform(-2, 2), 3.2, rng.uniform(1.2, 1.7)],
    ]
    return Body(
        leg,
        skin,
        texture.draw_texture(rng),
        leg.profile(z),
        skin.first_z,
        np.array(bones) * leg.scale,
        np.array(vessels) * leg.scale,
    )


def scan(
    body: Body,
    scanner: Scanner,
    image_to_leg: Floats,
    shape: tuple[int, int],
    spacing_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Images of frames at `image_to_leg` (n, 4, 4), pixel index to leg coordinates in mm; uint8 (n, rows, columns).

    Frames are made a few at a time, so that memory stays small; the random stream is read frame by frame, so
    that this leaves no trace.
    """
    rows, columns = shape
    count = len(image_to_leg)
    images = np.empty((count, rows, columns), np.uint8)
    axial = _kernel(scanner.axial_sigma_mm / spacing_mm)
    lateral_sigmas = scanner.lateral_sigma_mm((np.arange(rows) + 0.5) * spacing_mm) / spacing_mm
    radius = int(np.ceil(3 * lateral_sigmas.max()))
    lateral = np.stack([_kernel(sigma, radius) for sigma in lateral_sigmas])
    display = _kernel(DISPLAY_SIGMA_MM / spacing_mm)
    display /= display.sum()
    scale = body.leg.scale
    for first in range(0, count, FRAMES_AT_ONCE):
        block = slice(first, min(first + FRAMES_AT_ONCE, count))
        poses = np.ascontiguousarray(image_to_leg[block])
        noise = rng.standard_normal((len(poses), 2, rows, columns), dtype=np.float32)
        signal, receiver = _sound(
            poses,
            noise,
            spacing_mm,
            body.leg.mirror,
            body.leg.gap_mm * scale / 2,
            body.leg.edges,
            body.profile,
            body.first_z,
            PROFILE_STEP_MM,
            body.skin.skin,
            body.skin.fascia,
            body.skin.tendon,
            body.skin.first_x,
            body.skin.first_z,
            body.skin.step,
            body.bones,
            body.vessels,
            body.texture,
            texture.LEVELS_DB,
            texture.CONTRAST_DB,
            texture.LINES_DB,
            texture.ATTENUATION,
            texture.GRAIN_MM,
            texture.FIBRE_SLOPE,
            scanner.frequency_mhz,
            scanner.noise_db,
            scanner.gain_limit_db,
        )
        _show(signal, receiver, noise, axial, lateral, display, DYNAMIC_RANGE_DB, images[block])
    return images


def _kernel(sigma: float, radius: int | None = None) -> Float32s:
    """A Gaussian that keeps the power of white noise."""
    if radius is None:
        radius = int(np.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / max(sigma, 0.05)) ** 2)
    return (weights / np.sqrt((weights**2).sum())).astype(np.float32)


@numba.njit(cache=True, inline="always")
def _grain(lattice: Float32s, x: float, y: float, z: float) -> float:
    """Trilinear reading of the periodic lattice."""
    size = 32
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    dx, dy, dz = x - fx, y - fy, z - fz
    x0, y0, z0 = int(fx) % size, int(fy) % size, int(fz) % size
    x1, y1, z1 = (x0 + 1) % size, (y0 + 1) % size, (z0 + 1) % size
    a = lattice[z0, y0, x0] * (1 - dx) + lattice[z0, y0, x1] * dx
    b = lattice[z0, y1, x0] * (1 - dx) + lattice[z0, y1, x1] * dx
    c = lattice[z1, y0, x0] * (1 - dx) + lattice[z1, y0, x1] * dx
    d = lattice[z1, y1, x0] * (1 - dx) + lattice[z1, y1, x1] * dx
    return (a * (1 - dy) + b * dy) * (1 - dz) + (c * (1 - dy) + d * dy) * dz


@numba.njit(cache=True, inline="always")
def _glint(distance: float, slope: float, bx: float, by: float, half_mm: float, spread: float) -> float:
    """Amplitude 0..1 of a smooth surface y(x) with `slope`, at a vertical `distance`, for a beam (bx, by)."""
    norm = 1 + slope * slope
    away = distance * distance / norm / (half_mm * half_mm)
    if away > 9:
        return 0.0
    facing = by - bx * slope
    sine2 = 1 - facing * facing / norm
    return np.exp(-0.5 * away - 0.5 * sine2 / (spread * spread))


@numba.njit(cache=True)
def _sound(
    poses,
    noise,
    spacing,
    mirror,
    half_gap,
    edges,
    profile,
    profile_z,
    profile_step,
    skin_map,
    fascia_map,
    tendon_map,
    map_x,
    map_z,
    map_step,
    bones,
    vessels,
    lattice,
    levels,
    contrast,
    lines,
    attenuation,
    grain,
    fibre,
    frequency,
    noise_db,
    gain_limit,
):  # type: ignore[no-untyped-def]
    """Complex echo (n, 2, rows, columns) and amplitude of the receiver's noise by row."""
    count, _, rows, columns = noise.shape
    signal = np.empty((count, 2, rows, columns), np.float32)
    receiver = np.empty(rows, np.float32)
    gains = np.empty(rows)
    # Amplified for the usual tissue, up to a limit.
    for r in range(rows):
        gains[r] = min(2 * 0.5 * frequency * r * spacing / 10, gain_limit)
        receiver[r] = 10 ** ((noise_db + gains[r]) / 20)
    to_nepers = np.log(10.0) / 20
    row_count = profile.shape[0]
    nz, nx = skin_map.shape
    rim = 0.5 * max(half_gap, 0.35)
    values = np.empty(16)
    for f in range(count):
        m = poses[f]
        bx, by = mirror * m[0, 1] / spacing, m[1, 1] / spacing
        for c in range(columns):
            lost = 0.0
            in_bone = -1.0
            # The outer elements of an array see less.
            margin = min(c, columns - 1 - c) / columns
            edge = -2.5 * max(0.0, 1 - margin / 0.08)
            for r in range(rows):
                x = mirror * (m[0, 0] * c + m[0, 1] * r + m[0, 3])
                y = m[1, 0] * c + m[1, 1] * r + m[1, 3]
                z = m[2, 0] * c + m[2, 1] * r + m[2, 3]
                # Height maps, bilinear.
                u = min(max((x - map_x) / map_step, 0.0), nx - 1.001)
                v = min(max((z - map_z) / map_step, 0.0), nz - 1.001)
                i, j = int(u), int(v)
                u -= i
                v -= j
                w00, w01, w10, w11 = (1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u
                skin = (
                    w00 * skin_map[j, i]
                    + w01 * skin_map[j, i + 1]
                    + w10 * skin_map[j + 1, i]
                    + w11 * skin_map[j + 1, i + 1]
                )
                tissue = 0
                bright = 0.0
                if y >= skin - 1.5:
                    fascia = (
                        w00 * fascia_map[j, i]
                        + w01 * fascia_map[j, i + 1]
                        + w10 * fascia_map[j + 1, i]
                        + w11 * fascia_map[j + 1, i + 1]
                    )
                    outline = (
                        (fascia_map[j, i + 1] - fascia_map[j, i]) * (1 - v)
                        + (fascia_map[j + 1, i + 1] - fascia_map[j + 1, i]) * v
                    ) / map_step
                    bright += 0.35 * _glint(y - skin, outline, bx, by, 0.35, 0.45)
                    if y >= skin:
                        # Everything that depends on z alone.
                        w = min(max((z - profile_z) / profile_step, 0.0), row_count - 1.001)
                        k = int(w)
                        w -= k
                        for n in range(16):
                            values[n] = profile[k, n] * (1 - w) + profile[k + 1, n] * w
                        sheet = values[0] + x * (values[1] + x * (values[2] + x * values[3]))
                        slant = values[1] + x * (2 * values[2] + 3 * x * values[3])
                        below = y - sheet
                        nearest_gap = 1e9
                        front = 0.0
                        covered = 0.0
                        patch = 0.65 + 0.55 * _grain(lattice, x / 14.0, 7.3, z / 30.0)
                        patch = min(max(patch, 0.04), 1.2)
                        for n in range(3):
                            half = values[5 + 4 * n]
                            if half <= 0.2:
                                continue
                            s = (x - values[4 + 4 * n]) / half
                            if n < 2:
                                nearest_gap = min(nearest_gap, (abs(s) - 1) * half)
                            if s <= -1 or s >= 1:
                                continue
                            k3, s3 = values[7 + 4 * n], s - edges[n, 2]
                            body = values[6 + 4 * n] * (1 + s) ** edges[n, 0] * (1 - s) ** edges[n, 1]
                            thick = body * (1 + k3 * s3)
                            change = body * k3 + thick * (edges[n, 0] / (1 + s) - edges[n, 1] / (1 - s))
                            change /= half
                            covered = max(covered, min(1.0, thick / 3.0))
                            if n == 2:
                                depth = below - half_gap
                                far = sheet + half_gap + thick
                                turn = slant + change
                                front = half_gap + thick
                                inner = 0.55 * _glint(
                                    below - half_gap - 0.48 * thick, slant + 0.4 * change, bx, by, 0.3, 0.12
                                )
                                if abs(x - 4) < 26 and thick > 8:
                                    bright += 0.22 * inner * patch
                            else:
                                depth = -below - half_gap
                                far = sheet - half_gap - thick
                                turn = slant - change
                            if 0 < depth < thick:
                                tissue = n + 1
                            bright += 0.32 * patch * _glint(y - far, turn, bx, by, 0.35, 0.15)
                        # The sheet itself: thick, bright, double where the fascia is wide.
                        ribbon = 0.45 * covered * (0.35 + 0.65 * patch)
                        bright += ribbon * _glint(below, slant, bx, by, max(rim, 0.35), 0.15)
                        bright += 0.3 * (0.4 + 0.6 * patch) * _glint(y - fascia, outline, bx, by, 0.35, 0.2)
                        if tissue == 0:
                            tendon = (
                                w00 * tendon_map[j, i]
                                + w01 * tendon_map[j, i + 1]
                                + w10 * tendon_map[j + 1, i]
                                + w11 * tendon_map[j + 1, i + 1]
                            )
                            if y < skin + 1.6:
                                tissue = 4
                            elif y < fascia:
                                tissue = 5
                            elif -tendon - half_gap < below < half_gap and tendon > 0.3:
                                tissue = 8
                            elif below < front and below > half_gap:
                                tissue = 7
                            elif below < half_gap:
                                # Loose tissue between and beside the heads, fat further out.
                                tissue = 6 if nearest_gap < 1 + 6 * patch or below > -2.5 else 5
                            else:
                                tissue = 7
                        for n in range(vessels.shape[0]):
                            if tissue == 7:
                                ox = x - vessels[n, 0]
                                oy = below - front - vessels[n, 1]
                                away = np.sqrt(ox * ox + oy * oy)
                                if away < vessels[n, 2]:
                                    tissue = 9
                                elif away < vessels[n, 2] + 0.6:
                                    tissue = 6
                        if in_bone < 0:
                            for n in range(bones.shape[0]):
                                ox = abs(x - bones[n, 0]) / bones[n, 2]
                                oy = abs(y - bones[n, 1]) / bones[n, 3]
                                if ox < 1 and oy < 1 and ox**2.5 + oy**2.5 < 1:
                                    in_bone = 0.0
                            if in_bone >= 0:
                                # Cortical bone: a strong echo, then nothing.
                                slope = 0.0
                                for n in range(bones.shape[0]):
                                    ox = (x - bones[n, 0]) / bones[n, 2]
                                    if abs(ox) < 0.999:
                                        lift = (1 - abs(ox) ** 2.5) ** (-0.6) * abs(ox) ** 1.5
                                        slope = lift * bones[n, 3] / bones[n, 2] * (1 if ox > 0 else -1)
                                bright += 0.25 + 2.5 * _glint(0.0, slope, bx, by, 1.0, 0.3)
                amount = 0.0
                if tissue > 0:
                    lean = y + fibre[tissue] * x
                    fine = _grain(lattice, x / grain[tissue, 0], lean / grain[tissue, 1], z / grain[tissue, 2])
                    coarse = _grain(lattice, x / 10.0 + 11, y / 8.0, z / 25.0)
                    # Connective tissue lies where the noise changes its sign: thin, long, wavy lines.
                    line = np.exp(-fine * fine * 25) * min(max(0.55 + 0.6 * coarse, 0.0), 1.3)
                    amount = contrast[tissue] * (0.6 * coarse + 0.5 * fine) + lines[tissue] * line
                level = levels[tissue] + amount + edge - lost + gains[r]
                strength = np.exp(to_nepers * level)
                mirror_like = 0.0
                if bright > 1e-4:
                    mirror_like = 0.35 * bright * np.exp(to_nepers * (gains[r] - lost + edge))
                if in_bone >= 0:
                    dim = np.exp(-in_bone / 0.45)
                    if in_bone > 0:
                        mirror_like = mirror_like * dim + 0.25 * dim * np.exp(to_nepers * (gains[r] - lost))
                    # Reverberation fades below the surface.
                    strength *= max(dim, 0.45 * np.exp(-in_bone / 9.0))
                    in_bone += spacing
                    lost += 2 * 0.6 * frequency * spacing / 10
                else:
                    lost += 2 * attenuation[tissue] * frequency * spacing / 10
                re, im = noise[f, 0, r, c], noise[f, 1, r, c]
                signal[f, 0, r, c] = strength * re + mirror_like * (1 + 0.35 * re)
                signal[f, 1, r, c] = strength * im + mirror_like * 0.35 * im
    return signal, receiver


@numba.njit(cache=True)
def _show(signal, receiver, noise, axial, lateral, display, range_db, images):  # type: ignore[no-untyped-def]
    """Blur by pulse and beam, add the receiver's noise, detect, blur for the display, compress to 8 bits."""
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
