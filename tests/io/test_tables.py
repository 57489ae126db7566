from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError, InputErrors
from myosweep.io.tables import CASE_COLUMNS, SWEEP_COLUMNS, Case, SweepRow, Tables, read_tables
from myosweep.settings import read_settings

Lines = list[str]

CASES = ["case\tparticipant\tside\tsplit\tage", "p01\tanna\tleft\ttrain\t31", "p02\t\tright\ttest\t44"]
SWEEPS = [
    "case\tacquisition\tpath\tcalibration\tannotations\tstructures",
    "p01\tdeep\tdata/p01_1.mha\tdata/cal.xml\tdata/p01_masks\tSOL",
    "p01\tdeep\tdata/p01_2.mha\tdata/cal.xml\t\t",
    "p02\tdeep\tdata/p02_1.mha\t\tcontours\tGM,GL",
]


def configured(base: str = "", models: tuple[str, ...] = ()) -> dict[str, Any]:
    registration = {"base_acquisition": base} if base else {}
    structures = {"GM": 150, "GL": 200, "SOL": 100}
    needed = {"cases": "c", "sweeps": "s", "structures": structures}
    return read_settings({**needed, "registration": registration, "segmentation": {"models": list(models)}})


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "p01_masks").mkdir(parents=True)
    for name in ("p01_1.mha", "p01_2.mha", "p02_1.mha", "cal.xml", "ref.mha"):
        (tmp_path / "data" / name).touch()
    return tmp_path


def write(path: Path, lines: Lines) -> None:
    path.write_bytes(("\n".join(lines) + "\n").encode())


def read(cases: Lines = CASES, sweeps: Lines = SWEEPS, **options: Any) -> Tables:
    write(Path("cases.tsv"), cases)
    write(Path("sweeps.tsv"), sweeps)
    root = options.pop("root", None)
    return read_tables("cases.tsv", "sweeps.tsv", configured(**options), root)


def problems_of(cases: Lines = CASES, sweeps: Lines = SWEEPS, **options: Any) -> list[InputError]:
    with pytest.raises(InputErrors) as caught:
        read(cases, sweeps, **options)
    return caught.value.problems


def changed(lines: Lines, row: int, **cells: str) -> Lines:
    """The table with other cells in a row (1: the header), whose columns may be new."""
    table = [line.split("\t") for line in lines]
    for name, value in cells.items():
        if name not in table[0]:
            for index, line in enumerate(table):
                line.append("" if index else name)
        table[row - 1][table[0].index(name)] = value
    return ["\t".join(line) for line in table]


def test_a_sound_study(study: Path) -> None:
    tables = read()
    assert tables.cases["p01"] == Case("p01", "anna", side="left", split="train", extra={"age": "31"})
    assert tables.cases["p02"].participant == "p02"
    assert tables.extra_columns == ("age",)
    first, second = tables.sweeps["p01"]["deep"]
    assert first == SweepRow("p01", "deep", "1", "data/p01_1.mha", "data/cal.xml", "data/p01_masks", ("SOL",))
    assert (second.sweep, second.annotations, second.structures) == ("2", "", ())
    assert tables.sweeps["p02"]["deep"][0].structures == ("GM", "GL")
    assert tables.base_acquisition("p01") == "deep"
    assert tables.included == ["p01", "p02"]


def test_a_table_of_ids_alone(study: Path) -> None:
    tables = read(["case", "p01"], ["case\tacquisition\tpath", "p01\tdeep\tdata/p01_1.mha"])
    assert tables.cases == {"p01": Case("p01", "p01")}


def test_the_base_acquisition_comes_first(study: Path) -> None:
    sweeps = [*SWEEPS, "p01\tsuperficial\tdata/cal.xml"]
    tables = read(sweeps=[sweeps[0], sweeps[4], *sweeps[1:4]], base="deep")
    assert tables.acquisitions("p01") == ["deep", "superficial"]


