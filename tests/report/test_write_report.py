from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from myosweep.errors import InputError
from myosweep.io.files import write_json
from myosweep.report import write
from myosweep.report.write import page_names, write_report
from PIL import Image

HOSTILE = '<script>alert("x")</script> & $y'

SETTINGS = {
    "structures": {"GM": 1, "SOL": 2},
    "world": "auto",
    "compounding": {
        "axes": "probe",
        "spacing_mm": 0.3,
        "method": "trilinear",
        "combine": "mean",
        "fill": True,
    },
    "registration": {"base_acquisition": "deep", "method": "mutual_information", "spacing_mm": 1.0},
    "labels": {"interpolation": ["zoi", "shape"], "use": "shape", "smoothing_voxels": 7},
    "segmentation": {"models": ["unet"], "pretrained": {}, "channels": ["image"]},
}


class Page(HTMLParser):
    """Links, sources and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src", "srcset", "data")]

    def handle_data(self, data):
        self.text += data


def row(case, structure="GM", source="labels_shape", status="measured", **more):
    values = {
        "case": case,
        "participant": case,
        "session": "01",
        "side": "left",
        "split": "test",
        "structure": structure,
        "source": source,
        "status": status,
        "volume_ml": "210.0" if status in ("measured", "partial") else "",
        "low_ml": "",
        "high_ml": "",
        "reference_ml": "",
        "error_percent": "",
        "reason": "",
    }
    return {**values, **more}


def metric(case, source, name="dice", value=0.9, structure="GM", unit="1", place=""):
    return {
        "case": case,
        "structure": structure,
        "source": source,
        "slice": place,
        "metric": name,
        "unit": unit,
        "value": value,
    }


def write_tables(folder, rows, metrics=()):
    pd.DataFrame(rows).to_csv(folder / "volumes.csv", index=False)
    if metrics:
        pd.DataFrame(metrics).to_csv(folder / "metrics.csv", index=False)
    return {"volumes_csv": folder / "volumes.csv", "metrics_csv": folder / "metrics.csv"}


def picture_folder(folder, **summary):
    folder.mkdir(parents=True)
    for name in ("montage.png", "view3d.png", "areas.png", "coverage.png"):
        Image.new("RGB", (40, 30), "white").save(folder / name)
    write_json(folder / "summary.json", {"coverage": "500 ml known.", "view3d_remark": "", **summary})
    return folder


def pages_of(report):
    return {
        path.relative_to(report).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(report.rglob("*.html"))
    }


def assert_offline(report):
    """Every link leads to a file below the report's folder, or to a place in a page."""
    for name, page in pages_of(report).items():
        for link in page.links:
            parts = urlparse(link)
            assert not parts.scheme, (name, link)
            assert not parts.netloc, (name, link)
            if parts.path:
                target = (report / name).parent / unquote(parts.path)
                assert target.resolve().is_relative_to(report.resolve()), (name, link)
                assert target.is_file(), (name, link)
        assert not {"script", "iframe", "object", "link"} & set(page.tags), name
    assert "@import" not in (report / "index.html").read_text()
    assert "url(" not in (report / "index.html").read_text()


@pytest.fixture
def full(tmp_path):
    rows = [
        row(f"p{n}", structure, source)
        for n in range(4)
        for structure in ("GM", "SOL")
        for source in ("labels_shape", "unet")
    ]
    for number, entry in enumerate(rows):
        entry["reference_ml"], entry["error_percent"] = "205.0", "2.4"
        entry["volume_ml"] = str(210 + number / 3)
    rows[0].update(status="partial", reason="leaves the swept volume at z = 212 mm")
    rows += [
        row("p4", status="failed", reason="no frame has a valid pose", source=""),
        row("p5", status="excluded", source="", structure="", reason=HOSTILE),
    ]
    metrics = [
        metric(f"p{n}", source, name, value, structure, unit, place)
        for n in range(4)
        for structure in ("GM", "SOL")
        for source in ("labels_shape", "unet")
        for name, value, unit in (
            ("dice", 0.91 + n / 100, "1"),
            ("hausdorff_95", 2.5 + n, "mm"),
            ("border_distinct", 7.0, "%"),
        )
        for place in ("", "3")
    ]
    inputs = write_tables(tmp_path, rows, metrics)
    (tmp_path / "screen.tsv").write_text(
        "case\tacquisition\tsweep\tstatus\tframes\tusable_frames\tleft_out\treason\np1\tdeep\t1\tusable\t100\t80\t3-22\t\n"
    )
    (tmp_path / "excluded.tsv").write_text(f"case\treason\np5\t{HOSTILE}\n")
    (tmp_path / "history.csv").write_text("epoch,loss,validation_dice\n1,0.9,0.5\n2,0.5,0.8\n")
    return {
        **inputs,
        "screen_tsv": tmp_path / "screen.tsv",
        "excluded_tsv": tmp_path / "excluded.tsv",
        "figures": {
            "p0": picture_folder(tmp_path / "figures" / "p0"),
            "p1": picture_folder(tmp_path / "figures" / "p1", structures_far_percent=31.0),
        },
        "registration": {
            "p1": [
                {
                    "acquisition": "superficial",
                    "accepted": False,
                    "reason": "overlap 0.1",
                    "measures": {"overlap_fraction": 0.1},
                }
            ],
            "p0": [
                {
                    "acquisition": "superficial",
                    "accepted": True,
                    "reason": "",
                    "measures": {"rotation_degrees": 1.5},
                }
            ],
        },
        "definitions": {"dice": "Twice the common voxels over the sum of both."},
        "settings": SETTINGS,
        "provenance": {"versions": {"numpy": "2.4"}, "empty": None},
        "models": {"unet": tmp_path / "history.csv"},
    }


