"""A changed file of a recording reruns its case, be it one of two or of very many; a touched one does not."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import yaml
from myosweep.__main__ import main
from myosweep.io.plus import write_sequence

FRAMES = 40


@pytest.fixture
def study(checkout, monkeypatch):
    """Two recordings: pixels in one file beside the header, and in a file for each frame."""
    raw = checkout.path("raw")
    raw.mkdir()
    poses = np.tile(np.diag([0.5, 0.5, 0.5, 1.0]), (FRAMES, 1, 1))
    poses[:, 2, 3] = np.arange(FRAMES)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 12, 10)).astype(np.uint8)
    for name in ("few", "many"):
        write_sequence(
            raw / f"{name}.mhd", frames, {"ImageToTracker": poses}, np.arange(FRAMES) / 10, compress=False
        )
    names = [f"f{frame}.raw" for frame in range(FRAMES)]
    for name, frame in zip(names, frames, strict=True):
        (raw / name).write_bytes(frame.tobytes())
    (raw / "many.raw").unlink()
    header = raw / "many.mhd"
    header.write_text(header.read_text().replace("many.raw", "LIST\n" + "\n".join(names)))
    shutil.rmtree(checkout.path("config"))
    monkeypatch.chdir(checkout.folder)
    assert main(["tables", "raw", "--pattern", "{case}.mhd", "--output", "."]) == 0
    settings = {
        "cases": "cases.tsv",
        "sweeps": "sweeps.tsv",
        "structures": {"GM": 1},
        "segmentation": {"models": []},
    }
    checkout.path("mine.yaml").write_text(yaml.safe_dump(settings))
    return checkout


def test_which_changes_rerun_a_case(study):
    arguments = ("results/screen.tsv", "--configfile", "mine.yaml")
    study.run(*arguments)
    assert "usable" in study.path("results/screen.tsv").read_text()
    for file in study.path("raw").iterdir():
        os.utime(file)
    assert study.planned(*arguments) == {}
    with study.path("raw/f7.raw").open("ab") as file:
        file.write(b"more")
    assert study.planned(*arguments) == {"screen": 1, "gather_screens": 1}
    study.run(*arguments)
    assert study.planned(*arguments) == {}
    data = bytearray(study.path("raw/few.raw").read_bytes())
    data[100] ^= 1
    study.path("raw/few.raw").write_bytes(data)
    assert study.planned(*arguments) == {"screen": 1, "gather_screens": 1}
