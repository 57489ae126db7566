"""A structure that is annotated on a part of the slices: what training sees of it, and validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.volumes import read_volume, write_volume
from myosweep.training.run import Run
from spindles import STRUCTURES, train_network, write_case

NETWORK = "unet_s_r_clstm"
QUICK = {"epochs": 1, "spacing_mm": 4.0, "widths": [2, 4], "memory_cells": 0, "reconstruction": False}


def targets_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[dict[str, Any]]:
    """The fractions of each case, by split, that the training loop is given."""
    found: list[dict[str, Any]] = []

    def seen(_: Any, training: list[Any], validation: list[Any]) -> None:
        found.extend({sample.case: sample.target for sample in part} for part in (training, validation))
        raise StopIteration

    monkeypatch.setattr(Run, "train", seen)
    cases = [write_case(tmp_path, 1, "train"), write_case(tmp_path, 2, "validation")]
    with pytest.raises(StopIteration):
        train_network(cases, tmp_path, NETWORK, {**QUICK, **settings})
    return found


def test_training_lacks_the_structure_on_hidden_slices_and_validation_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,), (validated,) = (list(part.values()) for part in targets_seen(tmp_path / "whole", monkeypatch))
    (sparse,), (still,) = (
        list(part.values())
        for part in targets_seen(
            tmp_path / "sparse", monkeypatch, sparse_structure="GL", annotated_percent=50.0
        )
    )
    assert (still == validated).all()
    background, gl = 0, 1 + list(STRUCTURES).index("GL")
    others = [index for index in range(len(whole)) if index not in (background, gl)]
    # 16 slices of 4 mm: every second one is kept.
    hidden, kept = np.arange(0, 16, 2), np.arange(1, 16, 2)
    assert whole.shape[1] == 16
    assert (sparse[:, kept] == whole[:, kept]).all()
    assert (sparse[others] == whole[others]).all()
    assert whole[[background, gl]][:, hidden].any()
    assert not sparse[[background, gl]][:, hidden].any()


def test_a_structure_of_which_no_annotation_is_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of GL's slices the one in the middle of the limb would be left; it is too short to be there.
    case = write_case(tmp_path, 1, "train")
    labels = read_volume(case.labels)
    labels.array[len(labels.array) // 3 :][labels.array[len(labels.array) // 3 :] == STRUCTURES["GL"]] = 0
    write_volume(tmp_path / "short.mha", labels)
    settings = {**QUICK, "sparse_structure": "GL", "annotated_percent": 1.0}
    with pytest.raises(InputError, match=r"(?s)structures, GL.*annotated_percent leaves.*raise"):
        train_network([replace(case, labels=tmp_path / "short.mha")], tmp_path, NETWORK, settings)


def test_a_structure_that_is_not_learned_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"unet_s_r_clstm\.sparse_structure"):
        targets_seen(tmp_path, monkeypatch, sparse_structure="TA", annotated_percent=50.0)
