from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from myosweep.geometry import Grid, rigid_transform, rotation_about
from myosweep.io.sweeps import Rectangle, Sweep

# Helpers beside the tests: importlib mode puts no folder of tests on the path.
sys.path.insert(0, str(Path(__file__).parent))


def _wobbling_sweep(
    count: int = 12,
    rows: int = 20,
    columns: int = 16,
    step: float = 0.8,
    pixel: float = 0.5,
    wobble: float = 0.05,
    seed: int = 0,
    clip: Rectangle | None = None,
    problems: Sequence[str] | None = None,
) -> Sweep:
    """A sweep along z: x lateral, y along the beam, slightly turned from frame to frame, noise as image."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(1, 256, (count, rows, columns)).astype(np.uint8)
    poses = []
    for frame in range(count):
        turn = rotation_about(rng.normal(size=3), wobble * rng.normal())
        poses.append(
            rigid_transform(turn, (0.1 * rng.normal(), 0.1 * rng.normal(), step * frame))
            @ np.diag([pixel, pixel, pixel, 1])
        )
    return Sweep(
        Path("sweep.mha"),
        frames,
        np.array(poses),
        tuple(problems or [""] * count),
        np.arange(count) / 10,
        clip,
    )


def _brute_force(
    frames: Sequence[tuple[np.ndarray, np.ndarray]], grid: Grid, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, sums of weights and the largest weight, by numpy in float64."""
    totals, weights = np.zeros(grid.voxels), np.zeros(grid.voxels)
    largest = np.zeros(grid.voxels)
    for pixels, image_to_world in frames:
        rows, columns = np.indices(pixels.shape).reshape(2, -1)
        points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).astype(float)
        index = (grid.world_to_index @ image_to_world @ points)[:3]
        corners = [(0, 0, 0)] if method == "nearest" else list(np.ndindex(2, 2, 2))
        base = np.floor(index + 0.5) if method == "nearest" else np.floor(index)
        for corner in corners:
            voxel = base.astype(int) + np.array(corner)[:, np.newaxis]
            weight = np.ones(len(rows))
            if method != "nearest":
                part = index - base
                for axis in range(3):
                    weight *= part[axis] if corner[axis] else 1 - part[axis]
            inside = ((voxel >= 0) & (voxel < np.array(grid.size)[:, np.newaxis])).all(axis=0)
            x, y, z = voxel[:, inside]
            at = (z * grid.size[1] + y) * grid.size[0] + x
            np.add.at(totals, at, weight[inside] * pixels.ravel()[inside])
            np.add.at(weights, at, weight[inside])
            np.maximum.at(largest, at, weight[inside])
    means = np.divide(totals, weights, out=np.zeros_like(totals), where=weights > 0)
    return means.reshape(grid.shape), weights.reshape(grid.shape), largest.reshape(grid.shape)


@pytest.fixture(scope="session")
def wobbling_sweep() -> Callable[..., Sweep]:
    return _wobbling_sweep


@pytest.fixture(scope="session")
def brute_force() -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return _brute_force


@pytest.fixture(scope="session")
def monkeypatch_slabs() -> Callable[..., AbstractContextManager[None]]:
    """Make compounding work in slabs of a few slices."""

    @contextmanager
    def patched(slices: int, grid: Grid) -> Iterator[None]:
        module = sys.modules["myosweep.compounding.frames"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SLAB_BYTES", slices * grid.size[0] * grid.size[1] * 16)
            yield

    return patched
