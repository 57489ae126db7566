from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.calibration import write_calibration
from myosweep.io.options import RecordingOptions
from myosweep.io.recordings import read_sweep
from myosweep.io.stradwin import euler_transform, read_stradwin, stradwin_files
from myosweep.io.sweeps import Rectangle, Sweep
from PIL import Image
from stradwin_writer import euler_of, write_dicom, write_stradwin

COUNT, ROWS, COLUMNS = 5, 9, 7
FRAMES = np.random.default_rng(3).integers(0, 256, (COUNT, ROWS, COLUMNS)).astype(np.uint8)
CALIBRATION = rigid_transform(rotation_about((3, 1, -2), 0.7), (5, -7, 11))
ISOCENTRE = rigid_transform(rotation_about((-1, 2, 2), 2.5), (-100, 20, 300))
POSES = np.array(
    [rigid_transform(rotation_about((1, 2, 3), 0.3 * i), (i, -20 * i, 30)) for i in range(COUNT)]
)
TRIANGLE = np.array([[1.0, 1], [5, 2], [3, 7.5]])
# (column + 0.5) 0.2 mm, (row + 0.5) 0.3 mm: the format's own words.
PIXELS = np.array([[0.2, 0, 0, 0.1], [0, 0.3, 0, 0.15], [0, 0, 0.2, 0], [0, 0, 0, 1]])


def write(path: Path, **changes: object) -> Path:
    given_values = {"frames": FRAMES, "probe_to_room": POSES, "image_to_probe": CALIBRATION}
    return write_stradwin(path, **{**given_values, **changes})  # type: ignore[arg-type]


def edited(path: Path, old: str, new: str) -> Path:
    data = path.read_bytes()
    assert data.count(old.encode()) == 1, old
    path.write_bytes(data.replace(old.encode(), new.encode()))
    return path


def all_frames(sweep: Sweep) -> np.ndarray:
    return np.stack([sweep.frames[i] for i in range(sweep.frames.shape[0])])


def refused(path: Path, *words: str, **options: object) -> None:
    with pytest.raises(InputError) as caught:
        all_frames(read_stradwin(path, options=RecordingOptions(**options)))  # type: ignore[arg-type]
    for word in (path.name.split(".")[0], *words):
        assert word in str(caught.value), str(caught.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    landmarks = {"tibial tuberosity": (1.0, -2, 3), "heel": (40.0, 50, -60)}
    path = write(tmp_path / "s.sw", isocentre=ISOCENTRE, landmarks=landmarks, times=[0, 0.1, 0.25, 0.3, 0.4])
    sweep = read_sweep(path)
    np.testing.assert_array_equal(all_frames(sweep), FRAMES)
    # Numbers are written with all their digits: rounding of float64 at some hundred mm.
    np.testing.assert_allclose(sweep.image_to_world, ISOCENTRE @ POSES @ CALIBRATION @ PIXELS, atol=1e-9)
    np.testing.assert_array_equal(sweep.timestamps, [0, 0.1, 0.25, 0.3, 0.4])
    assert sweep.frames.shape == (COUNT, ROWS, COLUMNS)
    assert sweep.problems == ("",) * COUNT
    assert (sweep.contours, sweep.notes, sweep.clip) == ((), (), None)
    assert list(sweep.landmarks) == ["tibial tuberosity", "heel"]
    for name, point in landmarks.items():
        np.testing.assert_allclose(sweep.landmarks[name], point, atol=1e-12)
    assert stradwin_files(path) == [path, path.with_suffix(".sxi")]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 90.0, -90.0, 89.99999]))
def test_random_poses_come_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, elevation: float | None
) -> None:
    rng = np.random.default_rng(seed)

    def pose() -> np.ndarray:
        angles = rng.uniform(-180, 180, 3)
        if elevation is not None:
            angles[1] = elevation
        turned = [rotation_about(np.eye(3)[2 - i], np.deg2rad(angles[i])) for i in range(3)]
        return rigid_transform(turned[0] @ turned[1] @ turned[2], rng.uniform(-1000, 1000, 3))

    poses = np.array([pose() for _ in range(COUNT)])
    calibration, isocentre = pose(), pose()
    path = write(
        tmp_path_factory.mktemp("s") / "s.sw",
        probe_to_room=poses,
        image_to_probe=calibration,
        isocentre=isocentre,
    )
    expected = isocentre @ poses @ calibration @ PIXELS
    np.testing.assert_allclose(read_stradwin(path).image_to_world, expected, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.floats(-360, 360)] * 3))
