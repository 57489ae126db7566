from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from myosweep.errors import InputError, InputErrors
from myosweep.starts import check_circles, check_source, read_description, seen_by, source_of

WHERE = "segmentation.unet.start_from"
SOURCE: dict[str, Any] = {
    "network": "unet",
    "channels": ["image"],
    "spacing_mm": [2.0, 2.0, 6.0],
    "training_settings": {"position": True},
    "participants": {"train": ["a", "b"], "validation": ["c"]},
    "started_from": {"participants": {"train": ["d"], "validation": ["a"]}},
}


def checked(source: dict[str, Any], splits: dict[str, str], **changes: Any) -> None:
    wanted = {"network": "unet", "channels": ["image"], "position": True, "spacing_mm": [2, 2, 6]}
    check_source(source, "source", splits, **{**wanted, **changes})


@pytest.mark.parametrize(
    ("start_from", "training", "found"),
    [
        ("results/train/unet", "mine", "results/train/unet"),
        ("./results//train/unet/", "mine", "results/train/unet"),
        ("results/train/ifssnet/GL", "tuned/GM", "results/train/ifssnet/GL"),
        ("results/train/ifssnet", "tuned/GM", "results/train/ifssnet/GM"),
        ("results/train/crossed", "tuned/fold2/GM", "results/train/crossed/fold2/GM"),
        ("results/train/crossed/GL", "tuned/fold2/GM", "results/train/crossed/fold2/GL"),
        ("results/train/parted", "tuned/fold2", "results/train/parted/fold2"),
        ("other/ifssnet", "tuned/GM", "other/ifssnet/GM"),
        ("other/ifssnet", "tuned/fold1/GM", "other/ifssnet/GM"),
        ("other/ifssnet/GM", "tuned/GL", "other/ifssnet/GM"),
    ],
)
def test_of_a_model_s_folder_a_training_takes_its_own_fold_and_structure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_from: str, training: str, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other/ifssnet/GM").mkdir(parents=True)
    Path("other/ifssnet/GM/model.json").touch()
    crossed = [f"crossed/fold{fold}/{name}" for fold in (1, 2) for name in ("GM", "GL")]
    made = ["unet", "ifssnet/GM", "ifssnet/GL", *crossed, "parted/fold1", "parted/fold2"]
    assert source_of(start_from, training, made, WHERE) == found
    whole = source_of(str(tmp_path / start_from), training, made, WHERE)
    assert whole in (found, str(tmp_path / found))


def test_a_folder_without_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"(?s)start_from.*results/train/unett.*segmentation.models"):
        source_of("results/train/unett", "mine", ["unet", "mine"], WHERE)


def test_a_network_that_starts_from_itself_is_refused() -> None:
    way = {"a": "results/train/b", "b": "results/train/c", "d": "results/train/a", "e": "elsewhere/e"}
    where = {name: f"segmentation.{name}.start_from" for name in "abcde"}
    check_circles(way, where)
    with pytest.raises(InputErrors) as caught:
        check_circles({**way, "c": "results/train/a", "e": "results/train/e"}, where)
    assert [problem.found.split(":")[0] for problem in caught.value.problems] == [
        "a from b from c from a",
        "e from e",
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"network": "vnet"}, "network unet"),
        ({"channels": ["image", "confidence"]}, r"channels \['image'\]"),
        ({"position": False}, "position True"),
        ({"spacing_mm": 2.0}, r"spacing_mm \[2.0, 2.0, 6.0\]"),
    ],
)
def test_a_source_that_sees_something_else_is_refused(changes: dict[str, Any], found: str) -> None:
    checked(SOURCE, {})
    with pytest.raises(InputError, match=found):
        checked(SOURCE, {}, **changes)


def test_nobody_whom_the_source_saw_is_held_out() -> None:
    assert seen_by(SOURCE) == {"train": ["a", "b", "d"], "validation": ["a", "c"]}
    checked(SOURCE, {"a": "train", "b": "train", "c": "validation", "x": "test"})
    checked(SOURCE, {"c": "train"})
    for name, split in (("a", "test"), ("b", "validation"), ("c", "test"), ("c", ""), ("d", "test")):
        with pytest.raises(InputError, match=rf"has seen {name} .*held out here \({split or 'no split'}\)"):
            checked(SOURCE, {name: split})


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"network": "un',
        "[1, 2]",
        json.dumps({**SOURCE, "spacing_mm": "fine"}),
        json.dumps({**SOURCE, "participants": ["a"]}),
        json.dumps({**SOURCE, "started_from": "a"}),
        json.dumps({**SOURCE, "training_settings": None}),
    ],
)
def test_a_source_that_cannot_be_read_is_told_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"(?s)model.json.*not a model's description"):
        read_description(str(tmp_path))
    (tmp_path / "model.json").write_text(json.dumps(SOURCE))
    assert read_description(str(tmp_path)) == SOURCE
