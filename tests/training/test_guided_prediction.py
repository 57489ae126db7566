"""Networks of one structure each that propagate a few annotated slices, from training to labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.io.volumes import Volume, read_volume, write_volume
from myosweep.models import model_folders, network_in
from myosweep.training.guides import NothingToPropagate, guiding_slices
from myosweep.training.inference import predict
from myosweep.training.model import check_models
from myosweep.training.run import Run
from myosweep.training.scoring import dice_of
from spindles import STRUCTURES, spindles, train_network, write_case

IMAGE = ["image"]
SMALL: dict[str, Any] = {
    "spacing_mm": [2.0, 2.0, 4.0],
    "widths": [8, 8, 16],
    "rates": [1, 2],
    "pooling": [2, 2, 1],
    "extent": 5,
    "reach": 3,
    "lead": 3,
    "starts": 3,
    "margin_mm": 8.0,
    "learning_rate": 1e-2,
    "averaging": 0.8,
    "elastic_mm": 0.0,
    "shift_mm": 2.0,
    "epochs": 8,
    "patience": 8,
    "threads": 1,
    "checkpoint_seconds": 0,
}


def learn(cases: list[Any], folder: Path, structure: str, **changes: Any) -> Path:
    places = {"checkpoint_dir": folder / "state" / structure, "output_dir": folder / "model" / structure}
    train_network(cases, folder, "ifssnet", {**SMALL, **changes}, learned=[structure], **places)
    return folder / "model"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("cases")
    splits = ["train", "train", "validation"]
    return [
        write_case(folder, seed, split, side)
        for seed, (split, side) in enumerate(zip(splits, ("right", "left", "right"), strict=True))
    ]


@pytest.fixture(scope="module")
def model(cases: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guided")
    for structure in STRUCTURES:
        learn(cases, folder, structure)
    return folder / "model"


def few(labels: Volume, slices: tuple[int, ...], structures: tuple[str, ...] = tuple(STRUCTURES)) -> Volume:
    """What an expert drew: some structures on some slices, all else unknown."""
    drawn = np.full_like(labels.array, 255)
    for index in slices:
        drawn[index] = labels.array[index]
        for name in set(STRUCTURES) - set(structures):
            drawn[index][labels.array[index] == STRUCTURES[name]] = 0
    return Volume(drawn, labels.grid)


def test_three_frames_lead_through_the_limb(model: Path) -> None:
    """Frames 4 mm apart, each thinner than the network's slices of 4 mm are long."""
    for side in ("right", "left"):
        image, _, labels = spindles(20, side)
        folders = model_folders(model, STRUCTURES)
        assert folders == [model / name for name in STRUCTURES]
        found = predict(folders, image, None, side, few(labels, (26, 30, 34)))
        assert found.grid == image.grid
        # Voxels of 2 mm, muscles of 12 mm, a training of seconds; what was drawn alone would score below .4.
        assert np.mean(dice_of(found.array, labels.array, 4)) > 0.75, side


def test_more_is_drawn_than_three_frames_and_the_best_are_taken() -> None:
    fractions = np.zeros((2, 9, 4, 4), dtype=np.float32)
    fractions[1, 2:8, :, :2] = 1
    fractions[1, 4:7, :, :3] = 1
    fractions[0] = 1 - fractions[1]
    assert sorted(guiding_slices(fractions, 3)) == [4, 5, 6]


def test_a_frame_counts_whole_however_thin_it_is() -> None:
    fractions = np.zeros((2, 5, 4, 4), dtype=np.float32)
    fractions[1, 1:4, 1:3] = 0.2
    fractions[0, 1:4] = 0.2 - fractions[1, 1:4]
    masks = guiding_slices(fractions, 3)
    assert sorted(masks) == [1, 2, 3]
    assert all(np.array_equal(mask, fractions[1, 2] > 0) for mask in masks.values())


@given(first=st.integers(0, 20), step=st.just(4))
def test_frames_at_the_network_s_spacing_are_always_enough(first: int, step: int) -> None:
    """Three frames with what is interpolated between them, wherever the network's slices of 4 begin."""
    dense = np.zeros((2, 40, 3, 3), dtype=np.float32)
    dense[1, first : first + 2 * step + 1] = 1
    fractions = dense.reshape(2, 10, 4, 3, 3).mean(axis=2)
    masks = guiding_slices(fractions, 3)
    assert all(np.array_equal(mask, np.ones((3, 3))) for mask in masks.values())


def test_a_structure_that_nobody_drew_is_unknown(model: Path) -> None:
    image, _, labels = spindles(21)
    guide = few(labels, (26, 30, 34), ("GM", "SOL"))
    found = predict(model_folders(model, STRUCTURES), image, None, "right", guide).array
    assert set(np.unique(found)) == {STRUCTURES["GM"], STRUCTURES["SOL"], 255}


