"""Legs that differ as adults' legs do, drawn reproducibly."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np

from myosweep.errors import InputError
from myosweep.phantom.anatomy import BONE_EXPONENT, Bone, Leg, Muscle

# Round numbers of the order found in healthy young adults.
VOLUMES_ML = {"GM": 240.0, "GL": 140.0, "SOL": 480.0}


def seed_of(seed: int, case: str, *stream: int) -> np.random.SeedSequence:
    """Independent random streams of a case: no case changes when another is added."""
    digest = int.from_bytes(sha256(case.encode()).digest()[:16], "big")
    return np.random.SeedSequence([seed, digest, *stream])


def draw_leg(side: str, rng: np.random.Generator, scale: float = 1.0) -> Leg:
    """Draw a leg; the same generator gives a left leg that mirrors the right one.

    Raises
    ------
    InputError
        `side` is neither "left" nor "right".
    """
    if side not in ("left", "right"):
        raise InputError("simulate, side", repr(side), "left or right", "fill in the column `side`")

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    size = between(0.91, 1.09)
    volumes = {name: volume * size * between(0.95, 1.05) for name, volume in VOLUMES_ML.items()}
    stretch = size ** (1 / 3)
    gap = between(0.8, 1.2)
    gm_width, gl_width = 58 * stretch * between(0.97, 1.03), 49 * stretch * between(0.97, 1.03)
    septum = (gl_width - gm_width) / 2
    gm = Muscle(
        name="GM",
        start_mm=between(20, 28),
        length_mm=240 * stretch * between(0.97, 1.03),
        width_mm=gm_width,
        thickness_mm=1.0,
        rise=between(0.85, 1.0),
        fall=between(0.8, 1.0),
        width_power=between(0.40, 0.48),
        thickness_power=between(0.42, 0.52),
        lateral_power=between(0.18, 0.28),
        medial_power=between(0.6, 0.8),
        skew=between(-0.12, 0.12),
        skew_slope=between(-0.15, 0.15),
        inner_mm=septum + gap / 2,
        side=1,
        retreat=between(0.15, 0.3),
    )
    gl = Muscle(
        name="GL",
        start_mm=between(22, 30),
        length_mm=204 * stretch * between(0.97, 1.03),
        width_mm=gl_width,
        thickness_mm=1.0,
        rise=between(0.85, 1.0),
        fall=between(0.85, 1.05),
        width_power=between(0.40, 0.48),
        thickness_power=between(0.42, 0.52),
        lateral_power=between(0.6, 0.8),
        medial_power=between(0.18, 0.28),
        skew=between(-0.12, 0.12),
        skew_slope=between(-0.15, 0.15),
        inner_mm=septum - gap / 2,
        side=-1,
        retreat=between(0.15, 0.3),
    )
    sol = Muscle(
        name="SOL",
        start_mm=between(34, 42),
        length_mm=318 * stretch * between(0.98, 1.02),
        width_mm=102 * stretch * between(0.97, 1.03),
        thickness_mm=1.0,
        rise=between(0.8, 0.95),
        fall=between(0.95, 1.15),
        width_power=between(0.38, 0.46),
        thickness_power=between(0.42, 0.52),
        lateral_power=between(0.6, 0.8),
        medial_power=between(0.6, 0.8),
        skew=between(-0.15, 0.15),
        skew_slope=between(-0.2, 0.2),
        inner_mm=between(-1.5, 1.5),
        side=0,
        retreat=0.0,
    )
    muscles = tuple(
        replace(muscle, thickness_mm=volumes[muscle.name] / Muscle.volume_per_thickness(muscle))
        for muscle in (gm, gl, sol)
    )
    fat = between(3.5, 8.5)
    sheet = np.zeros((4, 3))
    # y = 0 is about the skin on the thickest part of the calf.
    sheet[0] = (fat + 1.1 * max(m.thickness_mm for m in muscles[:2]) + 4, between(-2, 2), between(-2, 1))
    sheet[1] = (between(-0.06, 0.06), between(-0.04, 0.04), 0)
    sheet[2] = (1 / (2 * between(100, 130)), between(-3e-4, 3e-4), 0)
    sheet[3] = (between(-6e-6, 6e-6), 0, 0)
    leg = Leg(
        side=side,
        scale=scale,
        mirror=1 if side == "right" else -1,
        gap_mm=gap,
        muscles=(muscles[0], muscles[1], muscles[2]),
        sheet=sheet,
        fat_mm=fat,
        bones=(Bone("tibia", 0, 0, 1, 1), Bone("fibula", 0, 0, 1, 1)),
    )
    tibia = _bone_below(leg, "tibia", between(18, 24), between(14, 16.5), between(12, 14), between(5, 9))
    fibula = _bone_below(leg, "fibula", -between(34, 39), between(6.5, 8), between(6.5, 8), between(2.5, 5))
    return replace(leg, bones=(tibia, fibula))


def _bone_below(
    leg: Leg, name: str, x: float, half_width: float, half_depth: float, clearance: float
) -> Bone:
    """A bone in front of the soleus, `clearance` mm from the muscle where they come closest along y."""
    across = np.linspace(-half_width, half_width, 41)
    z = np.linspace(0, 400, 101)
    _, front = leg.surfaces((x + across)[None, :] * leg.scale, z[:, None] * leg.scale)
    profile = leg.profile(z * leg.scale)
    sheet = sum(profile[:, None, i] * ((x + across) * leg.scale)[None, :] ** i for i in range(4))
    deepest = np.fmax(front[2], sheet) / leg.scale
    surface = half_depth * (1 - np.abs(across / half_width) ** BONE_EXPONENT) ** (1 / BONE_EXPONENT)
    y = float((deepest + surface).max()) + clearance
    return Bone(name, x, y, half_width, half_depth)
