"""Volumes and rigid transforms on disk, through SimpleITK."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True)
class Header:
    """What a volume file says of itself: its grid, values per voxel, and further fields as text."""

    grid: Grid
    components: int
    metadata: dict[str, str]


def read_header(path: str | Path) -> Header:
    """A volume file's header; no voxel is read."""
    reader = _reader(Path(path))
    fields = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    return Header(grid_of(reader), int(reader.GetNumberOfComponents()), fields)


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
    """Write a volume; the file appears only when it is whole. A .mha is written without a copy in memory."""
    with whole_file(path) as temporary:
        if Path(path).suffix.lower() == ".mha" and volume.array.dtype.newbyteorder("=") in _METAIMAGE:
            dtype = volume.array.dtype
            channels = volume.array.shape[3] if volume.array.ndim == 4 else 0
            _write_metaimage(temporary, volume.grid, dtype, volume.array, compress, channels, volume.metadata)
        else:
            sitk.WriteImage(to_image(volume), str(temporary), useCompression=compress)


def write_planes(path: str | Path, grid: Grid, dtype: np.dtype[Any], planes: Iterable[NDArray[Any]]) -> None:
    """Write a .mha whose z slices (y, x) come one after the other; all of them are never in memory."""
    with whole_file(path) as temporary:
        _write_metaimage(temporary, grid, dtype, planes, True)


# How many digits the length of the compressed data may have.
_DIGITS = 20
_METAIMAGE = {
    np.dtype(np.uint8): "MET_UCHAR",
    np.dtype(np.int16): "MET_SHORT",
    np.dtype(np.uint16): "MET_USHORT",
    np.dtype(np.float32): "MET_FLOAT",
    np.dtype(np.float64): "MET_DOUBLE",
}


def _write_metaimage(
    path: Path,
    grid: Grid,
    dtype: np.dtype[Any],
    planes: Iterable[NDArray[Any]],
    compress: bool,
    channels: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> None:

    def numbers(values: Any) -> str:
        return " ".join(f"{float(value):.17g}" for value in np.asarray(values).ravel())

    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {compress}",
        *([f"CompressedDataSize = {'':{_DIGITS}}"] if compress else []),
        # ITK's axes are the columns of the direction, MetaImage writes one after the other.
        f"TransformMatrix = {numbers(np.asarray(grid.direction).T)}",
        f"Offset = {numbers(grid.origin)}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {numbers(grid.spacing)}",
        f"DimSize = {' '.join(str(count) for count in grid.size)}",
        *([f"ElementNumberOfChannels = {channels}"] if channels else []),
        *(f"{key} = {value}" for key, value in (metadata or {}).items()),
        f"ElementType = {_METAIMAGE[dtype.newbyteorder('=')]}",
        "ElementDataFile = LOCAL",
    ]
    head = ("\n".join(lines) + "\n").encode()
    little = dtype.newbyteorder("<")
    with path.open("w+b") as file:
        file.write(head)
        # Level 1: the higher ones take many times longer for a few per cent of speckle.
        packer = zlib.compressobj(1)
        for plane in planes:
            data = np.ascontiguousarray(plane, little).data
            file.write(packer.compress(data) if compress else data)
        if compress:
            file.write(packer.flush())
            length = file.tell() - len(head)
            file.seek(head.index(b"CompressedDataSize = ") + len(b"CompressedDataSize = "))
            file.write(f"{length:<{_DIGITS}}".encode())


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