def test_a_full_report(full, tmp_path):
    report = tmp_path / "report"
    write_report(report, **full)
    assert_offline(report)
    pages = pages_of(report)
    assert set(pages) == {"index.html", *(f"case/p{n}.html" for n in range(6))}
    index = pages["index.html"]
    for n in range(6):
        assert f"case/p{n}.html" in index.links
    for said in (
        "Research use only; not a medical device.",
        "leaves the swept volume at z = 212 mm",
        "no frame has a valid pose",
        "trilinear",
        "Twice the common voxels",
        "compounding.spacing_mm",
        "versions.numpy",
    ):
        assert said in index.text, said
    assert "images/accuracy.png" in index.links
    assert "images/agreement.png" in index.links
    assert "images/training_unet.png" in index.links
    assert "images/cases/p0/montage.png" in index.links
    for name, page in pages.items():
        assert "Research use only; not a medical device." in page.text, name


def test_flags_on_a_case_page(full, tmp_path):
    write_report(tmp_path / "report", **full)
    text = pages_of(tmp_path / "report")["case/p1.html"].text
    for said in (
        "Registration refused",
        "overlap 0.1",
        "Far from data",
        "31 %",
        "Left-out frames",
        "20 of 100",
        "Completed border",
    ):
        assert said in text, said
    assert "Partial structure" in pages_of(tmp_path / "report")["case/p0.html"].text


def test_means_are_over_whole_volumes_and_models_over_test_cases(full, tmp_path):
    table = pd.read_csv(full["volumes_csv"], dtype=str, keep_default_na=False)
    table.loc[table["case"].isin(["p0", "p1"]), "split"] = "train"
    table.to_csv(full["volumes_csv"], index=False)
    write_report(tmp_path / "report", **full)
    text = " ".join(pages_of(tmp_path / "report")["index.html"].text.split())
    assert "0.925 ± 0.013 (4)" in text  # labels: mean of 0.91, 0.92, 0.93, 0.94
    assert "0.935 ± 0.007 (2)" in text  # the model: of 0.93 and 0.94


def test_names_are_escaped(full, tmp_path):
    table = pd.read_csv(full["volumes_csv"], dtype=str, keep_default_na=False)
    table["reason"] = HOSTILE
    table["note"] = HOSTILE
    table.loc[table["case"] == "p3", "case"] = HOSTILE
    table.to_csv(full["volumes_csv"], index=False)
    full["settings"] = {**SETTINGS, "world": HOSTILE}
    full["definitions"] = {HOSTILE: HOSTILE}
    write_report(tmp_path / "report", **full)
    assert_offline(tmp_path / "report")
    for name, page in pages_of(tmp_path / "report").items():
        raw = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "<script" not in raw, name
        assert HOSTILE in page.text or name.startswith("case/p"), name


def test_the_same_bytes_twice(full, tmp_path):
    for run in ("a", "b"):
        write_report(tmp_path / run, **full)
    write_report(tmp_path / "b", **full)
    first = {
        path.relative_to(tmp_path / "a"): path.read_bytes()
        for path in (tmp_path / "a").rglob("*")
        if path.is_file()
    }
    again = {
        path.relative_to(tmp_path / "b"): path.read_bytes()
        for path in (tmp_path / "b").rglob("*")
        if path.is_file()
    }
    assert first == again


def test_one_muscle_without_reference_models_or_pictures(tmp_path):
    inputs = write_tables(tmp_path, [row("01", "muscle", "labels_zoi", split="", participant="01", side="")])
    write_report(tmp_path / "report", volumes_csv=inputs["volumes_csv"])
    assert_offline(tmp_path / "report")
    text = pages_of(tmp_path / "report")["index.html"].text
    assert "No case has a reference" in text
    assert "01" in text
    assert "210.0" in text


