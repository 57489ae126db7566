from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.cohort import read_results, volume_rows, write_metrics, write_volumes
from myosweep.io.tables import Case

HEADER = (
    "case,participant,session,side,split,structure,source,status,volume_ml,low_ml,high_ml,reference_ml,"
    "error_percent,reason"
)
STRUCTURES = ["GM", "SOL"]
SOURCES = ["labels_zoi", "labels_shape", "unet"]


def known(volume: float | None, reference: float | None = None, **others: Any) -> dict[str, Any]:
    return {"volume_ml": volume, "reference_ml": reference, **others}


def labelled(volume: float, reference: float | None = None) -> dict[str, Any]:
    return known(volume, reference, status="annotated", reason="")


def rows_of(cases: list[Case], results: Any, excluded: Any = None, **options: Any) -> list[dict[str, str]]:
    structures, sources = options.get("structures", STRUCTURES), options.get("sources", SOURCES)
    return volume_rows(
        cases, structures, sources, results, excluded or {}, options.get("models", {"unet": []})
    )


def one(rows: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_every_case_has_its_rows_in_a_stable_order() -> None:
    cases = [Case("b", "B"), Case("a", "A", exclude="moved")]
    rows = rows_of(cases, {("b", "unet"): {"GM": known(10.0)}}, {"a": "moved"})
    keys = [(row["case"], row["structure"], row["source"]) for row in rows]
    assert keys == [
        (case, structure, source) for case in "ba" for structure in STRUCTURES for source in SOURCES
    ]
    assert ",".join(rows[0]) == HEADER


def test_volume_reference_and_error() -> None:
    case = Case("p01", "anna", "2", "left", "test", extra={"age": "31"})
    row = rows_of([case], {("p01", "labels_zoi"): {"GM": labelled(98.76543, 100.0)}})[0]
    assert row == {
        "case": "p01",
        "participant": "anna",
        "session": "2",
        "side": "left",
        "split": "test",
        "structure": "GM",
        "source": "labels_zoi",
        "status": "measured",
        "volume_ml": "98.765",
        "low_ml": "",
        "high_ml": "",
        "reference_ml": "100.000",
        "error_percent": "-1.23",
        "reason": "",
        "age": "31",
    }


@pytest.mark.parametrize(
    ("source", "results", "status", "volume", "reason"),
    [
        ("labels_zoi", {"GM": labelled(5.0)}, "measured", "5.000", ""),
        (
            "labels_zoi",
            {"GM": known(5.0, status="partial", reason="cut\noff")},
            "partial",
            "5.000",
            "cut off",
        ),
        (
            "labels_zoi",
            {"GM": known(0.0, status="not_annotated", reason="refused")},
            "not_annotated",
            "",
            "refused",
        ),
        ("labels_zoi", {"GM": known(0.0)}, "not_annotated", "", "not annotated in any sweep"),
        ("labels_zoi", None, "not_annotated", "", "nothing of this case is annotated"),
        ("labels_zoi", {"GM": {"status": "annotated"}}, "failed", "", "there is no volume"),
        ("unet", {"GM": known(0.0)}, "measured", "0.000", ""),
        ("unet", {}, "failed", "", "there is no volume"),
        ("unet", None, "failed", "", "there is no result"),
    ],
)
def test_status(source: str, results: Any, status: str, volume: str, reason: str) -> None:
    given_results = {} if results is None else {("p01", source): results}
    row = rows_of([Case("p01", "p01")], given_results, structures=["GM"], sources=[source])[0]
    assert (row["status"], row["volume_ml"], row["reason"]) == (status, volume, reason)


def test_an_excluded_case_keeps_its_rows_and_its_reason() -> None:
    results = {("p01", "unet"): {"GM": known(3.0, 3.0)}}
    rows = rows_of([Case("p01", "p01")], results, {"p01": "no pose,\t at all"})
    assert {row["status"] for row in rows} == {"excluded"}
    assert {row["reason"] for row in rows} == {"no pose, at all"}
    assert {row["volume_ml"] + row["reference_ml"] + row["error_percent"] for row in rows} == {""}


def cohort(errors: list[float], split: str = "test") -> tuple[list[Case], dict[Any, Any]]:
    cases = [Case(f"p{number}", f"p{number}", split=split) for number in range(len(errors))]
    volumes = {case.case: 100.0 * (1 + error) for case, error in zip(cases, errors, strict=True)}
    return cases, {(name, "unet"): {"GM": known(volume, 100.0)} for name, volume in volumes.items()}


def test_limits_of_the_true_volume() -> None:
    cases, results = cohort([-0.02, 0.0, 0.02])
    cases.append(Case("new", "new"))
    results["new", "unet"] = {"GM": known(50.0)}
    row = one(rows_of(cases, results), case="new", structure="GM", source="unet")
    # t(0.975, 2) = 4.3027; 2 % sd; sqrt(1 + 1/3): the relative error lies within 9.937 %.
    assert float(row["low_ml"]) == pytest.approx(50 / 1.09937, abs=2e-3)
    assert float(row["high_ml"]) == pytest.approx(50 / 0.90063, abs=2e-3)
    assert row["reference_ml"] == row["error_percent"] == ""


def test_two_references_give_no_limits() -> None:
    cases, results = cohort([-0.02, 0.02])
    assert {row["low_ml"] + row["high_ml"] for row in rows_of(cases, results)} == {""}


def test_limits_of_a_model_leave_its_training_cases_out_and_those_of_labels_do_not() -> None:
    cases, results = cohort([-0.02, 0.0, 0.02], split="train")
    results |= {
        (case, "labels_zoi"): {"GM": {**value["GM"], "status": "annotated"}}
        for (case, _), value in results.items()
    }
    rows = rows_of(cases, results)
    assert {row["low_ml"] for row in rows if row["source"] == "unet"} == {""}
    assert all(row["low_ml"] for row in rows if row["source"] == "labels_zoi" and row["structure"] == "GM")


def test_limits_leave_out_those_from_whom_a_given_network_learned_elsewhere() -> None:
    cases, results = cohort([-0.02, 0.0, 0.02, 0.5])

    def low(models: dict[str, list[str]]) -> list[str]:
        return [row["low_ml"] for row in rows_of(cases, results, models=models) if row["structure"] == "GM"]

    splits = {
        row["case"]: row["split"] for row in rows_of(cases, results, models={"unet": ["p3", "somebody else"]})
    }
    assert splits == {"p0": "test", "p1": "test", "p2": "test", "p3": "train"}

    three = cohort([-0.02, 0.0, 0.02])
    without = [row["low_ml"] for row in rows_of(*three) if row["structure"] == "GM"]
    assert low({"unet": ["p3", "somebody else"]})[:3] == without[:3]
    assert low({"unet": []})[:3] != without[:3]


def test_partial_volumes_are_lower_bounds_and_enter_no_limits() -> None:
    cases, results = cohort([-0.02, 0.0, 0.02, -0.5])
    results["p3", "unet"]["GM"] |= {"status": "partial", "reason": "cut off"}
    rows = rows_of(cases, results)
    cut, whole = (one(rows, case=case, structure="GM", source="unet") for case in ("p3", "p1"))
    assert (cut["low_ml"], cut["high_ml"], cut["error_percent"]) == ("", "", "-50.00")
    assert float(whole["low_ml"]) == pytest.approx(100 / 1.09937, abs=2e-3)


def test_an_empty_reference_has_no_error() -> None:
    row = rows_of([Case("p01", "p01")], {("p01", "labels_zoi"): {"GM": labelled(5.0, 0.0)}})[0]
    assert (row["reference_ml"], row["error_percent"]) == ("0.000", "")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e4), st.none() | st.floats(0.1, 1e4)), min_size=1, max_size=8))
