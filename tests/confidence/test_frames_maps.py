from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding import MAP_LEVELS, case_grid, compound, compound_maps, image_area_of
from myosweep.confidence import ConfidenceOptions, confidence_map, confidence_volume
from myosweep.confidence.frames import map_frames, write_compounded_maps, write_maps_of_frames
from myosweep.confidence.in_order import in_order
from myosweep.confidence.slices import write_maps_of_slices
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.frame_maps import read_frame_maps
from myosweep.io.sweeps import Fan, Rectangle, Sweep
from myosweep.io.volumes import Volume, read_grid, read_volume, write_volume

FAN = {"apex": [24, -6], "radii": [8, 60], "angles_degrees": [-32, 32]}
FIXED = ConfidenceOptions(sink="everywhere", normalisation="fixed")


def sweep_of(count: int = 5, rows: int = 50, columns: int = 48, seed: int = 0, shift: float = 0.0) -> Sweep:
    rng = np.random.default_rng(seed)
    frames = np.clip(rng.rayleigh(50, (count, rows, columns)), 0, 255).astype(np.uint8)
    poses = np.tile(np.diag([0.5, 0.5, 0.5, 1.0]), (count, 1, 1))
    poses[:, 2, 3], poses[:, 0, 3] = 0.8 * np.arange(count), shift
    return Sweep(Path(f"s{seed}.mha"), frames, poses, ("",) * count, np.arange(count) / 10)


@pytest.mark.parametrize("area", ["full", [4, 3, 30, 40], FAN])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_map_of_a_frame_is_that_of_its_image_area(area: object, threads: int) -> None:
    sweep = replace(sweep_of(), problems=("", "lost", "", "", ""))
    made = dict(map_frames(sweep, image_area=area, threads=threads))
    assert list(made) == [0, 2, 3, 4]
    found = image_area_of(sweep, area)
    known = np.zeros((50, 48), bool)
    of = found.rectangle
    part = np.s_[of.row : of.row + of.rows, of.column : of.column + of.columns]
    known[part] = True if found.mask is None else found.mask
    for frame, values in made.items():
        expected = confidence_map(sweep.frames[frame], known=known, fan=found.fan)
        np.testing.assert_allclose(values, expected, atol=1e-9)
        assert not values[~known].any()


def test_what_stands_beside_the_image_changes_nothing() -> None:
    """A fan on a larger screen, elsewhere, beside text."""
    sweep = sweep_of()
    screen = np.random.default_rng(1).integers(200, 256, (5, 80, 90)).astype(np.uint8)
    screen[:, 11:61, 17:65] = sweep.frames
    angles = np.radians([-32, 32])
    plain = replace(sweep, fan=Fan(24, -6, 8, 55, *angles))
    # The far corner of a clip rectangle belongs to it.
    clip = Rectangle(17, 11, 47, 49)
    shown = replace(sweep, frames=screen, fan=Fan(41, 5, 8, 55, *angles), clip=clip)
    pairs = zip(*(map_frames(one, image_area="calibration") for one in (plain, shown)), strict=True)
    for (_, alone), (_, inside) in pairs:
        np.testing.assert_allclose(inside[11:61, 17:65], alone, atol=1e-9)


def test_the_same_bytes_for_any_number_of_threads(tmp_path: Path) -> None:
    sweeps = [sweep_of(seed=0), sweep_of(seed=1, shift=4.0)]
    for options in (ConfidenceOptions(), FIXED):
        for threads in (1, 2, 5):
            write_maps_of_frames(tmp_path / f"{threads}.npz", sweeps, options, threads=threads)
        first = (tmp_path / "1.npz").read_bytes()
        assert all((tmp_path / f"{threads}.npz").read_bytes() == first for threads in (2, 5))


def test_fixed_maps_of_sweeps_share_one_depth(tmp_path: Path) -> None:
    deep, shallow = sweep_of(), sweep_of()
    shallow = replace(shallow, frames=shallow.frames[:, :25])
    write_maps_of_frames(tmp_path / "m.npz", [deep, shallow], FIXED, image_area="full")
    both = read_frame_maps(tmp_path / "m.npz", 2)
    expected = confidence_map(shallow.frames[0], FIXED, depth=49)
    np.testing.assert_allclose(both[1][0], expected, atol=1e-5)
    assert np.abs(confidence_map(shallow.frames[0], FIXED) - expected).max() > 0.05


