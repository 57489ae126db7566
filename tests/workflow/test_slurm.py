"""The same command on a cluster gives the same volumes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from small_cohort import write_small_cohort

TARGET = "results/volumes.csv"


def slurm_is_up() -> bool:
    if not shutil.which("sinfo"):
        return False
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False, timeout=20
    )
    return done.returncode == 0 and "idle" in done.stdout


@pytest.mark.slurm
def test_slurm_gives_the_same_volumes(finished_once, checkout):
    if not slurm_is_up():
        pytest.skip("no Slurm is running on this machine (sinfo shows no idle node)")
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install -e '.[slurm]'")
    write_small_cohort(checkout)
    done = subprocess.run(
        [*checkout.command(TARGET, cores=2)[:3], "--workflow-profile", "slurm", TARGET],
        cwd=checkout.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert checkout.path(TARGET).read_bytes() == finished_once.path(TARGET).read_bytes()
