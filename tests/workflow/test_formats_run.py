"""A limb whose sweeps are of three formats has the volume that the same sweeps of PLUS have."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from myosweep.__main__ import main
from myosweep.io.annotations import read_annotations
from myosweep.io.calibration import read_calibration
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import read_volume
from myosweep.phantom.cohort import simulate_case
from small_cohort import Workflow
from stradwin_writer import contours_of, write_stradwin
from sweep_writers import write_images, write_matrix, write_poses, write_tus_rec

STRUCTURES = {"SOL": 3}
PIXEL = 1.5
SETTINGS = {
    "cases": "cases.tsv",
    "sweeps": "sweeps.tsv",
    "structures": STRUCTURES,
    "compounding": {"spacing_mm": 2.5},
    "labels": {"interpolation": ["shape"]},
    "recordings": {"contour_names": {"soleus": "SOL", "End": "background"}},
    "segmentation": {"models": []},
}


def write_three_formats(recorded: Path, folder: Path) -> None:
    """Sweep 1 as Stradwin with contours, 2 as HDF5, 3 as images with poses; the last two with their masks."""
    calibration = recorded / "calibration_deep.xml"
    image_to_probe = read_calibration(calibration).image_to_probe
    sweeps = [read_sweep(recorded / "deep" / f"sweep_{number}.mha", calibration) for number in (1, 2, 3)]
    poses = [sweep.image_to_world @ np.linalg.inv(image_to_probe) for sweep in sweeps]
    masks = read_annotations(recorded / "deep" / "sweep_1_masks", sweeps[0], STRUCTURES, ["SOL"])

    (folder / "stradwin").mkdir(parents=True)
    # Stradwin counts pixels from the corner of the first one; its position sensor may as well sit there.
    from_corner = np.diag([PIXEL, PIXEL, PIXEL, 1.0])
    from_corner[:2, 3] = PIXEL / 2
    write_stradwin(
        folder / "stradwin" / "limb_1.sw",
        frames_of(sweeps[0]),
        sweeps[0].image_to_world @ np.linalg.inv(from_corner),
        (PIXEL / 10, PIXEL / 10),
        times=sweeps[0].timestamps.tolist(),
        objects={3: "Soleus", 9: "end"},
        contours=contours_of(masks, STRUCTURES, looked_at=9),
    )
    write_tus_rec(folder / "hdf5" / "limb_2.h5", frames_of(sweeps[1]), poses[1])
    images = write_images(folder / "images" / "limb_3", frames_of(sweeps[2]))
    files = [f"frame_{index}.png" for index in range(len(poses[2]))]
    times = [f"{time:.6f}" for time in sweeps[2].timestamps]
    write_poses(images / "poses.csv", poses[2], "quaternion", file=files, time_s=times)
    write_matrix(folder / "calibration.csv", image_to_probe)
    for number in (2, 3):
        shutil.copytree(recorded / "deep" / f"sweep_{number}_masks", folder / "masks" / f"limb_{number}")


def frames_of(sweep: Sweep) -> np.ndarray:
    return np.stack([sweep.frames[frame] for frame in range(sweep.frames.shape[0])])


def tables_of(raw: str, pattern: str, output: Path, *options: str) -> list[list[str]]:
    """Header and rows of sweeps.tsv as the command writes it, paths relative to the folder above."""
    output.mkdir()
    command = ["tables", raw, "--pattern", pattern, "--output", str(output), "--structures", "SOL", *options]
    assert main(command) == 0
    lines = (output / "sweeps.tsv").read_text().replace("../", "").splitlines()
    return [line.split("\t") for line in lines]


@pytest.fixture
def study(checkout: Workflow, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """Tables of the same sweeps as two cases: all of PLUS, and of three formats."""
    monkeypatch.chdir(checkout.folder)
    shutil.rmtree("config")
    simulated = {
        "sweeps": 3,
        "pixel_spacing_mm": PIXEL,
        "frame_spacing_mm": 5.0,
        "truth_spacing_mm": 4.0,
        "invalid_fraction": 0.0,
    }
    simulate_case("raw/plus", "p01", "left", simulated, 5)
    write_three_formats(Path("raw/plus"), Path("raw"))
    masks, calibration = "masks/{case}_{sweep}", ("--calibration", "calibration.csv")
    tables = [
        tables_of(
            "raw",
            "{case}/deep/sweep_{sweep}.mha",
            Path("plus"),
            *("--calibration", "{case}/calibration_deep.xml"),
            *("--annotations", "{case}/deep/sweep_{sweep}_masks"),
        ),
        tables_of("raw", "stradwin/{case}_{sweep}.sw", Path("sw"), "--annotations", "contours"),
        tables_of("raw", "hdf5/{case}_{sweep}.h5", Path("h5"), "--annotations", masks, *calibration),
        tables_of("raw", "images/{case}_{sweep}", Path("png"), "--annotations", masks, *calibration),
    ]
    rows = [tables[0][0], *(row for table in tables for row in table[1:])]
    Path("sweeps.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    Path("cases.tsv").write_text("case\nplus\nlimb\n")
    Path("mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    return checkout


def test_three_formats_have_the_volume_that_plus_has(study: Workflow) -> None:
    study.run("results/volumes.csv", "--configfile", "mine.yaml", cores=1)
    with study.path("results/screen.tsv").open(newline="") as file:
        formats = [(row["case"], row["format"]) for row in csv.DictReader(file, delimiter="\t")]
    assert formats == [("plus", "PLUS")] * 3 + [("limb", name) for name in ("Stradwin", "HDF5", "images")]
    with study.path("results/volumes.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows["limb"]["status"] == rows["plus"]["status"] != "excluded"
    volume = {case: float(row["volume_ml"]) for case, row in rows.items()}
    assert volume["plus"] > 100
    assert volume["limb"] == pytest.approx(volume["plus"], rel=0.01)
    grey = [read_volume(study.path(f"results/compound/{case}/b-mode.mha")) for case in ("plus", "limb")]
    assert grey[0].grid.same_as(grey[1].grid)
    # Poses that are rounded in the files move some means across the half between two grey levels.
    assert np.abs(grey[0].array.astype(int) - grey[1].array).max() <= 1
