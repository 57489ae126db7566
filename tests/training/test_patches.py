"""Training on parts of limbs, and on mirrored ones."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.training import asking
from myosweep.training.augmentation import augment
from myosweep.training.cases import TrainingCase
from myosweep.training.data import Sample, load_sample
from myosweep.training.inference import predict
from myosweep.training.patches import draw_patch
from myosweep.training.run import Run
from myosweep.training.seeds import generator
from myosweep.training.settings import TrainingSettings, split_settings
from myosweep.training.views import Field, View
from spindles import STRUCTURES, train_network, write_case

TINY: dict[str, Any] = {"spacing_mm": 4.0, "channels": [4, 8], "strides": [2], "threads": 1, "epochs": 2}
STILL: dict[str, Any] = dict.fromkeys(
    ("rotation_degrees", "elastic_mm", "scale_percent", "shift_mm", "gain_percent", "shadow_probability"), 0
)


def run(cases: list[TrainingCase], folder: Path, network: str = "unet", **settings: Any) -> None:
    train_network(cases, folder, network, settings)


def kept_fields(monkeypatch: pytest.MonkeyPatch, kind: str) -> list[Field]:
    """Those that training shows its network from now on: drawn to learn from, or whole to validate on."""
    seen: list[Field] = []
    shown = getattr(View, kind)

    def kept(self: View, *given: Any) -> Field:
        seen.append(shown(self, *given))
        return seen[-1]

    monkeypatch.setattr(View, kind, kept)
    return seen


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    kinds = [("train", "right"), ("train", "left"), ("train", "right"), ("validation", "left")]
    return [write_case(folder, seed, split, side) for seed, (split, side) in enumerate(kinds)]


def test_half_of_the_patches_show_a_structure_each_as_often_and_the_others_lie_anywhere() -> None:
    target = np.zeros((3, 40, 10, 60), dtype=np.uint8)
    target[1, 20, 5, 10] = 255  # a single voxel
    target[2, 10:30, 2:8, 40:55] = 255  # and 1800
    corners = np.array([draw_patch(target, (5, 3, 7), generator(0, n)) for n in range(3000)])
    centres = corners + np.array((2, 1, 3))
    shown = [target[(index, *centres.T)] == 255 for index in (1, 2)]
    # Of all places that a patch may have, 1 shows the voxel in its middle and 1800 the box.
    places = 36 * 8 * 54
    # Three standard deviations of 3000 draws are 0.024 at most.
    assert shown[0].mean() == pytest.approx(0.25 + 0.5 / places, abs=0.024)
    assert shown[1].mean() == pytest.approx(0.25 + 0.5 * 1800 / places, abs=0.024)
    assert (corners.min(axis=0) == 0).all()
    assert (corners.max(axis=0) == (35, 7, 53)).all()


def test_a_limb_that_is_smaller_lies_in_the_middle_of_its_patch() -> None:
    target = np.zeros((2, 8, 5, 20), dtype=np.uint8)
    target[1, :, :, 19] = 255
    for number in range(20):
        z, y, x = draw_patch(target, (8, 9, 6), generator(0, number))
        assert (z, y) == (0, -2)
        assert 0 <= x <= 14


def test_a_patch_holds_the_limb_s_own_positions(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without augmentation the place of a patch can be told from its voxels alone."""
    seen = kept_fields(monkeypatch, "drawn")
    run(cases[:1], tmp_path, **TINY, **STILL, patch=[4, 10, 6], patches=5)
    assert len(seen) == 10
    limb = load_sample(cases[0], STRUCTURES, ["image"], (4.0, 4.0, 4.0))
    assert limb.shape == (16, 8, 12)
    found = set()
    for channels, target in ((field.channels, field.target) for field in seen):
        assert channels.shape == (2, 4, 10, 6)
        # The limb has 8 rows: one of padding above, one below.
        assert (channels[0, :, [0, 9]] == limb.black[0]).all()
        assert (target[:, :, [0, 9]] == 0).all()
        views = np.lib.stride_tricks.sliding_window_view(limb.channels[0], (4, 8, 6))
        errors = np.abs(views - channels[0, :, 1:9]).max(axis=(3, 4, 5))
        z, _, x = np.unravel_index(errors.argmin(), errors.shape)
        # bilinear at whole indices, gain by a power of 1: rounding alone
        assert errors.min() < 1e-4
        np.testing.assert_array_equal(target[:, :, 1:9], limb.target[:, z : z + 4, :, x : x + 6])
        expected = (np.arange(x, x + 6) - 5.5) * 4 / 50
        np.testing.assert_allclose(channels[1], np.broadcast_to(expected, (4, 10, 6)), rtol=1e-5, atol=1e-7)
        found.add((int(z), int(x)))
    assert len(found) > 5
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    assert description["training_settings"]["patch"] == [4, 10, 6]
    assert description["shape"] == [4, 10, 6]