@pytest.mark.parametrize(
    "save",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\t", ";").encode(),
        lambda text: (text + "\n\n  \n").encode(),
        lambda text: (text + "\t\t\t\t\n").encode(),
        lambda text: text.replace("\n", "  \n").replace("\t", " \t ").encode(),
        lambda text: text.replace("\n", "\t\t\n").encode(),
        lambda text: text.replace("case", "Case").replace("split", "Split").encode(),
        lambda text: text.replace("GM,GL", '"GM, GL"').encode(),
        lambda text: text.replace("GM,GL", "GM GL").encode(),
        lambda text: text.replace("GM,GL", '"GM,GL"').replace("\t", ",").encode(),
        lambda text: text.rstrip("\n").encode(),
    ],
    ids=[
        "BOM",
        "CRLF",
        "CR",
        "UTF-16",
        "semicolons",
        "empty rows",
        "a row of tabs",
        "blanks",
        "empty columns",
        "capitals",
        "quoted",
        "blank between structures",
        "commas",
        "no last line feed",
    ],
)
def test_what_spreadsheets_write(study: Path, save: Callable[[str], bytes]) -> None:
    expected = read()
    for name, lines in (("cases.tsv", CASES), ("sweeps.tsv", SWEEPS)):
        Path(name).write_bytes(save("\n".join(lines) + "\n"))
    assert read_tables("cases.tsv", "sweeps.tsv", configured()) == expected