def test_frames_too_far_apart_are_refused_with_the_distance_to_draw_at(model: Path) -> None:
    image, _, labels = spindles(22)
    with pytest.raises(InputError, match="no 3 of them neighbours") as problem:
        predict(model_folders(model, STRUCTURES), image, None, "right", few(labels, (10, 30, 50)))
    assert "spacing_mm" in str(problem.value)
    assert "GM: " in problem.value.found
    with pytest.raises(InputError, match="labels on a few slices"):
        predict(model_folders(model, STRUCTURES), image, None, "right", None)
    with pytest.raises(NothingToPropagate):
        guiding_slices(np.zeros((2, 2, 4, 4), dtype=np.float32), 3)


def test_decremental_training_adds_volumes_and_knows_few_slices(
    cases: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 slices of 1 mm are 16 of 4 mm; of two volumes' 32 a fifth are six, a window for each."""
    seen: list[tuple[int, str]] = []
    known: list[int] = []
    step = Run._step

    def noted(self: Run, epoch: int, sample: Any, number: int) -> float:
        seen.append((epoch, sample.case))
        known.append(int(sample.target.any((0, 2, 3)).sum()))
        return step(self, epoch, sample, number)

    monkeypatch.setattr(Run, "_step", noted)
    model = learn(cases, tmp_path, "SOL", supervision="decremental", annotated_percent=20, epochs=4)
    one, other = cases[0].case, cases[1].case
    assert sorted(seen) == [(0, one), (0, one), *((e, name) for e in (1, 2, 3) for name in (one, other))]
    assert set(known) == {3}
    assert (model / "SOL" / "weights.safetensors").exists()


def test_a_training_without_a_window_to_start_from_is_refused(cases: list[Any], tmp_path: Path) -> None:
    drawn = []
    for index, (case, slices) in enumerate(zip(cases[:2], [(28, 32, 36), (28, 32)], strict=True)):
        labels = tmp_path / f"few{index}.mha"
        write_volume(labels, few(read_volume(case.labels), slices))
        drawn.append(replace(case, labels=labels))
    with pytest.raises(InputError, match="none with 3 neighbouring annotated slices"):
        learn(drawn[1:], tmp_path / "none", "SOL", epochs=1)
    assert not (tmp_path / "none" / "model").exists()
    learn(drawn, tmp_path / "one", "SOL", epochs=1)
    assert (pd.read_csv(tmp_path / "one" / "model" / "SOL" / "history.csv")["loss"] > 0.1).all()


def test_cases_without_a_window_to_start_from_are_told(
    cases: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "few.mha"
    write_volume(labels, few(read_volume(cases[1].labels), (28, 32)))
    unseen = replace(cases[2], labels=tmp_path / "unseen.mha")
    write_volume(unseen.labels, few(read_volume(cases[2].labels), (28, 32)))
    learn([cases[0], replace(cases[1], labels=labels), unseen], tmp_path, "SOL", epochs=1)
    told = capfd.readouterr().err
    assert f"nothing is learned from {cases[1].case}:" in told
    assert f"nothing is validated on {unseen.case}:" in told
    learn([cases[0]], tmp_path / "alone", "SOL", epochs=1)
    # What the network sees is as large as the muscle of the case that it starts from needs.
    shapes = [
        json.loads((folder / "model" / "SOL" / "model.json").read_text())["shape"]
        for folder in (tmp_path, tmp_path / "alone")
    ]
    assert shapes[0] == shapes[1]


def test_windows_that_supervision_hides_are_named(cases: list[Any], tmp_path: Path) -> None:
    """One window in the middle of the limb, all that 1 % leaves, and a muscle that ends before it."""
    labels = read_volume(cases[0].labels)
    labels.array[len(labels.array) // 3 :] = 0
    write_volume(tmp_path / "short.mha", labels)
    short = replace(cases[0], labels=tmp_path / "short.mha")
    with pytest.raises(InputError, match=r"(?s)supervision fixed hides.*raise annotated_percent"):
        learn([short], tmp_path, "SOL", epochs=1, supervision="fixed", annotated_percent=1.0)


def test_a_model_of_one_network_per_structure_is_taken_as_given(model: Path) -> None:
    check_models(model_folders(model, STRUCTURES), STRUCTURES, IMAGE)
    assert network_in(model, STRUCTURES) == "ifssnet"
    assert model_folders(model / "GM", ["GM"]) == [model / "GM"]
    with pytest.raises(InputError):
        check_models(model_folders(model, STRUCTURES), STRUCTURES, ["image", "confidence"])


def test_a_stopped_training_ends_in_the_same_bytes(
    cases: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lead is drawn and grows with the epochs: a resumed epoch must draw and grow the same."""

    short = {"epochs": 3, "starts": 1, "lead": 4}
    whole = learn(cases, tmp_path / "whole", "GM", **short)
    epoch, calls = Run._epoch, []

    def stops(run: Any, number: int, *arguments: Any) -> Any:
        calls.append(number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return epoch(run, number, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_epoch", stops)
        with pytest.raises(KeyboardInterrupt):
            learn(cases, tmp_path / "parts", "GM", **short)
    again = learn(cases, tmp_path / "parts", "GM", **short)
    for name in ("weights.safetensors", "history.csv", "model.json"):
        assert (whole / "GM" / name).read_bytes() == (again / "GM" / name).read_bytes()
