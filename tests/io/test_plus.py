from __future__ import annotations

import gzip
import re
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.frame_files import read_header, read_pixels
from myosweep.io.plus import plus_files, read_image_size, read_sequence, write_sequence

PIXELS = np.diag([0.2, 0.3, 0.2, 1.0])
FORMATS = [(suffix, compress) for suffix in ("mha", "mhd", "nrrd", "nhdr") for compress in (False, True)]


def some_frames(count: int = 4, rows: int = 9, columns: int = 7) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, rows, columns)).astype(np.uint8)


def poses(count: int = 4) -> np.ndarray:
    return np.array(
        [rigid_transform(rotation_about((1, 2, 3), 0.1 * i), (i, 2 * i, -3 * i)) for i in range(count)]
    )


def write(path: Path, **changes: object) -> Path:
    given_values: dict[str, object] = {
        "frames": some_frames(),
        "transforms": {"ProbeToTracker": poses()},
        "timestamps": np.arange(4.0),
    }
    write_sequence(path, **{**given_values, **changes})  # type: ignore[arg-type]
    return path


def edited(path: Path, old: str, new: str) -> Path:
    data = path.read_bytes()
    assert re.search(old.encode(), data), old
    path.write_bytes(re.sub(old.encode(), new.encode(), data))
    return path


