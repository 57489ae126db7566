"""Damage anywhere in images, videos, DICOM files and tables ends in a sweep or in an InputError."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.posed_images import read_posed_images
from sweep_writers import (
    some_frames,
    some_poses,
    write_dicom,
    write_images,
    write_matrix,
    write_poses,
    write_video,
)

TRIALS = 60


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, or with some bytes changed, most of them where headers are."""
    if rng.random() < 0.15:
        return data[: rng.integers(len(data))]
    changed = bytearray(data)
    reach = len(data) if rng.random() < 0.4 else min(len(data), 1500)
    for place in rng.integers(0, reach, rng.choice([1, 2, 5, 20])):
        changed[place] = rng.choice([0, 255, rng.integers(256)])
    return bytes(changed)


@pytest.mark.parametrize(
    "kind",
    [
        "raw.dcm",
        "rle.dcm",
        "jpeg.dcm",
        "s.mkv",
        "s.mp4",
        "s.avi",
        "s.mpg",
        "s.wmv",
        "0.png",
        "0.jpg",
        "0.tif",
    ],
)
def test_damaged_images_end_in_a_sweep_or_in_an_input_error(tmp_path: Path, kind: str) -> None:
    frames, path = some_frames(8, 16, 24), tmp_path / "sweep" / kind
    path.parent.mkdir()
    calibration = write_matrix(tmp_path / "c.csv", np.diag([0.2, 0.2, 0.2, 1]))
    recording = path
    if path.suffix == ".dcm":
        write_dicom(path, frames, path.stem.replace("raw", ""), FrameTime="40")
    elif path.suffix in (".png", ".jpg", ".tif"):
        write_images(path.parent, frames, "{}" + path.suffix)
        recording = path.parent
    else:
        pytest.importorskip("av")
        codecs = {".mkv": "ffv1", ".mp4": "libx264", ".avi": "mjpeg", ".mpg": "mpeg2video", ".wmv": "wmv2"}
        pixels = {".mkv": "gray", ".avi": "yuvj420p"}.get(path.suffix, "yuv420p")
        write_video(path, frames, codecs[path.suffix], pixels)
    write_poses(recording / "poses.csv" if recording.is_dir() else path.with_suffix(".csv"), some_poses(8))
    data, rng = path.read_bytes(), np.random.default_rng(0)
    refusals = 0
    for _ in range(TRIALS):
        path.write_bytes(damaged(data, rng))
        try:
            with warnings.catch_warnings():
                # Decoders warn of what they mend.
                warnings.simplefilter("ignore")
                sweep = read_posed_images(recording, calibration)
                for frame in range(sweep.frames.shape[0]):
                    assert sweep.frames[frame].shape == sweep.frames.shape[1:]
        except InputError:
            refusals += 1
    assert 0 < refusals < TRIALS


@pytest.mark.parametrize("layout", ["matrix", "quaternion", "zyx"])
def test_damaged_tables_end_in_a_sweep_or_in_an_input_error(tmp_path: Path, layout: str) -> None:
    folder = write_images(tmp_path / "sweep", some_frames())
    calibration = write_matrix(tmp_path / "c.csv", np.diag([0.2, 0.2, 0.2, 1]))
    table = write_poses(folder / "poses.csv", some_poses(), layout, frame=range(6), time_s=range(6))
    tables = {path: path.read_bytes() for path in (table, calibration)}
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(TRIALS):
        for path, data in tables.items():
            path.write_bytes(damaged(data, rng))
            try:
                sweep = read_posed_images(folder, calibration)
                assert np.isfinite(sweep.image_to_world[sweep.valid]).all()
            except InputError:
                refusals += 1
            path.write_bytes(data)
    assert refusals > 10
