from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.annotations import read_annotations, write_mask
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from PIL import Image

STRUCTURES = {"SOL": 100, "GM": 150}
MASK = np.array([[0, 100, 100, 255], [0, 150, 100, 255], [0, 0, 0, 0]], np.uint8)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    frames, poses = np.zeros((20, 3, 4), np.uint8), np.tile(np.eye(4), (20, 1, 1))
    return Sweep(tmp_path / "s.mha", frames, poses, ("",) * 20, np.arange(20.0))


def read(folder: Path, sweep: Sweep) -> dict[int, np.ndarray]:
    return read_annotations(folder, sweep, STRUCTURES, ["SOL"])


def test_what_is_written_is_read(tmp_path: Path, sweep: Sweep) -> None:
    write_mask(tmp_path / "frame_0012.png", MASK)
    write_mask(tmp_path / "frame_0003.png", np.zeros_like(MASK))
    (tmp_path / "._frame_0003.png").write_bytes(b"\0")
    (tmp_path / "notes.txt").write_text("drawn on Monday")
    masks = read(tmp_path, sweep)
    assert list(masks) == [3, 12]
    np.testing.assert_array_equal(masks[12], MASK)
    assert not masks[3].any()


def test_a_palette_image_is_read_by_index(tmp_path: Path, sweep: Sweep) -> None:
    image = Image.fromarray(MASK).convert("L")
    palette = Image.new("P", image.size)
    palette.putdata(MASK.ravel().tolist())
    palette.putpalette([7, 8, 9] * 256)
    palette.save(tmp_path / "frame_0000.png")
    np.testing.assert_array_equal(read(tmp_path, sweep)[0], MASK)


@pytest.mark.parametrize(
    ("name", "image", "word"),
    [
        ("frame_0000.png", Image.fromarray(MASK[:2]), "4 x 2 pixels"),
        ("frame_0000.png", Image.fromarray(MASK + np.uint8(1)), "the values 1, 101, 151"),
        ("frame_0020.png", Image.fromarray(MASK), "from 0 to 19"),
        ("frame_0000.png", Image.fromarray(MASK).convert("RGB"), "mode RGB"),
        ("frame_0000.png", Image.fromarray(MASK).convert("1"), "mode 1"),
        ("frame_0000.png", Image.fromarray(MASK.astype(np.uint16)), "mode I;16"),
        ("mask0.png", Image.fromarray(MASK), "frame_NNNN.png"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    tmp_path: Path, sweep: Sweep, name: str, image: Image.Image, word: str
) -> None:
    image.save(tmp_path / name)
    with pytest.raises(InputError, match=word):
        read(tmp_path, sweep)


def test_two_masks_of_a_frame_are_refused(tmp_path: Path, sweep: Sweep) -> None:
    write_mask(tmp_path / "frame_0001.png", MASK)
    write_mask(tmp_path / "frame_01.png", MASK)
    with pytest.raises(InputError, match="second mask of frame 1"):
        read(tmp_path, sweep)


def test_folders_without_masks_and_broken_images_are_refused(tmp_path: Path, sweep: Sweep) -> None:
    with pytest.raises(InputError, match="no mask"):
        read(tmp_path, sweep)
    with pytest.raises(InputError, match="no such folder"):
        read(tmp_path / "nowhere", sweep)
    write_mask(tmp_path / "frame_0000.png", MASK)
    data = (tmp_path / "frame_0000.png").read_bytes()
    for broken in (data[:40], data[:-30], b"GIF"):
        (tmp_path / "frame_0000.png").write_bytes(broken)
        with pytest.raises(InputError, match="not a readable image"):
            read(tmp_path, sweep)


def test_real_masks(plus_data: Path) -> None:
    sweep = read_sweep(
        plus_data / "sequences" / "BoneUltrasound_L14.igs.mha",
        plus_data / "configs" / "BoneUltrasound_L14_config.xml",
    )
    masks = read_annotations(plus_data / "labels", sweep, {"muscle": 1}, ["muscle"])
    assert list(masks) == [0, 10, 20]