@pytest.mark.parametrize(("suffix", "compress"), FORMATS)
@pytest.mark.parametrize("orientation", ["MF", "UFA", "MND", "UN", "FM", "FU", "NM", "NU"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, compress: bool, orientation: str) -> None:
    path = write(tmp_path / f"s.{suffix}", compress=compress, orientation=orientation)
    sweep = read_sequence(path, PIXELS)
    assert sweep.frames.shape == (4, 9, 7) == read_image_size(path)
    np.testing.assert_array_equal(np.stack([sweep.frames[i] for i in range(4)]), some_frames())
    np.testing.assert_allclose(sweep.image_to_world, poses() @ PIXELS, atol=1e-8)
    np.testing.assert_array_equal(sweep.timestamps, np.arange(4.0))


def test_orientation_turns_the_stored_rows_and_columns(tmp_path: Path) -> None:
    stored = {
        name: read_pixels(read_header(write(tmp_path / f"{name}.mha", orientation=name)))
        for name in ("MF", "UF", "MN")
    }
    np.testing.assert_array_equal(stored["UF"], stored["MF"][:, :, ::-1])
    np.testing.assert_array_equal(stored["MN"], stored["MF"][:, ::-1])
    # Scan lines along x: what was row r (far) and column c (marked) is column r and row c.
    far = read_pixels(read_header(write(tmp_path / "fm.mha", orientation="FM")))
    np.testing.assert_array_equal(far, stored["MF"].transpose(0, 2, 1))
    near = read_pixels(read_header(write(tmp_path / "nu.mha", orientation="NU")))
    np.testing.assert_array_equal(near, stored["MF"].transpose(0, 2, 1)[:, ::-1, ::-1])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a.nrrd").read_bytes() == write(tmp_path / "b.nrrd").read_bytes()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_reference_removes_any_motion_of_the_tracker(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    motion = np.array([rigid_transform(rotation_about(rng.normal(size=3), 1), rng.normal(size=3) * 50)] * 4)
    reference = poses()[::-1]
    path = tmp_path_factory.mktemp("s") / "s.mha"
    write(path, transforms={"ProbeToTracker": motion @ poses(), "ReferenceToTracker": motion @ reference})
    expected = np.linalg.inv(reference) @ poses() @ PIXELS
    # Files carry ten digits of positions up to a few hundred millimetres.
    np.testing.assert_allclose(read_sequence(path, PIXELS).image_to_world, expected, atol=1e-5)
    tracker = read_sequence(path, PIXELS, world="Tracker").image_to_world
    np.testing.assert_allclose(tracker, motion @ poses() @ PIXELS, atol=1e-5)


def test_a_recording_may_carry_its_calibration(tmp_path: Path) -> None:
    direct = write(tmp_path / "direct.mha", transforms={"ImageToReference": poses() @ PIXELS})
    np.testing.assert_allclose(read_sequence(direct).image_to_world, poses() @ PIXELS, atol=1e-8)
    fixed = write(tmp_path / "fixed.mha", compress=False)
    text = " ".join(str(value) for value in PIXELS.ravel())
    edited(fixed, "ElementDataFile", f"ImageToProbeTransform = {text}\nElementDataFile")
    np.testing.assert_allclose(read_sequence(fixed).image_to_world, poses() @ PIXELS, atol=1e-8)


def test_frames_with_a_lost_transform_are_problems(tmp_path: Path) -> None:
    lost = poses()
    lost[2] = np.nan
    path = write(
        tmp_path / "s.mha",
        transforms={"ProbeToTracker": lost, "StylusToTracker": poses()},
        statuses={
            "ProbeToTracker": [True, True, False, True],
            "StylusToTracker": [False] * 4,
            "Image": [True, False, True, True],
        },
    )
    sweep = read_sequence(path, PIXELS)
    assert sweep.problems == ("", "the image is INVALID", "ProbeToTracker is INVALID", "")
    assert np.isnan(sweep.image_to_world[2]).all()
    assert np.isfinite(sweep.image_to_world[[0, 3]]).all()


def test_numbers_with_three_digits_of_exponent(tmp_path: Path) -> None:
    path = write(tmp_path / "s.mha", transforms={"ProbeToTracker": np.tile(np.eye(4), (4, 1, 1))})
    edited(path, "_ProbeToTrackerTransform = 1 0 0 0", "_ProbeToTrackerTransform = 1 -8.43482e-005 0 0")
    assert read_sequence(path, np.eye(4)).image_to_world[0, 0, 1] == -8.43482e-5


def refused(path: Path, *words: str, calibration: np.ndarray | None = PIXELS) -> None:
    with pytest.raises(InputError) as caught:
        read_sequence(path, calibration).frames[0]
    for word in words:
        assert word in str(caught.value)


def test_bad_poses_are_refused_and_named(tmp_path: Path) -> None:
    for name, change, words in (
        ("nan", lambda m: m * np.nan, ["not finite"]),
        ("scaled", lambda m: m @ np.diag([1.1, 1, 1, 1]), ["scales or shears"]),
        ("mirrored", lambda m: m @ np.diag([-1, 1, 1, 1]), ["mirrors"]),
    ):
        bad = poses()
        bad[2] = change(bad[2])
        refused(
            write(tmp_path / f"{name}.mha", transforms={"ProbeToTracker": bad}),
            "frame 2", "ProbeToTracker", *words,
        )  # fmt: skip


def test_missing_transforms_are_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "none.mha", transforms={}), "no frame has a transform")
    path = edited(write(tmp_path / "fewer.mha"), "Seq_Frame0002_ProbeToTrackerTransform =", "Seq_x =")
    refused(path, "frame 2", "3 of 4 frames")
    refused(write(tmp_path / "s.mha"), "lead from Image to Tracker", "calibration", calibration=None)
    lost = {"ProbeToTracker": [False] * 4}
    refused(write(tmp_path / "lost.mha", statuses=lost), "not one of 4 frames", "ProbeToTracker is INVALID")
    text = edited(
        write(tmp_path / "t.mha"),
        "Seq_Frame0001_ProbeToTrackerTransform = 0",
        "Seq_Frame0001_ProbeToTrackerTransform = x",
    )
    refused(text, "frame 1", "16 numbers")


@pytest.mark.parametrize(("name", "reason"), [("XX", "did not know"), ("AMF", "volume"), ("FF", "FF")])
def test_other_orientations_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    path = edited(write(tmp_path / "s.mha"), "Orientation = MFA", f"Orientation = {name}")
    refused(path, "UltrasoundImageOrientation", reason)


def test_frames_in_colour_become_grey(tmp_path: Path) -> None:
    grey = some_frames()
    equal = np.repeat(grey, 3, axis=2)
    for suffix, old, new in (
        ("mha", "Channels = 1", "Channels = 3"),
        ("nrrd", "dimension: 3", "dimension: 4"),
    ):
        path = write(tmp_path / f"equal.{suffix}", frames=equal)
        edited(edited(path, old, new), "21 9 4", "7 9 4" if suffix == "mha" else "3 7 9 4")
        edited(path, "domain domain list", "vector domain domain list")
        sweep = read_sequence(edited(path, "BRIGHTNESS", "RGB_COLOR"), PIXELS)
        assert sweep.frames.shape == (4, 9, 7)
        np.testing.assert_array_equal(np.stack([sweep.frames[i] for i in range(4)]), grey)
        assert "colour" in sweep.notes[0]
    green = np.zeros((4, 9, 21), np.uint8)
    green[:, :, 1::3] = 100
    path = edited(write(tmp_path / "green.mha", frames=green), "21 9 4", "7 9 4")
    # ITU-R BT.601: green makes 0.587 of the luma.
    assert (read_sequence(edited(path, "Channels = 1", "Channels = 3"), PIXELS).frames[2] == 59).all()


