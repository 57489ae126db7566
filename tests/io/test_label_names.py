from __future__ import annotations

import shlex
from pathlib import Path

from myosweep.io.label_names import write_itk_snap_labels, write_slicer_colours

STRUCTURES = {"GM": 150, "SOL": 100}


def test_itk_snaps_label_descriptions(tmp_path: Path) -> None:
    write_itk_snap_labels(tmp_path / "labels.txt", STRUCTURES)
    lines = (tmp_path / "labels.txt").read_text().splitlines()
    rows = [shlex.split(line) for line in lines if not line.startswith("#")]
    assert rows == [
        ["0", "0", "0", "0", "0", "0", "0", "Clear Label"],
        ["100", "0", "168", "120", "1", "1", "1", "SOL"],
        ["150", "230", "159", "0", "1", "1", "1", "GM"],
        ["255", "128", "128", "128", "1", "0", "0", "unknown"],
    ]


def test_slicers_colour_table(tmp_path: Path) -> None:
    write_slicer_colours(tmp_path / "labels.ctbl", STRUCTURES)
    lines = (tmp_path / "labels.ctbl").read_text().splitlines()
    assert lines[0].startswith("# Color table file")
    assert lines[1:] == [
        "# 4 values",
        "0 Background 0 0 0 0",
        "100 SOL 0 168 120 255",
        "150 GM 230 159 0 255",
        "255 unknown 128 128 128 0",
    ]