def test_angles_turn_about_z_then_the_new_y_then_the_new_x(angles: tuple[float, float, float]) -> None:
    expected = rotation_about((0, 0, 1), np.deg2rad(angles[0]))
    expected = expected @ rotation_about((0, 1, 0), np.deg2rad(angles[1]))
    expected = expected @ rotation_about((1, 0, 0), np.deg2rad(angles[2]))
    found = euler_transform([1, 2, 3, *angles])
    np.testing.assert_allclose(found, rigid_transform(expected, (10, 20, 30)), atol=1e-12)
    np.testing.assert_allclose(euler_transform(euler_of(found)), found, atol=1e-12)


def test_a_probe_at_the_bottom_changes_no_place(tmp_path: Path) -> None:
    contours = [(1, 2, True, TRIANGLE)]
    path = write(tmp_path / "s.sw", invert=True, objects={1: "GM"}, contours=contours)
    sweep = read_stradwin(path)
    np.testing.assert_array_equal(all_frames(sweep), FRAMES)
    stored = np.fromfile(path.with_suffix(".sxi"), np.uint8).reshape(FRAMES.shape)
    assert sweep.contours is not None
    np.testing.assert_allclose(sweep.contours[0].points, TRIANGLE, atol=1e-12)
    for row, column in ((0, 0), (3, 5), (ROWS - 1, 2)):
        assert sweep.frames[2][row, column] == stored[2, ROWS - 1 - row, column]
        place = POSES[2] @ CALIBRATION @ PIXELS @ (column, ROWS - 1 - row, 0, 1)
        np.testing.assert_allclose(sweep.image_to_world[2] @ (column, row, 0, 1), place, atol=1e-9)
    assert (np.linalg.det(sweep.image_to_world) > 0).all()


def test_a_calibration_file_goes_before_the_recordings_own(tmp_path: Path) -> None:
    given_calibration = ISOCENTRE @ np.diag([0.5, 0.6, 0.5, 1])
    write_calibration(tmp_path / "c.xml", given_calibration, Rectangle(1, 2, 3, 4))
    for name, invert in (("up", False), ("down", True)):
        path = write(tmp_path / f"{name}.sw", invert=invert)
        sweep = read_sweep(path, tmp_path / "c.xml")
        np.testing.assert_allclose(sweep.image_to_world, POSES @ given_calibration, atol=1e-6)
        assert sweep.clip == Rectangle(1, 2, 3, 4)
        np.testing.assert_array_equal(all_frames(sweep), FRAMES)


@pytest.mark.parametrize("unit", ["pixels", "cm"])
def test_contours_come_back_in_pixels_whatever_their_unit(tmp_path: Path, unit: str) -> None:
    contours = [(1, 2, True, TRIANGLE), (7, 0, False, TRIANGLE[:2] + 0.25)]
    objects = {7: "Gastroc. médial 2", 1: "GM"}
    path = write(tmp_path / "s.sw", objects=objects, contours=contours, contour_unit=unit)
    for setting in ("auto", unit):
        found = read_stradwin(path, options=RecordingOptions(contour_unit=setting)).contours
        assert found is not None
        assert [(c.frame, c.name, c.closed) for c in found] == [
            (2, "GM", True),
            (0, "Gastroc. médial 2", False),
        ]
        for contour, (_, _, _, points) in zip(found, contours, strict=True):
            np.testing.assert_allclose(contour.points, points, atol=1e-12)
    assert unit in read_stradwin(path).notes[0]


def test_a_unit_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.sw", scales_cm=(0.9, 0.9), objects={1: "GM"}, contours=[(1, 2, True, TRIANGLE)]
    )
    refused(path, "may be cm or pixels", "recordings.contour_unit")
    found = read_stradwin(path, options=RecordingOptions(contour_unit="pixels")).contours
    assert found is not None
    np.testing.assert_allclose(found[0].points, TRIANGLE, atol=1e-12)


