"""What registration leaves on simulated legs, and a full-size leg from its recordings to volumes.

    python benchmarks/legs.py registration [--legs 16] [--spacing 0.5] [--jitter]
    python benchmarks/legs.py full FOLDER [--cores 2]

`registration`: legs simulated without tracking jitter and calibration error (with them: `--jitter`),
compounded at `--spacing` and registered at that spacing; the error is the mean distance, over every fiftieth
voxel of a leg's structures, between where the registration and the true motion put a point.

`full`: the workflow on one leg of the published size (5 sweeps of 400 mm, frames of 544 x 227 at 0.176 mm
every 5 mm, every second frame annotated, 0.277 mm voxels, deep and superficial, jitter, calibration error and
wobble as by default), labels by `shape`: volume errors, and of every stage the CPU seconds and its largest
job's peak memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from myosweep.compounding import case_grid, compound
from myosweep.geometry import apply_transform
from myosweep.io.files import read_json
from myosweep.io.recordings import read_sweeps
from myosweep.io.volumes import read_volume, write_volume
from myosweep.phantom import simulate_case
from myosweep.registration import register, shrink

REPOSITORY = Path(__file__).resolve().parent.parent
STILL = {
    "jitter_mm": 0.0,
    "jitter_degrees": 0.0,
    "calibration_error_mm": 0.0,
    "calibration_error_degrees": 0.0,
}
FRAMES_APART = 400 / 79
PUBLISHED = {
    "pixel_spacing_mm": 0.176,
    "depth_mm": 544 * 0.176,
    "probe_width_mm": 227 * 0.176,
    "sweeps": 5,
    "sweep_overlap_mm": 11.0,
    "frame_spacing_mm": FRAMES_APART,
    "annotation_spacing_mm": 2 * FRAMES_APART,
    "compress": True,
}
ANNOTATED = {"deep": "SOL", "superficial": "GM,GL"}


def registered(case: str, number: int, spacing_mm: float, settings: dict[str, float]) -> tuple[float, bool]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_case(folder, case, "right" if number % 2 else "left", settings, 1)
        sweeps = {
            kind: read_sweeps(
                [
                    {"path": str(path), "calibration": str(folder / f"calibration_{kind}.xml")}
                    for path in sorted((folder / kind).glob("sweep_*.mha"))
                ]
            )
            for kind in ANNOTATED
        }
        grid = case_grid(sweeps["deep"] + sweeps["superficial"], "probe", spacing_mm, "auto", sweeps["deep"])
        shrunk = []
        for kind, own in sweeps.items():
            volume, coverage, _ = compound(own, grid, image_area="auto", threads=1)
            write_volume(folder / f"{kind}.mha", volume)
            write_volume(folder / f"{kind}_coverage.mha", coverage)
            shrunk.append(shrink(folder / f"{kind}.mha", folder / f"{kind}_coverage.mha", spacing_mm))
        found = register(*shrunk, names=tuple(ANNOTATED))
        truth = np.array(read_json(folder / "truth.json")["deep_to_superficial"])
        labels = read_volume(folder / "truth.mha")
        points = apply_transform(
            labels.grid.index_to_world, np.argwhere(labels.array > 0)[::50, ::-1].astype(np.float64)
        )
        away = apply_transform(found.fixed_to_moving, points) - apply_transform(truth, points)
        return float(np.linalg.norm(away, axis=1).mean()), found.accepted


def registration(legs: int, spacing_mm: float, jitter: bool) -> None:
    errors = []
    for number in range(1, legs + 1):
        start = time.process_time()
        error, accepted = registered(f"leg{number:02d}", number, spacing_mm, {} if jitter else STILL)
        errors.append(error)
        print(
            f"leg{number:02d}: {error:.3f} mm, {'accepted' if accepted else 'refused'}, "
            f"{time.process_time() - start:.0f} CPU s with simulation and compounding",
            flush=True,
        )
    print(f"{legs} legs: mean {np.mean(errors):.3f} mm, worst {max(errors):.3f} mm")


def full(folder: Path, cores: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    leg = "results/simulate/leg01"
    (folder / "cases.tsv").write_text(f"case\tside\treference\nleg01\tright\t{leg}/truth.mha\n")
    rows = ["case\tacquisition\tsweep\tpath\tcalibration\tannotations\tstructures"]
    for kind, structures in ANNOTATED.items():
        for number in range(1, PUBLISHED["sweeps"] + 1):
            sweep = f"{leg}/{kind}/sweep_{number}"
            cells = [f"{sweep}.mha", f"{leg}/calibration_{kind}.xml", f"{sweep}_masks", structures]
            rows.append("\t".join(["leg01", kind, str(number), *cells]))
    (folder / "sweeps.tsv").write_text("\n".join(rows) + "\n")
    config = {
        "cases": "cases.tsv",
        "sweeps": "sweeps.tsv",
        "structures": {"GM": 1, "GL": 2, "SOL": 3},
        "simulate": PUBLISHED,
        "registration": {"base_acquisition": "deep"},
        "compounding": {"spacing_mm": 0.277},
        "labels": {"interpolation": ["shape"], "use": "shape"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", str(cores)]
    command += ["results/volumes.csv", "--configfile", "config.yaml"]
    subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True)
    volumes = pd.read_csv(folder / "results" / "volumes.csv")
    print(
        volumes[["structure", "status", "volume_ml", "reference_ml", "error_percent"]].to_string(index=False)
    )
    jobs = []
    for path in sorted((folder / "results" / "benchmarks").rglob("*.tsv")):
        stage = path.relative_to(folder / "results" / "benchmarks").parts[0].removesuffix(".tsv")
        jobs.append(pd.read_csv(path, sep="\t").assign(stage=stage))
    table = (
        pd.concat(jobs)
        .groupby("stage", sort=False)
        .agg(jobs=("s", "size"), cpu_s=("cpu_time", "sum"), peak_mb=("max_rss", "max"))
    )
    print(table.round(0).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("registration")
    one.add_argument("--legs", type=int, default=16)
    one.add_argument("--spacing", type=float, default=0.5)
    one.add_argument("--jitter", action="store_true")
    other = what.add_parser("full")
    other.add_argument("folder", type=Path)
    other.add_argument("--cores", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.what == "registration":
        registration(chosen.legs, chosen.spacing, chosen.jitter)
    else:
        full(chosen.folder, chosen.cores)


if __name__ == "__main__":
    main()
