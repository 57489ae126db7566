"""A small cohort in a copy of the checkout: three legs that go through all stages in a minute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COPIED = ("Snakefile", "config", "profiles", "envs", "resources", "workflow", "pyproject.toml")
SPLITS = {"leg01": ("right", "train"), "leg02": ("left", "validation"), "leg03": ("right", "test")}

UNET = {"epochs": 6, "spacing_mm": 4.0, "channels": [4, 8, 16], "strides": [2, 2], "checkpoint_seconds": 0}

SMALL = {
    "cases": "config/cases.tsv",
    "sweeps": "config/sweeps.tsv",
    "structures": {"GM": 1, "GL": 2, "SOL": 3},
    "seed": 7,
    "simulate": {"pixel_spacing_mm": 1.0, "frame_spacing_mm": 4.0, "truth_spacing_mm": 2.0},
    "registration": {"base_acquisition": "deep", "spacing_mm": 2.0},
    "compounding": {"spacing_mm": 2.0},
    "segmentation": {
        "models": ["unet"],
        "unet": UNET,
    },
}


@dataclass
class Workflow:
    """A folder with a copy of the workflow, and the commands that tests give in it."""

    folder: Path

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]

    def run(self, *arguments: str, cores: int = 2, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rules that would run, and how many jobs of each."""
        output = self.run("--dry-run", *arguments)
        text = output.stdout + output.stderr
        table = text.split("Job stats:")[1] if "Job stats:" in text else ""
        rows = re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in rows if rule not in ("total", "all")}

    def jobs_run(self, *arguments: str) -> Counter[str]:
        """Run, and count the jobs of each rule: a plan tells only those before a checkpoint."""
        output = self.run(*arguments)
        return Counter(
            re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", output.stdout + output.stderr, re.MULTILINE)
        )

    def path(self, relative: str) -> Path:
        return self.folder / relative

    def edit(self, relative: str, old: str, new: str) -> None:
        text = self.path(relative).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {relative}"
        self.path(relative).write_text(text.replace(old, new))

    def configure(self, **changes: object) -> None:
        settings = yaml.safe_load(self.path("config/config.yaml").read_text())
        for key, value in changes.items():
            settings[key] = {**settings.get(key, {}), **value} if isinstance(value, dict) else value
        self.path("config/config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    def clone(self, folder: Path) -> Workflow:
        """A copy of everything, times of change included."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=shutil.copy2)
        return Workflow(folder)


def new_checkout(folder: Path) -> Workflow:
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy2(source, folder / name)
    return Workflow(folder)


def write_small_cohort(workflow: Workflow) -> None:
    cases = ["case\tside\tsplit\treference"]
    sweeps = ["case\tacquisition\tsweep\tpath\tcalibration\tannotations\tstructures"]
    for case, (side, split) in SPLITS.items():
        home = f"results/simulate/{case}"
        cases.append(f"{case}\t{side}\t{split}\t{home}/truth.mha")
        for acquisition, structures in (("deep", "SOL"), ("superficial", "GM,GL")):
            for number in range(1, 5):
                sweep = f"{home}/{acquisition}/sweep_{number}"
                calibration = f"{home}/calibration_{acquisition}.xml"
                row = [
                    case,
                    acquisition,
                    str(number),
                    f"{sweep}.mha",
                    calibration,
                    f"{sweep}_masks",
                    structures,
                ]
                sweeps.append("\t".join(row))
    workflow.path("config/cases.tsv").write_text("\n".join(cases) + "\n")
    workflow.path("config/sweeps.tsv").write_text("\n".join(sweeps) + "\n")
    workflow.path("config/config.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
