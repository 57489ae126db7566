"""The outer layers of a leg: skin and deep fascia as height maps over (z, x)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import ConvexHull

from myosweep.phantom.anatomy import Leg

Floats = NDArray[np.float64]

STEP_MM = 2.0
HALF_WIDTH_MM = 96.0
LENGTH_MM = (-24.0, 424.0)


@dataclass(frozen=True)
class Skin:
    """Height maps of a right leg, y in mm; rows along z, columns along x.

    Attributes
    ----------
    step
        Distance between nodes in mm, the same along x and z.
    first_x, first_z
        Position of node (0, 0).
    skin, fascia, tendon
        Outside of the skin; crural fascia under the fat; thickness of the tendon behind the sheet.
    """

    step: float
    first_x: float
    first_z: float
    skin: Floats
    fascia: Floats
    tendon: Floats

    def skin_at(self, x: ArrayLike, z: ArrayLike) -> Floats:
        """y of the skin at (x, z) of a right leg."""
        x, z = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(z, np.float64))
        where = [(z - self.first_z) / self.step, (x - self.first_x) / self.step]
        values: Floats = map_coordinates(self.skin, where, order=1, mode="nearest")
        return values


def wrap_leg(leg: Leg, rng: np.random.Generator) -> Skin:
    """Lay fascia, fat and skin around a leg's muscles: an outline is convex across, smooth along the leg."""
    x = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1, STEP_MM)
    z = np.arange(LENGTH_MM[0], LENGTH_MM[1] + 1, STEP_MM)
    scale = leg.scale
    grid_x, grid_z = x[None, :] * scale, z[:, None] * scale
    back, _ = leg.surfaces(grid_x, grid_z)
    profile = leg.profile(z * scale)
    sheet = sum(profile[:, None, i] * grid_x**i for i in range(4)) / scale
    tendon = _tendon(leg, x, z)
    outside = np.maximum(np.abs(x) - 44, 0)[None, :] ** 2 * 0.012
    top = np.fmin(np.nanmin(np.where(np.isfinite(back), back, np.inf), axis=0) / scale, sheet - 1 - tendon)
    top = top + outside
    outline = np.stack([_convex_below(x, row) for row in top])
    fascia = gaussian_filter(outline, (8.0, 5.5), mode="nearest")
    fascia -= max(0.0, float((fascia - top)[12:-12, 16:-16].max()) + 0.4)
    wave = rng.uniform(0, 2 * np.pi, 2)
    along = 1 + 0.15 * np.sin(z / 70 + wave[0])
    across = 1 + 0.12 * np.sin(x / 30 + wave[1])
    fat = leg.fat_mm * along[:, None] * across[None, :]
    return Skin(
        STEP_MM * scale,
        float(x[0]) * scale,
        float(z[0]) * scale,
        (fascia - 1.6 - fat) * scale,
        fascia * scale,
        tendon * scale,
    )


def _tendon(leg: Leg, x: Floats, z: Floats) -> Floats:
    """Thickness of the tendon that the gastrocnemius ends in, from where GL ends to the heel."""
    _, gl, sol = leg.muscles
    along = np.clip((z - gl.end_mm + 60) / (sol.end_mm - gl.end_mm + 60), 0, 1.15)
    half = 34 - 26 * np.clip(along, 0, 1)
    q = np.clip(1 - (x[None, :] / half[:, None]) ** 2, 0, 1)
    thick: Floats = (1.0 + 4.5 * along[:, None] ** 2) * np.sqrt(q) * np.clip(along * 6, 0, 1)[:, None]
    return thick


def _convex_below(x: Floats, y: Floats) -> Floats:
    """The greatest convex function that nowhere exceeds y."""
    hull = ConvexHull(np.column_stack([x, y])).vertices
    lower = np.sort(hull)
    first, last = 0, len(x) - 1
    chord = y[first] + (y[last] - y[first]) * (x[lower] - x[first]) / (x[last] - x[first])
    lower = lower[(y[lower] <= chord + 1e-9) | (lower == first) | (lower == last)]
    values: Floats = np.interp(x, x[lower], y[lower])
    return values
