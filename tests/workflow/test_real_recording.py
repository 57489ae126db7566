"""A real recording of a limb, as README tells a user to set it up."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_bone_recording_gives_a_volume(plus_data, checkout):
    study = checkout.folder / "study"
    recordings = study / "recordings"
    recordings.mkdir(parents=True)
    recordings.joinpath("labels").symlink_to(plus_data / "labels")
    for path in ("sequences/BoneUltrasound_L14.igs.mha", "configs/BoneUltrasound_L14_config.xml"):
        recordings.joinpath(Path(path).name).symlink_to(plus_data / path)
    (study / "config.yaml").write_text(blocks("yaml")[0])
    for name, table in zip(("cases.tsv", "sweeps.tsv"), blocks("tsv"), strict=True):
        (study / name).write_text(table)
    checkout.folder = study
    checkout.run("results/volumes.csv", "--snakefile", "../Snakefile", "--configfile", "config.yaml")

    with open(study / "results/volumes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["structure"], row["source"]) for row in rows] == [
        ("muscle", "labels_zoi"),
        ("muscle", "labels_shape"),
    ]
    # The muscle leaves the swept volume at both ends: what is measured is a lower bound, and said to be.
    assert {row["status"] for row in rows} == {"partial"}

    # An independent estimate: the mean annotated area times the way of the image's centre.
    areas, centres = annotated_areas_and_centres(plus_data)
    expected_ml = np.mean(areas) * np.linalg.norm(centres[-1] - centres[0]) / 1000
    for row in rows:
        # ZOI takes the smaller mask of each pair; the probe also turns a little on its way.
        assert abs(float(row["volume_ml"]) / expected_ml - 1) < 0.15

    labels = sitk.ReadImage(str(study / "results/labels/shape/limb.mha"))
    volume = sitk.ReadImage(str(study / "results/compound/limb/b-mode.mha"))
    assert labels.GetSize() == volume.GetSize()
    assert set(np.unique(sitk.GetArrayFromImage(labels))) <= {0, 1, 255}


def annotated_areas_and_centres(plus_data):
    """Areas (mm2) of the drawn masks and the world positions of the masks' frames, from the files alone."""
    text = (plus_data / "sequences/BoneUltrasound_L14.igs.mha").read_bytes()[:200_000].decode("latin-1")
    calibration = np.array(
        [
            "0.000796231",
            "0.0854272",
            "0.000850194",
            "12.74",
            "-0.0853999",
            "0.000772721",
            "0.00233653",
            "50.76",
            "0.00232863",
            "-0.000871617",
            "0.0853992",
            "-0.5",
            "0",
            "0",
            "0",
            "1",
        ],
        dtype=float,
    ).reshape(4, 4)
    areas, centres = [], []
    for frame in (0, 10, 20):
        matrices = []
        for tool in ("Reference", "Probe"):
            line = text.split(f"Seq_Frame{frame:04d}_{tool}ToTrackerTransform = ")[1].split("\n")[0]
            matrices.append(np.array(line.split(), dtype=float).reshape(4, 4))
        to_world = np.linalg.inv(matrices[0]) @ matrices[1] @ calibration
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(plus_data / f"labels/frame_{frame:04d}.png")))
        pixel = np.linalg.norm(np.cross(to_world[:3, 0], to_world[:3, 1]))
        areas.append((mask == 1).sum() * pixel)
        rows, columns = np.nonzero(mask == 1)
        centres.append(to_world[:3] @ [columns.mean(), rows.mean(), 0, 1])
    return areas, np.array(centres)
