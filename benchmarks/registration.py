"""Registration: this library against SimpleITK and elastix, in one run, on volumes with their own speckle.

python benchmarks/registration.py [--quick] [--pairs 1] [--engines joint_histogram simpleitk elastix]

The simulated limb, 280 x 316 x 360 voxels of 0.5 mm (x, y, z), is recorded twice, 16 mm apart. `SimpleITK, as
published` is its mutual information with 10 % random samples, shrink factors 8, 4 and 2, by itself; the
others are whole registrations of this library at 1 mm, shrinking, coarse search and checks included.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from myosweep.geometry import Grid, Matrix, apply_transform, rigid_transform, rotation_about
from myosweep.io.volumes import Volume, to_image, write_volume
from myosweep.registration import ENGINES, register, shrink
from scipy import ndimage

SIZE = (280, 316, 360)
SPACING = 0.5
# x, y, z of a muscle's centre and its half axes, as fractions of the volume; its grey value.
MUSCLES = (
    ((0.34, 0.35, 0.48), (0.24, 0.16, 0.44), 40),
    ((0.69, 0.36, 0.52), (0.20, 0.14, 0.40), 46),
    ((0.50, 0.64, 0.50), (0.34, 0.15, 0.46), 33),
)


def limb(points: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Grey values at points (..., 3) in mm: fat, muscles with bright borders, fascicles, and a bone."""
    x, y, z = np.moveaxis(points.astype(np.float32), -1, 0)
    values = np.where(y < 0.1 * extent[1] + 2 * np.sin(z / 17) + 0.03 * x, 30, 62).astype(np.float32)
    for centre, half, grey in MUSCLES:
        (a, b, c), (p, q, r) = np.asarray(centre) * extent, np.asarray(half) * extent
        place = ((x - a - 0.05 * (z - c)) / p) ** 2 + ((y - b) / q) ** 2 + ((z - c) / r) ** 2
        fascicles = 12 * (np.sin((y + 0.4 * z) / 2.3) > 0.8)
        values = np.where(place < 1, grey + fascicles, np.where(place < 1.09, 130, values))
    bone = np.hypot(x - 0.6 * extent[0], y - 0.9 * extent[1] + 0.05 * z)
    return np.where(bone < 7, 12, np.where(bone < 9, 180, values)).astype(np.float32)


def recording(size: tuple[int, int, int], motion: Matrix, seed: int) -> tuple[Volume, Volume]:
    """The limb as it lies after a motion, with multiplicative speckle of its own, and its coverage."""
    grid = Grid(size, (SPACING,) * 3, np.zeros(3), np.eye(3))
    extent = SPACING * np.asarray(size)
    to_limb = np.linalg.inv(motion) @ grid.index_to_world
    draw = np.random.default_rng(seed)
    values = np.empty(grid.shape, np.uint8)
    noise = draw.rayleigh(0.8, grid.shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, 0.8)
    for z in range(size[2]):
        row, column = np.mgrid[: size[1], : size[0]]
        plane = np.stack([column, row, np.full_like(row, z)], axis=-1)
        seen = limb(apply_transform(to_limb, plane), extent) * (1 + 1.5 * (noise[z] - 1))
        values[z] = np.clip(seen, 1, 255)
    coverage = np.ones(grid.shape, np.float32)
    coverage[:, :, : size[0] // 40] = 0
    coverage[:, -size[1] // 30 :] = 0
    values[coverage == 0] = 0
    return Volume(values, grid), Volume(coverage, grid)


def rival(fixed: tuple[Volume, Volume], moving: tuple[Volume, Volume]) -> Matrix:
    """SimpleITK as published: mutual information, 10 % of the voxels, shrink 8/4/2, from the identity."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.1, 1)
    for setter, (_, coverage) in ((method.SetMetricFixedMask, fixed), (method.SetMetricMovingMask, moving)):
        setter(to_image(Volume((coverage.array != 0).astype(np.uint8), coverage.grid)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([8, 4, 2])
    method.SetSmoothingSigmasPerLevel([4, 2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    images = [sitk.Cast(to_image(volume), sitk.sitkFloat32) for volume, _ in (fixed, moving)]
    transform = sitk.Euler3DTransform()
    middle = [count / 2 for count in images[0].GetSize()]
    transform.SetCenter(images[0].TransformContinuousIndexToPhysicalPoint(middle))
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(*images)
    rotation, centre = np.asarray(transform.GetMatrix()).reshape(3, 3), np.asarray(transform.GetCenter())
    return rigid_transform(rotation, np.asarray(transform.GetTranslation()) + centre - rotation @ centre)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half the size")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    asked = parser.parse_args()
    size = tuple(n // 2 for n in SIZE) if asked.quick else SIZE
    extent = SPACING * np.asarray(size)
    points = np.random.default_rng(0).uniform(0.1 * extent, 0.8 * extent, (2000, 3))
    small = recording((48, 48, 48), np.eye(4), 9)
    with tempfile.TemporaryDirectory() as folder:
        # Compiles what is compiled at first use.
        register(*(_shrunk(small, Path(folder), 1.0) for _ in range(2)))
        print("pair   engine                    CPU s   mean error mm   accepted   peak GiB so far")
        for pair in range(asked.pairs):
            draw = np.random.default_rng(100 + pair)
            turn = rotation_about(draw.standard_normal(3), np.deg2rad(draw.uniform(2, 4)))
            way = draw.standard_normal(3)
            shift = way / np.linalg.norm(way) * (16 if not asked.quick else 8)
            motion = rigid_transform(turn, extent / 2 - turn @ (extent / 2) + shift)
            fixed, moving = recording(size, np.eye(4), 2 * pair), recording(size, motion, 2 * pair + 1)
            runs: dict[str, Callable[[], tuple[Matrix, bool]]] = {}
            for engine in asked.engines:
                runs[f"{engine}, 1 mm"] = lambda engine=engine, pair=(fixed, moving): _ours(
                    pair, Path(folder), engine
                )
            runs["SimpleITK, as published"] = lambda pair=(fixed, moving): (rival(*pair), True)
            for name, run in runs.items():
                start = time.process_time()
                found, accepted = run()
                seconds = time.process_time() - start
                off = apply_transform(found, points) - apply_transform(motion, points)
                error = np.linalg.norm(off, axis=1).mean()
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                print(
                    f"{pair:4}   {name:24} {seconds:6.1f}   {error:13.3f}   {accepted!s:8} {peak:10.2f}",
                    flush=True,
                )


def _shrunk(recorded: tuple[Volume, Volume], folder: Path, spacing_mm: float) -> object:
    for name, volume in zip(("volume", "coverage"), recorded, strict=True):
        write_volume(folder / f"{name}.mha", volume)
    return shrink(folder / "volume.mha", folder / "coverage.mha", spacing_mm)


def _ours(pair: tuple, folder: Path, engine: str) -> tuple[Matrix, bool]:
    found = register(*(_shrunk(recorded, folder, 1.0) for recorded in pair), engine=engine)
    return found.fixed_to_moving, found.accepted


if __name__ == "__main__":
    main()