def several_files(path: Path, compress: bool, named: str) -> Path:
    """The same recording with a file for each frame."""
    write(path, compress=False)
    raw = path.with_suffix(".raw").read_bytes()
    path.with_suffix(".raw").unlink()
    for frame in range(4):
        data = raw[frame * 63 : (frame + 1) * 63]
        if compress:
            data = gzip.compress(data) if path.suffix == ".nhdr" else zlib.compress(data)
        (path.parent / f"f{frame:02d}.raw").write_bytes(data)
    if compress:
        edited(
            path,
            "encoding: raw|CompressedData = False",
            "encoding: gz" if ".nhdr" in str(path) else "CompressedData = True",
        )
    if path.suffix == ".mhd":
        return edited(path, "ElementDataFile = .*\n", f"ElementDataFile = {named}\n")
    text = re.sub(r"data file: .*\n", "", path.read_text()).rstrip("\n")
    path.write_text(f"{text}\ndata file: {named}\n")
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("suffix", ["mhd", "nhdr"])
@pytest.mark.parametrize(
    "named",
    [
        "LIST\nf00.raw\nf01.raw\nf02.raw\nf03.raw\n",
        "LIST 2\nf00.raw\nf01.raw\nf02.raw\nf03.raw",
        "f%02d.raw 0 3 1",
    ],
)
def test_a_file_for_each_frame(tmp_path: Path, suffix: str, compress: bool, named: str) -> None:
    path = several_files(tmp_path / f"s.{suffix}", compress, named)
    sweep = read_sequence(path, PIXELS)
    np.testing.assert_array_equal(np.stack([sweep.frames[i] for i in range(4)]), some_frames())
    assert [file.name for file in plus_files(path)] == [path.name, *(f"f{i:02d}.raw" for i in range(4))]
    (tmp_path / "f02.raw").write_bytes((tmp_path / "f02.raw").read_bytes()[:-1])
    if not compress or suffix == "nhdr":
        refused(path, "f02.raw")
    with pytest.raises(InputError):
        [read_sequence(path, PIXELS).frames[i] for i in range(4)]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("../secret.raw", ["in the folder"]),
        ("/etc/passwd", ["in the folder"]),
        ("..\\\\secret.raw", ["in the folder"]),
        ("LIST\n../f00.raw\nf01.raw\nf02.raw\nf03.raw", ["in the folder"]),
        ("LIST\nf00.raw\nf01.raw", ["2 files", "4 frames"]),
        ("LIST\n" + "f00.raw\n" * 9, ["does not end"]),
        ("LIST 1\nf00.raw", ["whole frames"]),
        ("f%02d.raw 0 3 0", ["pattern"]),
        ("f%02d.raw 0 999999999 1", ["pattern"]),
        ("f%s%n.raw 0 3 1", ["pattern"]),
        ("f%02d.raw 1 4 1", ["f04.raw"]),
        ("f%02d.raw 0 x 1", ["whole number"]),
        ("f" * 5000, ["no file"]),
    ],
)
@pytest.mark.parametrize("suffix", ["mhd", "nhdr"])
def test_files_of_pixels_that_cannot_be(tmp_path: Path, suffix: str, named: str, words: list[str]) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(1000))
    (tmp_path / "folder").mkdir()
    refused(several_files(tmp_path / "folder" / f"s.{suffix}", False, named), *words)