@pytest.mark.parametrize("patch", [None, [16, 8, 18], [16, 8, 14]])
def test_training_validation_and_prediction_tell_the_same_positions(
    cases: list[TrainingCase],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patch: list[int] | None,
) -> None:
    """Of a limb of 13 voxels along x, which lies by half a voxel beside the middle of an even field."""
    learned, validated = (kept_fields(monkeypatch, kind) for kind in ("drawn", "whole"))
    asked: list[np.ndarray] = []  # type: ignore[type-arg]
    slices = asking.probability_slices

    def kept(network: Any, name: str, channels: Any, *rest: Any, **more: Any) -> Any:
        asked.append(channels[:, :])
        return slices(network, name, channels, *rest, **more)

    monkeypatch.setattr(asking, "probability_slices", kept)
    cases = [cases[0], replace(cases[0], case="again", participant="again", split="validation")]
    settings = {**TINY, **STILL, "spacing_mm": [3.8, 4.0, 4.0], "epochs": 1}
    run(cases, tmp_path, **settings, patch=patch)
    predict(tmp_path / "model", cases[0].image, None, "right")
    width = patch[2] if patch else 14
    for seen in (learned[0].channels, validated[0].channels, asked[0]):
        assert seen.shape == (2, 16, 8, width)
        np.testing.assert_array_equal(seen[1], learned[0].channels[1])
        np.testing.assert_allclose(seen[0], learned[0].channels[0], atol=1e-4)
    # The limb's own middle where it is seen in patches, else that of the field.
    left = (width - 13) // 2
    middle = left + 6 if patch else (width - 1) / 2
    expected = (np.arange(width) - middle) * 3.8 / 50
    np.testing.assert_allclose(asked[0][1, 0, 0], expected, atol=1e-6)


def test_a_network_of_patches_finds_the_muscles_and_tells_left_from_right(
    cases: list[TrainingCase], tmp_path: Path
) -> None:
    run(
        cases,
        tmp_path,
        **{**TINY, "spacing_mm": 2.0, "channels": [16, 32], "epochs": 8},
        patch=[16, 16, 12],
        patches=6,
        learning_rate=1e-2,
        averaging=0.9,
    )
    training = json.loads((tmp_path / "model" / "model.json").read_text())["training"]
    # A muscle found without its side, and called GM or GL by lot, has Dice 0.5.
    assert min(training["validation_dice"].values()) > 0.7


def test_slices_of_a_patch_are_a_sequence(cases: list[TrainingCase], tmp_path: Path) -> None:
    settings = {"widths": [4, 8], "memory_cells": 1, "window": 4, "epochs": 1, "spacing_mm": 4.0}
    run(cases, tmp_path, "unet_s_r_clstm", **settings, threads=1, patch=[6, 4, 6], patches=2)
    assert json.loads((tmp_path / "model" / "model.json").read_text())["shape"] == [6, 4, 6]


