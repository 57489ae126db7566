"""Members of studies: their settings are their networks', and on which cases they are measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from myosweep.errors import InputError, InputErrors
from myosweep.io.tables import Case
from myosweep.models import Model
from myosweep.settings import known_networks, read_schema, read_settings
from myosweep.studies import PRESETS, STUDIES, given_slices, measured_cases, studied_models
from myosweep.training.settings import split_settings

STRUCTURES = {"SOL": 3, "GM": 1}


def models(**studies: Any) -> dict[str, dict[str, Model]]:
    needed = {"cases": "c.tsv", "sweeps": "s.tsv", "structures": STRUCTURES}
    return studied_models(read_settings({**needed, "studies": studies}), known_networks())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_member_is_accepted_by_its_network(preset: str) -> None:
    sections = read_schema()["properties"]["segmentation"]["properties"]
    for study, members in models(preset=preset).items():
        for name, model in members.items():
            assert name.startswith(f"{study}.")
            Draft202012Validator(sections[model.network]).validate(json.loads(json.dumps(model.settings)))
            split_settings(model.network, model.settings)


@pytest.mark.parametrize("preset", PRESETS)
def test_all_members_of_a_study_see_as_many_examples(preset: str) -> None:
    for members in models(preset=preset).values():
        shown = {
            (model.settings["epochs"], model.settings["patience"], model.settings.get("patches", 1))
            for model in members.values()
        }
        ((epochs, patience, _),) = shown
        assert epochs == patience


def test_members_differ_in_what_their_study_says_alone() -> None:
    found = models()
    assert [model.network for model in found["comparison"].values()] == [
        "unet",
        "vnet",
        "attention_unet",
        "unetr",
        "daf3d",
        "unet_s_r_clstm",
        "ifssnet",
    ]
    for study in ("ablation_unet", "ablation_ifssnet"):
        whole = next(model for name, model in found[study].items() if name.endswith(model.network))
        for name, model in found[study].items():
            preset = known_networks()[model.network].presets.get(name.rpartition(".")[2], {})
            changed = {key for key, value in model.settings.items() if whole.settings[key] != value}
            assert changed - {"annotated_percent"} == set(preset)
    keys = ("sparse_structure", "annotated_percent", "negative_labels")
    hidden = {
        tuple(model.settings[key] for key in keys)
        for model in models(structure="GM")["negative_labels"].values()
    }
    expected = {("GM", percent, kind) for percent in (90, 70, 50, 30) for kind in ("known", "none")}
    assert hidden == expected | {("", 100, "known")}


def test_small_is_small_and_full_is_as_the_section_says() -> None:
    small, full = (models(preset=name)["comparison"] for name in ("small", "full"))
    sections = read_schema()["properties"]["segmentation"]["properties"]
    for name, model in full.items():
        defaults = {key: inner["default"] for key, inner in sections[model.network]["properties"].items()}
        own = {key for key, value in model.settings.items() if value != defaults[key]}
        assert own <= {"epochs", "patience"}
        assert small[name].settings["threads"] == 1
    assert small["comparison.unet"].settings["spacing_mm"] == [3.0, 3.0, 6.0]
    assert small["comparison.ifssnet"].settings["spacing_mm"] == [2.0, 2.0, 8.0]
    assert models(epochs=7)["negative_labels"]["negative_labels.annotated_30_none"].settings["epochs"] == 7


def test_one_structure_is_that_of_the_settings_or_the_first() -> None:
    def learned(**studies: Any) -> set[tuple[str, ...]]:
        return {model.structures for model in models(**studies)["ablation_ifssnet"].values()}

    assert learned() == {("SOL",)}
    assert learned(structure="GM") == {("GM",)}
    assert {model.structures for model in models()["comparison"].values()} == {()}
    with pytest.raises(InputErrors, match="GL, which is none of the structures"):
        models(structure="GL")


def test_guided_members_say_how_many_slices_they_are_given() -> None:
    given = {name: given_slices(model) for name, model in models()["ablation_ifssnet"].items()}
    assert given.pop("ablation_ifssnet.w10") == 10
    assert set(given.values()) == {3}
    assert {given_slices(model) for model in models()["ablation_unet"].values()} == {0}


def rows(*splits: str, **more: str) -> list[Case]:
    return [
        Case(f"c{index}", f"c{index}", split=split, reference="r.mha", **more)
        for index, split in enumerate(splits)
    ]


def measured(cases: list[Case], labelled: str, study: str = "comparison", folds: int = 0) -> list[str]:
    return measured_cases(study, cases, labelled.split(), models()[study].values(), folds, "cases.tsv")


def test_test_cases_are_measured_and_with_folds_all() -> None:
    cases = rows("train", "test", "validation", "test", "")
    assert measured(cases, "c0 c1 c2 c3 c4") == ["c1", "c3"]
    assert measured(cases, "c0 c1 c2 c3 c4", folds=2) == ["c0", "c1", "c2", "c3", "c4"]


def test_what_cannot_be_propagated_is_left_out_of_studies_with_a_guided_member() -> None:
    cases = rows("train", "test", "test")
    assert measured(cases, "c0 c2") == ["c2"]
    assert measured(cases, "c0 c2", "ablation_unet") == ["c1", "c2"]


@pytest.mark.parametrize(
    ("cases", "labelled", "folds", "message"),
    [
        (rows("train", "validation"), "c0 c1", 0, "no case of the split test"),
        (rows("test", "validation"), "c0 c1", 0, "could learn from"),
        (rows("train", "test"), "c1", 0, "could learn from"),
        (rows(""), "c0", 2, "could learn from"),
        ([Case("a", "a", split="train"), Case("b", "b", split="test")], "a b", 0, "no reference for b"),
        (rows("train", "test"), "c0", 0, "no labels of c1"),
    ],
)
def test_what_a_study_lacks_is_said(cases: list[Case], labelled: str, folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured(cases, labelled, folds=folds)


def test_every_study_has_words_for_the_report() -> None:
    assert all(study.title and study.about for study in STUDIES.values())
