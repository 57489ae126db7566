from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.calibration import write_calibration
from myosweep.io.options import RecordingOptions
from myosweep.io.posed_images import read_posed_images
from myosweep.io.recordings import format_of, read_sweep
from myosweep.io.sweeps import Rectangle
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sweep_writers import (
    some_frames,
    some_poses,
    write_dicom,
    write_images,
    write_matrix,
    write_poses,
    write_table,
)

PIXELS = np.diag([0.2, 0.25, 0.2, 1])
MOUNT = some_poses(1, seed=9)[0]


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    return write_matrix(tmp_path / "calibration.csv", MOUNT @ PIXELS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "sweep", some_frames())


def steady(times: np.ndarray) -> np.ndarray:
    """A probe that moves steadily along z."""
    poses = np.tile(np.eye(4), (len(times), 1, 1))
    poses[:, 2, 3] = 100 + 20 * times
    return poses


def dicom(path: Path, count: int = 6, **elements: Any) -> Path:
    """Frames every 40 ms."""
    return write_dicom(path, some_frames(count), FrameTime="40", **elements)


@pytest.mark.parametrize("place", ["poses.csv", "poses.tsv", "../sweep.csv", "../sweep.tsv"])
def test_the_table_is_found(folder: Path, calibration: Path, place: str) -> None:
    write_poses(folder / place, some_poses())
    sweep = read_sweep(folder, calibration)
    assert format_of(folder) == format_of("a/s.MP4") == format_of("s.dcm") == "images"
    np.testing.assert_allclose(sweep.image_to_world, some_poses() @ MOUNT @ PIXELS, atol=1e-9)
    assert np.isnan(sweep.timestamps).all()
    assert sweep.problems == ("",) * 6


def test_rows_by_file_or_by_frame_in_any_order(folder: Path, calibration: Path) -> None:
    order = [4, 0, 5, 2]
    names = [f"frame_{index}.png" for index in order]
    for column in ({"file": names}, {"frame": order}):
        write_poses(folder / "poses.csv", some_poses()[order], **column)
        sweep = read_posed_images(folder, calibration, RecordingOptions(time_offset_s=0.3))
        assert sweep.problems == ("", "no row in poses.csv", "", "no row in poses.csv", "", "")
        np.testing.assert_allclose(
            sweep.image_to_world[order], (some_poses() @ MOUNT @ PIXELS)[order], atol=1e-9
        )
        assert np.isnan(sweep.image_to_world[[1, 3]]).all()
        assert "time_offset_s has no use" in sweep.notes[0]


def test_times_of_rows_are_the_frames(folder: Path, calibration: Path) -> None:
    write_poses(folder / "poses.csv", some_poses()[:5], frame=range(5), time_ms=[0, 10, 20, 30, 45])
    times = read_posed_images(folder, calibration).timestamps
    np.testing.assert_allclose(times, [0, 0.01, 0.02, 0.03, 0.045, np.nan], atol=1e-12)


def test_poses_are_interpolated_to_frames(tmp_path: Path, calibration: Path) -> None:
    path = dicom(tmp_path / "s.dcm")
    pose_times = np.arange(-0.013, 0.3, 0.017)
    write_poses(tmp_path / "s.csv", steady(pose_times), "quaternion", time_s=pose_times)
    sweep = read_posed_images(path, calibration)
    np.testing.assert_allclose(sweep.timestamps, np.arange(6) * 0.04, atol=1e-12)
    np.testing.assert_allclose(sweep.image_to_world, steady(sweep.timestamps) @ MOUNT @ PIXELS, atol=1e-9)
    moved = read_posed_images(path, calibration, RecordingOptions(time_offset_s=-0.025))
    expected = steady(moved.timestamps + 0.025) @ MOUNT @ PIXELS
    np.testing.assert_allclose(moved.image_to_world, expected, atol=1e-9)


