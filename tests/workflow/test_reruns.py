"""What reruns after which change: the stages that depend on it, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest
from small_cohort import UNET

TARGET = "results/volumes.csv"
AFTER_LABELS = {"train": 1, "predict": 3}


def test_nothing_changed_reruns_nothing(finished):
    assert finished.planned(TARGET) == {}


def test_a_moved_checkout_reruns_nothing(finished, tmp_path):
    moved = tmp_path / "elsewhere"
    finished.folder.rename(moved)
    finished.folder = moved
    assert finished.planned(TARGET) == {}


def test_touching_everything_reruns_nothing(finished):
    # In an order that makes every input newer than what was made of it.
    files = [path for path in finished.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    late = time.time() + 10
    for place, path in enumerate(sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)):
        os.utime(path, (late + place, late + place))
    assert finished.planned(TARGET) == {}


def test_edited_smoothing_in_the_library_reruns_merging_and_what_follows(finished):
    finished.edit("workflow/myosweep/labels/merging.py", "- 1) + 0.8\n", "- 1) + 0.9\n")
    assert finished.planned(TARGET) == {
        "merge_labels": 6,
        "evaluate": 9,
        "measure_volumes": 1,
        **AFTER_LABELS,
    }


def test_edited_script_reruns_its_stage_and_what_follows(finished):
    path = "workflow/scripts/map_confidence.py"
    finished.path(path).write_text(finished.path(path).read_text() + "\nprint()\n")
    assert finished.planned(TARGET) == {
        "map_confidence": 3,
        "train": 1,
        "predict": 3,
        "evaluate": 3,
        "measure_volumes": 1,
    }


def test_changed_smoothing_reruns_merging_and_what_follows(finished):
    finished.configure(labels={"smoothing_voxels": 5})
    assert finished.planned(TARGET) == {
        "merge_labels": 6,
        "evaluate": 9,
        "measure_volumes": 1,
        **AFTER_LABELS,
    }


def test_what_a_network_of_whole_limbs_is_not_asked_reruns_nothing(finished):
    finished.configure(segmentation={"inference": {"overlap": 0.25}})
    assert finished.planned(TARGET) == {}
    finished.configure(segmentation={"inference": {"flips": True}})
    assert finished.planned(TARGET)["predict"] == 3


def test_changed_row_reruns_that_case_alone(finished):
    # leg03 is a test case: nothing is trained on it.
    finished.edit(
        "config/sweeps.tsv",
        "leg03\tsuperficial\t4\tresults/simulate/leg03/superficial/sweep_4.mha\t"
        "results/simulate/leg03/calibration_superficial.xml\tresults/simulate/leg03/superficial/sweep_4_masks\tGM,GL",
        "leg03\tsuperficial\t4\tresults/simulate/leg03/superficial/sweep_4.mha\t"
        "results/simulate/leg03/calibration_superficial.xml\t\t",
    )
    # Two methods for the one acquisition, and what follows; no recording is compounded or registered anew.
    assert finished.jobs_run(TARGET) == {
        "screen": 1,
        "gather_screens": 1,
        "merge_labels": 2,
        "evaluate": 2,
        "measure_volumes": 1,
        "interpolate_labels": 2,
    }


def test_forcing_one_stage_of_one_case_refreshes_what_depends_on_it(finished):
    planned = finished.planned(TARGET, "--forcerun", "results/compound/leg03/deep.mha")
    assert planned["compound"] == 1
    assert planned["register"] == 1
    assert planned["merge_labels"] == 2
    assert planned["predict"] == 1
    assert "train" not in planned


def test_what_an_interrupted_run_took_away_is_made_again(finished):
    labels = "results/labels/shape/leg03.mha"
    finished.path(labels).unlink()
    assert finished.planned(TARGET) == {}, "a file that was removed on purpose is not missed"
    finished.path(".snakemake/myosweep.unfinished").touch()
    assert finished.planned(TARGET) == {"merge_labels": 1, "evaluate": 1, "measure_volumes": 1}
    finished.run(TARGET)
    assert not finished.path(".snakemake/myosweep.unfinished").exists()
    assert finished.planned(TARGET) == {}


def children_named(pid: int, name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if any(name in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def undisturbed(finished_once, tmp_path_factory):
    """The small cohort with a longer training that nobody disturbed."""
    workflow = finished_once.clone(tmp_path_factory.mktemp("undisturbed") / "checkout")
    workflow.configure(segmentation={"unet": {**UNET, "epochs": 30}})
    workflow.run(TARGET)
    return workflow


@pytest.mark.parametrize("victim", ["training", "everything"])
def test_training_killed_goes_on_to_the_same_bytes(finished, undisturbed, victim):
    finished.configure(segmentation={"unet": {**UNET, "epochs": 30}})

    process = subprocess.Popen(
        finished.command(TARGET),
        cwd=finished.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = finished.path("results/checkpoints/unet")
    known = set(checkpoints.glob("*/checkpoint.pt"))
    deadline = time.monotonic() + 120
    while not set(checkpoints.glob("*/checkpoint.pt")) - known:
        assert time.monotonic() < deadline, "no checkpoint was written"
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.05)
    if victim == "training":
        for child in children_named(process.pid, "train.py"):
            child.kill()
        assert process.wait(timeout=120) != 0
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not finished.path("results/train/unet/weights.safetensors").exists()

    again = finished.run(TARGET)
    log = finished.path("results/logs/train/unet.log").read_text()
    assert "training goes on after epoch" in log, again.stderr
    assert "epoch 1 of" not in log
    # In the order in which they are made, so that a failure says where it begins.
    for name in ("train/unet/history.csv", "train/unet/weights.safetensors", "volumes.csv"):
        made = [folder.path(f"results/{name}").read_bytes() for folder in (finished, undisturbed)]
        assert made[0] == made[1], name
