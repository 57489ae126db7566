"""Kits for annotators: which frames are asked for, and that nothing drawn is ever lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.io.annotations import read_annotations, write_mask
from myosweep.io.plus import write_sequence
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Contour, Sweep
from myosweep.labels import annotation_kit
from myosweep.labels.annotation_kit import frames_to_outline, path_lengths, write_kit
from PIL import Image

STRUCTURES = {"GM": 1, "SOL": 7}


def sweep_of(z: np.ndarray, problems: dict[int, str] | None = None) -> Sweep:
    poses = np.tile(np.eye(4), (len(z), 1, 1))
    poses[:, 2, 3] = z
    told = tuple((problems or {}).get(index, "") for index in range(len(z)))
    frames = np.random.default_rng(1).integers(0, 200, (len(z), 6, 8)).astype(np.uint8)
    return Sweep(Path("s.mha"), frames, poses, told, np.arange(float(len(z))))


def test_a_sweep_without_masks_gets_both_ends_and_even_steps() -> None:
    sweep = sweep_of(np.arange(0, 101, 1.0))
    assert frames_to_outline(sweep, (), 20) == [0, 20, 40, 60, 80, 100]
    assert frames_to_outline(sweep, (), 30) == [0, 25, 50, 75, 100]
    assert frames_to_outline(sweep, (), 1000) == [0, 100]


def test_between_masks_that_are_there_already() -> None:
    sweep = sweep_of(np.arange(0, 101, 1.0))
    assert frames_to_outline(sweep, {0, 50, 100}, 20) == [17, 33, 67, 83]
    assert frames_to_outline(sweep, set(range(0, 101, 20)), 20) == []


def test_masks_spaced_as_asked_are_enough_in_spite_of_jitter() -> None:
    sweep = sweep_of(np.arange(0, 101, 1.0) + np.random.default_rng(3).normal(0, 0.2, 101))
    assert frames_to_outline(sweep, set(range(0, 101, 20)), 20) == []


def test_frames_that_cannot_be_used_are_not_asked_for() -> None:
    sweep = sweep_of(np.arange(0, 41, 1.0), {0: "no pose", 20: "jumping", 40: "no pose"})
    assert frames_to_outline(sweep, (), 19) in ([1, 19, 39], [1, 14, 26, 39], [1, 21, 39], [1, 13, 27, 39])
    assert frames_to_outline(sweep_of(np.zeros(2), {0: "no pose", 1: "no pose"}), (), 20) == []
    assert frames_to_outline(sweep_of(np.zeros(1)), (), 20) == [0]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.floats(0, 6), min_size=1, max_size=80),
    every=st.floats(6, 40),
    done=st.sets(st.integers(0, 79), max_size=6),
)
def test_no_stretch_is_longer_than_asked_for(steps: list[float], every: float, done: set[int]) -> None:
    z = np.concatenate([[0.0], np.cumsum(steps)])
    done = {frame for frame in done if frame < len(z)}
    sweep = sweep_of(z)
    frames = frames_to_outline(sweep, done, every)
    assert not done.intersection(frames)
    outlined = sorted(done.union(frames))
    assert {0, len(z) - 1} <= set(outlined)
    # The path is measured along points a tenth of `every` apart; between them it is straight.
    assert np.diff(z[outlined]).max(initial=0) <= every * 1.2 + 6
    # Not many more than needed.
    assert len(frames) <= 2 * (z[-1] / every + 1 + len(done)) + 2


def test_tremor_does_not_lengthen_the_path() -> None:
    draw = np.random.default_rng(2)
    positions = np.zeros((2000, 3))
    positions[:, 2] = np.linspace(0, 400, 2000)
    raw = positions + draw.normal(0, 0.1, positions.shape)
    assert path_lengths(raw, 2.0)[-1] == pytest.approx(400, rel=0.02)
    # Frame by frame it would be half as long again.
    assert np.linalg.norm(np.diff(raw, axis=0), axis=1).sum() > 550
    assert (np.diff(path_lengths(raw, 2.0)) >= 0).all()


@pytest.fixture
def row(tmp_path: Path) -> dict[str, Any]:
    poses = np.tile(np.eye(4), (41, 1, 1))
    poses[:, 2, 3] = np.arange(41)
    frames = (np.arange(41 * 48).reshape(41, 6, 8) % 251).astype(np.uint8)
    write_sequence(tmp_path / "s.mha", frames, {"ImageToTracker": poses}, np.arange(41.0))
    write_mask(tmp_path / "masks" / "frame_20.png", np.full((6, 8), 7, np.uint8))
    return {
        "case": "p01",
        "acquisition": "deep",
        "sweep": "1",
        "path": str(tmp_path / "s.mha"),
        "calibration": "",
        "annotations": str(tmp_path / "masks"),
        "structures": ("SOL",),
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_kit(tmp_path: Path, row: dict[str, Any]) -> None:
    kit = tmp_path / "kit"
    assert write_kit(kit, row, STRUCTURES, 10) == [0, 10, 30, 40]
    assert names(kit) == ["README.txt", "images", "masks"]
    assert names(kit / "images") == [f"frame_{frame:04d}.png" for frame in (0, 10, 30, 40)]
    assert names(kit / "masks") == ["frame_0020.png"]
    sweep = read_sweep(row["path"])
    np.testing.assert_array_equal(np.array(Image.open(kit / "images/frame_0030.png")), sweep.frames[30])
    masks = read_annotations(kit / "masks", sweep, STRUCTURES, ["SOL"])
    assert (masks[20] == 7).all()
    text = (kit / "README.txt").read_text()
    for word in ("1  GM", "7  SOL", "255  unknown", "annotations/p01_deep_1", "structures   SOL", "10 mm"):
        assert word in text


def test_a_recording_without_masks(tmp_path: Path, row: dict[str, Any]) -> None:
    row |= {"annotations": "", "structures": ()}
    assert write_kit(tmp_path / "kit", row, STRUCTURES, 20) == [0, 20, 40]
    assert names(tmp_path / "kit/masks") == []
    assert "structures   GM,SOL" in (tmp_path / "kit/README.txt").read_text()


def test_what_was_drawn_in_the_kit_stays(tmp_path: Path, row: dict[str, Any]) -> None:
    kit = tmp_path / "kit"
    write_kit(kit, row, STRUCTURES, 10)
    mine = np.full((6, 8), 1, np.uint8)
    write_mask(kit / "masks/frame_0010.png", mine)
    write_mask(kit / "masks/frame_0020.png", mine)
    write_mask(kit / "images/frame_0030.png", mine)
    (kit / "masks/notes.txt").write_text("by hand")
    (kit / "README.txt").unlink()
    # Frames 10 and 30 are no longer asked for, 20 has another mask in the table now.
    write_mask(tmp_path / "masks" / "frame_20.png", np.zeros((6, 8), np.uint8))
    assert write_kit(kit, row, STRUCTURES, 20) == [0, 10, 40]
    for place in ("masks/frame_0010.png", "masks/frame_0020.png", "images/frame_0030.png"):
        np.testing.assert_array_equal(np.array(Image.open(kit / place)), mine)
    assert names(kit / "masks") == ["frame_0010.png", "frame_0020.png", "notes.txt"]
    write_kit(kit, row | {"annotations": "", "structures": ()}, STRUCTURES, 5)
    np.testing.assert_array_equal(np.array(Image.open(kit / "masks/frame_0020.png")), mine)


def test_images_no_longer_asked_for_go(tmp_path: Path, row: dict[str, Any]) -> None:
    write_kit(tmp_path / "kit", row, STRUCTURES, 10)
    write_kit(tmp_path / "kit", row, STRUCTURES, 20)
    assert names(tmp_path / "kit/images") == ["frame_0000.png", "frame_0040.png"]


def test_the_kits_own_folder_in_the_table(tmp_path: Path, row: dict[str, Any]) -> None:
    kit = tmp_path / "kit"
    write_kit(kit, row | {"annotations": "", "structures": ()}, STRUCTURES, 20)
    own = row | {"annotations": str(kit / "masks")}
    # Nothing is drawn yet: as without masks.
    assert write_kit(kit, own, STRUCTURES, 20) == [0, 20, 40]
    write_mask(kit / "masks/frame_0020.png", np.full((6, 8), 7, np.uint8))
    assert write_kit(kit, own, STRUCTURES, 20) == [0, 40]
    assert names(kit / "masks") == ["frame_0020.png"]


def test_contours_of_the_recording_become_masks(
    tmp_path: Path, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(np.arange(41.0))
    square = np.array([[1.0, 1], [5, 1], [5, 4], [1, 4]])
    drawn = Sweep(**{**vars(sweep), "contours": (Contour(20, "soleus", square, True),)})
    monkeypatch.setattr(annotation_kit, "read_sweep", lambda *_: drawn)
    options = {"contour_names": {"Soleus": "SOL"}}
    frames = write_kit(tmp_path / "kit", row | {"annotations": "contours"}, STRUCTURES, 20, options=options)
    assert frames == [0, 40]
    mask = np.array(Image.open(tmp_path / "kit/masks/frame_0020.png"))
    assert (mask == 7).sum() == 12