def test_times_of_a_folder_of_images(folder: Path, calibration: Path) -> None:
    pose_times = np.arange(0, 1, 0.02)
    write_poses(folder / "poses.csv", steady(pose_times), "zyx", time_s=pose_times)
    refused(folder, calibration, "frames without times", "frames.csv")
    times = [0.1, 0.15, 0.21, 0.3, 0.31, 0.5]
    write_table(folder / "frames.csv", {"file": [f"frame_{i}.png" for i in range(6)], "time_s": times})
    sweep = read_posed_images(folder, calibration)
    np.testing.assert_allclose(sweep.timestamps, times)
    np.testing.assert_allclose(sweep.image_to_world, steady(np.array(times)) @ MOUNT @ PIXELS, atol=1e-9)


def test_frames_outside_and_in_gaps_are_problems(tmp_path: Path, calibration: Path) -> None:
    path = dicom(tmp_path / "s.dcm", 12)
    pose_times = np.concatenate([np.arange(0.06, 0.18, 0.02), np.arange(0.26, 0.4, 0.02)])
    lost = ["" if time < 0.35 else "lost" for time in pose_times]
    write_poses(tmp_path / "s.csv", steady(pose_times), time_s=pose_times, status=lost)
    problems = read_posed_images(path, calibration).problems
    # 40 ms per frame: 0 and 1 before the poses, 5 and 6 in the gap of 0.1 s, 9 on after the last good one.
    assert [index for index, problem in enumerate(problems) if problem] == [0, 1, 5, 6, 9, 10, 11]
    assert all("no pose at its time" in problems[index] for index in (0, 1, 5, 6, 9, 10, 11))


def test_a_lost_sample_is_bridged_and_a_repeated_one_told(tmp_path: Path, calibration: Path) -> None:
    path = dicom(tmp_path / "s.dcm")
    pose_times = np.array([0, 0.02, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2])
    valid = ["1"] * 4 + ["0"] + ["1"] * 7
    write_poses(tmp_path / "s.csv", steady(pose_times), time_s=pose_times, valid=valid)
    sweep = read_posed_images(path, calibration)
    assert sweep.problems == ("",) * 6
    assert sweep.notes == ("rows that repeat the time of the row before are not used: 1",)


def test_matrices_of_pixels_are_interpolated_too(tmp_path: Path) -> None:
    path = dicom(tmp_path / "s.dcm")
    pose_times = np.arange(0, 0.3, 0.03)
    write_poses(tmp_path / "s.csv", steady(pose_times) @ PIXELS, time_s=pose_times)
    sweep = read_posed_images(path)
    np.testing.assert_allclose(sweep.image_to_world, steady(sweep.timestamps) @ PIXELS, atol=1e-9)
    assert sweep.pixel_spacing == pytest.approx((0.2, 0.25))


def test_image_area_and_scale_of_the_recording(tmp_path: Path) -> None:
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 1, 2
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 12, 8
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.025
    path = dicom(tmp_path / "s.dcm", SequenceOfUltrasoundRegions=Sequence([region]))
    write_poses(tmp_path / "s.csv", some_poses())
    for scale, clip in ((1.0, None), (1.1, Rectangle(0, 0, 5, 5))):
        write_calibration(tmp_path / "c.xml", PIXELS @ np.diag([scale, scale, scale, 1]), clip)
        sweep = read_posed_images(path, tmp_path / "c.xml")
        assert sweep.clip == (clip or Rectangle(1, 2, 11, 6))
        assert [("another depth" in note) for note in sweep.notes] == [True] * (scale != 1)


def test_the_offset_is_estimated(tmp_path: Path, calibration: Path) -> None:
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    rng = np.random.default_rng(5)
    texture = gaussian_filter(rng.normal(size=(240, 40, 40)), (2, 1.5, 1.5))
    speed = 15 + 8 * gaussian_filter1d(rng.normal(size=1000), 20) * 8
    way = np.concatenate([[0], np.cumsum(np.maximum(speed, 0.5) * 0.01)])
    fine = np.arange(1001) * 0.01
    times = np.arange(200) * 0.04
    slices = np.interp(times + 0.3, fine, way) * 1.2
    low = slices.astype(int)
    share = (slices - low)[:, None, None]
    images = texture[low] * (1 - share) + texture[low + 1] * share
    frames = np.clip(128 + 40 * images / texture.std(), 0, 255).astype(np.uint8)
    path = write_dicom(tmp_path / "s.dcm", frames, FrameTime="40")
    poses = np.tile(np.eye(4), (1001, 1, 1))
    poses[:, 2, 3] = way
    write_poses(tmp_path / "s.csv", poses, time_s=fine)
    sweep = read_posed_images(path, calibration, RecordingOptions(time_offset_s="auto"))
    expected = (poses @ MOUNT @ PIXELS)[np.rint((times + 0.3) * 100).astype(int), :3, 3]
    # Half a frame interval at up to 40 mm/s.
    assert np.abs(sweep.image_to_world[:, :3, 3] - expected).max() < 0.8
    assert sweep.notes[0].startswith("-0.")
    assert "estimated" in sweep.notes[0]


