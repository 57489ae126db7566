"""Which cases a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myosweep.errors import InputError, InputErrors

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TrainingCase:
    """One limb at one session.

    Attributes
    ----------
    case, participant
        Their names; all cases of one participant share a split.
    side
        `left`, `right` or empty. Left limbs are mirrored.
    split
        `train`, `validation`, `test` or empty; the latter two are not touched.
    image, confidence, labels
        Volumes on one grid; confidence is None where it is no channel.
    """

    case: str
    participant: str
    side: str
    split: str
    image: Path
    confidence: Path | None
    labels: Path


def check_cases(cases: Sequence[TrainingCase], channels: Sequence[str]) -> None:
    """Check sides and splits, that participants do not leak between splits, and that one is to train on.

    Raises
    ------
    InputErrors
        All that is wrong.
    """
    where = "the table of cases"
    problems = []
    splits: dict[str, tuple[str, str]] = {}
    for case in cases:
        row = f"{where}, case {case.case}"
        if case.side not in ("left", "right", ""):
            problems.append(
                InputError(f"{row}, side", f"'{case.side}'", "left, right or empty", "correct the cell")
            )
        if case.split not in (*SPLITS, ""):
            problems.append(
                InputError(
                    f"{row}, split", f"'{case.split}'", f"{', '.join(SPLITS)} or empty", "correct the cell"
                )
            )
        if "confidence" in channels and case.confidence is None:
            problems.append(
                InputError(row, "no confidence map", "one, as the network or its loss needs it", "make it")
            )
        first, split = splits.setdefault(case.participant, (case.case, case.split))
        if split != case.split:
            problems.append(
                InputError(
                    f"{row}, split",
                    f"'{case.split}', while case {first} of participant {case.participant} has '{split}'",
                    "one split for all cases of a participant",
                    "give them the same split",
                )
            )
    if not any(case.split == "train" for case in cases):
        problems.append(
            InputError(
                f"{where}, split",
                "a model to train and no case to train on",
                "at least one case with the split train",
                "write train into its cell, give a trained model under segmentation.pretrained, or set "
                "segmentation.models to []",
            )
        )
    if problems:
        raise InputErrors(problems)