def test_the_interval_holds_the_volume_corrected_for_bias(pairs: list[tuple[float, float | None]]) -> None:
    cases = [Case(f"p{number}", f"p{number}") for number in range(len(pairs))]
    results = {(f"p{number}", "unet"): {"GM": known(*pair)} for number, pair in enumerate(pairs)}
    for row in rows_of(cases, results, structures=["GM"], sources=["unet"]):
        assert row["status"] == "measured"
        assert bool(row["low_ml"]) == bool(row["high_ml"])
        assert row["low_ml"] == "" or float(row["low_ml"]) <= float(row["high_ml"])
        assert "nan" not in ",".join(row.values())
        assert "inf" not in ",".join(row.values())


def evaluation(folder: Path, source: str, case: str, rows: list[str]) -> Path:
    path = folder / source / f"{case}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["structure,slice,metric,unit,value", *rows]) + "\n")
    return path


def test_results_are_read_from_evaluations_and_summaries(tmp_path: Path) -> None:
    rows = [
        "GM,,volume,ml,5.25",
        "GM,,reference_volume,ml,",
        "GM,3,volume,ml,9",
        "GM,,dice,1,0.9",
        "SOL,,volume,ml,7",
    ]
    paths = [evaluation(tmp_path, "labels_zoi", "p01", rows), evaluation(tmp_path, "unet", "p01", rows[:1])]
    summary = tmp_path / "zoi" / "p01.json"
    summary.parent.mkdir()
    own = {
        "GM": {"status": "partial", "reason": "an end is missing", "frames": 3},
        "SOL": {"status": "annotated"},
    }
    summary.write_text(json.dumps(own))
    results = read_results(paths, [summary])
    assert results["p01", "labels_zoi"] == {
        "GM": {"volume_ml": 5.25, "reference_ml": None, "status": "partial", "reason": "an end is missing"},
        "SOL": {"volume_ml": 7.0, "status": "annotated", "reason": ""},
    }
    assert results["p01", "unet"] == {"GM": {"volume_ml": 5.25}}


