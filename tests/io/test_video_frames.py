from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.video_frames import open_video
from sweep_writers import some_frames, write_video

av = pytest.importorskip("av")

# Suffix, codec, stored pixels, options: with and without B-frames, open groups, and without complete times.
LOSSY = [
    ("mp4", "libx264", "yuv420p", {"bf": "3", "g": "12"}),
    ("mkv", "libx264", "yuv420p", {"bf": "3", "x264opts": "open-gop=1:keyint=12"}),
    ("avi", "libx264", "yuv420p", {"bf": "2"}),
    ("avi", "mpeg4", "yuv420p", {"bf": "2", "g": "10"}),
    ("avi", "mjpeg", "yuvj420p", {}),
    ("mov", "mpeg4", "yuv420p", {}),
    ("wmv", "wmv2", "yuv420p", {}),
    ("mpg", "mpeg2video", "yuv420p", {"bf": "2", "g": "12"}),
]


def numbered(count: int = 50) -> np.ndarray:
    """Frames that say by bright and dark blocks which one they are."""
    bits = (np.arange(count)[:, None] >> np.arange(6)) & 1
    return np.kron(np.where(bits, 220, 30).reshape(count, 2, 3), np.ones((1, 32, 32))).astype(np.uint8)


def number_of(frame: np.ndarray) -> int:
    blocks = frame.reshape(2, 32, 3, 32).mean(axis=(1, 3)).ravel() > 125
    return int(blocks @ (1 << np.arange(6)))


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("mkv", "ffv1", "gray"),
        ("avi", "rawvideo", "gray"),
        ("avi", "ffv1", "gray"),
        ("avi", "rawvideo", "bgr24"),
    ],
)
def test_without_loss_what_is_written_is_read(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    frames = some_frames(30, 48, 64)
    source = open_video(write_video(tmp_path / f"s.{suffix}", frames, codec, pixels))
    assert source.frames.shape == (30, 48, 64)
    np.testing.assert_allclose(source.times, np.arange(30) * 0.04, atol=1e-9)
    for frame in (29, 0, 17, 3, 4, 5, -1):
        np.testing.assert_array_equal(source.frames[frame], frames[frame])


@pytest.mark.parametrize(("suffix", "codec", "pixels", "options"), LOSSY)
def test_any_frame_is_the_right_one_and_always_the_same(
    tmp_path: Path, suffix: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / f"s.{suffix}", numbered(), codec, pixels, **options)
    source = open_video(path)
    assert source.frames.shape == (50, 64, 96)
    np.testing.assert_allclose(source.times, np.arange(50) * 0.04, atol=1e-3)
    forwards = [source.frames[frame] for frame in range(50)]
    assert [number_of(frame) for frame in forwards] == list(range(50))
    again = open_video(path).frames
    for frame in np.random.default_rng(0).permutation(50).tolist():
        np.testing.assert_array_equal(again[frame], forwards[frame])


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    times = [100, 133, 171, 260, 290, 1500]
    source = open_video(write_video(tmp_path / "s.mkv", some_frames(6, 16, 16), times_ms=times))
    np.testing.assert_allclose(source.times, (np.array(times) - 100) / 1000, atol=1e-6)


def test_frames_are_decoded_one_by_one_and_files_are_closed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "s.mkv", some_frames(40, 64, 64))
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    frames = open_video(path).frames
    for frame in range(40):
        assert frames[frame].shape == (64, 64)
    assert len(frames._kept) <= 8  # type: ignore[attr-defined]
    copied = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(copied[7], frames[7])
    # A caller may write into what it gets.
    frames[7][:] = 0
    np.testing.assert_array_equal(copied[7], frames[7])
    del frames, copied
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def read_all(path: Path) -> None:
    frames = open_video(path).frames
    for frame in range(frames.shape[0]):
        assert frames[frame].shape == frames.shape[1:]


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_all(path)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.mp4").write_bytes(b"no video" * 100)
    refused(tmp_path / "s.mp4", "no readable video")
    refused(tmp_path / "none.mp4", "no such file")
    whole = write_video(tmp_path / "w.mp4", numbered(), "libx264", "yuv420p")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused(tmp_path / "cut.mp4", "cut.mp4")
    deep = write_video(tmp_path / "deep.mkv", some_frames(3, 16, 16), "ffv1", "gray10le")
    refused(deep, "more than 8 bits", "gray10le")


def test_playlists_lead_nowhere(tmp_path: Path) -> None:
    write_video(tmp_path / "other.mkv", some_frames(3, 16, 16))
    (tmp_path / "s.mp4").write_text("ffconcat version 1.0\nfile other.mkv\n")
    refused(tmp_path / "s.mp4", "no readable video")
    (tmp_path / "s.mkv").write_text("#EXTM3U\n#EXTINF:1,\nother.mkv\n#EXT-X-ENDLIST\n")
    refused(tmp_path / "s.mkv", "no readable video")


def test_without_pyav_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    refused(tmp_path / "s.mp4", "PyAV is not installed", "pip install")
