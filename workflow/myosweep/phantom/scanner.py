"""B-mode images of a leg as a linear probe makes them.

Scatterers of random phase, as strong as their tissue, and smooth reflectors, as strong as they face the beam,
are blurred by the beam's width and the pulse's length, attenuated, amplified with depth, joined by the
receiver's noise, and shown as the logarithm of the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from myosweep.phantom import texture
from myosweep.phantom.anatomy import Leg
from myosweep.phantom.display import show
from myosweep.phantom.echo import sound
from myosweep.phantom.skin import Skin

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

DYNAMIC_RANGE_DB = 60.0
SOUND_MM_PER_US = 1.54
# Focal length over aperture, and cycles of a pulse: usual for linear arrays in B-mode.
F_NUMBER = 3.0
CYCLES = 3.0
FOCUS_MM = {"low": 45.0, "high": 25.0}
PROFILE_STEP_MM = 0.2
# Scan conversion and compounding of a few beams blur what is shown.
DISPLAY_SIGMA_MM = 0.22
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
    """A leg as the scanner reads it.

    Attributes
    ----------
    lattice
        The texture, from `draw_texture`.
    profile
        `Leg.profile` every PROFILE_STEP_MM from the skin's first z on.
    maps
        Skin, fascia and tendon of the skin, (3, z, x).
    bones
        x, y and half axes in mm, (bone, 4).
    vessels
        x, distance in front of the soleus, radius in mm, (vessel, 3).
    """

    leg: Leg
    skin: Skin
    lattice: Float32s
    profile: Floats
    maps: Floats
    bones: Floats
    vessels: Floats


def prepare_body(leg: Leg, skin: Skin, rng: np.random.Generator) -> Body:
    """Tabulate what the images need; vessels are drawn."""
    last = skin.first_z + skin.step * (len(skin.skin) - 1)
    z = np.arange(skin.first_z, last, PROFILE_STEP_MM)
    bones = [[b.x_mm, b.y_mm, b.half_width_mm, b.half_depth_mm] for b in leg.bones]
    tibia, fibula = leg.bones
    # The posterior tibial artery and vein, and the peroneal bundle.
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
        np.stack([skin.skin, skin.fascia, skin.tendon]),
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
    """Images (n, rows, columns), uint8, of frames at `image_to_leg` (n, 4, 4), pixel index to mm.

    Frames are made a few at a time, so that memory stays small; the random stream is read frame by frame, so
    that this leaves no trace.
    """
    rows, columns = shape
    count = len(image_to_leg)
    images = np.empty((count, rows, columns), np.uint8)
    axial = _kernel(scanner.axial_sigma_mm / spacing_mm)
    depths = (np.arange(rows) + 0.5).astype(np.float64) * spacing_mm
    lateral_sigmas = scanner.lateral_sigma_mm(depths) / spacing_mm
    radius = int(np.ceil(3 * lateral_sigmas.max()))
    lateral = np.stack([_kernel(sigma, radius) for sigma in lateral_sigmas])
    display = _kernel(DISPLAY_SIGMA_MM / spacing_mm)
    display /= display.sum()
    for first in range(0, count, FRAMES_AT_ONCE):
        block = slice(first, min(first + FRAMES_AT_ONCE, count))
        poses = np.ascontiguousarray(image_to_leg[block])
        noise = rng.standard_normal((len(poses), 2, rows, columns), dtype=np.float32)
        signal, receiver = sound(
            poses,
            noise,
            spacing_mm,
            body.leg.mirror,
            body.leg.gap_mm * body.leg.scale / 2,
            body.leg.edges,
            body.profile,
            PROFILE_STEP_MM,
            body.maps,
            body.skin.first_x,
            body.skin.first_z,
            body.skin.step,
            body.bones,
            body.vessels,
            body.lattice,
            texture.TISSUES,
            scanner.frequency_mhz,
            scanner.noise_db,
            scanner.gain_limit_db,
        )
        show(signal, receiver, noise, axial, lateral, display, DYNAMIC_RANGE_DB, images[block])
    return images


def _kernel(sigma: float, radius: int | None = None) -> Float32s:
    """A Gaussian that keeps the power of white noise."""
    if radius is None:
        radius = int(np.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / max(sigma, 0.05)) ** 2)
    kernel: Float32s = (weights / np.sqrt((weights**2).sum())).astype(np.float32)
    return kernel
