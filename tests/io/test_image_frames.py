from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.io.image_frames import grey, open_folder
from PIL import Image
from sweep_writers import some_frames, write_images, write_table


@pytest.mark.parametrize("name", ["{}.png", "frame_{:04d}.TIFF", "{}.tif", "image {}.PNG"])
@pytest.mark.parametrize("colour", [False, True])
def test_what_is_written_is_read(tmp_path: Path, name: str, colour: bool) -> None:
    frames = some_frames(12)
    source = open_folder(write_images(tmp_path / "s", frames, name, colour))
    assert source.frames.shape == (12, 10, 14)
    for frame in (11, 0, 5, -1):
        np.testing.assert_array_equal(source.frames[frame], frames[frame])
    assert np.isnan(source.times).all()


def test_jpeg_is_read_as_it_is_stored(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(14, dtype=np.uint8) * 8, (3, 10, 1))
    source = open_folder(write_images(tmp_path / "s", smooth, "{}.jpg"))
    # Grey levels that the format itself loses.
    np.testing.assert_allclose(source.frames[1].astype(int), smooth[1], atol=4)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_colour_becomes_luma(red: int, green: int, blue: int) -> None:
    colours = np.tile(np.array([red, green, blue], np.uint8), (2, 3, 1))
    # BT.601; half a level to round, and the decoder's integers.
    np.testing.assert_allclose(grey(colours), 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.51)
    np.testing.assert_array_equal(grey(np.full((2, 3, 3), red, np.uint8)), red)


def test_palettes_and_opaque_transparency(tmp_path: Path) -> None:
    frame = some_frames(1)[0]
    palette = Image.fromarray(frame)
    palette.putpalette([value for level in range(256) for value in (level, level, level)])
    for number, image in enumerate((palette, Image.fromarray(frame).convert("RGBA"))):
        (tmp_path / str(number)).mkdir()
        image.save(tmp_path / str(number) / "1.png")
        np.testing.assert_array_equal(open_folder(tmp_path / str(number)).frames[0], frame)


def test_times_of_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path, some_frames(3), "{}.png")
    write_table(folder / "frames.csv", {"File": ["2.png", "0.png", "1.png"][::-1], "Time_ms": [40, 0, 80]})
    with pytest.raises(InputError, match="runs backwards"):
        open_folder(folder)
    write_table(folder / "frames.csv", {"File": ["0.png", "1.png", "2.png"], "Time_ms": [10, 50, 92.5]})
    np.testing.assert_allclose(open_folder(folder).times, [0.01, 0.05, 0.0925], atol=1e-12)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        _ = open_folder(folder).frames[1]
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"file": ["0.png", "1.png"], "time_s": [0, 1]}, ["no row for 2.png"]),
        ({"file": ["0.png", "1.png", "3.png"], "time_s": [0, 1, 2]}, ["row 4", "`3.png`"]),
        ({"file": ["0.png", "1.png", "../2.png"], "time_s": [0, 1, 2]}, ["row 4", "`../2.png`"]),
        ({"file": ["0.png", "1.png", "1.png"], "time_s": [0, 1, 2]}, ["row 4", "second time", "row 3"]),
        ({"file": ["0.png", "1.png", "2.png"], "time_s": [0, 1, "x"]}, ["row 4, column time_s", "`x`"]),
        ({"file": ["0.png", "1.png", "2.png"], "time_s": [0, 1, ""]}, ["row 4, column time_s"]),
        ({"file": ["0.png", "1.png", "2.png"], "time": [0, 1, 2]}, ["time without a unit"]),
        ({"file": ["0.png", "1.png", "2.png"]}, ["time_s"]),
        ({"name": ["0.png", "1.png", "2.png"], "time_s": [0, 1, 2]}, ["`file`"]),
        ({"file": ["2.png", "1.png", "0.png"], "time_s": [0, 1, 2]}, ["1.png", "comes first by name"]),
    ],
)
def test_times_that_do_not_fit_are_refused(
    tmp_path: Path, columns: dict[str, list], words: list[str]
) -> None:
    folder = write_images(tmp_path, some_frames(3), "{}.png")
    write_table(folder / "frames.csv", columns)
    refused(folder, "frames.csv", *words)


def test_two_tables_of_times_are_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path, some_frames(3))
    for name in ("frames.csv", "frames.tsv"):
        (folder / name).touch()
    refused(folder, "frames.csv, frames.tsv")


def test_images_that_are_no_frames_are_refused(tmp_path: Path) -> None:
    deep = some_frames(3).astype(np.uint16) * 257
    for number, (kind, suffix) in enumerate((("I;16", "png"), ("I;16", "tif"), ("F", "tif"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for frame in range(3):
            image = Image.fromarray(deep[frame] if kind == "I;16" else deep[frame].astype(np.float32))
            image.save(folder / f"{frame}.{suffix}")
        refused(folder, "0." + suffix, "8 bits")
    refused(tmp_path / "nothing", "no images")
    mixed = write_images(tmp_path / "mixed", some_frames(2))
    write_images(mixed, some_frames(1), "x.jpg")
    refused(mixed, ".jpg, .png")
    sizes = write_images(tmp_path / "sizes", some_frames(2))
    write_images(sizes, some_frames(1, 11), "frame_2.png")
    refused(sizes, "frame_2.png", "14 x 11 pixels", "14 x 10 pixels")
    pages = tmp_path / "pages"
    pages.mkdir()
    Image.fromarray(some_frames()[0]).save(
        pages / "1.tif", save_all=True, append_images=[Image.fromarray(some_frames()[1])]
    )
    refused(pages, "2 images in one file")


def test_colours_of_16_bits_are_refused(tmp_path: Path) -> None:
    # Pillow reads them as if they had 8 bits, and cannot write them: a PNG by hand.
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(2 * 3 * 4) for _ in range(3))
    data = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))
    refused(tmp_path, "an image of 16 bits")
    # A size that lies takes no memory.
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**30, 2**30, 8, 0, 0, 0, 0)) + chunk(b"IDAT", b"")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + huge)
    refused(tmp_path, "1.png")


def test_damaged_images_are_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "s", some_frames(3))
    path = folder / "frame_1.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(folder, "frame_1.png", "no readable image")
    path.write_text("<svg/>")
    refused(folder, "frame_1.png")
