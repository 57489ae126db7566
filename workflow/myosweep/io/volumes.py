"""Volumes and rigid transforms on disk, through SimpleITK."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.geometry import Grid, Matrix
from myosweep.io.files import whole_file


@dataclass(frozen=True)
class Volume:
    """Values on a grid: `array` has the shape (z, y, x), or (z, y, x, component)."""

    array: NDArray[Any]
    grid: Grid
    metadata: dict[str, str] = field(default_factory=dict)


def to_image(volume: Volume) -> sitk.Image:
    """The volume as a SimpleITK image (copies)."""
    image = sitk.GetImageFromArray(volume.array, isVector=volume.array.ndim == 4)
    place(image, volume.grid)
    for key, value in volume.metadata.items():
        image.SetMetaData(key, value)
    return image


def place(image: sitk.Image, grid: Grid) -> None:
    """Give an image the grid's origin, spacing and direction."""
    image.SetOrigin([float(value) for value in grid.origin])
    image.SetSpacing([float(value) for value in grid.spacing])
    image.SetDirection([float(value) for value in np.asarray(grid.direction).ravel()])


def grid_of(image: Any) -> Grid:
    """The grid of a 3D SimpleITK image, or of a SimpleITK reader that has read its header."""
    size, spacing = image.GetSize(), image.GetSpacing()
    return Grid(
        (int(size[0]), int(size[1]), int(size[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        np.asarray(image.GetOrigin(), dtype=np.float64),
        np.asarray(image.GetDirection(), dtype=np.float64).reshape(3, 3),
    )


def _reader(path: Path) -> sitk.ImageFileReader:
    if not path.is_file():
        raise InputError(path, "no such file", "a volume file", "correct the path")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            path,
            f"not a readable volume ({_last_line(error)})",
            "a volume (.mha, .nii.gz, .nrrd)",
            "export it again",
        ) from None
    if reader.GetDimension() != 3:
        raise InputError(path, f"{reader.GetDimension()} dimensions", "a 3D volume", "give one 3D volume")
    return reader


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def read_grid(path: str | Path) -> Grid:
    """The grid of a volume file, from its header alone."""
    return grid_of(_reader(Path(path)))


def read_volume(path: str | Path) -> Volume:
    """Read a 3D volume in any format that ITK knows.

    Raises
    ------
    InputError
        The file is missing, is not a 3D volume, or ends early.
    """
    reader = _reader(Path(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            path,
            f"its data cannot be read ({_last_line(error)})",
            "a whole volume file",
            "export or make it again",
        ) from None
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return Volume(sitk.GetArrayFromImage(image), grid_of(image), metadata)


def write_volume(path: str | Path, volume: Volume, compress: bool = True) -> None:
    """Write a volume; the file appears only when it is whole."""
    with whole_file(path) as temporary:
        # Level 1: the higher ones take many times longer for a few per cent of speckle.
        sitk.WriteImage(to_image(volume), str(temporary), useCompression=compress, compressionLevel=1)


def write_transform(path: str | Path, matrix: Matrix) -> None:
    """Write a 4 x 4 affine as an ITK transform file (.tfm) that maps points as the matrix does."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    with whole_file(path) as temporary:
        sitk.WriteTransform(transform, str(temporary))


def read_transform(path: str | Path) -> Matrix:
    """Read an ITK transform file that holds one linear transform, as a 4 x 4 matrix."""
    transform = sitk.ReadTransform(str(path))
    if not transform.IsLinear():
        raise InputError(path, "a transform that is not linear", "a rigid transform", "register rigidly")
    origin = np.asarray(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.asarray(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack(columns, axis=1)
    matrix[:3, 3] = origin
    return matrix


def resample(
    volume: Volume,
    grid: Grid,
    target_to_source: Matrix | None = None,
    nearest: bool = False,
    outside: float = 0,
) -> Volume:
    """Values of `volume` at the voxels of `grid`, linear or nearest.

    They are `outside` where the volume does not reach.

    `target_to_source` maps points of the grid's world to points of the volume's world (ITK's convention).
    """
    transform = sitk.AffineTransform(3)
    if target_to_source is not None:
        transform.SetMatrix(target_to_source[:3, :3].ravel().tolist())
        transform.SetTranslation(target_to_source[:3, 3].tolist())
    image = sitk.Resample(
        to_image(volume),
        [int(value) for value in grid.size],
        transform,
        sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear,
        [float(value) for value in grid.origin],
        [float(value) for value in grid.spacing],
        [float(value) for value in np.asarray(grid.direction).ravel()],
        outside,
    )
    return Volume(sitk.GetArrayFromImage(image), grid, dict(volume.metadata))
