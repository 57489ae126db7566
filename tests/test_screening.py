from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.geometry import Grid
from myosweep.io.annotations import write_mask
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.segmentations import write_segmentation
from myosweep.io.volumes import Volume
from myosweep.screening import frame_ranges, gather_screen, read_excluded, screen_case, write_screens

FRAMES, ROWS, COLUMNS = 11, 6, 8
STRUCTURES = {"GM": 150, "SOL": 100}


@pytest.fixture
def recording(tmp_path: Path) -> dict[str, Any]:
    """A straight sweep of 20 mm; the tracker missed frames 3, 4 and 9, masks are on frames 0, 4 and 8."""
    probe_to_tracker = np.tile(np.eye(4), (FRAMES, 1, 1))
    probe_to_tracker[:, 2, 3] = 2.0 * np.arange(FRAMES)
    seen = [frame not in (3, 4, 9) for frame in range(FRAMES)]
    frames = np.full((FRAMES, ROWS, COLUMNS), 7, np.uint8)
    write_sequence(
        tmp_path / "sweep.mha",
        frames,
        {"ProbeToTracker": probe_to_tracker},
        np.arange(FRAMES) / 10,
        {"ProbeToTracker": seen},
    )
    write_calibration(tmp_path / "calibration.xml", np.diag([0.25, 0.5, 1.0, 1.0]), None)
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    for frame in (0, 4, 8):
        mask[2, 2] = 150 if frame == 8 else 0
        write_mask(tmp_path / "masks" / f"frame_{frame:04d}.png", mask)
    return {
        "case": "p01",
        "acquisition": "deep",
        "sweep": "1",
        "path": str(tmp_path / "sweep.mha"),
        "calibration": str(tmp_path / "calibration.xml"),
        "annotations": str(tmp_path / "masks"),
        "structures": ("GM", "SOL"),
    }


def test_what_a_sound_recording_shows(recording: dict[str, Any]) -> None:
    screen = screen_case("p01", [recording], STRUCTURES)
    assert (screen["case"], screen["status"], screen["reason"]) == ("p01", "usable", "")
    (sweep,) = screen["sweeps"]
    assert (sweep["frames"], sweep["usable_frames"]) == (11, 8)
    assert [part["frames"] for part in sweep["left_out"]] == ["3-4,9"]
    assert "ProbeToTracker is INVALID" in sweep["left_out"][0]["reason"]
    assert (sweep["image_columns"], sweep["image_rows"]) == (8, 6)
    assert (sweep["pixel_width_mm"], sweep["pixel_height_mm"]) == pytest.approx((0.25, 0.5))
    # Gaps are 2 mm, 6 mm over frames 3 and 4, and 4 mm over frame 9.
    assert sweep["gap_median_mm"] == pytest.approx(2.0)
    assert sweep["gap_max_mm"] == pytest.approx(6.0)
    assert sweep["length_mm"] == pytest.approx(20.0)
    assert sweep["annotated_frames"] == {
        "GM": {"annotated": 2, "drawn": 1, "unusable": 1},
        "SOL": {"annotated": 2, "drawn": 0, "unusable": 1},
    }
    assert json.loads(json.dumps(screen, allow_nan=False)) == screen


def test_suspect_poses_are_told(recording: dict[str, Any], tmp_path: Path) -> None:
    poses = np.tile(np.eye(4), (40, 1, 1))
    poses[:, 2, 3] = np.arange(40)
    poses[7, 0, 3] = 300
    frames = np.zeros((40, ROWS, COLUMNS), np.uint8)
    write_sequence(tmp_path / "sweep.mha", frames, {"ProbeToTracker": poses}, np.arange(40) / 10)
    recording["annotations"] = ""
    for setting, usable, text in (
        ("leave_out", 39, "jumping: 1 (7)"),
        ("keep", 40, "jumping: 1, 1 kept (7)"),
    ):
        screen = screen_case("p01", [recording], STRUCTURES, options={"suspect_poses": setting})
        assert screen["sweeps"][0]["usable_frames"] == usable
        assert gather_screen([screen])[0][0]["suspect_poses"] == text


