from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import apply_transform, rigid_problem
from myosweep.io.calibration import read_calibration
from myosweep.io.files import read_json
from myosweep.io.plus import read_sequence
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume, read_volume
from myosweep.phantom import DEFAULTS, PRESETS, simulate_case
from myosweep.phantom.settings import complete_settings
from PIL import Image

TINY: dict[str, Any] = {
    "pixel_spacing_mm": 1.0,
    "frame_spacing_mm": 10.0,
    "annotation_spacing_mm": 40.0,
    "truth_spacing_mm": 1.5,
}
PERFECT = {
    **TINY,
    "jitter_mm": 0.0,
    "jitter_degrees": 0.0,
    "calibration_error_mm": 0.0,
    "calibration_error_degrees": 0.0,
    "wobble_mm": 0.0,
    "truth_spacing_mm": 1.0,
}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perfect")
    simulate_case(folder, "p01", "right", PERFECT, 3)
    return folder


def sweep_of(folder: Path, acquisition: str, number: int) -> Sweep:
    calibration = read_calibration(folder / f"calibration_{acquisition}.xml")
    path = folder / acquisition / f"sweep_{number}.mha"
    return read_sequence(path, calibration.image_to_probe, calibration.clip)


def masks_of(folder: Path, acquisition: str, number: int) -> dict[int, np.ndarray]:
    files = sorted((folder / acquisition / f"sweep_{number}_masks").glob("frame_*.png"))
    return {int(file.stem.removeprefix("frame_")): np.asarray(Image.open(file)) for file in files}


def truth_at(truth: Volume, points: np.ndarray) -> np.ndarray:
    index = np.rint(apply_transform(truth.grid.world_to_index, points)).astype(int)
    inside = ((index >= 0) & (index < truth.grid.size)).all(axis=-1)
    index[~inside] = 0
    labels = truth.array[index[..., 2], index[..., 1], index[..., 0]]
    return np.where(inside, labels, 0)


@pytest.mark.parametrize("acquisition", ["deep", "superficial"])
def test_masks_lie_where_the_truth_is(perfect: Path, acquisition: str) -> None:
    truth = read_volume(perfect / "truth.mha")
    description = read_json(perfect / "truth.json")
    labels = [description["labels"][name] for name in description["structures"][acquisition]]
    back = np.eye(4)
    if acquisition == "superficial":
        back = np.linalg.inv(np.array(description["deep_to_superficial"]))
    agree = total = 0
    for number in range(1, 5):
        sweep = sweep_of(perfect, acquisition, number)
        for frame, mask in masks_of(perfect, acquisition, number).items():
            assert set(np.unique(mask)) <= {0, *labels}
            rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
            pixels = np.stack([columns, rows, 0 * rows], axis=-1)
            points = apply_transform(back @ sweep.image_to_world[frame], pixels)
            expected = truth_at(truth, points)
            expected = np.where(np.isin(expected, labels), expected, 0)
            either = (mask > 0) | (expected > 0)
            agree += int((mask == expected)[either].sum())
            total += int(either.sum())
    assert total > 10_000
    # The truth is read at the nearest voxel centre, up to 0.9 mm away, on 100 mm of border around 1000 mm2.
    assert agree / total > 0.95


def test_motion_maps_the_leg(perfect: Path) -> None:
    description = read_json(perfect / "truth.json")
    motion = np.array(description["deep_to_superficial"])
    places = {name: np.array(matrix) for name, matrix in description["leg_to_world"].items()}
    assert rigid_problem(motion, 1e-9) is None
    np.testing.assert_allclose(motion @ places["deep"], places["superficial"], atol=1e-9)
    middle = apply_transform(places["deep"], [0, 35, 200])
    shift = np.linalg.norm(apply_transform(motion, middle) - middle)
    assert 0.3 * 8 - 1e-6 <= shift <= 8 + 1e-6


def test_truth_has_the_volumes(perfect: Path) -> None:
    truth = read_volume(perfect / "truth.mha")
    description = read_json(perfect / "truth.json")
    for name, volume in description["volumes_ml"].items():
        found = (truth.array == description["labels"][name]).sum() * truth.grid.voxel_ml
        assert found == pytest.approx(volume, rel=5e-3)


