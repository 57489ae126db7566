"""The comparison of interpolations: complete, repeatable, and telling what is known of the methods."""

import numpy as np
import pandas as pd
import pytest
from myosweep.metrics.comparison import COLUMNS, compare, write_comparison
from myosweep.phantom.anatomy import LABELS
from myosweep.phantom.settings import complete_settings

SETTINGS = {
    "pixel_spacing_mm": 1.5,
    "sweeps": 3,
    "frame_spacing_mm": 4.0,
    "probe_width_mm": 36.0,
    "leg_scale": 0.6,
    "length_mm": 240.0,
    "depth_mm": 60.0,
}
COSTS = ["seconds", "peak_mb"]


@pytest.fixture(scope="module")
def description():
    place = np.eye(4).tolist()
    return {
        "case": "leg",
        "side": "right",
        "seed": 2,
        "settings": complete_settings(SETTINGS).to_dict(),
        "leg_to_world": {"deep": place, "superficial": place},
    }


@pytest.fixture(scope="module")
def table(description):
    return compare([description], ["zoi", "shape"], [2, 8], [0.0, 0.8], 2.0, smoothing_voxels=3)


def test_every_combination_has_its_row(table):
    assert list(table.columns) == COLUMNS
    keys = table[["structure", "interpolation", "every_frames", "wobble_mm"]]
    assert len(keys) == len(keys.drop_duplicates()) == len(LABELS) * 2 * 2 * 2
    assert table["dice"].between(0.5, 1).all()
    assert (table["absolute_volume_error_percent"] == table["volume_error_percent"].abs()).all()
    assert (table["seconds"] >= 0).all()


def test_fewer_annotations_cost_accuracy_and_zero_order_costs_most(table):
    steady = table[table["wobble_mm"] == 0].set_index(["interpolation", "every_frames", "structure"])
    for method in ("zoi", "shape"):
        assert (steady.loc[method, 8]["dice"] < steady.loc[method, 2]["dice"]).all()
        assert (steady.loc[method, 8]["annotated_frames"] < steady.loc[method, 2]["annotated_frames"]).all()
    assert (
        steady.loc["zoi", 8]["volume_error_percent"] < steady.loc["shape", 8]["volume_error_percent"]
    ).all()


def test_a_second_run_differs_in_costs_alone(description, table, tmp_path):
    again = compare([description], ["shape"], [8], [0.8], 2.0, smoothing_voxels=3)
    same = table.query("interpolation == 'shape' and every_frames == 8 and wobble_mm == 0.8")
    pd.testing.assert_frame_equal(
        again.drop(columns=COSTS).reset_index(drop=True), same.drop(columns=COSTS).reset_index(drop=True)
    )
    write_comparison(tmp_path / "interpolation.csv", again)
    written = pd.read_csv(tmp_path / "interpolation.csv")
    assert list(written.columns) == COLUMNS
    np.testing.assert_allclose(written["dice"], again["dice"], atol=1e-4)
