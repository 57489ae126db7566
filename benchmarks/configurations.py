"""What confidence maps do for a network: the ten configurations, and the maps' settings, with three folds.

    python benchmarks/configurations.py FOLDER [--cores 8] [--only ten | maps]

Each configuration of Gonzalez Duque (2024), part III, 1.3.2 (`unet_1ch_Dice` to `unet_2ch_DiceCEconf`) is
trained three times on the simulated cohort, each time without a third of the participants, whose legs it
segments then. After that come the thesis' settings of the maps (1.3.3) for `unet_2ch_Dice` and
`unet_1ch_CEconf`. Runs are kept in FOLDER: a second call trains nothing again, and prints the tables of docs.

Measures are those of metrics.csv against the exact truth: Dice, Hausdorff distance (largest), mean surface
distance, absolute error of the volume. A leg's value is the mean over its structures; given are mean and
standard deviation over the means of the folds.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from myosweep.models import LOSSES

REPOSITORY = Path(__file__).resolve().parent.parent
TEN = [f"unet_{channels}ch_{loss}" for channels in (1, 2) for loss in LOSSES]
# Thesis, part III, table 1.1, and (400, .5) for the second channel, too.
MAPS = {(100.0, 0.5), (400.0, 0.2), (100.0, 0.2), (400.0, 0.5)}
OF_MAPS = ["unet_2ch_Dice", "unet_1ch_CEconf"]
# 3 mm in the plane: 54 trainings fit into an evening on two processors.
TRAINING = {"precision": "automatic", "epochs": 60, "threads": 1, "spacing_mm": [3.0, 3.0, 6.0]}
# Made once: they do not depend on the maps.
SHARED = ("simulate", "screen", "screen.tsv", "excluded.tsv", "compound", "coverage", "register", "labels")


def run(folder: Path, models: list[str], cores: int, confidence: dict[str, float]) -> pd.DataFrame:
    folder.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    config |= {
        "confidence": confidence,
        "segmentation": {"folds": 3, "models": models, "unet": TRAINING},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    command = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", str(cores)]
    command += ["results/metrics.csv", "--configfile", "config.yaml"]
    subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True)
    metrics = pd.read_csv(folder / "results" / "metrics.csv")
    volumes = pd.read_csv(folder / "results" / "volumes.csv")
    metrics = metrics[metrics["slice"].isna() & metrics["source"].isin(models)]
    legs = metrics.pivot_table(index=["source", "case"], columns="metric", values="value")
    legs["fold"] = (
        volumes.drop_duplicates("case").set_index("case")["split"].reindex(legs.index, level="case")
    )
    legs["volume"] = (
        volumes.assign(error=volumes["error_percent"].abs()).groupby(["source", "case"])["error"].mean()
    )
    return legs.reset_index()


def table(legs: pd.DataFrame, models: list[str]) -> list[str]:
    rows = []
    for model in models:
        own = legs[legs["source"] == model]
        folds = own.groupby("fold")[["dice", "hausdorff", "surface_distance", "volume"]].mean()
        mean, spread = folds.mean(), folds.std(ddof=1)
        cells = [
            f"{mean[name]:.{digits}f} ± {spread[name]:.{digits}f}"
            for name, digits in (("dice", 3), ("hausdorff", 1), ("surface_distance", 2), ("volume", 1))
        ]
        rows.append(" | ".join([f"`{model}`", *cells]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", choices=("ten", "maps"))
    chosen = parser.parse_args()
    head = "Dice | Hausdorff (mm) | mean surface distance (mm) | absolute volume error (%)"
    ten = chosen.folder / "ten"
    if chosen.only != "maps":
        legs = run(ten, TEN, chosen.cores, {})
        print(f"\n| configuration | {head} |\n|{' --- |' * 5}")
        print("\n".join(f"| {row} |" for row in table(legs, TEN)))
    if chosen.only != "ten":
        print(f"\n| beta, alpha | configuration | {head} |\n|{' --- |' * 6}", flush=True)
        for beta, alpha in sorted(MAPS):
            folder = chosen.folder / f"beta{beta:g}_alpha{alpha:g}"
            if not folder.exists() and ten.exists():
                for name in SHARED:
                    copy = shutil.copytree if (ten / "results" / name).is_dir() else shutil.copy2
                    (folder / "results").mkdir(parents=True, exist_ok=True)
                    copy(ten / "results" / name, folder / "results" / name)
            legs = run(folder, OF_MAPS, chosen.cores, {"alpha": alpha, "beta": beta})
            for row in table(legs, OF_MAPS):
                print(f"| {beta:g}, {alpha:g} | {row} |", flush=True)


if __name__ == "__main__":
    main()