def test_objects_of_older_versions_have_fewer_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw", objects={1: "GM"}, contours=[(1, 2, True, TRIANGLE)])
    edited(path, "OBJECT 1 1 178 89 0 1.0 0.3 0 GM", "OBJECT 1 1 0.7 0.35 0 1.0 my GM")
    found = read_stradwin(path).contours
    assert found is not None
    assert found[0].name == "my GM"


def test_landmarks_without_names_and_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw")
    with path.open("ab") as file:
        file.write(b"LANDMARK 1 2 3 heel 1\nLANDMARK 4 5 6 heel 2\nLANDMARK 7 8 9\nLANDMARK 1 1 1 4\n")
    assert read_stradwin(path).landmarks == {
        "heel 1": (10, 20, 30),
        "heel 2": (40, 50, 60),
        "landmark 2": (70, 80, 90),
        "landmark 4": (10, 10, 10),
    }


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig"])
def test_line_ends_and_encodings(tmp_path: Path, line_end: str, encoding: str) -> None:
    path = write(
        tmp_path / "s.sw",
        line_end=line_end,
        encoding=encoding,
        objects={1: "Müller"},
        contours=[(1, 2, True, TRIANGLE)],
    )
    found = read_stradwin(path).contours
    assert found is not None
    assert found[0].name == "Müller"


def test_corrections_and_masks_are_noted(tmp_path: Path) -> None:
    flags = {"RES_CORRECTED_PRESSURE": "true", "RES_CORRECTED_POS": "TRUE", "RES_MASKED_DATA": 1}
    notes = read_stradwin(write(tmp_path / "s.sw", flags=flags)).notes
    assert [word for note in notes for word in ("pressure", "positions", "masked") if word in note] == [
        "pressure",
        "positions",
        "masked",
    ]


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("RES_POS_MANUAL", "true", ["by hand"]),
        ("RES_BUF_DOPPLER", "true", ["Doppler"]),
        ("RES_CORRECTED_POS", "maybe", ["true or false"]),
    ],
)
def test_what_no_volume_can_be_made_of_is_refused(
    tmp_path: Path, keyword: str, value: str, words: list[str]
) -> None:
    refused(write(tmp_path / "s.sw", flags={keyword: value}), keyword, *words)


def test_raw_data_and_missing_positions_are_refused(tmp_path: Path) -> None:
    refused(edited(write(tmp_path / "a.sw"), "RES_BUF_RF false", "RES_BUF_RF true"), "radio-frequency")
    refused(edited(write(tmp_path / "b.sw"), "RES_POS_REC true", "RES_POS_REC false"), "no positions")


def test_one_time_for_all_frames_is_none(tmp_path: Path) -> None:
    assert np.isnan(read_stradwin(write(tmp_path / "s.sw", times=[0.0] * COUNT)).timestamps).all()