def test_large_compressed_frames_go_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myosweep.io.frame_files.LARGEST_IN_MEMORY", 1 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (40, 512, 16), np.uint8), 32, axis=2)
    path = write(
        tmp_path / "s.mha",
        frames=frames,
        transforms={"ProbeToTracker": np.tile(np.eye(4), (40, 1, 1))},
        timestamps=np.arange(40.0),
    )
    sweep = read_sequence(path, PIXELS)
    tracemalloc.start()
    for index in (39, 0, 17):
        np.testing.assert_array_equal(sweep.frames[index], frames[index])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20  # the frames are 10 MiB
    assert [file.name for file in tmp_path.iterdir()] == ["s.mha"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    refused(path, "free in", "TMPDIR")


@pytest.mark.parametrize(("suffix", "compress"), FORMATS)
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, compress: bool) -> None:
    path = write(tmp_path / f"s.{suffix}", compress=compress)
    data = max(tmp_path.iterdir(), key=lambda p: p.suffix in (".raw", ".zraw", ".gz"))
    data.write_bytes(data.read_bytes()[:-20])
    # The header alone tells, but for the data of .mhd: nothing there says how long they should be.
    if (suffix, compress) != ("mhd", True):
        with pytest.raises(InputError, match="not whole"):
            read_image_size(path)
    refused(path, "not whole")


def test_damaged_pixels_are_refused_when_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "s.mha")
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)
    sweep = read_sequence(path, PIXELS)
    with pytest.raises(InputError, match="damaged"):
        sweep.frames[0]


@pytest.mark.parametrize(
    "size", ["7 9 40000000000", "70000 90000 4", "7 9 5", "7 9 3", "7 0 4", "7 9 -4", "7"]
)
@pytest.mark.parametrize(("suffix", "compress"), [("mha", False), ("mha", True), ("nrrd", True)])
def test_a_size_that_lies_is_refused_in_little_memory(
    tmp_path: Path, suffix: str, compress: bool, size: str
) -> None:
    path = edited(write(tmp_path / f"s.{suffix}", compress=compress), "7 9 4", size)
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_other_pixels_and_other_files_are_refused(tmp_path: Path) -> None:
    refused(edited(write(tmp_path / "a.mha"), "MET_UCHAR", "MET_SHORT"), "MET_SHORT", "8-bit")
    refused(edited(write(tmp_path / "b.mha"), "Channels = 1", "Channels = 2"), "2 values per pixel")
    refused(edited(write(tmp_path / "g.mha"), "BRIGHTNESS", "RF_REAL"), "radio-frequency")
    refused(edited(write(tmp_path / "h.mha"), "BinaryData = True", "BinaryData = False"), "as text")
    refused(edited(write(tmp_path / "i.mha"), "7 9 4", "7 9 2 2"), "3D frames")
    (tmp_path / "c.mha").write_bytes(b"\0\1\2" * 1000)
    refused(tmp_path / "c.mha", "header")
    (tmp_path / "d.mha").write_bytes(b"")
    refused(tmp_path / "d.mha", "header")
    refused(tmp_path / "e.mha", "no such file")
    lonely = write(tmp_path / "f.mhd")
    lonely.with_suffix(".zraw").unlink()
    refused(lonely, "f.zraw")


def test_headers_are_read_without_the_pixels(tmp_path: Path) -> None:
    count = 300
    path = write(
        tmp_path / "s.mha",
        frames=np.zeros((count, 600, 400), np.uint8),
        transforms={"ProbeToTracker": np.tile(np.eye(4), (count, 1, 1))},
        timestamps=np.arange(float(count)),
    )
    tracemalloc.start()
    sweep = read_sequence(path, PIXELS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sweep.valid.all()
    assert peak < 10 << 20  # the pixels are 69 MiB


def test_both_formats_of_a_real_sequence_agree(plus_data: Path) -> None:
    mha = read_sequence(plus_data / "sequences" / "NwirePhantomFreehand.igs.mha", PIXELS)
    nrrd = read_sequence(plus_data / "sequences" / "NwirePhantomFreehand.igs.nrrd", PIXELS)
    assert mha.frames.shape == (97, 616, 820)
    assert mha.valid.all()  # the stylus, invalid throughout, is not used
    np.testing.assert_array_equal(mha.image_to_world, nrrd.image_to_world)
    np.testing.assert_array_equal(mha.frames[96], nrrd.frames[96])


def test_a_cropped_real_sequence_lies_where_the_whole_one_does(plus_data: Path) -> None:
    whole = read_sequence(plus_data / "sequences" / "NwirePhantomFreehand.igs.mha", PIXELS)
    cropped = read_sequence(plus_data / "sequences" / "NwirePhantomFreehandCropped.igs.mha", PIXELS)
    np.testing.assert_array_equal(cropped.frames[3], whole.frames[3][285:435, 335:535])
    np.testing.assert_allclose(
        cropped.image_to_world[3] @ (10, 20, 0, 1), whole.image_to_world[3] @ (345, 305, 0, 1), atol=1e-9
    )