def test_missing_files_leave_their_part_out(full, tmp_path):
    for name in ("metrics_csv", "screen_tsv", "excluded_tsv"):
        full[name] = tmp_path / "absent"
    full["figures"] = {"p0": tmp_path / "absent"}
    full["models"] = {"unet": tmp_path / "absent"}
    write_report(tmp_path / "report", **full)
    assert_offline(tmp_path / "report")


def test_empty_tables(tmp_path):
    (tmp_path / "volumes.csv").write_text(",".join(row("x")) + "\n")
    (tmp_path / "metrics.csv").write_text("case,structure,source,slice,metric,unit,value\n")
    write_report(
        tmp_path / "report",
        volumes_csv=tmp_path / "volumes.csv",
        metrics_csv=tmp_path / "metrics.csv",
        settings=SETTINGS,
    )
    assert_offline(tmp_path / "report")


def test_no_table_of_volumes_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        write_report(tmp_path / "report", volumes_csv=tmp_path / "volumes.csv")


def test_a_large_cohort_is_spread_over_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "CASES_PER_PAGE", 20)
    inputs = write_tables(tmp_path, [row(f"p{n:03d}") for n in range(65)])
    montages = {f"p{n:03d}": picture_folder(tmp_path / "figures" / f"p{n:03d}") for n in range(9)}
    write_report(tmp_path / "report", volumes_csv=inputs["volumes_csv"], figures=montages)
    assert_offline(tmp_path / "report")
    pages = pages_of(tmp_path / "report")
    assert {"cases/2.html", "cases/3.html", "cases/4.html"} <= set(pages)
    listed = [link for name, page in pages.items() if not name.startswith("case/") for link in page.links]
    for n in range(65):
        assert any(link.endswith(f"case/p{n:03d}.html") for link in listed)
        assert f"p{n:03d}" in pages[f"case/p{n:03d}.html"].text
    assert "The first 6 of 9 cases with pictures" in pages["index.html"].text
    assert sum(link.endswith("montage.png") for link in pages["index.html"].links) == 6


def test_pages_of_cases_that_are_gone_are_removed(full, tmp_path):
    write_report(tmp_path / "report", **full)
    table = pd.read_csv(full["volumes_csv"], dtype=str, keep_default_na=False)
    table[table["case"] != "p0"].to_csv(full["volumes_csv"], index=False)
    write_report(tmp_path / "report", **full)
    assert not (tmp_path / "report" / "case" / "p0.html").exists()
    assert not (tmp_path / "report" / "images" / "cases" / "p0").exists()
    assert (tmp_path / "figures" / "p0" / "montage.png").is_file()


def test_pictures_below_the_report_are_not_copied(tmp_path):
    inputs = write_tables(tmp_path, [row("p0")])
    pictures = picture_folder(tmp_path / "report" / "figures" / "p0")
    write_report(tmp_path / "report", volumes_csv=inputs["volumes_csv"], figures={"p0": pictures})
    assert_offline(tmp_path / "report")
    assert not (tmp_path / "report" / "images" / "cases").exists()


def test_page_names_are_plain_and_differ():
    names = page_names(["p01", "P01", "../../etc", "a b", "a_b", "ü"])
    assert names["p01"] == "p01"
    assert len({name.lower() for name in names.values()}) == 6
    assert all(Path(name).name == name and " " not in name for name in names.values())


def test_what_needs_no_reference_is_not_called_accuracy(tmp_path):
    inputs = write_tables(tmp_path, [row("p0")], [metric("p0", "labels_shape", "volume", 210.0, unit="ml")])
    write_report(tmp_path / "report", **inputs, settings={"structures": {"GM": 1}})
    pages = pages_of(tmp_path / "report")
    assert "Accuracy" not in pages["index.html"].text
    assert "210.0" in pages["case/p0.html"].text


def test_a_comparison_of_interpolations_is_shown_where_it_was_made(tmp_path):
    write_tables(tmp_path, [row("p01")])
    volumes = tmp_path / "volumes.csv"
    write_report(tmp_path / "report", volumes_csv=volumes, comparison_csv=tmp_path / "none.csv")
    assert "effort" not in (tmp_path / "report/index.html").read_text()
    columns = "case,structure,interpolation,every_frames,wobble_mm,annotated_frames,dice"
    values = [
        f"01,GM,{method},{every},0.4,{200 // every},0.97" for method in ("zoi", "shape") for every in (5, 9)
    ]
    lines = [f"{columns},absolute_volume_error_percent", *(f"{line},2.5" for line in values)]
    (tmp_path / "interpolation.csv").write_text("\n".join(lines) + "\n")
    write_report(tmp_path / "report", volumes_csv=volumes, comparison_csv=tmp_path / "interpolation.csv")
    assert "images/effort.png" in Page((tmp_path / "report/index.html").read_text()).links
    with Image.open(tmp_path / "report/images/effort.png") as picture:
        assert picture.width > 1000