def test_the_metrics_that_are_read_are_the_ones_that_are_made() -> None:
    from myosweep.metrics.evaluate import DEFINITIONS

    assert {"volume", "reference_volume"} <= set(DEFINITIONS)


def test_volumes_csv(tmp_path: Path) -> None:
    cases = [
        Case("p01", "p01", extra={"age": "31", "note": 'says "no", twice'}),
        Case("p02", "p02", extra={"age": ""}),
    ]
    rows = rows_of(cases, {})
    write_volumes(tmp_path / "volumes.csv", rows)
    data = (tmp_path / "volumes.csv").read_bytes()
    assert b"\r" not in data
    assert data.decode().splitlines()[0] == HEADER + ",age,note"
    with open(tmp_path / "volumes.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0]["note"] == 'says "no", twice'
    assert read[-1]["note"] == ""
    assert len(read) == 12


def test_volumes_csv_without_a_row(tmp_path: Path) -> None:
    write_volumes(tmp_path / "volumes.csv", [], ["age"])
    assert (tmp_path / "volumes.csv").read_text() == HEADER + ",age\n"


def test_metrics_csv(tmp_path: Path) -> None:
    first = evaluation(tmp_path, "unet", "p02", ["GM,,dice,1,0.90", "GM,4,area,cm2,1.5"])
    second = evaluation(tmp_path, "labels_zoi", "p01", ["SOL,,volume,ml,3"])
    write_metrics(tmp_path / "metrics.csv", [first, second])
    assert (tmp_path / "metrics.csv").read_text() == (
        "case,structure,source,slice,metric,unit,value\n"
        "p02,GM,unet,,dice,1,0.90\n"
        "p02,GM,unet,4,area,cm2,1.5\n"
        "p01,SOL,labels_zoi,,volume,ml,3\n"
    )


def test_exposed_surface_and_failed_registration_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "evaluate" / "unet"
    folder.mkdir(parents=True)
    (folder / "p1.csv").write_text(
        "structure,slice,metric,unit,value\n"
        "GM,,volume,ml,200\nGM,,exposed,%,12.5\nSOL,,volume,ml,400\nSOL,,exposed,%,0.5\n"
    )
    labels = tmp_path / "evaluate" / "labels_shape"
    labels.mkdir()
    (labels / "p1.csv").write_text("structure,slice,metric,unit,value\nGM,,volume,ml,0\nSOL,,volume,ml,410\n")
    summaries = tmp_path / "labels" / "shape"
    summaries.mkdir(parents=True)
    (summaries / "p1.json").write_text(
        json.dumps(
            {
                "GM": {"status": "failed", "reason": "registration refused: no overlap"},
                "SOL": {"status": "annotated", "reason": ""},
            }
        )
    )
    results = read_results([folder / "p1.csv", labels / "p1.csv"], [summaries / "p1.json"])
    rows = volume_rows([Case("p1", "p1")], STRUCTURES, ["labels_shape", "unet"], results, {}, {"unet": []})
    found = {(row["structure"], row["source"]): row for row in rows}
    assert found["GM", "unet"]["status"] == "partial"
    assert "12 %" in found["GM", "unet"]["reason"]
    assert found["SOL", "unet"]["status"] == "measured"
    assert found["GM", "labels_shape"]["status"] == "failed"
    assert found["GM", "labels_shape"]["volume_ml"] == ""
    assert "registration refused" in found["GM", "labels_shape"]["reason"]