def test_without_patches_a_case_is_seen_as_often_as_asked(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, str, int]] = []
    step = Run._step

    def counted(self: Run, epoch: int, sample: Sample, number: int) -> float:
        steps.append((epoch, sample.case, number))
        return step(self, epoch, sample, number)

    monkeypatch.setattr(Run, "_step", counted)
    run(cases, tmp_path, **TINY, patches=3)
    names = [case.case for case in cases if case.split == "train"]
    assert sorted(steps) == [(e, name, n) for e in range(2) for name in names for n in range(3)]
    assert steps != sorted(steps)
    with open(tmp_path / "model" / "history.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2


@pytest.mark.parametrize(("network", "patch", "good"), [
    ("unet", [10, 16, 8], r"\[8, 16, 8\]` or `patch: \[16, 16, 8\]"),
    ("unet", [10, 8, 8], r"write `patch: \[16, 8, 8\]`"),
    ("unet", [8, 8, 8], r"deepest maps of unet have a single voxel.*`patch: \[16, 16, 16\]` or more"),
    ("unet", [15, 8, 8], r"write `patch: \[16, 8, 8\]`"),
    ("unetr", [16, 40, 3], r"\[16, 32, 16\]` or `patch: \[16, 48, 16\]"),
    ("unet_s_r_clstm", [5, 8, 9], r"multiples of 1, "),
])  # fmt: skip
def test_a_patch_that_the_network_does_not_take_names_the_next(
    network: str, patch: list[int], good: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s)segmentation.{network}.patch.*{good}"):
        split_settings(network, {"patch": patch})


@pytest.mark.parametrize(("network", "patch"), [("unetr", [16, 16, 16]), ("daf3d", [2, 8, 8])])
def test_a_patch_of_one_deepest_voxel_is_taken_where_no_norm_minds(network: str, patch: list[int]) -> None:
    assert split_settings(network, {"patch": patch})[0].patch == patch


def test_a_mirrored_limb_s_muscles_change_places() -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 80, (4, 6, 5, 8)).astype(np.uint8)
    image = random.normal(size=(1, 6, 5, 8)).astype(np.float32) + 5
    sample = Sample("a", image, target, np.zeros(1, np.float32))
    plain, mirrored = 0, 0
    for number in range(40):
        changed = augment(sample, TrainingSettings(**STILL), generator(number), (1, 3))
        if np.allclose(changed.channels, image, atol=1e-4):
            np.testing.assert_array_equal(changed.target, target)
            plain += 1
        else:
            np.testing.assert_allclose(changed.channels, image[..., ::-1], atol=1e-4)
            # Background and the second structure stay themselves, the first and the third do not.
            np.testing.assert_array_equal(changed.target, target[[0, 3, 2, 1], ..., ::-1])
            mirrored += 1
        never = augment(sample, TrainingSettings(**STILL), generator(number))
        np.testing.assert_allclose(never.channels, image, atol=1e-4)
    assert min(plain, mirrored) > 10


def test_in_training_the_named_pair_is_exchanged_and_the_position_stays(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = kept_fields(monkeypatch, "drawn")
    run(cases[:1], tmp_path, **TINY, **STILL, patches=8, flip_laterally=["GL", "GM"])
    limb = load_sample(cases[0], STRUCTURES, ["image"], (4.0, 4.0, 4.0))
    # Classes: 1 GM, 2 GL, 3 SOL.
    other = limb.target[[0, 2, 1, 3], ..., ::-1]
    kinds = [np.array_equal(field.target, other) for field in seen]
    assert sum(np.array_equal(field.target, limb.target) for field in seen) == len(kinds) - sum(kinds)
    assert 0 < sum(kinds) < len(kinds)
    for field in seen:
        np.testing.assert_array_equal(field.channels[1], seen[0].channels[1])


def test_a_pair_that_the_network_does_not_learn_is_refused(cases: list[TrainingCase], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)flip_laterally.*TA, which this network does not learn"):
        run(cases, tmp_path, **TINY, flip_laterally=["GM", "TA"])
    with pytest.raises(InputError, match=r"(?s)flip_laterally.*unknown key"):
        split_settings("ifssnet", {"flip_laterally": ["GM", "GL"]})