@given(name=st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,12}", fullmatch=True))
@settings(max_examples=30, deadline=None)
def test_ids_stay_text(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ids")
    (folder / "r.mha").touch()
    write(folder / "c.tsv", ["case", name])
    write(folder / "s.tsv", ["case\tacquisition\tpath", f"{name}\t007\t{folder / 'r.mha'}"])
    tables = read_tables(folder / "c.tsv", folder / "s.tsv", configured())
    assert list(tables.cases) == [name]
    assert list(tables.sweeps[name]) == ["007"]


@pytest.mark.parametrize(
    ("cases", "where", "found", "expected", "remedy"),
    [
        (
            ["participant\tside", "a\tleft"],
            "row 1, column case",
            "a missing column",
            "case",
            "add the column",
        ),
        (
            ["case\tcase", "p01\tp01"],
            "row 1, column case",
            "a duplicate column (columns 1 and 2)",
            "once",
            "delete",
        ),
        (["case side", "p01 left"], "row 1, column case", "separated by blanks", "tabs", "put tabs"),
        (
            ["case\tparticpant", "p01\ta"],
            "row 1, column particpant",
            "almost participant",
            "",
            "`participant`",
        ),
        (
            ["case\tvolume_ml", "p01\t3"],
            "row 1, column volume_ml",
            "your own",
            "volumes.csv",
            "study_volume_ml",
        ),
        (["case\t\tage", "p01\tx\t3"], "row 1, column 2", "holds x in row 2", "a name", "name the column"),
        (["case\tside", "p01\tleft\tx"], "row 2", "3 cells", "at most 2 cells", "take the cell out"),
        (["case\tage", 'p01\t"3'], "row 2", "quotation mark that is not closed", "pairs", "take the"),
        (["case"], "cases.tsv", "a header without any row", "a row for each case", "write a row"),
        (["", ""], "cases.tsv", "an empty table", "a header", "case\tparticipant"),
        (
            changed(CASES, 2, side="Left"),
            "row 2, column side",
            "Left",
            "left, right",
            "p01\tanna\tleft\ttrain\t31",
        ),
        (changed(CASES, 2, side="x"), "row 2, column side", "x", "left, right", "p01\tanna\t<left or right>"),
        (
            changed(CASES, 3, split="testing"),
            "row 3, column split",
            "testing",
            "train, val",
            "right\ttest\t44",
        ),
        (changed(CASES, 3, split="dev"), "row 3, column split", "dev", "train, val", "<train or validation"),
        (
            changed(CASES, 3, participant="anna"),
            "row 3, column split",
            "anna is in train",
            "one split",
            "train\t44",
        ),
        (
            changed(CASES, 3, case="p01"),
            "row 3, column case",
            "a duplicate of row 2",
            "once",
            "p01_2\tp01\tright",
        ),
        (changed(CASES, 3, case=""), "row 3, column case", "an empty cell", "the case", "fill in"),
        (changed(CASES, 3, case="p/2"), "row 3, column case", "p/2, which cannot", "letters", "p_2\t\tright"),
        (changed(CASES, 3, case=".p2"), "row 3, column case", ".p2, which cannot", "dot", "instead: p2\t"),
        (changed(CASES, 3, case="Bär"), "row 3, column case", "Bär, which cannot", "accents", "B_r\t"),
        (
            changed(CASES, 2, labels="data/no.nrrd"),
            "row 2, column labels",
            "does not exist in",
            "file",
            "correct",
        ),
        (
            changed(CASES, 2, labels="./results/labels/shape/p01.seg.nrrd"),
            "row 2, column labels",
            "writes files of its own",
            "outside of results/",
            "mv results/labels/shape/p01.seg.nrrd labels/`",
        ),
        (changed(CASES, 2, reference="data"), "row 2, column reference", "not a file", "file", "correct"),
        (changed(CASES, 2, reference="data/REF.mha"), "row 2, column reference", "", "", "31\tdata/ref.mha"),
        (
            [*CASES, "p03\t\t\t\t"],
            "row 4, column case",
            "sweeps.tsv has no row",
            "at least one",
            "no recording",
        ),
    ],
)
def test_a_wrong_table_of_cases(
    study: Path, cases: Lines, where: str, found: str, expected: str, remedy: str
) -> None:
    problems = problems_of(cases)
    (problem,) = [problem for problem in problems if problem.where.endswith(where)]
    assert problem.where.startswith("cases.tsv")
    assert found in problem.found
    assert expected in problem.expected
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("sweeps", "where", "found", "expected", "remedy"),
    [
        (
            ["case\tpath", "p01\ta"],
            "row 1, column acquisition",
            "the header has case, path",
            "",
            "`acquisition`",
        ),
        (SWEEPS[:1], "sweeps.tsv", "a header without any row", "each recording", "p01\tdeep"),
        (
            changed(SWEEPS, 2, path="data/p01_1.mhd"),
            "row 2, column path",
            "not exist",
            "recording",
            "p01_1.mha\t",
        ),
        (
            changed(SWEEPS, 2, path=r"data\p01_1.mha"),
            "row 2, column path",
            "not exist",
            "",
            "\tdata/p01_1.mha\t",
        ),
        (changed(SWEEPS, 2, path=""), "row 2, column path", "an empty cell", "the recording", "fill in"),
        (
            changed(SWEEPS, 3, path="data/p01_1.mha"),
            "row 3, column path",
            "a duplicate of row 2",
            "once",
            "row 3",
        ),
        (
            changed(SWEEPS, 3, path="./data/p01_1.mha"),
            "row 3, column path",
            "a duplicate of row 2",
            "once",
            "row 3",
        ),
        (
            changed(SWEEPS, 2, calibration="cal.xml"),
            "row 2, column calibration",
            "not exist",
            "file",
            "correct",
        ),
        (
            changed(SWEEPS, 2, calibration="data"),
            "row 2, column calibration",
            "not a file",
            "file",
            "correct",
        ),
        (
            changed(SWEEPS, 2, annotations="data/masks"),
            "row 2, column annotations",
            "not exist",
            "folder",
            "p01_masks",
        ),
        (
            changed(SWEEPS, 2, annotations=""),
            "row 2, column annotations",
            "beside the structures SOL",
            "contours",
            "",
        ),
        (
            changed(SWEEPS, 2, structures=""),
            "row 2, column structures",
            "beside the annotations",
            "",
            "GM,GL,SOL",
        ),
        (
            changed(SWEEPS, 4, structures="gm,GLL"),
            "row 4, column structures",
            "gm, GLL",
            "GM, GL, SOL",
            "\tGM,GL",
        ),
        (changed(SWEEPS, 2, case="P1"), "row 2, column case", "P1, a case unknown", "a case", "p01\tdeep"),
        (
            changed(SWEEPS, 2, case="zz"),
            "row 2, column case",
            "zz, a case unknown",
            "a case",
            "add a row for zz",
        ),
        (changed(SWEEPS, 2, acquisition="de ep"), "row 2, column acquisition", "de ep", "letters", "de_ep"),
        (changed(SWEEPS, 2, acquisition=""), "row 2, column acquisition", "an empty cell", "", "fill in"),
        (
            changed(SWEEPS, 2, sweep="2"),
            "row 3, column sweep",
            "sweep 2 of p01, deep: a duplicate of row 2",
            "once",
            "",
        ),
    ],
)
def test_a_wrong_table_of_sweeps(
    study: Path, sweeps: Lines, where: str, found: str, expected: str, remedy: str
) -> None:
    problems = problems_of(sweeps=sweeps)
    (problem,) = [problem for problem in problems if problem.where.endswith(where)]
    assert problem.where.startswith("sweeps.tsv")
    assert found in problem.found
    assert expected in problem.expected
    assert remedy in problem.remedy


