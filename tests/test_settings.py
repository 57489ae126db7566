from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError, InputErrors
from myosweep.models import Network
from myosweep.settings import known_networks, network_names, read_schema, read_settings

NEEDED = {"cases": "cases.tsv", "sweeps": "sweeps.tsv", "structures": {"GM": 150, "SOL": 100}}
WITHOUT_DEFAULT = {"cases", "sweeps", "structures", "simulate", "registration.base_acquisition"}


def problems_of(**config: Any) -> dict[str, Any]:
    with pytest.raises(InputErrors) as caught:
        read_settings({**NEEDED, **config})
    return {problem.where.removeprefix("configuration, key "): problem for problem in caught.value.problems}


def test_four_keys_are_enough() -> None:
    complete = read_settings({**NEEDED, "segmentation": {"models": []}})
    assert complete["seed"] == 1
    assert complete["world"] == "auto"
    assert complete["compounding"] == {
        "axes": "probe",
        "spacing_mm": "auto",
        "method": "between_frames",
        "radius_voxels": 1.5,
        "combine": "mean",
        "blending": "feather",
        "fill": True,
        "fill_reach_mm": "auto",
        "image_area": "auto",
    }
    assert complete["registration"] == {
        "method": "mutual_information",
        "engine": "joint_histogram",
        "spacing_mm": 1.0,
    }
    assert complete["labels"] == {
        "interpolation": ["zoi", "shape"],
        "use": "shape",
        "ends": "cut",
        "smoothing_voxels": 7,
        "smoothing": "twicing",
        "smooth_3d": True,
    }
    assert complete["confidence"] == {
        "method": "random_walk",
        "alpha": 2.0,
        "beta": 90.0,
        "gamma": 0.05,
        "sink": "all",
        "normalisation": "image",
        "white": 255.0,
        "bottom": 0.1,
        "where": "frames",
    }
    assert complete["annotation_kit"] == {"every_mm": 20.0, "choose": "distance", "most_frames": 5}
    assert complete["segmentation"]["models"] == []
    assert "simulate" not in complete


def test_what_is_given_stays_and_the_rest_is_filled() -> None:
    config = {**NEEDED, "compounding": {"spacing_mm": 0.5}, "labels": {"use": "zoi"}}
    before = json.dumps(config)
    complete = read_settings(config)
    assert complete["compounding"]["spacing_mm"] == 0.5
    assert complete["compounding"]["axes"] == "probe"
    assert complete["labels"]["use"] == "zoi"
    complete["labels"]["interpolation"].append("other")
    assert json.dumps(config) == before
    assert read_settings(config)["labels"]["interpolation"] == ["zoi", "shape"]


def test_complete_settings_are_a_fixed_point() -> None:
    once = read_settings({**NEEDED, "simulate": {}, "segmentation": {"models": ["unet"]}})
    assert read_settings(once) == once


def test_a_key_without_value_is_not_given() -> None:
    assert read_settings({**NEEDED, "registration": None, "seed": None}) == read_settings(NEEDED)


def test_numbers_keep_one_type() -> None:
    complete = read_settings({**NEEDED, "confidence": {"alpha": 3}, "labels": {"smoothing_voxels": 5.0}})
    assert type(complete["confidence"]["alpha"]) is float
    assert type(complete["labels"]["smoothing_voxels"]) is int


def test_every_problem_is_told_at_once() -> None:
    problems = problems_of(
        structures={"GM": 0, "1a": 2},
        sead=3,
        compounding={"spacing_mm": -1, "method": "trilinaer", "axis": "probe"},
        confidence={"alpha": "2"},
    )
    assert set(problems) == {
        "structures.GM",
        "structures.1a",
        "sead",
        "compounding.spacing_mm",
        "compounding.method",
        "compounding.axis",
        "confidence.alpha",
    }


