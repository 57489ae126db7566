"""Training that begins with another network's weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from myosweep.errors import InputError
from myosweep.training.cases import TrainingCase
from myosweep.training.run import Run, copied
from safetensors.torch import load_file, save_file
from spindles import STRUCTURES, train_network, write_case

TINY: dict[str, Any] = {"spacing_mm": 4.0, "channels": [4, 8], "strides": [2], "threads": 1, "epochs": 1}
# Adam's first steps are as long as the learning rate.
STILL = {"learning_rate": 1e-12, "weight_decay": 0.0}


def run(
    cases: list[TrainingCase], folder: Path, learned: list[str], network: str = "unet", **settings: Any
) -> dict[str, torch.Tensor]:
    given = {**TINY, **settings}
    settings = {name: value for name, value in given.items() if value is not None}
    train_network(cases, folder, network, settings, learned=learned, output_dir=folder)
    return load_file(folder / "weights.safetensors")


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return found


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ("train", "train", "validation", "test")
    return [write_case(folder, seed, split) for seed, split in enumerate(splits)]


@pytest.fixture(scope="module")
def source(cases: list[TrainingCase], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    run(cases, folder, ["GL"])
    return folder


def test_weights_and_their_average_begin_as_the_source_s(
    source: Path, cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    began: list[list[dict[str, torch.Tensor]]] = []
    steps = Run.train

    def train_and_tell(self: Run, *samples: Any) -> None:
        began.append([copied(self.network), copied(self.average)])
        steps(self, *samples)

    monkeypatch.setattr(Run, "train", train_and_tell)
    weights = run(cases, tmp_path, ["GM"], start_from=str(source), **STILL)
    expected = load_file(source / "weights.safetensors")
    for each in began[0]:
        assert each.keys() == expected.keys()
        assert all(torch.equal(each[name], expected[name]) for name in expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-7)
    assert "GM begins as GL" in capfd.readouterr().err
    told, sealed = described(tmp_path)["started_from"], described(source)["weights"]["sha256"]
    assert told == {
        "weights_sha256": sealed,
        "structures": {"GL": 2},
        "participants": {"train": ["ps00", "ps01"], "validation": ["ps02"]},
        "fresh": [],
    }
    assert described(source)["started_from"] == {}
    random = run(cases, tmp_path / "random", ["GM"], **STILL)
    assert any(not torch.equal(random[name], tensor) for name, tensor in expected.items())


def test_of_another_number_of_classes_the_last_layer_is_fresh(
    source: Path, cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weights = run(cases, tmp_path, list(STRUCTURES), start_from=str(source), **STILL)
    random = run(cases, tmp_path / "random", list(STRUCTURES), **STILL)
    expected = load_file(source / "weights.safetensors")
    fresh = described(tmp_path)["started_from"]["fresh"]
    assert fresh
    assert sorted(fresh) == sorted(name for name in expected if expected[name].shape != weights[name].shape)
    assert f"fresh, of another number of classes (4): {', '.join(fresh)}" in capfd.readouterr().err
    for name, tensor in weights.items():
        # What is fresh is drawn as it always is.
        begun = random[name] if name in fresh else expected[name]
        torch.testing.assert_close(tensor, begun, rtol=0, atol=1e-7)


def test_what_the_source_s_source_saw_is_told_and_may_not_be_held_out(
    source: Path, cases: list[TrainingCase], tmp_path: Path
) -> None:
    other = [replace(case, participant=f"q{case.case}") for case in cases]
    run(other, tmp_path / "second", ["GM"], start_from=str(source))
    people = described(tmp_path / "second")["started_from"]["participants"]
    assert people == {"train": ["ps00", "ps01"], "validation": ["ps02"]}
    third = [replace(cases[0], participant="z"), replace(cases[1], split="test")]
    with pytest.raises(InputError, match=r"has seen ps01 .*held out here"):
        run(third, tmp_path / "third", ["GM"], start_from=str(tmp_path / "second"))
    third[1] = replace(cases[1], participant="y")
    run(third, tmp_path / "third", ["GM"], start_from=str(tmp_path / "second"))
    people = described(tmp_path / "third")["started_from"]["participants"]
    assert people["train"] == ["ps00", "ps01", "qs00", "qs01"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"channels": [4, 16]}, r"shape .*as the settings of this unet say"),
        ({"residual_units": 0}, "none.*as the settings of this unet say"),
        ({"spacing_mm": [4.0, 4.0, 8.0]}, r"spacing_mm \[4.0, 4.0, 4.0\]"),
        ({"position": False}, "position True"),
        ({"network": "vnet", "channels": None, "strides": None}, "network unet"),
        ({"start_from": "nowhere"}, "no model.json"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(
    source: Path, cases: list[TrainingCase], tmp_path: Path, settings: dict[str, Any], text: str
) -> None:
    given = {"start_from": str(source), **settings}
    with pytest.raises(InputError, match=f"(?s){text}"):
        run(cases, tmp_path, ["GM"], **given)


def test_weights_that_are_no_numbers_are_refused(
    source: Path, cases: list[TrainingCase], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    weights = load_file(folder / "weights.safetensors")
    save_file(
        {name: tensor * float("nan") for name, tensor in weights.items()}, folder / "weights.safetensors"
    )
    data = (folder / "weights.safetensors").read_bytes()
    seal = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "model.json").write_text(json.dumps({**described(folder), "weights": seal}))
    with pytest.raises(InputError, match="not finite"):
        run(cases, tmp_path, ["GM"], start_from=str(folder))


def test_another_source_in_the_same_place_starts_anew(
    source: Path, cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    shutil.copytree(source, place)
    first = run(cases, tmp_path, ["GM"], start_from=str(place))
    shutil.rmtree(place)
    run([replace(cases[0], participant="x")], place, ["GL"])
    second = run(cases, tmp_path, ["GM"], start_from=str(place))
    assert "other settings or cases" in capfd.readouterr().err
    assert any(not torch.equal(first[name], second[name]) for name in first)