def test_a_renamed_pair_is_found_and_so_is_another_case(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw", flags={"RES_BIN_IM_FILENAME": "before.sxi"})
    np.testing.assert_array_equal(read_stradwin(path).frames[1], FRAMES[1])
    assert stradwin_files(path) == [path, path.with_suffix(".sxi")]
    path.with_suffix(".sxi").rename(tmp_path / "BEFORE.SXI")
    np.testing.assert_array_equal(read_stradwin(path).frames[1], FRAMES[1])


Writer = Callable[[Path], tuple[str, list[Path]]]


def multi_frame(folder: Path) -> tuple[str, list[Path]]:
    return "sweep1.dcm", [write_dicom(folder / "sweep1.dcm", FRAMES[::-1])]


def colour_frames(folder: Path) -> tuple[str, list[Path]]:
    return "sweep", [write_dicom(folder / "sweep", FRAMES[::-1], colour=True)]


def dicom_folder(folder: Path) -> tuple[str, list[Path]]:
    (folder / "US").mkdir()
    # im10 comes after im9, as the instances' numbers say.
    files = [write_dicom(folder / "US" / f"im{i + 8}", FRAMES[[COUNT - 1 - i]], i + 1) for i in range(COUNT)]
    (folder / "US" / "notes.txt").write_text("no image")
    return "US", files


def tiff_stack(folder: Path) -> tuple[str, list[Path]]:
    images = [Image.fromarray(frame) for frame in FRAMES[::-1]]
    images[0].save(folder / "stack.tif", save_all=True, append_images=images[1:])
    return "stack.tif", [folder / "stack.tif"]


def png_files(folder: Path) -> tuple[str, list[Path]]:
    (folder / "in").mkdir()
    files = []
    for i in range(COUNT):
        files.append(folder / "in" / f"Frame_{i + 98}.PNG")
        Image.fromarray(FRAMES[COUNT - 1 - i]).convert("RGB").save(files[-1])
    Image.fromarray(FRAMES[0]).save(folder / "in" / "other_98.png")
    return "in\\frame_98.png", files


@pytest.mark.parametrize("writer", [multi_frame, colour_frames, dicom_folder, tiff_stack, png_files])
def test_referenced_images_are_read_in_the_order_of_the_list(tmp_path: Path, writer: Writer) -> None:
    name, files = writer(tmp_path)
    order = " ".join(str(COUNT - 1 - i) for i in range(COUNT))
    path = write(tmp_path / "s.sw", images=name, flags={"RES_DICOM_FRAME_LIST": order})
    np.testing.assert_array_equal(all_frames(read_stradwin(path)), FRAMES)
    assert stradwin_files(path) == [path, *files]
    assert not path.with_suffix(".sxi").exists()
    upright = write(tmp_path / "t.sw", images=name)
    np.testing.assert_array_equal(all_frames(read_stradwin(upright)), FRAMES[::-1])
    bottom = write(tmp_path / "u.sw", images=name, invert=True, flags={"RES_DICOM_FRAME_LIST": order})
    np.testing.assert_array_equal(all_frames(read_stradwin(bottom)), FRAMES[:, ::-1])


@pytest.mark.parametrize("colour", [False, True])
def test_compressed_dicom_is_decoded_frame_by_frame(tmp_path: Path, colour: bool) -> None:
    smooth = np.add.outer(np.arange(24), np.arange(40)) * 3 + np.arange(COUNT)[:, None, None]
    frames = smooth.astype(np.uint8)
    write_dicom(tmp_path / "clip.dcm", frames, colour=colour, jpeg=True)
    found = all_frames(read_stradwin(write(tmp_path / "s.sw", images="clip.dcm", frames=frames)))
    # What JPEG of quality 95 leaves of a smooth ramp.
    assert np.abs(found.astype(int) - frames).max() <= 3


def test_colours_become_luminance_and_inverted_grey_is_turned(tmp_path: Path) -> None:
    Image.new("RGB", (COLUMNS, ROWS), (200, 100, 50)).save(tmp_path / "a.png")
    one = {"frames": FRAMES[:1], "probe_to_room": POSES[:1]}
    frame = read_stradwin(write(tmp_path / "a.sw", images="a.png", **one)).frames[0]
    assert np.unique(frame) == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    write_dicom(tmp_path / "b.dcm", FRAMES[:1])
    edited(tmp_path / "b.dcm", "MONOCHROME2", "MONOCHROME1")
    frame = read_stradwin(write(tmp_path / "b.sw", images="b.dcm", **one)).frames[0]
    np.testing.assert_array_equal(frame, 255 - FRAMES[0])


def test_referenced_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "good.dcm", FRAMES)
    refused(write(tmp_path / "a.sw", images="good.dcm", frames=FRAMES[:, 1:]), "7 x 9", "7 x 8")
    refused(write(tmp_path / "b.sw", images="good.dcm", flags={"RES_DICOM_FRAME_LIST": "0 1"}), "2 numbers")
    flags = {"RES_DICOM_FRAME_LIST": "0 1 2 3 5"}
    refused(write(tmp_path / "c.sw", images="good.dcm", flags=flags), "number 5", "from 0 to 4")
    flags = {"RES_DICOM_FRAME_LIST": "0 1 2 3 x"}
    refused(write(tmp_path / "d.sw", images="good.dcm", flags=flags), "RES_DICOM_FRAME_LIST", "whole numbers")
    refused(write(tmp_path / "e.sw", images="nowhere.dcm"), "nowhere.dcm", "copy them")
    refused(write(tmp_path / "f.sw", images="f.sw"), "neither DICOM nor an image")
    data = (tmp_path / "good.dcm").read_bytes()
    for end in (len(data) - 40, 200, 140):
        (tmp_path / "cut.dcm").write_bytes(data[:end])
        with pytest.raises(InputError, match=r"cut\.dcm"):
            all_frames(read_stradwin(write(tmp_path / "g.sw", images="cut.dcm")))
    Image.fromarray(FRAMES[0].astype(np.uint16)).save(tmp_path / "deep.png")
    deep = write(tmp_path / "h.sw", images="deep.png", frames=FRAMES[:1], probe_to_room=POSES[:1])
    with pytest.raises(InputError, match="mode I;16"):
        read_stradwin(deep)
    (tmp_path / "text.png").write_text("no picture")
    text = write(tmp_path / "i.sw", images="text.png", frames=FRAMES[:1], probe_to_room=POSES[:1])
    with pytest.raises(InputError, match="not a readable image"):
        read_stradwin(text)


