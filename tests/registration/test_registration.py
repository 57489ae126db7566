"""Rigid registration: a known motion, refusals, repeatability."""

import numpy as np
import pytest
from limb import mean_error
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, read_transform, resample, write_transform
from myosweep.registration import Registration, information_correlation, register


# elastix takes 10 s to import.
@pytest.mark.parametrize(
    "engine", ["joint_histogram", "simpleitk", pytest.param("elastix", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("method", ["mutual_information", "correlation"])
def test_known_motion_is_found(pair, motion, engine, method, shrunk):
    found = register(shrunk(*pair[:2]), shrunk(*pair[2:]), engine=engine, method=method)
    assert mean_error(np.eye(4), motion) > 3
    # Fractions of a voxel, well below the distance between two outlines drawn of one muscle.
    assert mean_error(found.fixed_to_moving, motion) < (0.2 if engine == "joint_histogram" else 0.5)
    assert found.accepted
    assert found.reason == ""
    assert found.measures["inverse_inconsistency_mm"] < 0.5
    assert found.measures["information_correlation"] > found.measures["information_correlation_before"]
    assert found.measures["rotation_degrees"] == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("wrong", [0.88, 1.12])
def test_a_wrong_pixel_size_is_found_and_named(pair, shrunk, wrong):
    fixed, coverage, moving, moving_coverage = pair
    grid = moving.grid
    # Depth and width grow from the skin; the way of the sweep, along z, is the tracker's.
    wider = Grid(
        grid.size,
        (grid.spacing[0] * wrong, grid.spacing[1] * wrong, grid.spacing[2]),
        grid.origin * (wrong, 1, 1),
        grid.direction,
    )
    other = shrunk(Volume(moving.array, wider), Volume(moving_coverage.array, wider))
    found = register(shrunk(fixed, coverage), other, names=("deep", "superficial"))
    assert not found.accepted
    assert "deep volume" in found.reason
    assert "superficial volume" in found.reason
    assert "calibration of another depth" in found.reason
    assert found.measures["scale_y"] == pytest.approx(wrong, abs=0.04)


def test_right_pixel_sizes_agree(pair, shrunk):
    measures = register(shrunk(*pair[:2]), shrunk(*pair[2:])).measures
    for axis in "xyz":
        assert measures[f"scale_{axis}"] == pytest.approx(1, abs=0.02)


def test_the_transform_file_resamples_the_other_onto_the_base(pair, motion, tmp_path):
    fixed, _, moving, _ = pair
    write_transform(tmp_path / "x.tfm", motion)
    aligned = resample(moving, fixed.grid, read_transform(tmp_path / "x.tfm")).array[8:48, 8:48, 10:46]
    ours = fixed.array[8:48, 8:48, 10:46]
    before = np.corrcoef(ours.ravel(), moving.array[8:48, 8:48, 10:46].ravel())[0, 1]
    assert np.corrcoef(ours.ravel(), aligned.ravel())[0, 1] > before + 0.2


def test_two_runs_give_the_same_bytes(pair, shrunk):
    first, second = (register(shrunk(*pair[:2]), shrunk(*pair[2:])) for _ in range(2))
    assert first.fixed_to_moving.tobytes() == second.fixed_to_moving.tobytes()
    assert first.measures == second.measures


def test_unrelated_noise_is_refused(shrunk):
    grid = Grid((40, 40, 40), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    draw = np.random.default_rng(3)
    noise = [Volume(draw.integers(0, 256, grid.shape, dtype=np.uint8), grid) for _ in range(2)]
    known = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    found = register(shrunk(noise[0], known), shrunk(noise[1], known))
    assert not found.accepted
    assert "do not look alike" in found.reason


def test_volumes_that_do_not_meet_are_refused(pair, shrunk):
    fixed, coverage, moving, moving_coverage = pair
    grid = moving.grid
    away = Grid(grid.size, grid.spacing, grid.origin + np.array([500, 0, 0]), grid.direction)
    other = shrunk(Volume(moving.array, away), Volume(moving_coverage.array, away))
    found = register(shrunk(fixed, coverage), other)
    assert not found.accepted
    # 500 mm less about 49 mm that are covered.
    assert "do not overlap at all: 45" in found.reason
    assert found.measures == {}


def test_an_empty_volume_is_refused(pair, shrunk):
    fixed, coverage, moving, moving_coverage = pair
    nothing = Volume(np.zeros_like(moving_coverage.array), moving.grid)
    found = register(shrunk(fixed, coverage), shrunk(moving, nothing))
    assert isinstance(found, Registration)
    assert not found.accepted
    assert "moving volume holds too little" in found.reason


def test_shrink_averages_known_voxels_in_place(shrunk):
    grid = Grid((7, 6, 5), (0.5, 0.5, 0.5), np.array([1.0, 2.0, 3.0]), np.eye(3))
    values = np.arange(grid.voxels, dtype=np.uint8).reshape(grid.shape)
    coverage = np.ones(grid.shape, dtype=np.float32)
    coverage[0, 0, 0] = 0
    coverage[2:4, 2:4, 2:4] = 0
    found = shrunk(Volume(values, grid), Volume(coverage, grid))
    small, known = found.values, found.known
    assert small.grid.size == (3, 3, 2)
    np.testing.assert_allclose(small.grid.origin, (1.25, 2.25, 3.25))
    block = values[:2, :2, :2].astype(float)
    assert small.array[0, 0, 0] == pytest.approx(block.ravel()[1:].mean())
    assert known.array[0, 0, 0] == 1
    assert known.array[1, 1, 1] == 0
    assert small.array[1, 1, 1] == pytest.approx(small.array[known.array > 0].mean(), rel=1e-6)


def test_information_correlation_of_normal_values_is_their_correlation():
    draw = np.random.default_rng(0).standard_normal((2, 200_000)).astype(np.float32)
    related = 0.6 * draw[0] + 0.8 * draw[1]
    assert information_correlation(draw[0], related) == pytest.approx(0.6, abs=0.03)
    assert information_correlation(draw[0], draw[1]) < 0.05
    assert information_correlation(draw[0], draw[0] ** 2) > 0.9
