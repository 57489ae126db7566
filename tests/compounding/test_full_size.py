"""A full-size leg: five sweeps of 80 frames over 400 mm into voxels of 0.277 mm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from myosweep.io.volumes import read_volume
from myosweep.phantom import simulate_case

COMPOUND = """
import json, resource, sys
from pathlib import Path
from myosweep.compounding import case_grid, compound
from myosweep.io.recordings import read_sweep
from myosweep.io.volumes import write_volume
folder = Path(sys.argv[1])
paths = sorted((folder / "deep").glob("*.mha"))
sweeps = [read_sweep(path, folder / "calibration_deep.xml") for path in paths]
volume, coverage, summary = compound(sweeps, case_grid(sweeps, "probe", 0.277), threads=2)
write_volume(folder / "volume.mha", volume)
write_volume(folder / "coverage.mha", coverage)
print(json.dumps({**summary, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


@pytest.mark.slow
def test_a_sparse_full_size_leg_has_no_stripes_and_needs_little_memory(tmp_path: Path) -> None:
    simulate_case(tmp_path, "leg", "left", {"preset": "full_sparse"}, 11)
    run = subprocess.run(
        [sys.executable, "-c", COMPOUND, str(tmp_path)], check=True, capture_output=True, text=True
    )
    summary = json.loads(run.stdout)
    assert summary["peak_kib"] < 6 * 2**20
    assert summary["unfilled_percent"] < 0.01
    coverage = read_volume(tmp_path / "coverage.mha").array
    assert coverage.size > 4e8
    # Along the limb no empty slice between known ones, and in the middle of the
    # swept volume no empty voxel.
    known = np.array([np.count_nonzero(plane) for plane in coverage])
    inside = np.flatnonzero(known > 0.2 * known.max())
    assert (np.diff(inside) == 1).all()
    middle = coverage[inside[0] + 40 : inside[-1] - 40, 150:250, 250:320]
    assert np.count_nonzero(middle) == middle.size