def test_files_in_two_orders_are_refused(tmp_path: Path) -> None:
    for i, instance in enumerate((1, 3, 2, 4, 5)):
        write_dicom(tmp_path / f"im{i}.dcm", FRAMES[[i]], instance)
    with pytest.raises(InputError, match="InstanceNumber"):
        read_stradwin(write(tmp_path / "s.sw", images="im0.dcm"))


def test_a_first_file_that_contradicts_the_list_is_refused(tmp_path: Path) -> None:
    for i in range(10):
        Image.fromarray(FRAMES[i % COUNT]).save(tmp_path / f"f{i}.png")
    flags = {"RES_DICOM_FRAME_LIST": "2 3 4 5 6"}
    read_stradwin(write(tmp_path / "a.sw", images="f0.png", flags=flags))
    sweep = read_stradwin(write(tmp_path / "b.sw", images="f2.png", flags=flags))
    np.testing.assert_array_equal(sweep.frames[0], FRAMES[2])
    refused(write(tmp_path / "c.sw", images="f1.png", flags=flags), "f1.png")


@pytest.mark.parametrize(
    "name", ["../x.sxi", "a/../../x.sxi", "/etc/passwd", "C:\\x.sxi", "..\\x.sxi", "x\ty"]
)
@pytest.mark.parametrize("images", [True, False])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, name: str, images: bool) -> None:
    (tmp_path / "in").mkdir()
    FRAMES.tofile(tmp_path / "x.sxi")
    path = tmp_path / "in" / "s.sw"
    write(path, **({"images": name} if images else {"flags": {"RES_BIN_IM_FILENAME": name}}))
    refused(path, "RES_BIN_IM_FILENAME", "in the recording's folder")
    assert stradwin_files(path) == [path]


def test_links_are_followed_inside_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    path = write(tmp_path / "in" / "s.sw")
    pixels = path.with_suffix(".sxi")
    pixels.rename(tmp_path / "in" / "deep" / "pixels.bin")
    pixels.symlink_to(tmp_path / "in" / "deep" / "pixels.bin")
    np.testing.assert_array_equal(read_stradwin(path).frames[1], FRAMES[1])
    pixels.unlink()
    (tmp_path / "in" / "deep" / "pixels.bin").rename(tmp_path / "outside.bin")
    pixels.symlink_to(tmp_path / "outside.bin")
    refused(path, "leads out of the recording's folder")
    pixels.unlink()
    pixels.symlink_to(pixels)
    refused(path, "s.sxi")


@pytest.mark.parametrize("change", [-1, 1, -FRAMES[0].size, FRAMES[0].size])
def test_a_file_of_frames_of_another_length_is_refused(tmp_path: Path, change: int) -> None:
    path = write(tmp_path / "s.sw")
    pixels = path.with_suffix(".sxi")
    data = pixels.read_bytes()
    pixels.write_bytes(data[:change] if change < 0 else data + bytes(change))
    refused(path, f"{len(data) + change} bytes", f"{len(data)} bytes")


