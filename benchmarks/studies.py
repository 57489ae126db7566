"""The four studies of networks, one after another, as tables for docs/.

    python benchmarks/studies.py FOLDER [--cores 2] [--studies comparison ...] [--preset small]

FOLDER gets a run of the default cohort, or of the config.yaml that lies in it; what was begun there goes on.
Printed are, per study, the table in Markdown: mean ± standard deviation over the measured cases, and the CPU
seconds of all trainings of a model, from results/benchmarks. Of a training that was interrupted only the last
job counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
from myosweep.studies import PRESETS, STUDIES

SNAKEFILE = Path(__file__).parents[1] / "Snakefile"
MEASURES = {
    "dice": ("Dice", 3),
    "hausdorff_95_mm": ("HD95 (mm)", 1),
    "surface_distance_mm": ("surface distance (mm)", 2),
    "volume_error_percent": ("volume error (%)", 1),
}


def cpu_seconds(results: Path, source: str) -> float:
    """Of all networks of a model."""
    root = results / "benchmarks" / "train"
    files = [*root.glob(f"{source}.tsv"), *(root / source).rglob("*.tsv")]
    return float(sum(pd.read_csv(path, sep="\t")["cpu_time"].sum() for path in files))


def markdown(results: Path, study: str) -> str:
    table = pd.read_csv(results / f"{study}.csv")
    head = ["model", "structure", "cases", "steps", "weights", "given slices"]
    lines = [[*head, *(title for title, _ in MEASURES.values()), "CPU s"]]
    lines.append(["---"] * len(lines[0]))
    told = set()
    for row in table.to_dict("records"):
        cells = [str(row[name.replace(" ", "_")]) for name in head]
        for column, (_, decimals) in MEASURES.items():
            mean, sd = row[f"{column}_mean"], row[f"{column}_sd"]
            spread = f" ± {sd:.{decimals}f}" if pd.notna(sd) else ""
            cells.append(f"{mean:.{decimals}f}{spread}" if pd.notna(mean) else "")
        model = f"{study}.{row['model']}"
        cells.append("" if model in told else f"{cpu_seconds(results, model):.0f}")
        told.add(model)
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--preset", choices=PRESETS, default="small")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for study in chosen.studies:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
        command += ["--cores", str(chosen.cores), f"results/{study}.csv"]
        command += ["--config", f"studies={{preset: {chosen.preset}}}"]
        if (chosen.folder / "config.yaml").exists():
            command += ["--configfile", "config.yaml"]
        subprocess.run(command, cwd=chosen.folder, check=True)
        print(f"\n{STUDIES[study].title} (`results/{study}.csv`). {STUDIES[study].about}\n", flush=True)
        print(markdown(chosen.folder / "results", study), flush=True)


if __name__ == "__main__":
    main()