def test_muscles_are_swept_whole(perfect: Path) -> None:
    """Every voxel of a muscle projects into the image of a frame of its acquisition that is near to it."""
    truth = read_volume(perfect / "truth.mha")
    description = read_json(perfect / "truth.json")
    for acquisition, names in description["structures"].items():
        labels = [description["labels"][name] for name in names]
        index = np.argwhere(np.isin(truth.array, labels))[::7, ::-1]
        points = apply_transform(truth.grid.index_to_world, index)
        if acquisition == "superficial":
            points = apply_transform(np.array(description["deep_to_superficial"]), points)
        seen = np.zeros(len(points), bool)
        for number in range(1, 5):
            sweep = sweep_of(perfect, acquisition, number)
            _, rows, columns = sweep.frames.shape
            for frame in np.flatnonzero(sweep.valid):
                local = apply_transform(np.linalg.inv(sweep.image_to_world[frame]), points)
                # Half the distance of frames (10 mm here), and as much again for tremor and one missed frame.
                seen |= (
                    (np.abs(local[:, 2]) < 11)
                    & (local[:, 0] >= 0)
                    & (local[:, 0] <= columns - 1)
                    & (local[:, 1] >= 0)
                    & (local[:, 1] <= rows - 1)
                )
        assert seen.mean() > 0.9995


def test_ends_are_annotated(perfect: Path) -> None:
    for acquisition, labels in (("deep", [3]), ("superficial", [1, 2])):
        for number in range(1, 5):
            masks = masks_of(perfect, acquisition, number)
            frames = sorted(masks)
            assert not masks[frames[0]].any()
            assert not masks[frames[-1]].any()
            for label in labels:
                shown = [frame for frame in frames if (masks[frame] == label).any()]
                if shown:
                    assert not (masks[shown[0] - 1] == label).any()
                    assert not (masks[shown[-1] + 1] == label).any()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    settings = {**TINY, "frame_spacing_mm": 40.0, "truth_spacing_mm": 4.0}
    np.random.seed(0)  # noqa: NPY002
    simulate_case(tmp_path / "a", "p01", "left", settings, 3)
    np.random.seed(1)  # noqa: NPY002
    simulate_case(tmp_path / "b", "p01", "left", settings, 3)
    simulate_case(tmp_path / "c", "p01", "left", settings, 4)
    simulate_case(tmp_path / "d", "p02", "left", settings, 3)
    first = digests(tmp_path / "a")
    assert len(first) > 20
    assert digests(tmp_path / "b") == first
    for other in ("c", "d"):
        changed = digests(tmp_path / other)
        assert changed["deep/sweep_1.mha"] != first["deep/sweep_1.mha"]
        assert changed["truth.mha"] != first["truth.mha"]


def test_errors_of_tracker_hand_and_calibration(tmp_path: Path, perfect: Path) -> None:
    noisy = {
        **PERFECT,
        "jitter_mm": 0.5,
        "wobble_mm": 0.6,
        "calibration_error_mm": 1.0,
        "invalid_fraction": 0.3,
    }
    simulate_case(tmp_path, "p01", "right", noisy, 3)
    true, given = (read_calibration(folder / "calibration_deep.xml") for folder in (perfect, tmp_path))
    middle = [20, 47, 0]
    off = apply_transform(true.image_to_probe, middle) - apply_transform(given.image_to_probe, middle)
    assert np.linalg.norm(off) == pytest.approx(1.0, abs=0.05)
    exact, sweep = sweep_of(perfect, "deep", 2), sweep_of(tmp_path, "deep", 2)
    assert 0.05 < 1 - sweep.valid.mean() < 0.6
    assert sweep.valid[sorted(masks_of(tmp_path, "deep", 2))].all()
    both = exact.valid & sweep.valid
    moved = apply_transform_each(sweep.image_to_world[both], middle) - apply_transform_each(
        exact.image_to_world[both], middle
    )
    # White noise of 0.5 mm per axis about the calibration's constant error (constant in the turning probe).
    assert 0.3 < moved.std(axis=0).mean() < 0.8
    straight, drawn = masks_of(perfect, "deep", 2), masks_of(tmp_path, "deep", 2)
    frame = max(straight, key=lambda f: (straight[f] > 0).sum())
    change = ((straight[frame] > 0) != (drawn[frame] > 0)).sum() / (straight[frame] > 0).sum()
    assert 0.002 < change < 0.15


def apply_transform_each(matrices: np.ndarray, point: list[int]) -> np.ndarray:
    return matrices[:, :3, :3] @ np.asarray(point, float) + matrices[:, :3, 3]


def test_settings_are_checked() -> None:
    assert complete_settings({}).to_dict() == DEFAULTS
    full = complete_settings({"preset": "full_dense"})
    assert (full.rows, full.columns, full.frames, full.sweeps) == (544, 227, 290, 5)
    assert complete_settings({"preset": "full_sparse"}).frames == 80
    for bad in (
        {"speckle": 1},
        {"sweeps": 2.5},
        {"sweeps": "4"},
        {"depth_mm": 0},
        {"jitter_mm": -1},
        {"compress": 1},
        {"invalid_fraction": 1.0},
        {"preset": "huge"},
        {"sweep_overlap_mm": 40},
    ):
        with pytest.raises(InputError) as caught:
            complete_settings(bad)
        assert next(iter(bad)) in str(caught.value)
    assert set(PRESETS) == {"default", "full_sparse", "full_dense"}
