"""The anatomy of a lower leg in closed form.

Leg coordinates, mm: x towards the patient's left, y from the back of the calf to its front (the depth that
an ultrasound beam takes), z towards the foot. Inside, everything is described for the right leg (the medial
side, where GM lies, at positive x) and mirrored for the left one.

Seen along z, a muscle lies between two surfaces that differ by its thickness

    t(s, z) = T(z) (1 + s)^p (1 - s)^r (1 + k(z) (s - m)),    s = (x - c(z)) / (w(z) / 2) in [-1, 1],

with m = (p - r) / (p + r + 2), the mean of s under the first three factors, so its cross-section area is
T w / 2 * 2^(p + r + 1) B(p + 1, r + 1) whatever the skew k and however the surfaces are bent. Width and
thickness run along the leg as powers a and b of f(u) = u^alpha (1 - u)^beta / max, u in [0, 1], which makes
the volume a product of two complete beta functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import beta as beta_function

Floats = NDArray[np.float64]

BONE_EXPONENT = 2.5
LABELS = {"GM": 1, "GL": 2, "SOL": 3}

# Columns of `Leg.profile`: the sheet between gastrocnemius and soleus as a cubic in x, then four per muscle.
SHEET, MUSCLES, PER_MUSCLE = 0, 4, 4
PROFILE_COLUMNS = MUSCLES + 3 * PER_MUSCLE


@dataclass(frozen=True)
class Muscle:
    """One muscle of the right leg; see the module's text for the symbols.

    Attributes
    ----------
    start_mm, length_mm
        Its upper end and its length along z.
    width_mm, thickness_mm
        Width w and thickness T where they are largest.
    rise, fall
        alpha and beta of f(u).
    width_power, thickness_power
        a and b.
    lateral_power, medial_power
        p and r: how sharp the edges at s = -1 and s = 1 are (0: cut off, 1: a wedge).
    skew, skew_slope
        k(z) = skew + skew_slope (u - 1/2); positive: thicker towards the medial side.
    inner_mm
        x of the edge that the width is measured from, where the muscle is widest.
    side
        1 if it extends from there to positive x, -1 if to negative x, 0 if to both sides.
    retreat
        How far, as a part of the lost width, the inner edge draws back where the muscle is narrower.
    """

    name: str
    start_mm: float
    length_mm: float
    width_mm: float
    thickness_mm: float
    rise: float
    fall: float
    width_power: float
    thickness_power: float
    lateral_power: float
    medial_power: float
    skew: float
    skew_slope: float
    inner_mm: float
    side: int
    retreat: float

    @property
    def label(self) -> int:
        """The value of its voxels."""
        return LABELS[self.name]

    @property
    def end_mm(self) -> float:
        """Its lower end."""
        return self.start_mm + self.length_mm

    def fullness(self, z: ArrayLike) -> Floats:
        """f(u): 0 at the ends, 1 where the muscle is thickest; 0 outside."""
        u = np.clip((np.asarray(z, np.float64) - self.start_mm) / self.length_mm, 0, 1)
        peak = self.rise / (self.rise + self.fall)
        values: Floats = (u / peak) ** self.rise * ((1 - u) / (1 - peak)) ** self.fall
        return values

    def profile(self, z: ArrayLike) -> Floats:
        """Centre, half width, thickness T and skew at z; shape (..., 4)."""
        z = np.asarray(z, np.float64)
        full = self.fullness(z)
        width = self.width_mm * full**self.width_power
        edge = self.inner_mm + self.side * self.retreat * (self.width_mm - width)
        u = np.clip((z - self.start_mm) / self.length_mm, 0, 1)
        return np.stack(
            [
                edge + self.side * width / 2,
                width / 2,
                self.thickness_mm * full**self.thickness_power,
                self.skew + self.skew_slope * (u - 0.5),
            ],
            axis=-1,
        )

    def area(self, z: ArrayLike) -> Floats:
        """Cross-section area at z in mm2."""
        profile = self.profile(z)
        values: Floats = profile[..., 1] * profile[..., 2] * self._area_factor
        return values

    @property
    def _area_factor(self) -> float:
        powers = self.lateral_power, self.medial_power
        return float(2 ** (sum(powers) + 1) * beta_function(powers[0] + 1, powers[1] + 1))

    @property
    def middle(self) -> float:
        """m, the mean of s over the cross-section."""
        p, r = self.lateral_power, self.medial_power
        return (p - r) / (p + r + 2)

    @property
    def volume_ml(self) -> float:
        """Its volume in closed form."""
        return self.thickness_mm * self.volume_per_thickness(self)

    @staticmethod
    def volume_per_thickness(muscle: Muscle) -> float:
        """Volume in ml of 1 mm of thickness T."""
        power = muscle.width_power + muscle.thickness_power
        rise, fall = muscle.rise * power, muscle.fall * power
        peak = muscle.rise / (muscle.rise + muscle.fall)
        along = beta_function(rise + 1, fall + 1) / (peak**rise * (1 - peak) ** fall)
        across = muscle.width_mm / 2 * muscle._area_factor
        return float(across * along * muscle.length_mm / 1000)


@dataclass(frozen=True)
class Bone:
    """A shaft along z with a superelliptic cross-section: its centre and half axes."""

    name: str
    x_mm: float
    y_mm: float
    half_width_mm: float
    half_depth_mm: float


@dataclass(frozen=True)
class Leg:
    """A leg: where each tissue is. Coordinates inside are those of a right leg.

    Attributes
    ----------
    mirror
        1 for a right leg, -1 for a left one: x of the leg times `mirror` is x of the description.
    gap_mm
        Thickness of the fascia between the muscles.
    sheet
        Coefficients (4, 3): the sheet between gastrocnemius and soleus, y = sum over i of x^i q_i(z), with
        q_i quadratic in (z - 200 mm) / 200 mm.
    fat_mm
        Thickness of the subcutaneous fat on the middle of the calf.
    """

    side: str
    scale: float
    mirror: int
    gap_mm: float
    muscles: tuple[Muscle, Muscle, Muscle]
    sheet: Floats
    fat_mm: float
    bones: tuple[Bone, Bone]

    def profile(self, z: ArrayLike) -> Floats:
        """Everything that depends on z alone; shape (..., PROFILE_COLUMNS), scale included."""
        z = np.asarray(z, np.float64) / self.scale
        t = (z - 200.0) / 200.0
        columns = [c[0] + c[1] * t + c[2] * t * t for c in self.sheet]
        # The cubic's coefficients carry mm^(1 - i): scaling the leg scales each differently.
        scaled = [column * self.scale ** (1 - i) for i, column in enumerate(columns)]
        parts = [np.stack(scaled, axis=-1)]
        for muscle in self.muscles:
            values = muscle.profile(z)
            values[..., :3] *= self.scale
            parts.append(values)
        return np.concatenate(parts, axis=-1)

    @property
    def edges(self) -> Floats:
        """Each muscle's p, r and m, shape (3, 3)."""
        return np.array([(m.lateral_power, m.medial_power, m.middle) for m in self.muscles])

    def label(self, points: ArrayLike) -> NDArray[np.uint8]:
        """The label at each point of shape (..., 3), leg coordinates in mm; 0 outside the muscles."""
        points = np.asarray(points, np.float64)
        flat = points.reshape(-1, 3)
        shape = points.shape[:-1]
        z, places = np.unique(flat[:, 2], return_inverse=True)
        return label_points(
            np.ascontiguousarray(flat[:, 0] * self.mirror),
            np.ascontiguousarray(flat[:, 1]),
            places.ravel(),
            self.profile(z),
            self.edges,
            self.gap_mm * self.scale / 2,
        ).reshape(shape)

    def surfaces(self, x: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats]:
        """Back (smaller y) and front of each muscle at (x, z) of a right leg, (3, ...); NaN beside it."""
        x, z = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(z, np.float64))
        profile = self.profile(z)
        sheet = sum(profile[..., i] * x**i for i in range(4))
        half_gap = self.gap_mm * self.scale / 2
        back, front = np.full((3, *x.shape), np.nan), np.full((3, *x.shape), np.nan)
        for number, muscle in enumerate(self.muscles):
            centre, half, thickness, skew = np.moveaxis(
                profile[..., MUSCLES + PER_MUSCLE * number : MUSCLES + PER_MUSCLE * (number + 1)], -1, 0
            )
            s = (x - centre) / np.maximum(half, 1e-9)
            inside = (np.abs(s) < 1) & (half > 0)
            s = np.where(inside, s, 0)
            t = thickness * (1 + s) ** muscle.lateral_power * (1 - s) ** muscle.medial_power
            t = t * (1 + skew * (s - muscle.middle))
            deep = muscle.name == "SOL"
            near = sheet + (half_gap if deep else -half_gap)
            far = near + (t if deep else -t)
            back[number] = np.where(inside, near if deep else far, np.nan)
            front[number] = np.where(inside, far if deep else near, np.nan)
        return back, front

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Exact volume of each muscle."""
        return {muscle.name: muscle.volume_ml * self.scale**3 for muscle in self.muscles}

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Corners of a box around the muscles, leg coordinates in mm."""
        z = np.linspace(min(m.start_mm for m in self.muscles), max(m.end_mm for m in self.muscles), 201)
        z = z * self.scale
        x = np.linspace(-80, 80, 321) * self.scale
        back, front = self.surfaces(x[None, :], z[:, None])
        covered = np.isfinite(back).any(axis=(0, 1))
        step = x[1] - x[0]
        ends = sorted((self.mirror * (x[covered][0] - step), self.mirror * (x[covered][-1] + step)))
        low = np.array([ends[0], np.nanmin(back) - 1, z[0]])
        high = np.array([ends[1], np.nanmax(front) + 1, z[-1]])
        return low, high


@numba.njit(cache=True)
def label_points(
    x: Floats, y: Floats, places: NDArray[np.intp], profile: Floats, edges: Floats, half_gap: float
) -> NDArray[np.uint8]:
    """Labels of points of a right leg; `places` says which row of `profile` holds each point's z."""
    labels = np.zeros(len(x), np.uint8)
    for i in range(len(x)):
        row = profile[places[i]]
        sheet = row[0] + x[i] * (row[1] + x[i] * (row[2] + x[i] * row[3]))
        below = y[i] - sheet
        for number in range(3):
            # GM and GL lie behind the sheet, SOL in front of it.
            depth = (below if number == 2 else -below) - half_gap
            if depth <= 0:
                continue
            first = 4 + 4 * number
            half = row[first + 1]
            if half <= 0:
                continue
            s = (x[i] - row[first]) / half
            if s <= -1 or s >= 1:
                continue
            thickness = row[first + 2] * (1 + s) ** edges[number, 0] * (1 - s) ** edges[number, 1]
            thickness *= 1 + row[first + 3] * (s - edges[number, 2])
            if depth < thickness:
                labels[i] = number + 1
                break
    return labels