def test_a_missing_folder_of_the_tables_is_told_with_where_it_was_looked_for(study: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        read_tables("no/cases.tsv", "no/sweeps.tsv", configured())
    assert [problem.where for problem in caught.value.problems] == ["no/cases.tsv", "no/sweeps.tsv"]
    assert str(study) in caught.value.problems[0].found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"PK\x03\x04...", "a spreadsheet workbook"),
        (b"case\nM\xfcller\n", "a character in row 2 that is not UTF-8"),
        (b"case\0\1", "a file that is not text"),
    ],
)
def test_a_table_that_is_no_text(study: Path, data: bytes, found: str) -> None:
    write(study / "sweeps.tsv", SWEEPS)
    (study / "cases.tsv").write_bytes(data)
    with pytest.raises(InputErrors) as caught:
        read_tables("cases.tsv", "sweeps.tsv", configured())
    assert [problem.found for problem in caught.value.problems] == [found]


def test_several_acquisitions_need_a_base(study: Path) -> None:
    (problem,) = problems_of(sweeps=[*SWEEPS, "p01\tsuperficial\tdata/cal.xml"])
    assert problem.where == "configuration, key registration.base_acquisition"
    assert "case p01 has the acquisitions deep, superficial" in problem.found
    assert "`registration: {base_acquisition: deep}`" in problem.remedy


def test_every_case_needs_the_base_acquisition(study: Path) -> None:
    (problem,) = problems_of(sweeps=changed(SWEEPS, 4, acquisition="superficial"), base="deep")
    assert problem.where == "cases.tsv, row 3, column case"
    assert problem.found == "p02, which has superficial but not the base acquisition"
    assert "no acquisition deep" in problem.remedy


def test_the_row_to_paste_works(study: Path) -> None:
    cases = changed(CASES, 3, exclude="")
    (problem,) = problems_of(cases, changed(SWEEPS, 4, acquisition="superficial"), base="deep")
    cases[2] = problem.remedy.partition("exclude it: ")[2]
    assert read(cases, SWEEPS[:3], base="deep").included == ["p01"]


def test_an_excluded_case_is_not_checked_for_files(study: Path) -> None:
    cases = changed(CASES, 3, exclude="moved during the sweep", reference="data/nothing.mha")
    tables = read(cases, changed(SWEEPS, 4, path="data/nothing.mha", calibration="nothing.xml"))
    assert tables.included == ["p01"]
    assert tables.cases["p02"].exclude == "moved during the sweep"
    assert read(cases, SWEEPS[:3]).sweeps["p02"] == {}