def test_images_are_not_read(recording: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from myosweep.io.frame_files import StoredFrames

    def refuse(*_: Any) -> None:
        raise AssertionError("a frame was read")

    monkeypatch.setattr(StoredFrames, "__getitem__", refuse)
    assert screen_case("p01", [recording], STRUCTURES)["status"] == "usable"


def break_header(row: dict[str, Any]) -> None:
    path = Path(row["path"])
    path.write_bytes(path.read_bytes()[:200])


def lose_calibration(row: dict[str, Any]) -> None:
    row["calibration"] = ""


def draw_something_else(row: dict[str, Any]) -> None:
    write_mask(Path(row["annotations"]) / "frame_0002.png", np.full((ROWS, COLUMNS), 33, np.uint8))


def draw_on_another_size(row: dict[str, Any]) -> None:
    write_mask(Path(row["annotations"]) / "frame_0002.png", np.zeros((ROWS + 1, COLUMNS), np.uint8))


def draw_on_no_frame(row: dict[str, Any]) -> None:
    write_mask(Path(row["annotations"]) / "frame_0099.png", np.zeros((ROWS, COLUMNS), np.uint8))


def take_another_device(row: dict[str, Any]) -> None:
    row["path"] = row["path"].replace(".mha", ".avi")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (break_header, "sweep.mha"),
        (lose_calibration, "calibration"),
        (draw_something_else, "33"),
        (draw_on_another_size, "7 pixels"),
        (draw_on_no_frame, "frame 99"),
        (take_another_device, ".avi"),
    ],
)
def test_a_bad_case_is_excluded_and_never_raises(recording: dict[str, Any], spoil: Any, reason: str) -> None:
    good = dict(recording, sweep="2")
    bad = dict(recording)
    spoil(bad)
    rows = [bad, good] if spoil in (lose_calibration, take_another_device) else [bad]
    screen = screen_case("p01", rows, STRUCTURES)
    assert screen["status"] == "excluded"
    assert reason in screen["reason"]
    assert "\n" not in screen["reason"]
    assert screen["sweeps"][0]["reason"] == screen["reason"]
    assert all(sweep["reason"] == "" for sweep in screen["sweeps"][1:])