def test_a_file_that_is_cut_short_after_it_was_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw")
    sweep = read_stradwin(path)
    path.with_suffix(".sxi").write_bytes(b"12")
    with pytest.raises(InputError, match="not whole"):
        sweep.frames[0]
    path.with_suffix(".sxi").unlink()
    with pytest.raises(InputError, match=r"s\.sxi"):
        sweep.frames[4]
    with pytest.raises(IndexError):
        sweep.frames[COUNT]


def test_missing_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw")
    path.with_suffix(".sxi").unlink()
    refused(path, "no file", "s.sxi")
    assert stradwin_files(path) == [path]
    refused(tmp_path / "none.sw", "no such file")
    assert stradwin_files(tmp_path / "none.sw") == [tmp_path / "none.sw"]
    (tmp_path / "binary.sw").write_bytes(bytes(range(256)) * 1000)
    refused(tmp_path / "binary.sw", "no line RES_BUF_FRAMES")


@pytest.mark.parametrize(
    "keyword",
    [
        "RES_BUF_FRAMES",
        "RES_BUF_WIDTH",
        "RES_BUF_HEIGHT",
        "RES_XSCALE",
        "RES_YSCALE",
        "RES_ROLL",
        "RES_ISOCENTRE_ROLL",
    ],
)
def test_a_missing_line_is_named(tmp_path: Path, keyword: str) -> None:
    path = write(tmp_path / "s.sw", isocentre=ISOCENTRE)
    edited(path, f"{keyword} ", "RES_COMMENT ")
    refused(path, keyword)


