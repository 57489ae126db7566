"""What networks reach on simulated legs that they never saw: a cohort of forty, trained by the workflow.

    python benchmarks/networks.py FOLDER [--models ifssnet unet_s_r_clstm] [--legs 40] [--fresh 10]
        [--cores 2] [--threads 2]

Legs differ in anatomy, motion and noise; the first eight are those of the default run. One in five is tested
on, one in ten validates, the others are learned from. Means over the tested legs of Dice and of the absolute
volume error against the exact truth, as metrics.csv and volumes.csv have them; CPU seconds and minutes of
the training of each network. `ifssnet` is given three slices of each tested leg's own labels. `--fresh` legs
are simulated besides, tested and told apart: of what was chosen, only the epochs of `ifssnet` were set after
they had been looked at. Its trainings take two processors that must be free, one after the other; with
`--threads 1` two run side by side, in less time all together and more each. Runs are kept in FOLDER: a second
call trains nothing again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
ANNOTATED = {"deep": "SOL", "superficial": "GM,GL"}
SWEEPS = 4
SETTINGS = {
    "ifssnet": {"epochs": 60, "validation_interval": 20},
    "unet_s_r_clstm": {"epochs": 12, "precision": "automatic", "threads": 1},
}


def split_of(number: int) -> str:
    place = number % 10
    return "validation" if place == 6 else "test" if place in (7, 8) else "train"


def write_cohort(folder: Path, legs: int, fresh: int, models: list[str], threads: int = 2) -> None:
    cases = ["case\tside\tsplit\treference"]
    sweeps = ["case\tacquisition\tsweep\tpath\tcalibration\tannotations\tstructures"]
    for number in range(1, legs + fresh + 1):
        leg = f"leg{number:02d}"
        simulated = f"results/simulate/{leg}"
        side = "right" if number % 2 else "left"
        cases.append(
            f"{leg}\t{side}\t{split_of(number) if number <= legs else 'test'}\t{simulated}/truth.mha"
        )
        for kind, structures in ANNOTATED.items():
            for sweep in range(1, SWEEPS + 1):
                path = f"{simulated}/{kind}/sweep_{sweep}"
                cells = [f"{path}.mha", f"{simulated}/calibration_{kind}.xml", f"{path}_masks", structures]
                sweeps.append("\t".join([leg, kind, str(sweep), *cells]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.tsv").write_text("\n".join(cases) + "\n", encoding="utf-8")
    (folder / "sweeps.tsv").write_text("\n".join(sweeps) + "\n", encoding="utf-8")
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    config |= {
        "cases": "cases.tsv",
        "sweeps": "sweeps.tsv",
        "labels": {"interpolation": ["shape"], "use": "shape"},
        "segmentation": {"models": models, "channels": ["image"], **SETTINGS},
    }
    config["segmentation"]["ifssnet"] = {**SETTINGS["ifssnet"], "threads": threads}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def table(results: Path, models: list[str], legs: int) -> list[str]:
    metrics = pd.read_csv(results / "metrics.csv")
    dice = metrics[metrics["slice"].isna() & (metrics["metric"] == "dice")]
    volumes = pd.read_csv(results / "volumes.csv").merge(dice, on=["case", "structure", "source"])
    tested = volumes[(volumes["split"] == "test") & volumes["source"].isin(models)]
    fresh = tested["case"].str.removeprefix("leg").astype(int) > legs
    kinds = {"tested": tested[~fresh], "fresh": tested[fresh], "all": tested}
    each = pd.concat([rows.assign(kind=kind) for kind, rows in kinds.items()])
    rows = []
    for (which, model, structure), own in each.groupby(["kind", "source", "structure"], sort=False):
        files = list((results / "benchmarks" / "train").glob(f"{model}.tsv"))
        files += (results / "benchmarks" / "train" / model).glob(f"{structure}.tsv")
        took = pd.concat([pd.read_csv(file, sep="\t") for file in files])[["cpu_time", "s"]].sum()
        errors = own["error_percent"]
        cells = [f"`{model}`", str(structure), f"{len(own)} {which}", f"{own['value'].mean():.3f}"]
        cells += [f"{own['value'].min():.3f}", f"{errors.mean():+.1f}", f"{errors.abs().mean():.1f}"]
        cells += [f"{errors.abs().max():.1f}", f"{took['cpu_time']:.0f}", f"{took['s'] / 60:.0f}"]
        rows.append(" | ".join(cells))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["ifssnet", "unet_s_r_clstm"])
    parser.add_argument("--legs", type=int, default=40)
    parser.add_argument("--fresh", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    write_cohort(chosen.folder, chosen.legs, chosen.fresh, chosen.models, chosen.threads)
    command = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", str(chosen.cores)]
    command += ["results/volumes.csv", "results/metrics.csv", "--configfile", "config.yaml"]
    # The benchmark has the machine to itself; see myosweep.training.
    environment = {"OMP_WAIT_POLICY": "ACTIVE", **os.environ}
    subprocess.run([sys.executable, "-m", *command], cwd=chosen.folder, env=environment, check=True)
    head = "model | structure | legs | Dice | lowest | volume error (%) | absolute (%) | largest (%)"
    print(f"\n| {head} | CPU s | minutes |\n|{' --- |' * 10}")
    print("\n".join(f"| {row} |" for row in table(chosen.folder / "results", chosen.models, chosen.legs)))


if __name__ == "__main__":
    main()