def test_a_failure_of_a_reader_is_a_reason_too(
    recording: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("myosweep.io.recordings.read_sweep", fail)
    screen = screen_case("p01", [recording, recording], STRUCTURES)
    assert screen["reason"] == "ZeroDivisionError: of all things (and 1 more)"
    assert "Traceback" in capsys.readouterr().err


def test_a_volume_that_cannot_be_read_excludes_its_case(recording: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "reference.mha").write_text("nothing")
    screen = screen_case("p01", [recording], STRUCTURES, volumes=[str(tmp_path / "reference.mha")])
    assert screen["status"] == "excluded"
    assert "reference.mha: not a readable volume" in screen["reason"]


def test_acquisitions_that_contradict_each_other_are_refused(
    recording: dict[str, Any], tmp_path: Path
) -> None:
    empty = np.zeros((ROWS, COLUMNS), np.uint8)
    write_mask(tmp_path / "empty" / "frame_0002.png", empty)
    other = dict(recording, acquisition="superficial", annotations=str(tmp_path / "empty"))
    screen = screen_case("p01", [recording, other], STRUCTURES)
    assert screen["status"] == "excluded"
    assert "no mask of acquisition superficial shows GM" in screen["reason"]
    assert "acquisition deep shows it" in screen["reason"]
    assert "take GM out of the column `structures` in the rows of acquisition superficial" in screen["reason"]
    # SOL is drawn nowhere, which may be so.
    assert [sweep["notes"] for sweep in screen["sweeps"]] == [
        ["no mask of this acquisition shows SOL: its volume will be 0"]
    ] * 2
    other["structures"] = ("SOL",)
    assert screen_case("p01", [recording, other], STRUCTURES)["status"] == "usable"
    # Another sweep of the same acquisition beside a structure is no contradiction.
    beside = dict(recording, sweep="2", annotations=str(tmp_path / "empty"))
    assert screen_case("p01", [recording, beside], STRUCTURES)["status"] == "usable"


COMPOUNDING = {"axes": "probe", "spacing_mm": 0.5, "image_area": "auto"}


def test_the_grid_is_foretold(recording: dict[str, Any]) -> None:
    grid = screen_case("p01", [recording], STRUCTURES, compounding=COMPOUNDING, base_acquisition="deep")[
        "grid"
    ]
    # 7 x 0.25, 5 x 0.5 and 20 mm between the outermost pixel centres.
    assert grid == {"size": [5, 6, 41], "spacing_mm": 0.5}


def test_poses_that_went_astray_exclude_a_case(recording: dict[str, Any], tmp_path: Path) -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[2, :3, 3] = 1e5
    frames = np.zeros((3, ROWS, COLUMNS), np.uint8)
    write_sequence(tmp_path / "sweep.mha", frames, {"ProbeToTracker": poses}, np.arange(3.0))
    recording["annotations"] = ""
    assert screen_case("p01", [recording], STRUCTURES)["status"] == "usable"
    screen = screen_case("p01", [recording], STRUCTURES, compounding=COMPOUNDING)
    assert screen["status"] == "excluded"
    assert "GiB" in screen["reason"]
    assert "sweep.mha" in screen["reason"]


def test_a_single_frame_has_no_gaps(tmp_path: Path) -> None:
    pose = {"ImageToTracker": np.eye(4)[None]}
    write_sequence(tmp_path / "one.mha", np.zeros((1, ROWS, COLUMNS), np.uint8), pose, np.zeros(1))
    row = {
        "acquisition": "a",
        "sweep": "1",
        "path": str(tmp_path / "one.mha"),
        "calibration": "",
        "annotations": "",
    }
    screen = screen_case("p01", [{**row, "structures": ()}], STRUCTURES)
    assert screen["sweeps"][0]["gap_median_mm"] is None
    assert gather_screen([screen])[0][0].get("gap_median_mm", "") == ""


def test_gathering(recording: dict[str, Any], tmp_path: Path) -> None:
    good = screen_case("p01", [recording], STRUCTURES)
    bad = screen_case("p02", [dict(recording, path="nowhere.mha")], STRUCTURES)
    paths = [tmp_path / "screen.tsv", tmp_path / "excluded.tsv"]
    write_screens([good, bad], {"p03": "moved\tduring\nthe sweep"}, *paths)
    lines = [line.split("\t") for line in paths[0].read_text().splitlines()]
    assert [dict(zip(lines[0], line, strict=True)) for line in lines[1:]] == [
        {
            "case": "p01",
            "acquisition": "deep",
            "sweep": "1",
            "format": "PLUS",
            "status": "usable",
            "frames": "11",
            "usable_frames": "8",
            "left_out": "ProbeToTracker is INVALID (3-4,9)",
            "suspect_poses": "invalid: 3 (3-4,9)",
            "image_columns": "8",
            "image_rows": "6",
            "pixel_width_mm": "0.2500",
            "pixel_height_mm": "0.5000",
            "gap_median_mm": "2.00",
            "gap_95_mm": "5.40",
            "gap_max_mm": "6.00",
            "length_mm": "20.00",
            "annotated_frames": "GM:2,SOL:2",
            "landmarks": "0",
            "notes": "no mask of this acquisition shows SOL: its volume will be 0",
            "reason": "",
        },
        dict.fromkeys(lines[0], "")
        | {
            "case": "p02",
            "acquisition": "deep",
            "sweep": "1",
            "format": "PLUS",
            "status": "excluded",
            "reason": bad["reason"],
        },
        dict.fromkeys(lines[0], "")
        | {"case": "p03", "status": "excluded", "reason": "moved during the sweep"},
    ]
    assert read_excluded(paths[1]) == {"p02": bad["reason"], "p03": "moved during the sweep"}
    assert paths[1].read_text().splitlines()[0] == "case\treason"


def test_nothing_excluded(tmp_path: Path) -> None:
    write_screens([], {}, tmp_path / "screen.tsv", tmp_path / "excluded.tsv")
    assert read_excluded(tmp_path / "excluded.tsv") == {}


@pytest.mark.parametrize(
    ("frames", "text"), [([], ""), ([4], "4"), ([1, 2], "1-2"), ([0, 2, 3, 4, 9], "0,2-4,9")]
)
def test_frame_ranges(frames: list[int], text: str) -> None:
    assert frame_ranges(frames) == text


def test_real_recordings(plus_data: Path) -> None:
    path = next(iter(sorted((plus_data / "sequences").glob("Bone*.mha"))), None)
    if path is None:
        pytest.skip("no bone sequence among the real recordings")
    row = {"acquisition": "a", "sweep": "1", "path": str(path), "annotations": "", "structures": ()}
    row["calibration"] = str(plus_data / "configs" / "BoneUltrasound_L14_config.xml")
    screen = screen_case("bone", [row], STRUCTURES)
    assert screen["status"] == "usable", screen["reason"]
    (sweep,) = screen["sweeps"]
    assert 0 < sweep["usable_frames"] <= sweep["frames"]
    # A freehand sweep of a bone: frames tenths of a millimetre apart, some centimetres in all.
    assert 0.01 < sweep["gap_median_mm"] < 5
    assert 10 < sweep["length_mm"] < 1000


def test_a_segmentation_with_strange_names_excludes_its_case(
    tmp_path: Path, recording: dict[str, Any]
) -> None:
    grid = Grid((3, 3, 3), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
    path = tmp_path / "p01.seg.nrrd"
    write_segmentation(path, Volume(np.ones((3, 3, 3), np.uint8), grid), {"Soleus": 1})
    screen = screen_case("p01", [recording], STRUCTURES, volumes=[str(path)])
    assert screen["status"] == "excluded"
    assert "the segment named Soleus" in screen["reason"]
    names = {"contour_names": {"soleus": "SOL"}}
    assert screen_case("p01", [recording], STRUCTURES, volumes=[str(path)], options=names)["reason"] == ""
