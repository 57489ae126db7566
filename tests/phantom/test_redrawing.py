"""An expert who draws again sees the same sweeps."""

import numpy as np
import pytest
from myosweep.io.annotations import read_annotations
from myosweep.io.files import read_json
from myosweep.io.recordings import read_sweep
from myosweep.phantom import simulate_case
from myosweep.phantom.anatomy import LABELS
from myosweep.phantom.cohort import STRUCTURES
from myosweep.phantom.redrawing import Redrawing

SETTINGS = {
    "pixel_spacing_mm": 2.0,
    "sweeps": 2,
    "frame_spacing_mm": 8.0,
    "annotation_spacing_mm": 40.0,
    "leg_scale": 0.6,
    "length_mm": 240.0,
    "wobble_mm": 0.0,
    "jitter_mm": 0.0,
    "jitter_degrees": 0.0,
    "calibration_error_mm": 0.0,
    "calibration_error_degrees": 0.0,
    "invalid_fraction": 0.0,
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    simulate_case(folder, "leg", "left", SETTINGS, 3)
    return folder, Redrawing(read_json(folder / "truth.json"))


@pytest.mark.parametrize("acquisition", STRUCTURES)
def test_a_steady_hand_draws_what_was_simulated(simulated, acquisition):
    folder, again = simulated
    for number, (sweep, masks) in enumerate(again.sweeps(acquisition, 5, 0.0)):
        path = folder / acquisition / f"sweep_{number + 1}.mha"
        recorded = read_sweep(path, folder / f"calibration_{acquisition}.xml", "auto")
        # Exact but for the digits of the file.
        there = again.leg_to_world[acquisition] @ sweep.image_to_world
        np.testing.assert_allclose(there, recorded.image_to_world, atol=2e-3)
        drawn = read_annotations(
            folder / acquisition / f"sweep_{number + 1}_masks", recorded, LABELS, STRUCTURES[acquisition]
        )
        assert sorted(masks) == sorted(drawn)
        for frame, mask in masks.items():
            np.testing.assert_array_equal(mask, drawn[frame])


def test_denser_annotations_and_a_wobbling_hand(simulated):
    _, again = simulated
    steady, often = again.sweeps("deep", 5, 0.0)[0][1], again.sweeps("deep", 2, 0.0)[0][1]
    assert len(often) > len(steady)
    little, much = again.sweeps("deep", 5, 0.5)[0][1], again.sweeps("deep", 5, 2.0)[0][1]
    off = [sum(int((mask != steady[i]).sum()) for i, mask in masks.items()) for masks in (little, much)]
    assert 0 < off[0] < off[1]


def test_the_truth_has_the_leg_s_volumes(simulated):
    _, again = simulated
    truth = again.truth(1.0)
    for name, value in LABELS.items():
        made = np.count_nonzero(truth.array == value) * truth.grid.voxel_ml
        assert made == pytest.approx(again.leg.volumes_ml[name], rel=0.02)
