"""Real sequences against IGSIO's volumes and against a float64 twin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding import ImageArea, case_grid, compound, compound_frames, image_area_of
from myosweep.geometry import Grid, Matrix
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import read_volume

NWIRE_CONFIG = "PlusDeviceSet_NwirePhantomFreehand_vtkVolumeReconstructorTest2.xml"


@dataclass(frozen=True)
class Sequence:
    name: str
    recording: str
    config: str


SEQUENCES = [
    Sequence("bone", "BoneUltrasound_L14.igs.mha", "BoneUltrasound_L14_config.xml"),
    Sequence("spine", "SpinePhantomFreehand.igs.mha", "Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml"),
    Sequence("nwire", "NwirePhantomFreehand.igs.mha", NWIRE_CONFIG),
]
METHODS = [("nearest", "NEAREST_NEIGHBOR"), ("trilinear", "LINEAR")]


def read(data: Path, sequence: Sequence) -> Sweep:
    return read_sweep(data / "sequences" / sequence.recording, data / "configs" / sequence.config)


def clipped(sweep: Sweep, area: ImageArea) -> list[tuple[np.ndarray, Matrix]]:
    """Usable frames, cut to their area."""
    of = area.rectangle
    corner = np.eye(4)
    corner[:2, 3] = of.column, of.row
    part = np.s_[of.row : of.row + of.rows, of.column : of.column + of.columns]
    return [
        (sweep.frames[int(i)][part], sweep.image_to_world[i] @ corner) for i in np.flatnonzero(sweep.valid)
    ]


@pytest.mark.parametrize(("method", "name"), METHODS)
@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_grid_and_filled_voxels_are_those_of_igsio(
    plus_data: Path, sequence: Sequence, method: str, name: str
) -> None:
    sweep = read(plus_data, sequence)
    grid = case_grid([sweep], "world", 0.5, "calibration")
    reference = read_volume(plus_data / "igsio" / f"{sequence.name}_{name}_NONE_MEAN_acc.mha")
    assert grid.same_as(reference.grid)
    ours = compound_frames(
        clipped(sweep, image_area_of(sweep, "calibration")), grid, method=method, fill=False
    )
    filled = ours.coverage > 0
    if method == "trilinear":
        # IGSIO rounds each pixel's weight to 1/256, so that a voxel needs one weight of 1/512.
        filled = weighty(sweep, grid)
    different = np.count_nonzero(filled != (reference.array > 0))
    assert different <= 1e-4 * np.count_nonzero(filled)


def weighty(sweep: Sweep, grid: Grid) -> np.ndarray:
    """Where a pixel has a trilinear weight of at least 1/512, in float64."""
    found = np.zeros(grid.voxels, bool)
    for pixels, matrix in clipped(sweep, image_area_of(sweep, "calibration")):
        for at, weight, _ in contributions(pixels, matrix, grid, "trilinear"):
            found[at[weight >= 1 / 512]] = True
    return found.reshape(grid.shape)


def contributions(pixels: np.ndarray, matrix: Matrix, grid: Grid, method: str):  # type: ignore[no-untyped-def]
    """Flat voxel, weight and grey level of every pixel, corner by corner, in float64."""
    rows, columns = np.indices(pixels.shape).reshape(2, -1)
    points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).astype(float)
    index = (grid.world_to_index @ matrix @ points)[:3]
    base = np.floor(index + 0.5) if method == "nearest" else np.floor(index)
    part, size = index - base, np.array(grid.size)[:, np.newaxis]
    for corner in [(0, 0, 0)] if method == "nearest" else np.ndindex(2, 2, 2):
        voxel = base.astype(int) + np.array(corner)[:, np.newaxis]
        inside = ((voxel >= 0) & (voxel < size)).all(axis=0)
        weight = np.ones(len(rows))
        if method != "nearest":
            for axis in range(3):
                weight *= part[axis] if corner[axis] else 1 - part[axis]
        x, y, z = voxel[:, inside]
        yield (z * grid.size[1] + y) * grid.size[0] + x, weight[inside], pixels.ravel()[inside]


@pytest.mark.parametrize(("method", "name"), METHODS)
@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_grey_levels_are_those_of_float64(
    plus_data: Path, sequence: Sequence, method: str, name: str
) -> None:
    sweep = read(plus_data, sequence)
    grid = case_grid([sweep], "world", 0.5, "calibration")
    frames = clipped(sweep, image_area_of(sweep, "calibration"))
    ours = compound_frames(frames, grid, method=method, fill=False)
    totals, weights = np.zeros(grid.voxels), np.zeros(grid.voxels)
    for pixels, matrix in frames:
        for at, weight, grey in contributions(pixels, matrix, grid, method):
            np.add.at(totals, at, weight * grey)
            np.add.at(weights, at, weight)
    known = weights > 1e-6
    means = totals[known] / weights[known]
    np.testing.assert_allclose(ours.values.ravel()[known], means, atol=0.01)
    np.testing.assert_allclose(ours.coverage.ravel()[known], weights[known], rtol=1e-4, atol=1e-5)


def test_the_same_data_in_two_formats_are_the_same_volume(plus_data: Path) -> None:
    volumes = []
    for suffix in (".mha", ".nrrd"):
        sweep = read(plus_data, Sequence("", f"NwirePhantomFreehand.igs{suffix}", NWIRE_CONFIG))
        grid = case_grid([sweep], "probe", 0.5, "auto")
        volumes.append(compound([sweep], grid))
    (one, one_coverage, _), (two, two_coverage, _) = volumes
    assert one.grid.same_as(two.grid)
    assert one.array.tobytes() == two.array.tobytes()
    assert one_coverage.array.tobytes() == two_coverage.array.tobytes()


def test_a_cropped_sequence_lands_in_the_same_place(plus_data: Path) -> None:
    whole, cropped = (
        read(plus_data, Sequence("", f"NwirePhantomFreehand{part}.igs.mha", NWIRE_CONFIG))
        for part in ("", "Cropped")
    )
    grid = case_grid([cropped], "probe", 0.5, "full")
    volumes = []
    for sweep in (whole, cropped):
        frames = [(sweep.frames[i], sweep.image_to_world[i]) for i in range(20) if not sweep.problems[i]]
        volumes.append(compound_frames(frames, grid, fill=False))
    one, two = volumes
    both = (one.coverage > 0.5) & (two.coverage > 0.5)
    # All voxels of the cropped image that the whole one reaches, and every frame has the same time.
    assert both.sum() > 0.9 * (two.coverage > 0.5).sum()
    np.testing.assert_array_equal(whole.timestamps[:20], cropped.timestamps[:20])
    inner = both & (np.abs(one.coverage - two.coverage) < 1e-3)
    assert inner.sum() > 0.7 * both.sum()  # the rest lies at the border of what was cropped
    np.testing.assert_allclose(one.values[inner], two.values[inner], atol=0.01)


def test_the_far_corner_of_a_clip_rectangle_counts(plus_data: Path) -> None:
    sweep = read(plus_data, SEQUENCES[2])
    assert image_area_of(sweep, "calibration").rectangle.columns == 496
    reference = read_volume(plus_data / "igsio" / "nwire_LINEAR_NONE_MEAN.mha")
    assert case_grid([sweep], "world", 0.5, "calibration").same_as(reference.grid)
