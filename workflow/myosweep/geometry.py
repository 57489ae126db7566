"""Rigid transforms and oriented voxel grids.

Points are (x, y, z) in millimetres, transforms 4 x 4 float64 matrices on column vectors, arrays (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def apply_transform(matrix: Matrix, points: ArrayLike) -> NDArray[np.float64]:
    """Map points of shape (..., 3) by a 4 x 4 matrix."""
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3], dtype=np.float64)


def rigid_transform(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """A 4 x 4 matrix from a 3 x 3 rotation and a translation in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def rotation_about(axis: ArrayLike, angle: float) -> NDArray[np.float64]:
    """The 3 x 3 rotation by `angle` radians about `axis`, right-handed (Rodrigues' formula)."""
    axis = np.asarray(axis, dtype=np.float64)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return np.asarray(turned, dtype=np.float64)


def rotation_angle(rotation: NDArray[np.float64]) -> float:
    """The angle in radians by which a 3 x 3 rotation turns."""
    skew = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    return float(np.arctan2(np.linalg.norm(skew) / 2, (np.trace(rotation) - 1) / 2))


def rigid_problem(matrix: Matrix, tolerance: float = 5e-3) -> str | None:
    """Say why a matrix is not a rigid transform, or None.

    `tolerance` bounds the entries of R R^T - I: trackers and files round rotations to four to six digits.
    """
    if not np.isfinite(matrix).all():
        return "it holds a value that is not finite"
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-9:
        return f"its last row is {' '.join(f'{value:g}' for value in matrix[3])}, not 0 0 0 1"
    rotation = matrix[:3, :3]
    if np.linalg.det(rotation) < 0:
        return "it mirrors (its determinant is negative)"
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > tolerance:
        return f"it scales or shears (R R^T differs from the identity by {error:.3g})"
    return None


@dataclass(frozen=True)
class Grid:
    """An oriented, regular lattice of voxels.

    Attributes
    ----------
    size
        Number of voxels along (x, y, z); an array on the grid has the shape (z, y, x).
    spacing
        Distance between voxel centres in mm along (x, y, z).
    origin
        World position of the centre of voxel (0, 0, 0), mm, shape (3,).
    direction
        3 x 3; its columns are the world directions of the grid's x, y and z axes.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: NDArray[np.float64]
    direction: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The array's shape, (z, y, x)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def index_to_world(self) -> Matrix:
        """Maps a voxel index (x, y, z) to mm."""
        return rigid_transform(self.direction * np.asarray(self.spacing), self.origin)

    @property
    def world_to_index(self) -> Matrix:
        """Maps mm to a continuous voxel index (x, y, z)."""
        return np.linalg.inv(self.index_to_world).astype(np.float64)

    def resized(self, spacing: float) -> Grid:
        """The same box with isotropic voxels of `spacing` mm: outer faces stay, up to one voxel."""
        old = np.asarray(self.spacing)
        extent = old * np.asarray(self.size)
        size = np.maximum(1, np.ceil(extent / spacing - 1e-6)).astype(int)
        origin = self.origin + self.direction @ ((spacing - old) / 2)
        return Grid((int(size[0]), int(size[1]), int(size[2])), (spacing,) * 3, origin, self.direction)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same size and no voxel centre differs by more than `tolerance_mm`."""
        if self.size != other.size:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size])).reshape(3, -1).T
        mine = apply_transform(self.index_to_world, corners)
        theirs = apply_transform(other.index_to_world, corners)
        return bool(np.abs(mine - theirs).max() <= tolerance_mm)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "size": list(self.size),
            "spacing": list(self.spacing),
            "origin": self.origin.tolist(),
            "direction": self.direction.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Grid:
        """The inverse of `to_dict`."""
        size, spacing = values["size"], values["spacing"]
        return cls(
            (int(size[0]), int(size[1]), int(size[2])),
            (float(spacing[0]), float(spacing[1]), float(spacing[2])),
            np.asarray(values["origin"], dtype=np.float64),
            np.asarray(values["direction"], dtype=np.float64),
        )


def pixel_problem(matrix: Matrix) -> str | None:
    """Say why a matrix cannot map pixels to mm, or None.

    The third axis moves no pixel, but calibrations give it by a rotation: where it points against the cross
    product of the first two, a sign of one of those was changed, and left and right may be interchanged.
    """
    if not np.isfinite(matrix).all():
        return "it holds a value that is not finite"
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-9:
        return f"its last row is {' '.join(f'{value:g}' for value in matrix[3])}, not 0 0 0 1"
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    if not 0 < sizes.min() <= sizes.max() < np.inf:
        return "it maps the image to a line or a point, or has no third axis"
    handedness = float(np.linalg.det(matrix[:3, :3] / sizes))
    if abs(handedness) < 1e-3:
        return "it maps the image to a line or a point, or has no third axis"
    if handedness < 0:
        return "it mirrors: its third axis points against the cross product of its first two"
    return None
