"""README's accuracy table and registration error, from the results of the default run.

    python benchmarks/accuracy.py [RESULTS]

RESULTS is the folder `results` of a simulated cohort. Measures are those of metrics.csv, means over cases
(test cases for a network); volume errors those of volumes.csv. Registration: the distance between where the
registration and the true motion put a point, the mean over every fiftieth voxel of a leg's structures.
Zero order: the loss that follows from the closed form of the muscles at the annotated places, and that of
masks drawn there without wobble and compounded with the true poses, before smoothing; means over cases and
the largest difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from myosweep.geometry import apply_transform
from myosweep.io.files import read_json
from myosweep.io.volumes import read_transform, read_volume
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.volumes import AnnotatedSweep, label_acquisition
from myosweep.phantom.anatomy import LABELS
from myosweep.phantom.cohort import STRUCTURES
from myosweep.phantom.redrawing import Redrawing
from myosweep.phantom.zero_order import zero_order_volume_ml


def accuracy(results: Path) -> pd.DataFrame:
    volumes = pd.read_csv(results / "volumes.csv")
    metrics = pd.read_csv(results / "metrics.csv")
    whole = metrics[metrics["slice"].isna()].pivot_table(
        index=["case", "structure", "source"], columns="metric", values="value"
    )
    rows = volumes.join(whole, on=["case", "structure", "source"])
    rows = rows[rows["source"].str.startswith("labels_") | (rows["split"] == "test")]
    return rows.groupby(["source", "structure"]).agg(
        cases=("case", "size"),
        dice=("dice", "mean"),
        hd95_mm=("hausdorff_95", "mean"),
        error_percent=("error_percent", "mean"),
        absolute_percent=("error_percent", lambda errors: errors.abs().mean()),
        largest_percent=("error_percent", lambda errors: errors.abs().max()),
    )


def registration_errors(results: Path) -> dict[str, float]:
    """Mean error over the structures of each leg, mm."""
    errors = {}
    for folder in sorted((results / "register").iterdir()):
        simulated = results / "simulate" / folder.name
        found = read_transform(folder / "superficial.tfm")
        truth = np.array(read_json(simulated / "truth.json")["deep_to_superficial"])
        labels = read_volume(simulated / "truth.mha")
        voxels = np.argwhere(labels.array > 0)[::50, ::-1]
        points = apply_transform(labels.grid.index_to_world, voxels)
        away = apply_transform(found, points) - apply_transform(truth, points)
        errors[folder.name] = float(np.linalg.norm(away, axis=1).mean())
    return errors


def zero_order_losses(results: Path) -> pd.DataFrame:
    """Errors of zero-order volumes per structure, percent: by closed form, and of labels."""
    rows = []
    for path in sorted((results / "simulate").glob("*/truth.json")):
        description = read_json(path)
        about = description["settings"]
        every = max(1, round(about["annotation_spacing_mm"] / about["frame_spacing_mm"]))
        case = Redrawing(description)
        grid = case.truth(1.5).grid
        for acquisition, names in STRUCTURES.items():
            annotated, drawn = case.annotated(acquisition, every), case.sweeps(acquisition, every, 0.0)
            for name in names:
                true = case.leg.volumes_ml[name]
                sweeps = [AnnotatedSweep(sweep, masks, [name]) for sweep, masks in drawn]
                made, _ = label_acquisition(sweeps, grid, np.eye(4), {name: LABELS[name]}, "zoi", "full")
                shares = np.where(made.array == UNKNOWN, 0, made.array).sum(dtype=float) / FULL
                row = {
                    "structure": name,
                    "closed_form_percent": 100 * (zero_order_volume_ml(case.leg, name, annotated) / true - 1),
                    "labels_percent": 100 * (shares * grid.voxel_ml / true - 1),
                }
                rows.append(row | {"apart": abs(row["labels_percent"] - row["closed_form_percent"])})
    measures = {name: (name, "mean") for name in ("closed_form_percent", "labels_percent")}
    return pd.DataFrame(rows).groupby("structure").agg(**measures, largest_difference=("apart", "max"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    chosen = parser.parse_args()
    print(accuracy(chosen.results).round(3).to_string())
    errors = registration_errors(chosen.results)
    print(
        f"registration: mean {np.mean(list(errors.values())):.2f} mm, worst leg {max(errors.values()):.2f} mm"
    )
    print("zero order without wobble and smoothing")
    print(zero_order_losses(chosen.results).round(2).to_string())


if __name__ == "__main__":
    main()
