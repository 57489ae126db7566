"""What the tables and settings show is told before any job, all at once."""

from __future__ import annotations

import json

import pytest
from small_cohort import write_small_cohort


@pytest.fixture
def cohort(checkout):
    write_small_cohort(checkout)
    return checkout


def refused(workflow, *arguments):
    done = workflow.run("results/volumes.csv", *arguments, check=False)
    assert done.returncode != 0
    message = done.stdout + done.stderr
    assert "Traceback" not in message
    assert not workflow.path("results").exists(), "something was written"
    return message


def test_problems_of_both_tables_are_told_together(cohort):
    cohort.edit("config/cases.tsv", "leg01\tright\ttrain", "leg01\tright\ttrian")
    cohort.edit("config/cases.tsv", "leg02\tleft", "leg01\tleft")
    message = refused(cohort)
    assert "trian" in message
    assert "leg01" in message
    assert "duplicate" in message.lower() or "twice" in message.lower()


def test_a_path_that_does_not_exist(cohort):
    sweeps = cohort.path("config/sweeps.tsv")
    sweeps.write_text(sweeps.read_text().replace("results/simulate/leg01/deep/sweep_1.mha", "raw/leg01.mha"))
    message = refused(cohort)
    assert "raw/leg01.mha" in message
    assert "sweeps.tsv" in message


def test_a_misspelt_key(cohort):
    cohort.configure(compounding={"spacing": 1.0})
    message = refused(cohort)
    assert "spacing_mm" in message


def test_a_negative_spacing(cohort):
    cohort.configure(compounding={"spacing_mm": -1})
    message = refused(cohort)
    assert "spacing_mm" in message
    assert "mm" in message


def test_several_acquisitions_and_no_base(cohort):
    cohort.configure(registration={"base_acquisition": None})
    assert "base_acquisition" in refused(cohort)


def test_a_model_to_train_and_nothing_to_train_on(cohort):
    cases = cohort.path("config/cases.tsv")
    cases.write_text(cases.read_text().replace("\ttrain\t", "\ttest\t").replace("\tvalidation\t", "\ttest\t"))
    message = refused(cohort)
    assert "train" in message


def test_an_empty_table(cohort):
    cohort.path("config/cases.tsv").write_text("")
    assert "cases.tsv" in refused(cohort)


def test_users_structures_are_not_mixed_with_the_phantoms(cohort, tmp_path):
    # A configuration of one's own stands alone: the phantom's keys must not come in beside it.
    own = tmp_path / "mine.yaml"
    own.write_text("cases: config/cases.tsv\nsweeps: config/sweeps.tsv\nstructures: {muscle: 1}\n")
    message = refused(cohort, "--configfile", str(own))
    assert "SOL" in message
    assert "muscle" in message


def test_a_network_that_starts_from_itself_or_from_nothing(cohort):
    cohort.configure(segmentation={"unet": {"start_from": "results/train/unet"}})
    message = refused(cohort)
    assert "segmentation.unet.start_from" in message
    assert "unet from unet: a network that starts from itself" in message
    cohort.configure(segmentation={"unet": {"start_from": "study1/unet"}})
    assert "study1/unet, where no network lies" in refused(cohort)


def test_a_source_that_has_seen_a_test_case(cohort):
    folder = cohort.path("study1/unet")
    folder.mkdir(parents=True)
    told = {
        "network": "unet",
        "channels": ["image", "confidence"],
        "spacing_mm": [2.0, 2.0, 6.0],
        "training_settings": {"position": True},
        "participants": {"train": ["leg03"], "validation": []},
    }
    (folder / "model.json").write_text(json.dumps(told))
    cohort.configure(segmentation={"unet": {"start_from": "study1/unet"}})
    assert "has seen leg03 (its split: train), held out here (test)" in refused(cohort)
    # A copy that broke off.
    (folder / "model.json").write_text(json.dumps(told)[:40])
    message = refused(cohort)
    assert "study1/unet/model.json" in message
    assert "not a model's description" in message
