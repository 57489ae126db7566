"""Rigid registration of two volumes of one limb."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.geometry import Grid, Matrix, apply_transform, rigid_transform, rotation_angle
from myosweep.io.slabs import read_slabs
from myosweep.io.volumes import Volume, read_grid, resample
from myosweep.residual_scale import residual_scale
from myosweep.similarity import information_correlation

__all__ = ["METHODS", "Registration", "Shrunk", "information_correlation", "register", "shrink"]

METHODS = {
    "mutual_information": "AdvancedMattesMutualInformation",
    "correlation": "AdvancedNormalizedCorrelation",
}

# Speckle is independent in two recordings; what both share is coarser than this (standard deviation, mm).
SIMILARITY_SMOOTHING_MM = 1.5
SMALLEST_OVERLAP = 0.25
SMALLEST_SIMILARITY = 0.15
LARGEST_ROTATION_DEGREES = 45.0
LARGEST_SCALE_ERROR = 0.03
# A scale that makes the volumes hardly more alike says nothing.
SMALLEST_SCALE_GAIN = 0.008

_FEWEST_VOXELS = 1000


@dataclass(frozen=True)
class Registration:
    """A rigid motion, what was measured of it, and whether to use it.

    Attributes
    ----------
    fixed_to_moving
        4 x 4: points of the fixed volume's world to points of the moving volume's world, mm.
    measures
        Flat; the unit stands in the name.
    accepted
        Whether the checks passed.
    reason
        Why not; empty where accepted.
    """

    fixed_to_moving: Matrix
    measures: dict[str, float]
    accepted: bool
    reason: str


@dataclass(frozen=True)
class Shrunk:
    """A volume at the spacing of registration.

    Attributes
    ----------
    values
        float32; the mean of the known voxels where nothing is known, so that smoothing makes no edge there.
    known
        uint8, 1 where at least half of a block is covered.
    """

    values: Volume
    known: Volume


def register(
    fixed: Shrunk,
    moving: Shrunk,
    *,
    method: str = "mutual_information",
    seed: int = 0,
    names: tuple[str, str] = ("fixed", "moving"),
) -> Registration:
    """Register two volumes of one limb rigidly, starting from their common world.

    elastix (Klein et al. 2010) moves the one over the other with an adaptive stochastic gradient descent,
    from coarse to fine, on covered voxels alone. It runs on one thread: its sums depend on their number.

    Parameters
    ----------
    fixed, moving
        What `shrink` made of each volume and its coverage.
    method
        A name in `METHODS`.
    seed
        Draws the sample points.
    names
        What the two are called in messages.

    Returns
    -------
    Registration
        Refused where the volumes hardly overlap, do not look alike once aligned (information correlation
        below `SMALLEST_SIMILARITY`), look less alike than before, turned by more than
        `LARGEST_ROTATION_DEGREES`, or differ in scale by more than `LARGEST_SCALE_ERROR`: one of them was
        made with the pixel size of another depth. Measured on simulated legs (1 mm voxels): of eight right
        pairs the largest deviation was 0.008; with the pixel size of one volume wrong by 10 % it was 0.045 to
        0.067 and by 20 % 0.095 to 0.146, less than the pixels' as the sweeps keep their places. An error of
        5 % (0.012 to 0.044) is found in one pair of three.
    """
    for name, volume in zip(names, (fixed, moving), strict=True):
        voxels = np.count_nonzero(volume.known.array)
        if voxels < _FEWEST_VOXELS or float(np.ptp(volume.values.array)) == 0:
            reason = f"the {name} volume holds too little: {voxels} known voxels"
            return Registration(np.eye(4), {}, False, reason)
    try:
        motion = _elastix(fixed, moving, METHODS[method], seed)
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        reason = f"elastix gave up: {lines[-1].strip() if lines else 'no reason given'}"
        return Registration(np.eye(4), {}, False, reason)
    return _judge(fixed, moving, motion, names)


def shrink(volume: str | Path, coverage: str | Path, spacing_mm: float) -> Shrunk:
    """Means over blocks of whole voxels that measure about `spacing_mm`, read from files a slab at a time.

    Parameters
    ----------
    volume
        Grey values, (z, y, x).
    coverage
        On the same grid: 0 where nothing is known.
    spacing_mm
        The spacing to register at; a volume that is coarser stays as it is.
    """
    grid = read_grid(volume)
    factor = [
        min(count, max(1, round(spacing_mm / spacing)))
        for count, spacing in zip(grid.size, grid.spacing, strict=True)
    ]
    size = [count // by for count, by in zip(grid.size, factor, strict=True)]
    values = np.zeros(size[::-1], dtype=np.float32)
    known = np.zeros(size[::-1], dtype=np.uint8)
    split = (factor[2], size[1], factor[1], size[0], factor[0])
    part = np.s_[:, : size[1] * factor[1], : size[0] * factor[0]]
    slabs = zip(read_slabs(volume, factor[2])[1], read_slabs(coverage, factor[2])[1], strict=True)
    for z, (grey, pixels) in zip(range(size[2]), slabs, strict=False):
        covered = pixels[part] != 0
        count = covered.reshape(split).sum(axis=(0, 2, 4))
        total = np.where(covered, grey[part], 0).reshape(split).sum(axis=(0, 2, 4), dtype=np.float64)
        known[z] = 2 * count >= np.prod(factor)
        values[z] = total / np.maximum(count, 1)
    inside = known > 0
    values[~inside] = values[inside].mean(dtype=np.float64) if inside.any() else 0.0
    old, by = np.asarray(grid.spacing), np.asarray(factor)
    spacing = old * by
    small = Grid(
        (size[0], size[1], size[2]),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        grid.origin + grid.direction @ ((by - 1) / 2 * old),
        grid.direction,
    )
    return Shrunk(Volume(values, small), Volume(known, small))


def _elastix(fixed: Shrunk, moving: Shrunk, metric: str, seed: int) -> Matrix:
    import itk

    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(_parameters(metric, seed))
    method = itk.ElastixRegistrationMethod.New(_itk_image(fixed.values), _itk_image(moving.values))
    method.SetFixedMask(_itk_image(_eroded(fixed.known)))
    method.SetMovingMask(_itk_image(_eroded(moving.known)))
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetLogToFile(False)
    method.SetNumberOfThreads(1)
    method.UpdateLargestPossibleRegion()
    found = method.GetTransformParameterObject().GetParameterMap(0)
    x, y, z, *shift = (float(value) for value in found["TransformParameters"])
    centre = np.array([float(value) for value in found["CenterOfRotationPoint"]])
    rotation = _euler(x, y, z)
    return rigid_transform(rotation, np.asarray(shift) + centre - rotation @ centre)


def _parameters(metric: str, seed: int) -> dict[str, list[str]]:
    values: dict[str, Any] = {
        "Registration": "MultiResolutionRegistration",
        "Transform": "EulerTransform",
        "Metric": metric,
        "NumberOfHistogramBins": 32,
        "Optimizer": "AdaptiveStochasticGradientDescent",
        "MaximumNumberOfIterations": 200,
        "AutomaticScalesEstimation": True,
        "AutomaticParameterEstimation": True,
        "AutomaticTransformInitialization": False,
        "FixedInternalImagePixelType": "float",
        "MovingInternalImagePixelType": "float",
        "FixedImagePyramid": "FixedSmoothingImagePyramid",
        "MovingImagePyramid": "MovingSmoothingImagePyramid",
        "NumberOfResolutions": 3,
        "ImagePyramidSchedule": [factor for factor in (4, 2, 1) for _ in range(3)],
        "ImageSampler": "RandomCoordinate",
        "NumberOfSpatialSamples": 5000,
        "NewSamplesEveryIteration": True,
        "MaximumNumberOfSamplingAttempts": 8,
        "RequiredRatioOfValidSamples": 0.05,
        "RandomSeed": seed,
        "Interpolator": "LinearInterpolator",
        "Resampler": "DefaultResampler",
        "ResampleInterpolator": "FinalLinearInterpolator",
        "ErodeMask": False,
        "HowToCombineTransforms": "Compose",
        "WriteResultImage": False,
    }
    written: dict[str, list[str]] = {}
    for key, value in values.items():
        items = value if isinstance(value, list) else [value]
        written[key] = [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
    return written


def _itk_image(volume: Volume) -> Any:
    import itk

    image = itk.image_from_array(np.ascontiguousarray(volume.array))
    image.SetOrigin([float(value) for value in volume.grid.origin])
    image.SetSpacing([float(value) for value in volume.grid.spacing])
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(volume.grid.direction, dtype=np.float64)))
    return image


def _eroded(known: Volume) -> Volume:
    """Without the voxels at the edge, where interpolation would reach into the unknown."""
    inner = ndimage.binary_erosion(known.array, border_value=1)
    return Volume(inner.astype(np.uint8), known.grid) if inner.any() else known


def _euler(x: float, y: float, z: float) -> NDArray[np.float64]:
    """ITK's Euler angles, radians: first about y, then x, then z."""
    cx, sx, cy, sy, cz, sz = math.cos(x), math.sin(x), math.cos(y), math.sin(y), math.cos(z), math.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _judge(fixed: Shrunk, moving: Shrunk, motion: Matrix, names: tuple[str, str]) -> Registration:
    if not np.isfinite(motion).all():
        return Registration(np.eye(4), {}, False, "the motion found is not finite")
    grid = fixed.values.grid
    inside = fixed.known.array > 0
    ours, theirs = (
        Volume(
            ndimage.gaussian_filter(
                image.array, SIMILARITY_SMOOTHING_MM / np.asarray(image.grid.spacing[::-1])
            ),
            image.grid,
        )
        for image in (fixed.values, moving.values)
    )
    ratio = theirs.grid.voxel_ml / grid.voxel_ml
    smaller = min(np.count_nonzero(inside), np.count_nonzero(moving.known.array) * ratio)

    def compare(matrix: Matrix) -> tuple[float, float, float]:
        common = inside & (resample(moving.known, grid, matrix, nearest=True).array > 0)
        first, second = ours.array[common], resample(theirs, grid, matrix).array[common]
        return (
            float(first.size / smaller),
            information_correlation(first, second),
            _correlation(first, second),
        )

    overlap_before, similarity_before, correlation_before = compare(np.eye(4))
    overlap, similarity, correlation = compare(motion)
    points = apply_transform(grid.index_to_world, np.argwhere(inside)[::7, ::-1])
    moved = np.linalg.norm(apply_transform(motion, points) - points, axis=1)
    angle = math.degrees(rotation_angle(motion[:3, :3]))
    stretch = residual_scale(ours, fixed.known.array, theirs, moving.known.array, motion)
    measures = {
        "overlap_fraction": overlap,
        "overlap_before_fraction": overlap_before,
        "information_correlation": similarity,
        "information_correlation_before": similarity_before,
        "correlation": correlation,
        "correlation_before": correlation_before,
        "rotation_degrees": angle,
        "displacement_mean_mm": float(moved.mean()),
        "displacement_max_mm": float(moved.max()),
        **{f"scale_{axis}": value for axis, value in zip("xyz", stretch.scale, strict=True)},
        "scale_gain": stretch.gain,
    }
    worst = max(stretch.scale, key=lambda value: abs(value - 1))
    reason = ""
    if overlap < SMALLEST_OVERLAP:
        reason = f"the volumes overlap by {100 * overlap:.0f} %, less than {100 * SMALLEST_OVERLAP:.0f} %"
    elif angle > LARGEST_ROTATION_DEGREES:
        reason = f"a turn by {angle:.0f} degrees, more than {LARGEST_ROTATION_DEGREES:.0f}"
    elif abs(worst - 1) > LARGEST_SCALE_ERROR and stretch.gain > SMALLEST_SCALE_GAIN:
        axis = "xyz"[stretch.scale.index(worst)]
        reason = (
            f"the scales disagree: what measures 10 mm along {axis} in the {names[0]} volume measures "
            f"{10 * worst:.1f} mm in the {names[1]} volume; one of the two was probably compounded with the "
            "calibration of another depth"
        )
    elif similarity < SMALLEST_SIMILARITY:
        reason = (
            f"the aligned volumes do not look alike: information correlation {similarity:.2f}, "
            f"below {SMALLEST_SIMILARITY:g}"
        )
    elif similarity < similarity_before - 0.02 and overlap_before >= SMALLEST_OVERLAP:
        reason = (
            f"the volumes look less alike than before: information correlation {similarity:.2f} "
            f"after {similarity_before:.2f}"
        )
    return Registration(motion, measures, not reason, reason)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])