def test_compounded_maps_lie_where_their_frames_do(tmp_path: Path) -> None:
    """A shadow in the frames is a shadow in the volume, at the same voxels."""
    sweep = sweep_of(8)
    shadow = np.zeros((8, 50, 48), bool)
    shadow[:, 25:, 16:32] = True
    sweep.frames[:, 20:25, 16:32] = 250
    sweep.frames[shadow] //= 20
    grid = case_grid([sweep], "probe", 0.5, "full")
    write_volume(tmp_path / "volume.mha", Volume(np.zeros(grid.shape, np.uint8), grid))
    write_maps_of_frames(tmp_path / "m.npz", [sweep], image_area="full")
    maps = read_frame_maps(tmp_path / "m.npz", 1)
    grid = read_grid(tmp_path / "volume.mha")
    write_compounded_maps(tmp_path / "c.mha", [sweep], maps, grid, image_area="full", threads=2)
    made = read_volume(tmp_path / "c.mha")
    assert made.array.dtype == np.float32
    assert made.grid.same_as(grid)
    assert made.array.min() >= 0
    assert made.array.max() <= 1
    inside = made.array[2:-2, 30:45, 20:28].mean()
    beside = made.array[2:-2, 30:45, [*range(2, 10), *range(38, 46)]].mean()
    assert inside < 0.8 * beside


@pytest.mark.parametrize("method", ["between_frames", "trilinear", "nearest", "gaussian", "voxel_nearest"])
@pytest.mark.parametrize("blending", ["feather", "none", "confidence"])
def test_maps_are_compounded_as_frames_are(method: str, blending: str) -> None:
    """Frames given as maps come out as the volume does, and known are the same voxels."""
    if (method, blending) == ("voxel_nearest", "confidence"):
        return
    sweeps = [sweep_of(seed=0), sweep_of(seed=1, shift=9.3)]
    grid = case_grid(sweeps, "probe", 0.7, FAN)
    settings = {"image_area": FAN, "method": method, "blending": blending}
    greys = [np.maximum(sweep.frames, 1).astype(np.float32) / 255 for sweep in sweeps]
    sweeps = [replace(sweep, frames=np.maximum(sweep.frames, 1)) for sweep in sweeps]
    trust = greys if blending == "confidence" else None
    volume, coverage, _ = compound(sweeps, grid, confidence=trust, **settings)
    levels = compound_maps(sweeps, greys, grid, threads=2, **settings)
    known = coverage.array != 0
    assert known.any()
    assert not levels[~known].any()
    # Half a grey level of the volume's rounding; slits are filled from rounded values.
    assert np.abs(levels[known] / MAP_LEVELS * 255 - volume.array[known]).max() < 1.01
    assert (levels[known] > 0).all()


@pytest.mark.parametrize("options", [ConfidenceOptions(), FIXED])
def test_slices_are_streamed_to_what_the_whole_volume_gives(
    tmp_path: Path, options: ConfidenceOptions
) -> None:
    rng = np.random.default_rng(0)
    values = np.clip(rng.rayleigh(50, (9, 40, 30)), 0, 255).astype(np.uint8)
    covered = np.ones(values.shape, np.float32)
    covered[:3, :, :8] = 0
    covered[4] = 0
    covered[6, 30:] = 0
    grid = Grid((30, 40, 9), (0.5, 0.5, 0.5), np.zeros(3), np.eye(3))
    volume, coverage = Volume(values, grid), Volume(covered, grid)
    write_volume(tmp_path / "v.mha", volume)
    write_volume(tmp_path / "c.mha", coverage)
    expected = confidence_volume(volume, coverage, options)
    write_volume(tmp_path / "expected.mha", expected)
    for threads in (1, 3):
        write_maps_of_slices(
            tmp_path / "m.mha", tmp_path / "v.mha", tmp_path / "c.mha", options, threads=threads
        )
        assert (tmp_path / "m.mha").read_bytes() == (tmp_path / "expected.mha").read_bytes()
    write_volume(tmp_path / "c.mha", Volume(covered[:5], replace(grid, size=(30, 40, 5))))
    with pytest.raises(InputError, match="another grid"):
        write_maps_of_slices(tmp_path / "m.mha", tmp_path / "v.mha", tmp_path / "c.mha")


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_order_and_few_wait(threads: int) -> None:
    taken = 0

    def items():
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    made = in_order(lambda number, _: -number, items(), threads)
    for count, result in enumerate(made):
        assert result == -count
        assert taken <= count + 1 + 2 * threads


def test_an_error_of_one_frame_is_raised() -> None:
    def work(number: int, _: object) -> int:
        if number == 3:
            raise InputError("frame 3", "this", "that", "mend it")
        return number

    with pytest.raises(InputError, match="frame 3"):
        list(in_order(work, range(9), 2))


def test_each_thread_has_its_own_arrays() -> None:
    """Arrays that two threads wrote to at a time would give other maps now and then."""
    frames = [sweep_of(1, 90, 80, seed).frames[0] for seed in range(12)]
    expected = [confidence_map(frame) for frame in frames]
    made = in_order(lambda frame, memory: confidence_map(frame, memory=memory), frames, 4)
    for one, two in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, two)
