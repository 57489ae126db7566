import math

import pandas as pd
from myosweep.report.methods import methods_text
from myosweep.report.tables import Case, Measurement, read_metrics
from myosweep.report.trust import KINDS, flags_of, registration_rows
from myosweep.settings import read_schema, read_settings


def measured(source, volume, status="measured", structure="GM", error=math.nan, reason=""):
    return Measurement(structure, source, status, volume, math.nan, math.nan, math.nan, error, reason)


def kinds(*args, **more):
    return [flag.kind for flag in flags_of(*args, **more)]


def test_a_sound_case_raises_no_flag():
    case = Case(
        "p01", measurements=[measured("labels_shape", 200.0, error=1.0), measured("unet", 205.0, error=3.5)]
    )
    assert (
        kinds(
            case,
            [{"acquisition": "superficial", "accepted": True}],
            [{"frames": "100", "usable_frames": "99"}],
        )
        == []
    )


def test_sources_that_lie_more_than_ten_percent_apart():
    near = Case("p01", measurements=[measured("labels_shape", 200.0), measured("unet", 219.0)])
    far = Case("p01", measurements=[measured("labels_shape", 200.0), measured("unet", 225.0)])
    assert kinds(near) == []
    assert kinds(far) == ["disagreement"]


def test_partial_volumes_are_not_compared():
    case = Case("p01", measurements=[measured("labels_shape", 200.0), measured("unet", 120.0, "partial")])
    assert kinds(case) == ["partial"]


def test_the_gravest_flag_comes_first():
    case = Case(
        "p01",
        measurements=[
            measured("labels_shape", 200.0, error=-12.0),
            measured("labels_shape", 80.0, "partial", "SOL"),
        ],
    )
    found = flags_of(
        case,
        [{"acquisition": "superficial", "accepted": False, "reason": "overlap"}],
        [{"acquisition": "deep", "sweep": "1", "frames": "100", "usable_frames": "50", "left_out": "0-49"}],
        {
            "structures_far_percent": 40.0,
            "confidence": {"GM": 0.1, "SOL": 0.5},
            "open_outline_mm": {"labels_shape": {"GM": 30.0, "SOL": 90.0}},
        },
        pd.DataFrame(
            [
                {"metric": "border_distinct", "structure": "GM", "source": "labels_shape", "value": 8.0},
                {"metric": "border_distinct", "structure": "GM", "source": "unet", "value": 8.0},
            ]
        ),
    )
    assert [flag.kind for flag in found] == [
        "partial",
        "registration",
        "open",
        "far",
        "frames",
        "confidence",
        "border",
        "error",
    ]
    assert all(flag.kind in KINDS for flag in found)
    # A partial structure is known to be open: only the measured one is told of.
    assert [flag.text for flag in found if flag.kind == "open"] == ["GM (labels_shape): over 30 mm"]


def test_one_reason_is_told_once():
    rows = [
        measured(source, math.nan, "failed", reason="no pose")
        for source in ("labels_zoi", "labels_shape", "unet")
    ]
    assert [flag.text for flag in flags_of(Case("p01", measurements=rows))] == ["failed: no pose"]


def test_registrations_in_either_form():
    apart = registration_rows(
        [{"acquisition": "a", "accepted": False, "reason": "x", "measures": {"overlap": 0.1}}]
    )
    beside = registration_rows([{"acquisition": "a", "verdict": "refused", "reason": "x", "overlap": 0.1}])
    assert apart == beside


def test_metrics_keep_whole_volumes_only(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "case,structure,source,slice,metric,unit,value\n01,GM,unet,,dice,1,0.9\n01,GM,unet,4,dice,1,0.1\n"
    )
    table = read_metrics(tmp_path / "metrics.csv")
    assert table[["case", "value"]].to_dict("records") == [{"case": "01", "value": 0.9}]
    assert read_metrics(None).empty


def test_methods_say_what_the_settings_say():
    text = " ".join(
        methods_text(
            {
                "structures": {"GM": 1},
                "compounding": {"method": "nearest", "axes": "world", "spacing_mm": 0.5, "fill": False},
                "labels": {"interpolation": ["zoi"], "use": "zoi", "smoothing_voxels": 0},
                "segmentation": {"models": []},
            }
        )
    )
    assert "nearest voxel" in text
    assert "voxels of 0.5 mm" in text
    assert "left unknown" in text
    assert "No network was trained" in text
    assert "smoothed" not in text
    assert "registered" not in text
    assert "simulated" not in text
    assert methods_text({}) == []


def test_labels_that_are_only_measured_flag_no_case():
    rows = [measured("labels_zoi", 170.0, error=-15.0), measured("labels_shape", 200.0, error=-1.0)]
    assert kinds(Case("p01", measurements=rows)) == ["disagreement", "error"]
    assert kinds(Case("p01", measurements=rows), compared=["labels_shape", "unet"]) == []


def test_every_way_of_compounding_has_words() -> None:
    properties = read_schema()["properties"]["compounding"]["properties"]
    defaults = {name: part["default"] for name, part in properties.items()}
    fills = [True, False, *properties["fill"]["anyOf"][1]["enum"]]
    texts = set()
    for key, values in (
        ("method", properties["method"]["enum"]),
        ("combine", properties["combine"]["enum"]),
        ("fill", fills),
    ):
        for value in values:
            text = " ".join(methods_text({"compounding": {**defaults, key: value}}))
            assert "by the method" not in text
            assert "combined by" not in text
            texts.add((key, text))
    # True and "between", False and "none" are the same.
    assert (
        len(texts) == len(properties["method"]["enum"]) + len(properties["combine"]["enum"]) + len(fills) - 2
    )
    reached = " ".join(methods_text({"compounding": {**defaults, "fill_reach_mm": 4}}))
    assert "up to 4 mm from data" in reached


def test_what_became_of_poses_and_how_wide_voxels_are() -> None:
    text = " ".join(methods_text({"structures": {"GM": 1}, "compounding": {"spacing_mm": "auto"}}))
    assert "jumped or came out of order were left out, too." in text
    assert "1.5 to 3 pixels" in text
    recordings = {"suspect_poses": "keep", "time_offset_s": -0.12, "pose_smoothing_s": 0.2}
    text = methods_text({"structures": {"GM": 1}, "recordings": recordings})[0]
    assert "out of order were kept." in text
    assert "-0.12 s were added" in text
    assert "Gaussian of 0.2 s" in text
    assert "estimated" in methods_text({"structures": {"GM": 1}, "recordings": {"time_offset_s": "auto"}})[0]
    assert methods_text({}) == []


def test_methods_say_how_each_network_was_trained() -> None:
    needed = {"cases": "c.tsv", "sweeps": "s.tsv", "structures": {"GM": 1}}
    changes = {"keep": "last", "patch": [32, 48, 48], "start_from": "results/train/unet"}
    segmentation = {
        "models": ["unet", "mine"],
        "unet": {"spacing_mm": 2.5, "epochs": 7},
        "variants": {"mine": {"network": "vnet", "settings": changes}},
    }
    text = " ".join(methods_text(read_settings({**needed, "segmentation": segmentation})))
    assert "unet: voxels of 2.5 x 2.5 x 2.5 mm, at most 7 epochs (adamw, learning rate 0.003), the" in text
    assert "the weights of the best on the validation split. mine: voxels of" in text
    assert ", the weights of the last, seen in patches of" in text
    assert "seen in patches of 32 x 48 x 48 voxels along z, y and x" in text
    assert "begun with the weights in results/train/unet. " in text
