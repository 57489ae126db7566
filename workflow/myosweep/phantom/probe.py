"""How a hand leads a probe along a leg, and what the tracker makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from myosweep.geometry import Matrix, rigid_transform
from myosweep.phantom.settings import Settings
from myosweep.phantom.skin import Skin

Floats = NDArray[np.float64]

GEL_MM = 1.2
TREMOR_LENGTH_MM = 15.0


def small_motion(rng: np.random.Generator, mm: float, degrees: float, centre: Floats | None = None) -> Matrix:
    """A rigid motion by `mm` and `degrees` about random axes; the turn is about `centre`."""
    directions = rng.standard_normal((2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rotation = Rotation.from_rotvec(np.radians(degrees) * directions[0]).as_matrix()
    pivot = np.zeros(3) if centre is None else centre
    return rigid_transform(rotation, pivot - rotation @ pivot + mm * directions[1])


def noisy_poses(rng: np.random.Generator, poses: Floats, mm: float, degrees: float) -> Floats:
    """Poses (n, 4, 4) with white noise in the tool's frame; standard deviations per axis."""
    count = len(poses)
    noise = np.tile(np.eye(4), (count, 1, 1))
    noise[:, :3, 3] = mm * rng.standard_normal((count, 3))
    turns = np.radians(degrees) * rng.standard_normal((count, 3))
    noise[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    noisy: Floats = poses @ noise
    return noisy


def smooth_noise(rng: np.random.Generator, count: int, channels: int, length: float) -> Floats:
    """Noise (count, channels) of unit standard deviation, correlated over `length` samples."""
    sigma = max(length, 1e-3)
    margin = int(4 * sigma) + 1
    raw = rng.standard_normal((count + 2 * margin, channels))
    smooth = gaussian_filter1d(raw, sigma, axis=0, mode="constant")
    offsets = np.arange(-margin, margin + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    values: Floats = smooth[margin : margin + count] / np.sqrt(kernel @ kernel)
    return values


def image_to_face(settings: Settings) -> Matrix:
    """Pixel index to mm, origin on the middle of the transducer's face: x along it, y along the beam."""
    spacing = settings.pixel_spacing_mm
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[0, 3] = -(settings.columns - 1) / 2 * spacing
    return matrix


@dataclass(frozen=True)
class Path:
    """One sweep: poses of the transducer's face in the leg, (frame, 4, 4), and the frames' times in s."""

    face_to_leg: Floats
    timestamps: Floats


def lead_probe(skin: Skin, mirror: int, settings: Settings, number: int, rng: np.random.Generator) -> Path:
    """Lead the probe from the knee to the foot on sweep `number` (from 0, towards positive x).

    The probe floats on gel, stays parallel to the neighbouring sweeps, and tilts moderately with the skin.
    """
    step = settings.probe_width_mm - settings.sweep_overlap_mm
    reach = step * (settings.sweeps - 1) / 2
    line = number * step - reach
    count = settings.frames
    z = np.linspace(0, settings.length_mm, count)
    length = TREMOR_LENGTH_MM / settings.frame_spacing_mm
    tremor = smooth_noise(rng, count, 6, length)
    drift = rng.uniform(-1, 1, 2)
    x = line + drift[0] + settings.tremor_mm * tremor[:, 0]
    z = z + settings.tremor_mm * tremor[:, 2]

    # Outer sweeps lean inwards; the skin's slope along the leg is followed by half.
    lean = -line / max(reach, settings.probe_width_mm) * settings.tilt_degrees
    ahead = skin.skin_at(mirror * x, z + 15) - skin.skin_at(mirror * x, z - 15)
    slope = np.degrees(np.arctan(gaussian_filter1d(ahead, max(length, 1.0), mode="nearest") / 30))
    pitch = np.clip(0.5 * slope, -settings.tilt_degrees, settings.tilt_degrees)
    angles = settings.tremor_degrees * tremor[:, 3:]
    rotation = Rotation.from_euler(
        "zxy", np.column_stack([-lean + angles[:, 2], pitch + angles[:, 0], angles[:, 1]]), degrees=True
    ).as_matrix()

    # The face comes as near to the skin as its nearest point allows.
    across = np.linspace(-0.5, 0.5, 21) * settings.probe_width_mm
    face = rotation[:, None, :, 0] * across[None, :, None]
    floor = skin.skin_at(mirror * (x[:, None] + face[..., 0]), z[:, None] + face[..., 2]) - face[..., 1]
    y = gaussian_filter1d(floor.min(axis=1), max(length / 2, 0.5), mode="nearest") - GEL_MM
    y = y + 0.5 * settings.tremor_mm * tremor[:, 1]

    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = rotation
    poses[:, :3, 3] = np.column_stack([x, y, z])
    speed = 20.0 * (1 + 0.1 * drift[1])
    return Path(poses, 3.0 + np.arange(count) * settings.frame_spacing_mm / speed)