@pytest.mark.parametrize(
    ("config", "key", "found", "expected", "remedy"),
    [
        ({"sead": 3}, "sead", "an unknown key", "seed", "did you mean `seed`?"),
        ({"spacing_mm": 3}, "spacing_mm", "unknown key", "compounding", "compounding.spacing_mm"),
        (
            {"labels": {"smothing_voxels": 3}},
            "labels.smothing_voxels",
            "unknown key",
            "use",
            "`smoothing_voxels`",
        ),
        ({"seed": "1"}, "seed", '"1" (text)', "a whole number at least 0", "`seed: 1`"),
        ({"seed": True}, "seed", "true", "a whole number", "seed: 1"),
        ({"seed": -1}, "seed", "-1", "at least 0", "seed: 1"),
        ({"confidence": {"gamma": "1e-3"}}, "confidence.gamma", '"1e-3"', "a number", "`gamma: 0.001`"),
        ({"confidence": {"gamma": float("nan")}}, "confidence.gamma", "nan", "finite", "correct"),
        ({"confidence": {"where": "slice"}}, "confidence.where", "slice", "slices or frames", "write slices"),
        ({"compounding": {"spacing_mm": 0}}, "compounding.spacing_mm", "0", "more than 0", '"auto"'),
        ({"compounding": {"spacing_mm": "0.3 mm"}}, "compounding.spacing_mm", "0.3 mm", "in mm", '"auto"'),
        ({"compounding": {"fill": "ja"}}, "compounding.fill", "ja", "true or false", "fill: true"),
        ({"compounding": {"image_area": [1, 2]}}, "compounding.image_area", "[1, 2]", "in pixels", '"auto"'),
        (
            {"compounding": {"image_area": {"apex": [1, 2], "radii": [1, 2]}}},
            "compounding.image_area",
            "apex",
            "a fan {apex: [column, row], radii: [first, last], angles_degrees: [left, right]}",
            '"auto"',
        ),
        ({"compounding": 3}, "compounding", "3", "a section with the keys axes", "correct"),
        ({"registration": {"spacing_mm": 50}}, "registration.spacing_mm", "50", "at most 20, in mm", "1.0"),
        ({"labels": {"interpolation": "zoi"}}, "labels.interpolation", "zoi", "a list", "[zoi]"),
        ({"labels": {"interpolation": []}}, "labels.interpolation", "[]", "at least 1 entry", "zoi"),
        (
            {"labels": {"interpolation": ["zoi", "nearst"]}},
            "labels.interpolation[1]",
            "nearst",
            "zoi or nearest",
            "",
        ),
        ({"labels": {"interpolation": ["zoi"]}}, "labels.use", "shape", "one of the listed", "`use: zoi`"),
        ({"structures": {}}, "structures", "{}", "at least one line", ""),
        ({"structures": {"GM": 255}}, "structures.GM", "255", "at most 254", ""),
        ({"structures": {"GM": 1, "GL": 1}}, "structures.GL", "the label of GM", "of its own", "such as 2"),
        ({"structures": {"GM": 1, "gm": 2}}, "structures.gm", "the same as GM", "of its own", "gm_2"),
        ({"structures": {"Unknown": 1}}, "structures.Unknown", "no structure", "of its own", "Unknown_2"),
        ({"annotation_kit": {"every_mm": 0}}, "annotation_kit.every_mm", "0", "more than 0, in mm", "20.0"),
        ({"structures": {"GM": 1, True: 2}}, "structures.True", "not read as text", "a name", "quotes"),
        ({"segmentation": {"models": ["unett"]}}, "segmentation.models", "unett", "unet", "write unet"),
        ({"segmentation": {"models": ["unet", "unet"]}}, "segmentation.models", "twice", "repetition", ""),
        ({"segmentation": {"models": ["labels_a"]}}, "segmentation.models[0]", "labels_a", "not start", ""),
        (
            {"segmentation": {"models": ["a"], "pretrained": {"a": "nowhere"}}},
            "segmentation.pretrained.a",
            "nowhere, which is not a folder",
            "weights.safetensors",
            "correct the path",
        ),
        (
            {"segmentation": {"models": [], "pretrained": {"a": "."}}},
            "segmentation.pretrained.a",
            "does not list",
            "listed",
            "`models: [a]`",
        ),
        (
            {"segmentation": {"unet": {"channels": [8, 16, 32], "strides": [2]}}},
            "segmentation.unet.strides",
            "1 strides for 3 levels",
            "2: one between",
            "`strides: [2, 2]`",
        ),
        (
            {"segmentation": {"models": ["unet"], "unet": {"patch": [50, 48, 3]}}},
            "segmentation.unet.patch",
            "[50, 48, 3]",
            "multiples of 8, 8, 8 along z, y, x",
            "`patch: [48, 48, 8]` or `patch: [56, 48, 8]`",
        ),
        ({"segmentation": {"unet": {"patch": [8, 8]}}}, "segmentation.unet.patch", "[8, 8]", "three", "null"),
        (
            {"segmentation": {"models": ["unet"], "unet": {"flip_laterally": ["GM", "TA"]}}},
            "segmentation.unet.flip_laterally",
            "TA, which is no structure",
            "two of GM",
            "correct",
        ),
        (
            {"segmentation": {"ifssnet": {"patch": [8, 8, 8]}}},
            "segmentation.ifssnet.patch",
            "unknown key",
            "window",
            "",
        ),
        (
            {"simulate": {"sweep_overlap_mm": 50}},
            "simulate.sweep_overlap_mm",
            "50 with a probe_width_mm of 40",
            "less than the probe's width",
            "overlap less",
        ),
    ],
)
def test_a_wrong_value_is_explained(
    config: dict[str, Any], key: str, found: str, expected: str, remedy: str
) -> None:
    problems = problems_of(**config)
    assert list(problems) == [key]
    assert found in problems[key].found
    assert expected in problems[key].expected
    assert remedy in problems[key].remedy


