from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from myosweep.errors import InputErrors
from myosweep.training.cases import TrainingCase, check_cases

BOTH = ["image", "confidence"]
GOOD = TrainingCase("a", "p1", "left", "train", Path("i"), Path("c"), Path("l"))


def test_good_cases_pass() -> None:
    check_cases(
        [GOOD, replace(GOOD, case="b"), replace(GOOD, case="c", participant="p2", split="test")], BOTH
    )
    check_cases([replace(GOOD, confidence=None)], ["image"])


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ([replace(GOOD, case="b", split="test")], "case b, split.*\n.*participant p1 has 'train'"),
        ([replace(GOOD, case="b", participant="p2", side="both")], "case b, side"),
        ([replace(GOOD, case="b", participant="p2", split="training")], "case b, split"),
        ([replace(GOOD, case="b", confidence=None)], "no confidence map"),
    ],
)
def test_bad_cases_are_named(others: list[TrainingCase], text: str) -> None:
    with pytest.raises(InputErrors, match=text):
        check_cases([GOOD, *others], BOTH)


@pytest.mark.parametrize("cases", [[], [replace(GOOD, split="")], [replace(GOOD, split="validation")]])
def test_nothing_to_train_on_is_told(cases: list[TrainingCase]) -> None:
    with pytest.raises(InputErrors, match="a model to train and no case to train on"):
        check_cases(cases, BOTH)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputErrors) as caught:
        check_cases([replace(GOOD, side="x", split="y", confidence=None)], BOTH)
    assert len(caught.value.problems) == 4