def refused(path: Path, calibration: Path | None, *words: str, **options: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_posed_images(path, calibration, RecordingOptions(**options))
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_missing_or_several_tables_are_refused(folder: Path, calibration: Path) -> None:
    refused(folder, calibration, "no table of poses", "poses.csv", "sweep.csv")
    write_poses(folder / "poses.csv", some_poses())
    write_poses(folder.with_suffix(".csv"), some_poses())
    refused(folder, calibration, "several tables of poses", str(folder / "poses.csv"), str(folder) + ".csv")
    refused(folder / "none.mp4", calibration, "no such file or folder")
    (folder / "x.doc").touch()
    write_poses(folder / "x.csv", some_poses())
    refused(folder / "x.doc", calibration, "suffix `.doc`")


def test_tables_that_do_not_fit_the_frames_are_refused(folder: Path, calibration: Path) -> None:
    poses, table = some_poses(), folder / "poses.csv"
    names = [f"frame_{index}.png" for index in range(6)]
    write_poses(table, poses[:5])
    refused(folder, calibration, "5 poses for 6 frames")
    write_poses(table, poses, frame=range(1, 7))
    refused(folder, calibration, "row 7, column frame", "frame 6", "counted from 0")
    write_poses(table, poses, frame=[0, 1, 2, 3, 3, 4])
    refused(folder, calibration, "row 6, column frame", "second time (first in row 5)")
    write_poses(table, poses, file=[*names[:5], "../frame_5.png"])
    refused(folder, calibration, "row 7, column file", "no image of the folder")
    write_poses(table, poses, file=[*names[:5], names[0]])
    refused(folder, calibration, "row 7, column file", "second time (first in row 2")
    write_poses(table, poses, frame=[5, 4, 3, 2, 1, 0], time_s=range(6))
    refused(folder, calibration, "frame 1 at 4 s", "backwards")
    write_poses(table, poses * np.nan, frame=range(6))
    refused(folder, calibration, "not one of 6 frames")
    write_poses(table, poses @ np.diag([0.2, 0.2, 0.2, 1]), frame=range(6))
    refused(folder, calibration, "row 2", "leave the column `calibration` empty")
    write_poses(table, poses, frame=range(6))
    refused(folder, None, "no calibration")


def test_a_column_of_files_for_one_file_is_refused(tmp_path: Path, calibration: Path) -> None:
    path = dicom(tmp_path / "s.dcm")
    write_poses(tmp_path / "s.csv", some_poses(), file=["s.dcm"] * 6)
    refused(path, calibration, "a column `file`")


def test_times_that_do_not_overlap_are_refused(tmp_path: Path, calibration: Path) -> None:
    path = dicom(tmp_path / "s.dcm")
    pose_times = 1700000000 + np.arange(0, 1, 0.02)
    write_poses(
        tmp_path / "s.csv", steady(np.arange(0, 1, 0.02)), time_s=[f"{time:.3f}" for time in pose_times]
    )
    refused(
        path, calibration, "do not overlap", "time_offset_s", "(-1700000000.000 where both start together)"
    )
    sweep = read_posed_images(path, calibration, RecordingOptions(time_offset_s=-1700000000.0))
    assert sweep.problems == ("",) * 6
    refused(path, calibration, "time_offset_s", time_offset_s="auto")
    write_dicom(tmp_path / "s.dcm", some_frames())
    refused(path, calibration, "frames without times", "add a column `frame`")
    dicom(path)
    write_poses(tmp_path / "s.csv", steady(pose_times), time_s=pose_times, valid=[0] * 50)
    refused(path, calibration, "not one of 50 poses")