def test_a_recording_without_calibration_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "s.sw")
    for word in ("XTRANS", "YTRANS", "ZTRANS", "AZIMUTH", "ELEVATION", "ROLL"):
        edited(path, f"RES_{word} ", "RES_COMMENT ")
    refused(path, "no calibration", "column `calibration`")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES 4", "5 lines IM"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES 6", "5 lines IM"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES 0", "`0`"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES -5", "`-5`"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES 999999999", "5 lines IM"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES " + "9" * 9999, "whole number"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES five", "`five`"),
        ("RES_BUF_FRAMES 5", "RES_BUF_FRAMES 5\r\nRES_BUF_FRAMES 6", "a second line RES_BUF_FRAMES"),
        ("RES_BUF_WIDTH 7", "RES_BUF_WIDTH 0", "`0`"),
        ("RES_BUF_WIDTH 7", "RES_BUF_WIDTH 8", "315 bytes"),
        ("RES_BUF_HEIGHT 9", "RES_BUF_HEIGHT 900000000", "900000000 pixels"),
        ("RES_XSCALE 0.02", "RES_XSCALE -0.02", "`-0.02`"),
        ("RES_XSCALE 0.02", "RES_XSCALE 0", "`0`"),
        ("RES_YSCALE 0.03", "RES_YSCALE 1e300", "`1e300`"),
        ("RES_YSCALE 0.03", "RES_YSCALE nan", "`nan`"),
        ("RES_YSCALE 0.03", "RES_YSCALE", "``"),
        ("RES_XTRANS 0.5", "RES_XTRANS half", "`half`"),
        ("IM 0.04 ", "IM 0.04 nan ", "frame 1 (line 21)"),
        ("IM 0.04 ", "IM inf ", "`inf`"),
        ("IM 0.04 ", "IM zero ", "`zero`"),
        ("IM 0.04 ", "IM 0.04 1e9 ", "cm within a room"),
        ("IM 0.04 0.1 -2.0 3.0 ", "IM 0.04 0.1 -2.0 3.0 4000 ", "degrees"),
        ("IM 0.04 0.1 -2.0 3.0 ", "IM 0.04 0.1 ", "not whole"),
        ("OBJECT 1 ", "OBJECT one ", "OBJECT number"),
        ("OBJECT 1 ", "OBJECT 2 ", "object 1, for which there is no line OBJECT"),
        ("OBJECT 1 ", "OBJECT 1 1 1 1 1 1 1 1 SOL\r\nOBJECT 1 ", "which was `SOL` before"),
        ("CONT 1 2 1 ", "CONT 1 5 1 ", "frame 5"),
        ("CONT 1 2 1 ", "CONT 1 -1 1 ", "CONT object frame"),
        ("CONT 1 2 1 ", "CONT 1 2 2 ", "CONT object frame"),
        ("CONT 1 2 1 ", "CONT 1 2 1 4 ", "7 coordinates"),
        ("CONT 1 2 1 ", "CONT 1 2 1\r\n#", "0 coordinates"),
        ("CONT 1 2 1 ", "CONT 1 2 1 4 nan ", "`nan`"),
        ("CONT 1 2 1 ", "CONT 1 2 1 4 19 ", "point 4, 19"),
        ("CONT 1 2 1 ", "CONT 1 2 1 -8 2 ", "point -8, 2"),
        ("LANDMARK 1.0 ", "LANDMARK one ", "`one`"),
        ("LANDMARK 1.0 2.0 3.0 heel 0", "LANDMARK 1.0 2.0", "LANDMARK x y z"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path: Path, old: str, new: str, word: str) -> None:
    path = write(
        tmp_path / "s.sw",
        objects={1: "GM"},
        contours=[(1, 2, True, TRIANGLE)],
        landmarks={"heel": (10.0, 20, 30)},
    )
    edited(path, old, new)
    tracemalloc.start()
    refused(path, word)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_a_text_that_is_no_text_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "s.sw").open("wb") as file:
        file.truncate(1 << 40)
    refused(tmp_path / "s.sw", "name the .sw file")
    assert stradwin_files(tmp_path / "s.sw") == [tmp_path / "s.sw"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_damaged_text_ends_in_a_sweep_or_in_one_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int, damages: int
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("s")
    name = "" if seed % 2 else "US.dcm"
    write_dicom(folder / "US.dcm", FRAMES)
    path = write(
        folder / "s.sw",
        images=name,
        isocentre=ISOCENTRE,
        objects={1: "GM"},
        contours=[(1, 2, True, TRIANGLE)],
        landmarks={"heel": (10.0, 20, 30)},
    )
    victim = path if not name or seed % 3 else folder / "US.dcm"
    data = bytearray(victim.read_bytes())
    for _ in range(damages):
        at = int(rng.integers(len(data)))
        match rng.integers(4):
            case 0:
                data[at] = rng.integers(256)
            case 1:
                data[at : at + int(rng.integers(40))] = b""
            case 2:
                data[at:at] = rng.choice([b"-", b"9", b" ", b"\n", b"e9", b"nan", b"\0", b"../"])
            case _:
                data[at:at] = data[: int(rng.integers(len(data)))][-200:]
    victim.write_bytes(data)
    assert stradwin_files(path)[0] == path
    try:
        sweep = read_stradwin(path)
        frames = all_frames(sweep)
    except InputError:
        return
    assert frames.shape == sweep.frames.shape
    assert np.isfinite(sweep.image_to_world).all()


def test_a_long_recording_is_opened_without_its_frames(tmp_path: Path) -> None:
    count = 2000
    path = write(
        tmp_path / "s.sw",
        frames=np.zeros((count, 1, 1), np.uint8),
        probe_to_room=np.tile(POSES[1], (count, 1, 1)),
    )
    edited(path, "RES_BUF_WIDTH 1", "RES_BUF_WIDTH 1000")
    edited(path, "RES_BUF_HEIGHT 1", "RES_BUF_HEIGHT 1000")
    with path.with_suffix(".sxi").open("wb") as file:
        file.truncate(count * 1000 * 1000)
    tracemalloc.start()
    sweep = read_stradwin(path)
    assert sweep.frames[count - 1].shape == (1000, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # the frames are 2 GB


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("stradwin_files", "numpy PIL pydicom"), ("stradwin", "PIL pydicom scipy"), ("contours", "scipy")],
)
def test_what_opens_a_recording_is_light(module: str, heavy: str) -> None:
    code = f"import sys, myosweep.io.{module}; print([n for n in {heavy.split()} if n in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "[]", ended.stderr
