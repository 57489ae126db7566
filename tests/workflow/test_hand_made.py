"""What people draw and change beside the workflow is never lost."""

from __future__ import annotations

import os
import time

import pytest
from myosweep.io.made_files import made_file
from PIL import Image
from small_cohort import write_small_cohort

MADE = "results/labels/shape/leg01"


@pytest.fixture
def cohort(checkout):
    write_small_cohort(checkout)
    return checkout


def test_an_edited_file_stops_the_plan_and_stays(cohort):
    for suffix in (".mha", ".seg.nrrd"):
        path = cohort.path(MADE + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        with made_file(path):
            path.write_text("made")
    cohort.run("--dry-run", f"{MADE}.mha")
    path.write_text("mine")
    os.utime(path, (time.time() + 5,) * 2)
    done = cohort.run("results/volumes.csv", "--forceall", check=False)
    message = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in message
    assert f"{MADE}.seg.nrrd\n  found:    changed since the workflow wrote it" in message
    assert f"mv {MADE}.seg.nrrd labels/leg01.seg.nrrd" in message
    assert "config/cases.tsv" in message
    assert f"{MADE}.mha\n" not in message
    assert path.read_text() == "mine"
    # Doing as told is enough.
    cohort.path("labels").mkdir()
    path.rename(cohort.path("labels/leg01.seg.nrrd"))
    cohort.run("--dry-run", f"{MADE}.mha")


def test_masks_drawn_into_a_kit_outlive_every_run(cohort):
    kit = "results/annotation_kit/leg01/deep/1"
    cohort.run(f"{kit}/README.txt", "results/labels/labels.ctbl")
    assert cohort.path("results/labels/labels.txt").is_file()
    images = sorted(path.name for path in cohort.path(f"{kit}/images").iterdir())
    masks = sorted(path.name for path in cohort.path(f"{kit}/masks").iterdir())
    # The phantom's expert has drawn every 20 mm already, from end to end.
    assert masks
    assert images
    assert not set(images) & set(masks)
    with Image.open(cohort.path(f"{kit}/images/{images[0]}")) as image:
        drawn = Image.new("L", image.size, 3)
    drawn.save(cohort.path(f"{kit}/masks/{images[0]}"))
    drawn.save(cohort.path(f"{kit}/images/{images[-1]}"))
    kept = [cohort.path(f"{kit}/masks/{images[0]}"), cohort.path(f"{kit}/images/{images[-1]}")]
    before = [path.read_bytes() for path in kept]
    cohort.configure(annotation_kit={"every_mm": 7.0})
    assert cohort.jobs_run(f"{kit}/README.txt")["export_frames"] == 1
    assert [path.read_bytes() for path in kept] == before
    cohort.run(f"{kit}/README.txt", "--delete-all-output")
    assert [path.read_bytes() for path in kept] == before
