"""Models by name in whole runs: folds, a loss with the confidence map, one network per structure, a guide."""

from __future__ import annotations

import csv
import json

import numpy as np
from myosweep.io.volumes import Volume, read_volume, write_volume

TARGET = "results/volumes.csv"
STRUCTURES = {"GM": 1, "GL": 2, "SOL": 3}
UNET = {"epochs": 2, "spacing_mm": 6.0, "channels": [4, 8], "strides": [2]}
IFSSNET = {
    "epochs": 1,
    "spacing_mm": [6.0, 6.0, 12.0],
    "widths": [8, 8],
    "pooling": [2, 2],
    "rates": [1, 2],
    "extent": 4,
    "reach": 3,
}


def description(workflow, training):
    return json.loads(workflow.path(f"results/train/{training}/model.json").read_text())


def test_each_case_is_segmented_by_networks_that_never_saw_it(finished):
    finished.configure(
        segmentation={"models": ["unet_1ch_CEconf", "ifssnet"], "folds": 2, "unet": UNET, "ifssnet": IFSSNET}
    )
    finished.run(TARGET)
    with open(finished.path(TARGET), newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["source"].startswith("labels_")]
    assert len(rows) == 3 * 3 * 2
    folds = {row["case"]: row["split"] for row in rows}
    assert set(folds.values()) == {"fold1", "fold2"}
    for case, fold in folds.items():
        unet = description(finished, f"unet_1ch_CEconf/{fold}")
        assert unet["channels"] == ["image"]
        assert unet["training_settings"]["loss"] == "CEconf"
        networks = [unet]
        for name, value in STRUCTURES.items():
            binary = description(finished, f"ifssnet/{fold}/{name}")
            assert binary["structures"] == {name: value}
            networks.append(binary)
        for network in networks:
            assert case not in network["participants"]["train"]
            assert len(network["participants"]["train"]) in (1, 2)
    propagated = [row for row in rows if row["source"] == "ifssnet"]
    # One epoch teaches nothing: its masks reach the edge of the swept volume.
    assert all(row["status"] in ("measured", "partial") for row in propagated)
    assert all(float(row["volume_ml"]) > 0 for row in propagated)
    # A binary network's folder, taken as it is, trains nothing.
    finished.configure(
        segmentation={
            "models": ["given"],
            "folds": 0,
            "pretrained": {"given": "results/train/ifssnet/fold1"},
            "channels": ["image", "confidence"],
        }
    )
    assert "train" not in finished.jobs_run(TARGET)
    # All folds together are an ensemble, and where they differ is mapped when it is asked for.
    finished.configure(
        segmentation={
            "models": ["given"],
            "folds": 0,
            "pretrained": {"given": "results/train/ifssnet"},
            "channels": ["image", "confidence"],
        }
    )
    assert set(finished.jobs_run("segmented", "uncertainty_mapped")) >= {"predict", "map_uncertainty"}
    for case in folds:
        labels, entropy = (
            read_volume(finished.path(f"results/{stage}/given/{case}.mha"))
            for stage in ("predict", "uncertainty")
        )
        assert entropy.grid.same_as(labels.grid)
        assert entropy.array.dtype == np.uint8
        assert 0 < entropy.array.max() <= 200
    check_three_outlined_slices(finished, "leg03")


def check_three_outlined_slices(finished, case):
    """A case whose labels are three slices as far apart as the network's, and nothing else."""
    labels = read_volume(finished.path(f"results/labels/shape/{case}.mha"))
    known = np.isin(labels.array, list(STRUCTURES.values())).sum(axis=(1, 2))
    middle, step = int(known.argmax()), round(IFSSNET["spacing_mm"][2] / labels.grid.spacing[2])
    slices = [middle - step, middle, middle + step]
    few = np.zeros_like(labels.array)
    few[slices] = np.where(labels.array[slices] == 255, 0, labels.array[slices])
    write_volume(finished.path(f"labels/{case}.mha"), Volume(few, labels.grid))
    table = finished.path("config/cases.tsv")
    head, *rows = table.read_text().splitlines()
    rows = [row + ("\tlabels/" + case + ".mha" if row.startswith(case) else "\t") for row in rows]
    table.write_text("\n".join([head + "\tlabels", *rows]) + "\n")
    target = f"results/predict/given/{case}.mha"
    assert set(finished.jobs_run(target)) >= {"predict"}
    merged = read_volume(finished.path(f"results/labels/shape/{case}.mha")).array
    # Nothing is known beyond the outermost of the three.
    assert (merged[: slices[0]] == 255).all()
    assert (merged[slices[2] + 1 :] == 255).all()
    found = read_volume(finished.path(target)).array
    assert np.isin(found[: slices[0]], list(STRUCTURES.values())).any()
    assert np.isin(found[slices[2] + 1 :], list(STRUCTURES.values())).any()


def test_an_edit_of_one_network_trains_that_one_alone(finished):
    finished.configure(
        segmentation={
            "models": ["unet", "unet_s_r_clstm"],
            "unet_s_r_clstm": {"epochs": 1, "spacing_mm": 8.0},
        }
    )
    finished.run("results/train/unet_s_r_clstm/model.json", "results/train/unet/model.json")
    path = "workflow/myosweep/networks/unet_s_r_clstm.py"
    finished.path(path).write_text(finished.path(path).read_text() + "\n# another word\n")
    plan = finished.run(
        "--dry-run", "results/train/unet_s_r_clstm/model.json", "results/train/unet/model.json"
    )
    text = plan.stdout + plan.stderr
    assert "Training model unet_s_r_clstm" in text
    assert "Training model unet\n" not in text


def test_a_network_starts_from_another_of_the_run(finished):
    tuned = {"network": "unet", "settings": {"start_from": "results/train/unet", "epochs": 1}}
    finished.configure(segmentation={"models": ["unet", "tuned"], "variants": {"tuned": tuned}})
    target = "results/train/tuned/weights.safetensors"
    assert finished.planned(target) == {"train": 1}
    finished.path("results/train/unet/model.json").unlink()
    # The source is trained first; its checkpoint gives the same bytes again.
    assert finished.jobs_run(target) == {"train": 2}
    source = description(finished, "unet")
    started = description(finished, "tuned")["started_from"]
    assert started["weights_sha256"] == source["weights"]["sha256"]
    assert started["participants"] == source["participants"]
    assert finished.planned(target) == {}
    # A source that changes starts what follows anew, as folds do with their own sources.
    finished.configure(seed=8)
    assert finished.planned(target)["train"] == 2
    finished.configure(segmentation={"folds": 3})
    assert finished.planned("results/train/tuned/fold2/weights.safetensors")["train"] == 2
