from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.io.companions import (
    images_of,
    landmarks_beside,
    natural_key,
    posed_image_files,
    tus_rec_files,
)


def touched(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_images_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    names = ["f_2_9.png", "f_2_10.PNG", "f_10_1.png", "f_010_02.png"]
    touched(*(tmp_path / name for name in reversed(names)))
    touched(tmp_path / "Thumbs.db", tmp_path / ".f_1.png", tmp_path / "poses.csv")
    assert [path.name for path in images_of(tmp_path)] == names


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_sort_as_numbers(numbers: list[int]) -> None:
    names = [f"Frame{number}.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"Frame{number}.png" for number in sorted(numbers)]


def test_a_recording_of_images_consists_of(tmp_path: Path) -> None:
    folder = tmp_path / "sweep.1"
    images = touched(folder / "1.png", folder / "2.png")
    times, poses = touched(folder / "frames.csv", folder / "poses.csv")
    (beside,) = touched(tmp_path / "sweep.1.csv")
    touched(tmp_path / "sweep.csv", folder / "notes.txt")
    assert posed_image_files(folder) == [*images, times, poses, beside]
    video, table = touched(tmp_path / "p01.deep.mp4", tmp_path / "p01.deep.csv")
    assert posed_image_files(str(video)) == [video, table]


def test_a_folder_named_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path / "s" / "1.png", tmp_path / "s.csv")
    monkeypatch.chdir(tmp_path / "s")
    assert [path.resolve() for path in posed_image_files(".")] == [
        tmp_path / "s" / "1.png",
        tmp_path / "s.csv",
    ]


@given(st.text(max_size=300))
def test_nothing_is_raised(text: str) -> None:
    assert tus_rec_files(text)[0] == Path(text)
    posed_image_files(f"{text}.mp4")
    landmarks_beside(Path("/") / "x.h5")