def test_simulated_files_need_not_exist(study: Path) -> None:
    sweeps = changed(SWEEPS, 2, path="results/simulate/p01/1.mha", calibration="results/simulate/c.xml")
    cases = changed(CASES, 2, reference="results/simulate/p01/truth.mha")
    assert len(problems_of(cases, sweeps)) == 3
    assert read(cases, sweeps, root="results/simulate/").cases["p01"].reference
    assert (
        len(problems_of(cases, changed(sweeps, 2, path="results/simulated/1.mha"), root="results/simulate"))
        == 1
    )


def test_training_needs_annotated_cases(study: Path) -> None:
    assert read(models=("unet",)).cases
    (problem,) = problems_of(changed(CASES, 2, split=""), models=("unet",))
    assert problem.where == "cases.tsv, column split"
    assert "no case with train, but the model unet" in problem.found
    bare = changed(SWEEPS, 2, annotations="", structures="")
    (problem,) = problems_of(sweeps=bare, models=("unet",))
    assert problem.found == "1 case with train, none of them annotated"
    assert read(changed(CASES, 2, labels="data/ref.mha"), bare, models=("unet",)).cases
    (problem,) = problems_of(changed(CASES, 2, exclude="bad"), models=("unet",))
    assert "no case with train" in problem.found


def test_all_problems_of_both_tables_are_told_at_once(study: Path) -> None:
    problems = problems_of(
        changed(changed(CASES, 2, side="Left", split="training"), 3, reference="no.mha"),
        changed(changed(SWEEPS, 2, path="no.mha"), 4, structures="TA"),
    )
    assert [problem.where for problem in problems] == [
        "cases.tsv, row 2, column side",
        "cases.tsv, row 2, column split",
        "cases.tsv, row 3, column reference",
        "sweeps.tsv, row 2, column path",
        "sweeps.tsv, row 4, column structures",
    ]


def test_a_sweep_that_the_phantom_does_not_make(study: Path) -> None:
    sweeps = changed(SWEEPS, 2, path="results/simulate/p01/deep/sweep_5.mha")
    assert read(sweeps=sweeps, root="results/simulate")
    write(Path("cases.tsv"), CASES)
    with pytest.raises(InputErrors) as caught:
        read_tables(
            "cases.tsv", "sweeps.tsv", {**configured(), "simulate": {"sweeps": 4}}, "results/simulate"
        )
    (problem,) = caught.value.problems
    assert problem.where == "sweeps.tsv, row 2, column path"
    assert problem.found == "results/simulate/p01/deep/sweep_5.mha, but simulate.sweeps is 4"


def test_a_thousand_rows_with_one_cause_are_told_briefly(study: Path) -> None:
    sweeps = [*SWEEPS, *(f"p02\tdeep\tno/{number}.mha\t\t\t" for number in range(1000))]
    problems = problems_of(sweeps=sweeps)
    assert len(problems) == 101
    assert problems[0].where == "sweeps.tsv, row 5, column path"
    assert problems[-1].where == "sweeps.tsv, rows 105 to 1004, column path"
    assert problems[-1].found == "900 more rows with a problem here"


def test_time_is_linear_even_where_everything_is_wrong(study: Path) -> None:
    def seconds(count: int) -> float:
        cases = ["case\tsplit", *(f"p{number:05d}\ttrain" for number in range(count))]
        sweeps = [
            "case\tacquisition\tpath",
            *(f"q{number}\tdeep\tno/{number}.mha" for number in range(count)),
        ]
        start = time.process_time()
        assert len(problems_of(cases, sweeps)) == 303
        return time.process_time() - start

    # Quadratic growth would be 16 times; the machine may be busy, so the least of several counts.
    few, many = (min(seconds(count) for _ in range(4)) for count in (1000, 4000))
    assert many < 9 * max(few, 0.02)


def test_the_columns_are_those_of_the_documentation() -> None:
    assert " ".join(CASE_COLUMNS) == "case participant session side split labels reference exclude"
    assert " ".join(SWEEP_COLUMNS) == "case acquisition sweep path calibration annotations structures"
