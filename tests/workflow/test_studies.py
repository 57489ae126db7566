"""Studies are planned where they are asked for, and nowhere else; no study is run here."""

from __future__ import annotations

import re

import pytest
from small_cohort import write_small_cohort


@pytest.fixture
def cohort(checkout):
    write_small_cohort(checkout)
    return checkout


def trained(workflow, *arguments):
    done = workflow.run("--dry-run", *arguments)
    return set(re.findall(r"Training model (\S+)", done.stdout + done.stderr))


def test_a_study_plans_its_members_and_the_default_plan_none(cohort):
    ifssnet = {f"comparison.ifssnet/{name}" for name in ("GM", "GL", "SOL")}
    others = ("unet", "vnet", "attention_unet", "unetr", "daf3d", "unet_s_r_clstm")
    assert trained(cohort, "results/comparison.csv") == ifssnet | {f"comparison.{name}" for name in others}
    assert trained(cohort) == {"unet"}


def test_an_ablation_learns_the_chosen_structure_in_every_fold(cohort):
    cohort.configure(studies={"structure": "SOL"}, segmentation={"models": [], "folds": 2})
    planned = trained(cohort, "ablate_ifssnet")
    assert {path.partition("/")[2] for path in planned} == {"fold1/SOL", "fold2/SOL"}
    assert len(planned) == 2 * 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\ttest\t", "\ttrain\t", "no case of the split test"),
        ("results/simulate/leg03/truth.mha", "", "no reference for leg03"),
    ],
)
def test_cases_that_a_study_cannot_use_are_told_before_any_job(cohort, old, new, message):
    cases = cohort.path("config/cases.tsv")
    cases.write_text(cases.read_text().replace(old, new))
    done = cohort.run("results/negative_labels.csv", check=False)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not cohort.path("results").exists()
