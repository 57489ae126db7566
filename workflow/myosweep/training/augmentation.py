"""Random changes of a training case that another limb or another scan might have brought."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch.nn.functional import grid_sample

from myosweep.geometry import rotation_about
from myosweep.training.data import Sample
from myosweep.training.lattice import Floats
from myosweep.training.settings import TrainingSettings

# Distance of the points that an elastic deformation moves: about a muscle's radius.
CONTROL_POINTS_MM = 32.0
# Slices thicker than so many of their voxels are not mixed; nnU-Net's number (Isensee et al. 2021).
THICK = 3.0


def augment(
    sample: Sample,
    settings: TrainingSettings,
    random: np.random.Generator,
    exchanged: tuple[int, int] | None = None,
) -> Sample:
    """A copy, perhaps rotated, stretched, shifted and bent, of another gain, and perhaps shadowed.

    Between voxels the image is a cubic spline, and not every limb is moved: linear interpolation leaves less
    speckle and fainter borders than there are in any limb that the network is asked for, and of a network
    that had seen no other the muscles came out too large at their ends. What thick slices hold moves within
    them alone, rotated about x or y as a shear: half of one slice and half of the next is seen in no limb.
    Mirrored along x is half of the cases where `exchanged` names the two classes that then change places, no
    case otherwise.
    """
    moved = random.random() < settings.move_probability
    channels, target = (
        _move(sample, settings, random) if moved else (sample.channels.copy(), sample.target.copy())
    )
    _change_gain(channels[0], sample.black[0], settings.gain_percent / 100, random)
    if random.random() < settings.shadow_probability:
        _shade(channels, sample.black, random)
    if random.random() < 0.5 and settings.flip_along_limb:
        channels, target = channels[:, ::-1].copy(), target[:, ::-1].copy()
    if exchanged is not None and random.random() < 0.5:
        one, other = exchanged
        channels, target = channels[..., ::-1].copy(), target[..., ::-1].copy()
        target[[one, other]] = target[[other, one]]
    return Sample(sample.case, channels, target, sample.black)


def _move(
    sample: Sample, settings: TrainingSettings, random: np.random.Generator
) -> tuple[Floats, NDArray[np.uint8]]:
    points = _affine(sample.shape, settings, random) + _bend(sample.shape, settings, random)
    within = settings.spacing[2] > THICK * max(settings.spacing[:2])
    if within:
        points[..., 0] = np.arange(sample.shape[0])[:, None, None]
    # grid_sample wants (x, y, z) from -1 to 1 between the centres of the outermost voxels.
    last = np.maximum(np.asarray(sample.shape) - 1, 1)
    places = torch.from_numpy((2 * points / last - 1)[..., ::-1].astype(np.float32))
    parts = torch.from_numpy(sample.target.astype(np.float32))
    target = grid_sample(parts[None], places[None], "bilinear", "zeros", align_corners=True)[0].numpy()
    black = sample.black[:, None, None, None]
    bright = [_sharply_at(points, image, within) for image in sample.channels - black]
    return np.stack(bright) + black, np.rint(target).astype(np.uint8)


def _sharply_at(points: NDArray[np.float64], image: Floats, within: bool) -> Floats:
    """Values from 0 on between an image's voxels, by a cubic spline, none above its largest; 0 around it.

    `within` slices, of each at the points of the same place, which takes a quarter of the time.
    """

    def spline(places: NDArray[np.float64], pixels: Floats) -> Floats:
        values: Floats = map_coordinates(
            pixels, np.moveaxis(places, -1, 0), order=3, mode="grid-constant", cval=0.0
        )
        return values

    if within:
        values = np.stack(
            [spline(places[..., 1:], plane) for places, plane in zip(points, image, strict=True)]
        )
    else:
        values = spline(points, image)
    clipped: Floats = np.clip(values, 0, image.max())
    return clipped


def _affine(
    shape: tuple[int, int, int], settings: TrainingSettings, random: np.random.Generator
) -> NDArray[np.float64]:
    """Where each voxel takes its value from, an index (z, y, x); (z, y, x, 3)."""
    # Half the angle about x and y: a limb is long, and would leave the volume.
    angles = np.deg2rad(settings.rotation_degrees) * random.uniform(-1, 1, 3) * (0.5, 0.5, 1.0)
    rotation = np.eye(3)
    for axis, angle in zip(np.eye(3), angles, strict=True):
        rotation = rotation @ rotation_about(axis, angle)
    scale = 1 + settings.scale_percent / 100 * random.uniform(-1, 1, 3)
    spacing = np.asarray(settings.spacing)
    shift = settings.shift_mm * random.uniform(-1, 1, 3) / spacing
    # Indices run (z, y, x), the rotation (x, y, z).
    matrix = (rotation * scale * spacing / spacing[:, None])[::-1, ::-1]
    centre = (np.asarray(shape) - 1) / 2
    z, y, x = (np.arange(count) - middle for count, middle in zip(shape, centre, strict=True))
    points: NDArray[np.float64] = (
        z[:, None, None, None] * matrix[:, 0] + y[:, None, None] * matrix[:, 1] + x[:, None] * matrix[:, 2]
    )
    points += centre + shift[::-1]
    return points


def _bend(
    shape: tuple[int, int, int], settings: TrainingSettings, random: np.random.Generator
) -> NDArray[np.float64]:
    """A smooth displacement of each voxel as an index (z, y, x), (z, y, x, 3): a cubic B-spline."""
    spacing = np.asarray(settings.spacing)[::-1]
    bases = [
        _spline(count, CONTROL_POINTS_MM / voxel, random.random())
        for count, voxel in zip(shape, spacing, strict=True)
    ]
    control = (
        random.standard_normal((*[basis.shape[1] for basis in bases], 3)) * settings.elastic_mm / spacing
    )
    along_x = np.einsum("xc,abcd->abxd", bases[2], control)
    along_y = np.einsum("yb,abxd->ayxd", bases[1], along_x)
    field: NDArray[np.float64] = np.einsum("za,ayxd->zyxd", bases[0], along_y)
    return field


def _spline(count: int, step: float, offset: float) -> NDArray[np.float64]:
    """Weights (voxel, control point) of uniform cubic B-splines every `step` voxels, of unit mean square."""
    position = np.arange(count) / step + offset
    points = np.arange(-1, int(position[-1]) + 3)
    distance = np.abs(position[:, None] - points)
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    weights: NDArray[np.float64] = np.where(distance < 1, near, far)
    weights /= np.sqrt((weights**2).sum(axis=1).mean())
    return weights


def _change_gain(image: Floats, black: np.float32, largest: float, random: np.random.Generator) -> None:
    gain, gamma = 1 + largest * random.uniform(-1, 1, 2)
    bright = np.maximum(image - black, 0)
    top = max(float(bright.max()), 1e-6)
    image[...] = black + top * gain * (bright / top) ** np.float32(gamma)


def _shade(channels: Floats, black: Floats, random: np.random.Generator) -> None:
    """Darken what lies behind a strip of skin, as bone, gas or lost contact does."""
    slices, rows, columns = channels.shape[1:]
    centre_z, centre_x = random.uniform(0, slices), random.uniform(0, columns)
    half_z = slices * random.uniform(0.02, 0.1)
    half_x = columns * random.uniform(0.05, 0.15)
    first_row = int(rows * random.uniform(0, 0.5))
    left = random.uniform(0.1, 0.6)
    z = (np.arange(slices) - centre_z) / half_z
    x = (np.arange(columns) - centre_x) / half_x
    lost = (1 - left) * np.exp(-(z[:, None, None] ** 2 + x**2) / 2)
    lost = np.repeat(lost, rows - first_row, axis=1)
    for channel, nothing in zip(channels, black, strict=True):
        part = channel[:, first_row:]
        part -= (lost * (part - nothing)).astype(np.float32)