@pytest.mark.parametrize("key", ["cases", "sweeps", "structures"])
def test_a_needed_key_that_is_missing(key: str) -> None:
    with pytest.raises(InputErrors) as caught:
        read_settings({name: value for name, value in NEEDED.items() if name != key})
    (problem,) = caught.value.problems
    assert problem.where == f"configuration, key {key}"
    assert problem.found == "no value"
    assert f"{key}: " in problem.remedy


def write_given(folder: Path, structures: dict[str, int], channels: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"structures": structures, "channels": channels}))


def test_a_pretrained_model_may_have_any_name(tmp_path: Path) -> None:
    write_given(tmp_path / "whole", NEEDED["structures"], ["image", "confidence"])
    for name, label in NEEDED["structures"].items():
        write_given(tmp_path / "folds" / "fold1" / name, {name: label}, ["image", "confidence"])
    for folder in ("whole", "folds"):
        segmentation = {"models": ["ours"], "pretrained": {"ours": str(tmp_path / folder)}}
        assert read_settings({**NEEDED, "segmentation": segmentation})["segmentation"]["models"] == ["ours"]


def test_a_pretrained_model_that_does_not_fit_is_told_before_anything_runs(tmp_path: Path) -> None:
    write_given(tmp_path / "seen", NEEDED["structures"], ["image"])
    write_given(tmp_path / "values", dict.fromkeys(NEEDED["structures"], 7), ["image", "confidence"])
    for name, label in NEEDED["structures"].items():
        write_given(tmp_path / "twice" / name, {**NEEDED["structures"], name: label}, ["image", "confidence"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model.json").write_text("{")
    names = ["seen", "values", "twice", "empty", "torn"]
    folders = {name: str(tmp_path / name) for name in names}
    problems = problems_of(segmentation={"models": names, "pretrained": folders})
    seen, values, twice, empty = (problems.pop(f"segmentation.pretrained.{name}") for name in names[:4])
    assert "a model for the channels image" in seen.found
    assert seen.remedy.startswith("write `segmentation: {channels: [image]}`")
    assert "GM: 7" in values.found
    assert values.expected.startswith("GM: 150")
    assert twice.found.count("GM: 150") > 1
    assert "model.json is looked for in it" in empty.found
    (torn,) = problems.values()
    assert torn.where == str(tmp_path / "torn" / "model.json")
    (tmp_path / "torn" / "model.json").write_text("{}")
    problems = problems_of(segmentation={"models": ["torn"], "pretrained": {"torn": folders["torn"]}})
    assert "a model for the" in problems["segmentation.pretrained.torn"].found
    for strange in ({"structures": [1]}, {"channels": 5}, {"training_settings": 1}):
        (tmp_path / "torn" / "model.json").write_text(json.dumps(strange))
        problems = problems_of(segmentation={"models": ["torn"], "pretrained": {"torn": folders["torn"]}})
        (problem,) = problems.values()
        assert problem.found.startswith("not a model's description")


def test_a_variant_is_checked_as_its_network_is() -> None:
    variants = {
        "small": {
            "network": "unet",
            "channels": ["image"],
            "settings": {"epochs": 3, "channels": [4, 8, 16]},
        },
        "odd": {"network": "unett", "settings": {}},
        "wrong": {"network": "unet", "settings": {"epoch": 3, "loss": "Dyce"}},
        "unet": {"network": "unet"},
    }
    problems = problems_of(segmentation={"models": ["small"], "variants": {"wrong": variants["wrong"]}})
    assert "did you mean `epochs`" in problems["segmentation.variants.wrong.settings.epoch"].remedy
    assert problems["segmentation.variants.wrong.settings.loss"].remedy == "write Dice"
    variants.pop("wrong")
    problems = problems_of(segmentation={"models": ["small"], "variants": variants})
    assert problems["segmentation.variants.odd.network"].remedy == "write `network: unet`"
    assert "strides" in problems["segmentation.variants.small.settings.strides"].remedy
    assert "the name of a network" in problems["segmentation.variants.unet"].found


def every_key(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, inner in schema.get("properties", {}).items():
        own = f"{path}.{name}" if path else name
        found += [(own, inner), *every_key(inner, own)]
    return found


def test_the_schema_describes_every_key() -> None:
    schema = read_schema()
    assert schema["additionalProperties"] is False
    keys = every_key(schema)
    assert len(keys) > 60
    for name, inner in keys:
        assert inner["description"].endswith("."), name
        assert inner["unit"], name
        assert ("default" in inner) == (name not in WITHOUT_DEFAULT), name
        if "properties" in inner:
            assert inner["additionalProperties"] is False, name
        if name.endswith("_mm"):
            assert inner["unit"] == "mm", name
        if name.endswith("_degrees"):
            assert inner["unit"] == "degrees", name


def test_the_phantom_has_the_schemas_defaults() -> None:
    from myosweep.phantom.settings import DEFAULTS, complete_settings

    simulated = read_settings({**NEEDED, "simulate": {}})["simulate"]
    assert simulated == DEFAULTS
    assert {name: type(value) for name, value in simulated.items()} == {
        name: type(value) for name, value in DEFAULTS.items()
    }
    assert complete_settings(simulated).to_dict() == DEFAULTS


def test_the_networks_have_the_schemas_defaults() -> None:
    from myosweep.networks import NETWORKS, is_guided, module_of
    from myosweep.training.settings import split_settings

    assert network_names() == tuple(sorted(NETWORKS))
    segmentation = read_settings(NEEDED)["segmentation"]
    for name in NETWORKS:
        training, network = split_settings(name, {})
        without = getattr(module_of(name), "WITHOUT", ())
        kept = {key: value for key, value in asdict(training).items() if key not in without}
        code = json.loads(json.dumps({**kept, **network}))
        assert segmentation[name] == code
        split_settings(name, segmentation[name])
        module, known = module_of(name), known_networks()[name]
        presets = json.loads(json.dumps(getattr(module, "PRESETS", {})))
        assert known == Network(getattr(module, "BINARY", False), is_guided(name), presets)


def test_prediction_has_the_schemas_defaults() -> None:
    from myosweep.training.inference_settings import InferenceSettings

    assert read_settings(NEEDED)["segmentation"]["inference"] == asdict(InferenceSettings())
    problems = problems_of(segmentation={"inference": {"overlap": 1, "dropout_passes": -1, "flip": True}})
    assert set(problems) == {f"segmentation.inference.{key}" for key in ("overlap", "dropout_passes", "flip")}
    assert problems["segmentation.inference.flip"].remedy == "did you mean `flips`?"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(
    ["seed", "labels", "use", "models", "segmentation", "GM", "compounding", "simulate", "x"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(NAMES, LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(NAMES, LEAVES, max_size=3))
)
def test_whatever_is_given_is_completed_or_explained(config: dict[str, Any]) -> None:
    problems: list[InputError] = []
    completed: dict[str, Any] = {}
    try:
        completed = read_settings({**NEEDED, **config})
    except InputErrors as error:
        problems = error.problems
    assert bool(completed) != bool(problems)
    assert all(problem.expected and problem.remedy and str(problem) for problem in problems)
    if completed:
        assert read_settings(completed) == completed


def test_planning_imports_nothing_heavy() -> None:
    modules = ("settings", "io.tables", "io.made_files", "screening", "sources", "cohort")
    heavy = ("numpy", "pandas", "scipy", "SimpleITK", "torch", "numba")
    code = (
        f"import sys, {', '.join(f'myosweep.{name}' for name in modules)};"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "area",
    [
        "calibration",
        [0, 10, 300, 400],
        {"apex": [320, -150.5], "radii": [210, 580], "angles_degrees": [-26, 26]},
    ],
)
def test_an_image_area_is_a_word_a_rectangle_or_a_fan(area: Any) -> None:
    assert read_settings({**NEEDED, "compounding": {"image_area": area}})["compounding"]["image_area"] == area
