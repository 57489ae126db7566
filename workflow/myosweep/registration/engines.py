"""The ways of registering from a start, behind one interface."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from myosweep.geometry import Grid, Matrix, rigid_transform
from myosweep.io.volumes import Volume, to_image
from myosweep.registration.alignment import align, draw_points
from myosweep.registration.shrinking import Shrunk, shrink_further, smoothed
from myosweep.registration.starts import SMALLEST_OVERLAP

# Takes the fixed and the moving volume, a start, the metric and the seed; gives the motion of the fixed
# volume's world to the moving one's. Raises RuntimeError with the reason where it gives up.
Engine = Callable[[Shrunk, Shrunk, Matrix, str, int], Matrix]

# How far apart points of the finest level lie; closer ones add time, not accuracy.
FINEST_POINTS_MM = 2.0
# But a small volume takes as many.
_FINEST_POINTS = 100_000
_METRICS = {
    "mutual_information": "AdvancedMattesMutualInformation",
    "correlation": "AdvancedNormalizedCorrelation",
}


def joint_histogram(fixed: Shrunk, moving: Shrunk, start: Matrix, metric: str, seed: int) -> Matrix:
    """This library's own: the metric and its exact derivative over all of a dense set of points."""
    motion = start
    if max(fixed.grid.spacing) < 1.6:
        ours, theirs = (smoothed(shrink_further(volume, 2.0), 2.0) for volume in (fixed, moving))
        motion, _ = align(draw_points(ours, theirs, 4.0, seed), theirs, motion, metric, SMALLEST_OVERLAP)
    return finest(fixed, moving, motion, metric, seed)[0]


def finest(
    fixed: Shrunk,
    moving: Shrunk,
    start: Matrix,
    metric: str,
    seed: int,
    distance_mm: float = FINEST_POINTS_MM,
) -> tuple[Matrix, float]:
    """Climb at the spacing of the volumes; the motion and its metric, 0 without common ground."""
    covered_mm3 = 1000 * fixed.grid.voxel_ml * np.count_nonzero(fixed.known.array)
    distance_mm = min(distance_mm, (covered_mm3 / _FINEST_POINTS) ** (1 / 3))
    points = draw_points(fixed, moving, distance_mm, seed)
    motion, _ = align(points, moving, start, metric, SMALLEST_OVERLAP)
    # Again with a fresh memory of curvature: a long way leaves one that stops too early.
    return align(points, moving, motion, metric, SMALLEST_OVERLAP)


def simpleitk(fixed: Shrunk, moving: Shrunk, start: Matrix, metric: str, seed: int) -> Matrix:
    """SimpleITK's multi-resolution registration (Lowekamp et al. 2013), 10 % of the voxels as samples."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    if metric == "mutual_information":
        method.SetMetricAsMattesMutualInformation(32)
    else:
        method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.RANDOM)
    # SimpleITK draws its seed from the clock for 0.
    method.SetMetricSamplingPercentage(0.1, seed % 2**31 + 1)
    method.SetMetricFixedMask(to_image(_eroded(fixed.known)))
    method.SetMetricMovingMask(to_image(_eroded(moving.known)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    coarsest = 4.0 if max(fixed.grid.spacing) < 1.6 else 2.0
    factors = [max(1, round(coarsest / by)) for by in (1, 2, 4)]
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0.0 for factor in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    grid = fixed.grid
    middle = grid.origin + grid.direction @ (np.asarray(grid.spacing) * (np.asarray(grid.size) - 1) / 2)
    transform = sitk.Euler3DTransform()
    transform.SetCenter(middle.tolist())
    transform.SetMatrix(start[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation((start[:3, :3] @ middle + start[:3, 3] - middle).tolist())
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(to_image(fixed.values), to_image(moving.values))
    rotation = np.asarray(transform.GetMatrix()).reshape(3, 3)
    return rigid_transform(rotation, np.asarray(transform.GetTranslation()) + middle - rotation @ middle)


def elastix(fixed: Shrunk, moving: Shrunk, start: Matrix, metric: str, seed: int) -> Matrix:
    """elastix (Klein et al. 2010): adaptive stochastic gradient descent; one thread, for its sums' order."""
    import itk

    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(_parameters(_METRICS[metric], seed))
    # The moving volume is put where the start says: elastix then starts from what it sees.
    back = np.linalg.inv(start).astype(np.float64)
    theirs, known = (_placed(volume, back) for volume in (moving.values, moving.known))
    method = itk.ElastixRegistrationMethod.New(_itk_image(fixed.values), _itk_image(theirs))
    method.SetFixedMask(_itk_image(_eroded(fixed.known)))
    method.SetMovingMask(_itk_image(_eroded(known)))
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetLogToFile(False)
    method.SetNumberOfThreads(1)
    method.UpdateLargestPossibleRegion()
    found = method.GetTransformParameterObject().GetParameterMap(0)
    x, y, z, *shift = (float(value) for value in found["TransformParameters"])
    centre = np.array([float(value) for value in found["CenterOfRotationPoint"]])
    rotation = _euler(x, y, z)
    return np.asarray(start @ rigid_transform(rotation, np.asarray(shift) + centre - rotation @ centre))


ENGINES: dict[str, Engine] = {
    "joint_histogram": joint_histogram,
    "simpleitk": simpleitk,
    "elastix": elastix,
}


def _placed(volume: Volume, motion: Matrix) -> Volume:
    grid = volume.grid
    origin = motion[:3, :3] @ grid.origin + motion[:3, 3]
    return Volume(volume.array, Grid(grid.size, grid.spacing, origin, motion[:3, :3] @ grid.direction))


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
