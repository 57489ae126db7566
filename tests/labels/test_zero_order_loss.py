"""Zero-order labels lose what the muscles' closed form says they must."""

from dataclasses import replace

import numpy as np
import pytest
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.volumes import AnnotatedSweep, label_acquisition
from myosweep.phantom.anatomy import LABELS
from myosweep.phantom.cohort import STRUCTURES
from myosweep.phantom.redrawing import Redrawing
from myosweep.phantom.settings import complete_settings
from myosweep.phantom.zero_order import zero_order_volume_ml

# Pixels and voxels may be coarse: fractions of voxels are summed.
SPACING_MM = 2.0
SETTINGS = {"pixel_spacing_mm": 1.0, "frame_spacing_mm": 4.0}


def case(side):
    place = np.eye(4).tolist()
    return Redrawing(
        {
            "case": "leg",
            "side": side,
            "seed": 5,
            "settings": complete_settings(SETTINGS).to_dict(),
            "leg_to_world": {"deep": place, "superficial": place},
        }
    )


def labelled_ml(drawn, name, grid):
    sweeps = [AnnotatedSweep(sweep, masks, [name]) for sweep, masks in drawn]
    made, _ = label_acquisition(sweeps, grid, np.eye(4), {name: LABELS[name]}, "zoi", "full")
    return np.where(made.array == UNKNOWN, 0, made.array).sum(dtype=float) / FULL * grid.voxel_ml


@pytest.mark.parametrize(("side", "every", "least_percent"), [("right", 5, 6), ("left", 10, 15)])
def test_labels_lose_what_the_cross_sections_say(side, every, least_percent):
    leg = case(side)
    grid = leg.truth(SPACING_MM).grid
    for acquisition, names in STRUCTURES.items():
        drawn, annotated = leg.sweeps(acquisition, every, 0.0), leg.annotated(acquisition, every)
        for name in names:
            true = leg.leg.volumes_ml[name]
            expected = 100 * (zero_order_volume_ml(leg.leg, name, annotated) / true - 1)
            made = 100 * (labelled_ml(drawn, name, grid) / true - 1)
            assert expected < -least_percent
            # A percentage point of the muscle's volume.
            assert made == pytest.approx(expected, abs=1.0), name


@pytest.mark.parametrize("side", ["right", "left"])
def test_annotating_every_frame_loses_nothing(side):
    leg = case(side)
    for acquisition, names in STRUCTURES.items():
        every = [
            replace(seen, frames=range(len(seen.image_to_leg))) for seen in leg.annotated(acquisition, 20)
        ]
        for name in names:
            made = zero_order_volume_ml(leg.leg, name, every)
            # Trapezoids between frames 4 mm apart, and planes that tilt by up to 8 degrees.
            assert made == pytest.approx(leg.leg.volumes_ml[name], rel=5e-3)
