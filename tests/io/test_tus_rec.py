from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import apply_transform
from myosweep.io.calibration import write_calibration
from myosweep.io.recordings import read_sweep
from myosweep.io.tus_rec import read_tus_rec, tus_rec_files
from sweep_writers import some_frames, some_poses, write_challenge_calibration, write_tus_rec

SCALES = np.diag([0.23, 0.22, 1, 1])
MOUNT = some_poses(1, seed=9)[0]


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    return write_challenge_calibration(tmp_path / "calib_matrix.csv", SCALES, MOUNT)


def write_landmarks(path: Path, **scans: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, rows in scans.items():
            file[name] = np.array(rows)
    return path


@pytest.mark.parametrize(
    "layout", [{}, {"chunks": (4, 5, 14), "compression": "gzip"}, {"chunks": (1, 10, 14), "shuffle": True}]
)
def test_what_is_written_is_read(tmp_path: Path, calibration: Path, layout: dict[str, Any]) -> None:
    path = write_tus_rec(tmp_path / "LH_Per_L_DtP.h5", some_frames(), some_poses(), **layout)
    sweep = read_sweep(path, calibration)
    assert sweep.frames.shape == (6, 10, 14)
    for frame in (5, 0, 3, 4, -1):
        np.testing.assert_array_equal(sweep.frames[frame], some_frames()[frame])
    with pytest.raises(IndexError):
        sweep.frames[6]
    assert np.isnan(sweep.timestamps).all()
    corner = apply_transform(sweep.image_to_world[2], (0, 0, 0))
    np.testing.assert_allclose(corner, apply_transform(some_poses()[2] @ MOUNT @ SCALES, (1, 1, 0)))
    assert tus_rec_files(path) == [path]


def test_single_precision_and_a_calibration_of_plus(tmp_path: Path) -> None:
    path = write_tus_rec(tmp_path / "s.HDF5", some_frames(), some_poses().astype(np.float32))
    write_calibration(tmp_path / "c.xml", np.diag([0.2, 0.2, 0.2, 1]))
    sweep = read_sweep(path, tmp_path / "c.xml")
    # A metre in single precision is 6e-5 mm.
    np.testing.assert_allclose(sweep.image_to_world, some_poses() @ np.diag([0.2, 0.2, 0.2, 1]), atol=1e-4)


@pytest.mark.parametrize("folder", ["landmarks", "landmark"])
def test_landmarks_of_the_subject_are_kept(tmp_path: Path, calibration: Path, folder: str) -> None:
    path = write_tus_rec(tmp_path / "frames_transfs" / "007" / "RH_rotation.h5", some_frames(), some_poses())
    rows = [(1, 14, 10), (5, 1, 1), (2, 3, 4)]
    beside = write_landmarks(tmp_path / folder / "landmark_007.h5", RH_rotation=rows, LH_rotation=[(1, 1, 1)])
    sweep = read_tus_rec(path, calibration)
    assert list(sweep.landmarks) == ["landmark_00", "landmark_01", "landmark_02"]
    for (frame, x, y), place in zip(rows, sweep.landmarks.values(), strict=True):
        # As the challenge's own code places a landmark.
        np.testing.assert_allclose(place, (some_poses()[frame] @ MOUNT @ SCALES @ (x, y, 0, 1))[:3])
    assert tus_rec_files(path) == [path, beside]


def test_frames_and_transforms_in_two_files(
    tmp_path: Path, calibration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tus_rec(tmp_path / "frames" / "050" / "s.h5", some_frames(), None)
    apart = write_tus_rec(tmp_path / "transfs" / "050" / "s.h5", None, some_poses())
    beside = write_landmarks(tmp_path / "landmarks" / "landmark_050.h5", s=[(1, 2, 3)])
    sweep = read_tus_rec(path, calibration)
    assert sweep.problems == ("",) * 6
    assert len(sweep.landmarks) == 1
    assert tus_rec_files(path) == [path, apart, beside]
    monkeypatch.chdir(path.parent)
    assert read_tus_rec("s.h5", calibration).landmarks == sweep.landmarks
    assert [file.resolve() for file in tus_rec_files("s.h5")] == [path, apart, beside]


def test_frames_without_a_transform_are_problems(tmp_path: Path, calibration: Path) -> None:
    tforms = some_poses()
    tforms[3] = np.nan
    path = write_tus_rec(tmp_path / "1" / "s.h5", some_frames(), tforms)
    write_landmarks(tmp_path / "1" / "landmark_1.h5", s=[(3, 2, 3), (2, 2, 3)])
    sweep = read_tus_rec(path, calibration)
    assert sweep.problems == ("", "", "", "no transform (NaN)", "", "")
    assert np.isnan(sweep.image_to_world[3]).all()
    assert list(sweep.landmarks) == ["landmark_01"]
    assert sweep.notes == ("no pose at landmark_00",)


def refused(path: Path, calibration: Path | None, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        _ = read_tus_rec(path, calibration).frames[0]
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_bad_transforms_are_refused_and_named(tmp_path: Path, calibration: Path) -> None:
    for name, change, word in (
        ("scaled", np.diag([1.1, 1, 1, 1]), "scales"),
        ("mirrored", np.diag([-1.0, 1, 1, 1]), "mirrors"),
        ("partly", np.diag([1, np.nan, 1, 1]), "not finite"),
    ):
        tforms = some_poses()
        tforms[2] = np.where(np.isnan(change), np.nan, tforms[2] @ np.nan_to_num(change))
        refused(write_tus_rec(tmp_path / f"{name}.h5", some_frames(), tforms), calibration, "frame 2", word)
    lost = write_tus_rec(tmp_path / "lost.h5", some_frames(), some_poses() * np.nan)
    refused(lost, calibration, "no transform in 6 frames")


def test_other_contents_are_refused(tmp_path: Path, calibration: Path) -> None:
    frames, tforms = some_frames(), some_poses()
    cases: list[tuple[Any, Any, list[str]]] = [
        (frames, tforms[:5], ["5 transforms for 6 frames"]),
        (frames.astype(np.uint16), tforms, ["frames", "uint16", "uint8"]),
        (frames[0], tforms, ["frames", "(10, 14)"]),
        (frames[:0], tforms[:0], ["0 frames"]),
        (frames, tforms[:, :3], ["tforms", "(6, 3, 4)"]),
        (frames, tforms.astype(int), ["tforms", "int64"]),
        (frames, None, ["tforms", "no such data"]),
        (None, tforms, ["frames", "no such data"]),
    ]
    for number, (some, more, words) in enumerate(cases):
        refused(write_tus_rec(tmp_path / f"{number}.h5", some, more), calibration, *words)
    good = write_tus_rec(tmp_path / "s.h5", frames, tforms)
    refused(good, None, "no calibration", "calib_matrix.csv")
    refused(tmp_path / "no.h5", calibration, "no such file")
    (tmp_path / "text.h5").write_text("not HDF5")
    refused(tmp_path / "text.h5", calibration, "no readable HDF5")
    (tmp_path / "cut.h5").write_bytes(good.read_bytes()[:-2000])
    refused(tmp_path / "cut.h5", calibration, "cut.h5")


def test_landmarks_that_do_not_fit_are_refused(tmp_path: Path, calibration: Path) -> None:
    path = write_tus_rec(tmp_path / "1" / "s.h5", some_frames(), some_poses())
    for rows, word in (
        ([(1, 2, 3), (6, 2, 3)], "row 1"),
        ([(1, 0, 3)], "x 0"),
        ([(1, 2, 11)], "y 11"),
        ([(1, 2)], "(1, 2)"),
    ):
        write_landmarks(tmp_path / "1" / "landmark_1.h5", s=rows)
        refused(path, calibration, "landmark_1.h5", word)
    write_landmarks(tmp_path / "1" / "landmark_1.h5", other=[(1, 1, 1)])
    assert read_tus_rec(path, calibration).notes == ("landmark_1.h5 has no landmarks of s",)


def test_links_and_data_in_other_files_are_refused(tmp_path: Path, calibration: Path) -> None:
    outside = write_tus_rec(tmp_path / "outside.h5", some_frames(), some_poses())
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("outside.h5", "frames")
        file["tforms"] = some_poses()
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["there"] = h5py.ExternalLink("outside.h5", "frames")
        file["frames"] = h5py.SoftLink("/there")
        file["tforms"] = some_poses()
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        virtual = h5py.VirtualLayout((6, 10, 14), np.uint8)
        virtual[:] = h5py.VirtualSource(outside, "frames", (6, 10, 14))
        file.create_virtual_dataset("frames", virtual)
        file["tforms"] = some_poses()
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(840))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("frames", (6, 10, 14), np.uint8, external=[(str(secret), 0, 840)])
        file["tforms"] = some_poses()
    for name in ("link", "soft", "virtual", "raw"):
        refused(
            tmp_path / f"{name}.h5", calibration, "frames", "a link to other data, or data in another file"
        )
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("frames")
    refused(tmp_path / "group.h5", calibration, "a group")


def test_sizes_that_lie_take_no_memory(tmp_path: Path, calibration: Path) -> None:
    for name, shape, layout in (
        ("many", (10**7 + 1, 64, 64), {"chunks": (1, 64, 64)}),
        ("empty", (10**6, 480, 640), {"chunks": (1, 480, 640), "compression": "gzip"}),
        ("wide", (1, 20000, 20000), {"chunks": (1, 100, 100)}),
        ("large", (1, 16000, 16000), {"chunks": (1, 100, 100)}),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("frames", shape, np.uint8, **layout)
            file["tforms"] = some_poses()
        tracemalloc.start()
        refused(tmp_path / f"{name}.h5", calibration, "frame")
        assert tracemalloc.get_traced_memory()[1] < 2e7
        tracemalloc.stop()
    with h5py.File(tmp_path / "tforms.h5", "w") as file:
        file["frames"] = some_frames()
        file.create_dataset("tforms", (10**7, 4, 4), np.float64, chunks=(1000, 4, 4))
    refused(tmp_path / "tforms.h5", calibration, "tforms")


def test_no_file_stays_open_and_frames_are_read_one_by_one(tmp_path: Path, calibration: Path) -> None:
    frames = some_frames(64, 128, 256)
    path = write_tus_rec(tmp_path / "s.h5", frames, some_poses(64), chunks=(2, 128, 256), compression="gzip")
    read_tus_rec(path, calibration)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    tracemalloc.start()
    sweep = read_tus_rec(path, calibration)
    for frame in range(64):
        assert sweep.frames[frame].shape == (128, 256)
    # A few blocks of two frames, where all are 64 frames.
    assert tracemalloc.get_traced_memory()[1] < 20 * 128 * 256
    tracemalloc.stop()
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)


def test_damage_anywhere_ends_in_a_sweep_or_in_an_input_error(tmp_path: Path, calibration: Path) -> None:
    data = write_tus_rec(tmp_path / "s.h5", some_frames(), some_poses()).read_bytes()
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(150):
        damaged = bytearray(data)
        # The structures stand in the first and the last kilobytes, pixels and poses between.
        for place in rng.integers(0, len(data), rng.integers(1, 30)):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "d.h5").write_bytes(damaged)
        try:
            sweep = read_tus_rec(tmp_path / "d.h5", calibration)
            assert sweep.frames[5].shape == sweep.frames.shape[1:]
        except InputError:
            refusals += 1
    assert refusals > 20
