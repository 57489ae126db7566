from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.__main__ import main
from myosweep.errors import InputError, InputErrors
from myosweep.io.annotations import write_mask
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.table_making import Pattern, make_tables
from myosweep.io.tables import read_tables
from myosweep.settings import read_settings
from sweep_writers import write_images

PATTERN = "{participant}_{session}_{side}_{acquisition}_{sweep}.mha"
PIXELS = np.diag([0.2, 0.2, 0.2, 1.0])


def record(path: Path, calibrated: bool = True) -> None:
    name = "ImageToTracker" if calibrated else "ProbeToTracker"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sequence(
        path,
        np.zeros((2, 4, 5), np.uint8),
        {name: np.tile(PIXELS if calibrated else np.eye(4), (2, 1, 1))},
        np.arange(2.0),
    )


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_tables_from_names(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["p2_1_L_deep_10", "p2_1_L_deep_9", "p2_1_L_top_1", "p10_1_re_deep_1", "p10_2_left_deep_1"]
    for name in names:
        record(study / "raw" / "monday" / f"{name}.mha")
    mask = np.zeros((4, 5), np.uint8)
    write_mask(study / "raw" / "masks" / "p2_1_L_deep_9" / "frame_0000.png", mask)
    record(study / "raw" / "monday" / "rehearsal.mha")
    record(study / "raw" / "monday" / "p3_1_up_deep_1.mha")
    (study / "raw" / "monday" / "p4_1_L_deep_1.mha").write_text("nothing")
    (study / "raw" / "notes.docx").write_text("private")
    command = ["tables", "raw", "--pattern", f"monday/{PATTERN}", "--structures", "GM,SOL"]
    masks = "masks/{participant}_{session}_{side}_{acquisition}_{sweep}"
    assert main([*command, "--annotations", masks]) == 0
    shown = capsys.readouterr().out
    assert "cases.tsv: 3 rows" in shown
    assert "sweeps.tsv: 5 rows" in shown
    assert "monday/rehearsal.mha: does not match" in shown
    assert "monday/p3_1_up_deep_1.mha: the side `up`" in shown
    assert "monday/p4_1_L_deep_1.mha: cannot be read: no end of the header" in shown
    assert "monday/p2_1_L_deep_10.mha: no folder of masks masks/p2_1_L_deep_10: not annotated" in shown
    assert "2 other files" in shown
    assert "base_acquisition: deep" in shown
    assert [
        (row["case"], row["participant"], row["session"], row["side"]) for row in rows(study / "cases.tsv")
    ] == [
        ("p2_1_left", "p2", "1", "left"),
        ("p10_1_right", "p10", "1", "right"),
        ("p10_2_left", "p10", "2", "left"),
    ]
    sweeps = rows(study / "sweeps.tsv")
    assert [(row["case"], row["acquisition"], row["sweep"]) for row in sweeps[:3]] == [
        ("p2_1_left", "deep", "9"),
        ("p2_1_left", "deep", "10"),
        ("p2_1_left", "top", "1"),
    ]
    assert sweeps[0]["path"] == "raw/monday/p2_1_L_deep_9.mha"
    assert (sweeps[0]["annotations"], sweeps[0]["structures"]) == ("raw/masks/p2_1_L_deep_9", "GM,SOL")
    assert (sweeps[1]["annotations"], sweeps[1]["structures"]) == ("", "")
    settings = read_settings(
        {
            "cases": "cases.tsv",
            "sweeps": "sweeps.tsv",
            "structures": {"GM": 1, "SOL": 2},
            "segmentation": {"models": []},
        }
    )
    with pytest.raises(InputErrors, match="base_acquisition"):
        read_tables("cases.tsv", "sweeps.tsv", settings)
    for row in (study / "cases.tsv", study / "sweeps.tsv"):
        row.write_text("".join(line for line in row.read_text().splitlines(True) if "top" not in line))
    tables = read_tables("cases.tsv", "sweeps.tsv", settings)
    assert list(tables.cases) == ["p2_1_left", "p10_1_right", "p10_2_left"]


def test_existing_tables_are_not_touched(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(study / "raw" / "a.mha")
    (study / "sweeps.tsv").write_text("mine")
    assert main(["tables", "raw", "--pattern", "{case}.mha"]) == 1
    assert "already there" in capsys.readouterr().err
    assert (study / "sweeps.tsv").read_text() == "mine"
    assert not (study / "cases.tsv").exists()
    assert main(["tables", "raw", "--pattern", "{case}.mha", "--output", "elsewhere"]) == 0
    assert rows(study / "elsewhere" / "sweeps.tsv") == [
        {
            "case": "a",
            "acquisition": "b-mode",
            "sweep": "1",
            "path": "../raw/a.mha",
            "calibration": "",
            "annotations": "",
            "structures": "",
        }
    ]
    assert rows(study / "elsewhere" / "cases.tsv")[0]["participant"] == ""


def test_a_calibration_for_all_or_for_each(study: Path) -> None:
    for name in ("a", "b"):
        record(study / "raw" / name / "deep_1.mha", calibrated=False)
    write_calibration(study / "raw" / "a" / "deep.xml", PIXELS)
    write_calibration(study / "all.xml", PIXELS)
    pattern = "{case}/{acquisition}_{sweep}.mha"
    made = make_tables("raw", pattern, calibration="all.xml")
    assert [row["calibration"] for row in made.sweeps] == ["all.xml", "all.xml"]
    made = make_tables("raw", pattern, calibration="{case}/{acquisition}.xml")
    assert [row["calibration"] for row in made.sweeps] == ["raw/a/deep.xml"]
    assert made.left_out == [("b/deep_1.mha", "there is no calibration b/deep.xml, neither in raw nor here")]
    made = make_tables("raw", pattern)
    assert made.sweeps == []
    assert "column `calibration`" not in made.left_out[0][1]
    assert "lead from Image" in made.left_out[0][1]


def test_absolute_paths_stay_so_where_the_tables_lie_elsewhere(
    study: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record(study / "raw" / "a.mha")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for output, path in ((study, "raw/a.mha"), (elsewhere, (study / "raw" / "a.mha").as_posix())):
        made = make_tables(study / "raw", "{case}.mha", output)
        assert made.sweeps[0]["path"] == path


def test_the_same_sweep_twice_is_an_error(study: Path) -> None:
    record(study / "raw" / "p1_L_1.mha")
    record(study / "raw" / "p1_left_1.mha")
    with pytest.raises(InputErrors, match=r"p1_left_1\.mha") as caught:
        make_tables("raw", "{participant}_{side}_{sweep}.mha")
    assert "p1_L_1.mha is already" in str(caught.value)


def test_one_case_is_one_limb(study: Path) -> None:
    record(study / "raw" / "c1_L_1.mha")
    record(study / "raw" / "c1_R_2.mha")
    with pytest.raises(InputErrors, match="side right"):
        make_tables("raw", "{case}_{side}_{sweep}.mha")


def test_names_that_cannot_be_ids_are_changed_and_told(study: Path) -> None:
    record(study / "raw" / "Müller, A" / "1.mha")
    made = make_tables("raw", "{participant}/{sweep}.mha")
    assert made.cases[0] == {"case": "M_ller_A", "participant": "Müller, A", "session": "", "side": ""}
    assert made.remarks == [("Müller, A/1.mha", "the case `Müller, A` is written M_ller_A")]
    record(study / "raw" / "b" / "a\tb.mha")
    assert "a tab" in make_tables("raw", "{participant}/{sweep}.mha").left_out[0][1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pattern": "{person}_{sweep}.mha"}, ["{person}", "participant"]),
        ({"pattern": "{case}{sweep}.mha"}, ["next to each other"]),
        ({"pattern": "{case_{sweep}.mha"}, ["brace"]),
        ({"pattern": "{session}_{sweep}.mha"}, ["neither {case} nor {participant}"]),
        ({"pattern": "{case}_{sweep}_x.mha"}, ["p1_1.mha", "correct the pattern"]),
        ({"annotations": "{case}"}, ["--structures"]),
        ({"structures": ["GM"]}, ["--annotations"]),
        ({"calibration": "{session}.xml"}, ["{session}"]),
        ({"raw": "nowhere"}, ["no such folder"]),
    ],
)
def test_options_that_make_no_sense(study: Path, options: dict[str, object], words: list[str]) -> None:
    record(study / "raw" / "p1_1.mha")
    with pytest.raises(InputError) as caught:
        make_tables(**{"raw": "raw", "pattern": "{case}_{sweep}.mha", **options})  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_what_is_left_out_is_told_with_its_place_and_remedy(study: Path) -> None:
    record(study / "raw" / "a_1.mha")
    for name, columns in (("b_1", "x_mm,y_mm\n1,2\n"), ("c_1", "")):
        write_images(study / "raw" / name, np.zeros((1, 4, 5), np.uint8))
        (study / "raw" / name / "poses.csv").write_text(
            columns or "x_mm,y_mm,z_mm,qw,qx,qy,qz\n1,2,3,1,0,0,0\n"
        )
    made = make_tables("raw", "{case}_{sweep}*")
    told = dict(made.left_out)
    assert told["b_1"].startswith("cannot be read: poses.csv, row 1: ")
    assert told["c_1"].endswith("name the calibration (.xml or .csv) with --calibration")


def test_structures_by_acquisition(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a_deep_1", "a_top_1", "a_rest_1"):
        record(study / "raw" / f"{name}.mha")
        write_mask(study / "raw" / "masks" / name / "frame_0000.png", np.zeros((4, 5), np.uint8))
    command = ["tables", "raw", "--pattern", "{case}_{acquisition}_{sweep}.mha"]
    command += ["--annotations", "masks/{case}_{acquisition}_{sweep}", "--structures"]
    assert main([*command, "deep:SOL", "top:GM,GL"]) == 0
    assert {row["acquisition"]: row["structures"] for row in rows(study / "sweeps.tsv")} == {
        "deep": "SOL",
        "top": "GM,GL",
        "rest": "",
    }
    assert (
        "a_rest_1.mha: --structures names none of this acquisition: not annotated" in capsys.readouterr().out
    )
    for table in ("cases.tsv", "sweeps.tsv"):
        (study / table).unlink()
    for wrong, words in (
        (["deep:SOL", "GM"], "each acquisition once"),
        (["deep:SOL", "deep:GM"], "each acquisition once"),
        (["deep:SOL", "tops:GM"], "one of deep, rest, top"),
    ):
        assert main([*command, *wrong]) == 1
        assert words in capsys.readouterr().err
    assert not (study / "sweeps.tsv").exists()
    with pytest.raises(InputError, match="tells no acquisitions apart"):
        make_tables("raw", "{case}_*.mha", annotations="masks/{case}", structures={"deep": ["SOL"]})


def test_patterns() -> None:
    assert Pattern("{case}_*_{sweep}.sw").values("a_anything_3.sw") == {"case": "a", "sweep": "3"}
    assert Pattern("{case}/{case}_{sweep}.sw").values("a/a_3.sw") == {"case": "a", "sweep": "3"}
    assert Pattern("{case}/{case}_{sweep}.sw").values("a/b_3.sw") is None
    assert Pattern("{participant}_{sweep}.sw").values("p_01_3.sw") is None
    assert Pattern("{case}.sw").values("a.b_c.sw") == {"case": "a.b_c"}
    assert Pattern("./{case}.sw").values("a.sw") == {"case": "a"}


WORD = st.text("abcXYZ019.-", min_size=1, max_size=6)


@given(st.tuples(WORD, WORD, WORD))
def test_what_a_pattern_fills_in_it_reads_back(words: tuple[str, str, str]) -> None:
    pattern = Pattern("{participant}/{session}_{sweep}.sw")
    values = dict(zip(("participant", "session", "sweep"), words, strict=True))
    assert pattern.values(pattern.filled(values)) == values


def test_the_command_explains_itself() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "myosweep", "tables", "--help"], capture_output=True, text=True, check=True
    )
    for word in ("{participant}", "--calibration", "contours", "examples:"):
        assert word in shown.stdout
