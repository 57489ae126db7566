"""Labels of an acquisition: placed by the poses, merged over sweeps, judged for their ends."""

from pathlib import Path

import numpy as np
import pytest
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.volumes import AnnotatedSweep, label_acquisition

STRUCTURES = {"GM": 1, "SOL": 7}
GRID = Grid((60, 40, 80), (1.0, 1.0, 1.0), np.array([-30.0, 0.0, 0.0]), np.eye(3))
# Centre and half axes in mm.
MUSCLES = {"GM": ((0, 14, 38), (17, 8, 32)), "SOL": ((2, 30, 40), (14, 6, 30))}


class Black:
    """Frames nobody looks at."""

    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, index):
        return np.zeros(self.shape[1:], np.uint8)


def drawn(points):
    mask = np.zeros(points.shape[:-1], np.uint8)
    for name, (centre, half) in MUSCLES.items():
        mask[(((points - centre) / half) ** 2).sum(axis=-1) < 1] = STRUCTURES[name]
    return mask


def sweep(
    left,
    names=("GM", "SOL"),
    annotated=range(0, 80, 8),
    reverse=False,
    world=None,
    columns=44,
    rows=54,
    tilt=0.0,
):
    """A sweep along z of frames of 33 x 40 mm that starts at x = left; `world` moves all poses rigidly."""
    world = np.eye(4) if world is None else world
    order = np.arange(79, -1, -1) if reverse else np.arange(80)
    leaning = rotation_about((1, 0, 0), tilt)
    poses = np.array(
        [rigid_transform(leaning, (left, 0, z)) @ np.diag([0.75, 0.75, 1, 1]) for z in order.astype(float)]
    )
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    pixels = np.stack([column, row, 0 * row], axis=-1)
    masks = {index: drawn(apply_transform(poses[index], pixels)) for index in annotated}
    for mask in masks.values():
        keep = np.isin(mask, [STRUCTURES[name] for name in names])
        mask[~keep] = 0
    recording = Sweep(
        Path("x.mha"), Black((80, rows, columns)), world @ poses, ("",) * 80, np.arange(80.0) / 20
    )
    return AnnotatedSweep(recording, masks, list(names))


def label(sweeps, method="shape", motion=None, structures=STRUCTURES):
    motion = np.eye(4) if motion is None else motion
    return label_acquisition(sweeps, GRID, motion, structures, method, "full")


def millilitres(array):
    """Of memberships, voxels of 1 mm3."""
    return np.where(array == UNKNOWN, 0, array).sum(dtype=float) / FULL / 1000


def true_millilitres(name):
    return 4 / 3 * np.pi * np.prod(MUSCLES[name][1]) / 1000


@pytest.fixture(scope="module")
def made():
    return label([sweep(-29), sweep(-2, reverse=True)])


def test_volumes_of_two_sweeps_that_share_a_muscle(made):
    fractions, summary = made
    assert fractions.array.dtype == np.uint8
    assert fractions.array.shape == (*GRID.shape, 2)
    for component, name in enumerate(STRUCTURES):
        volume = millilitres(fractions.array[..., component])
        # Annotated every 8 mm: what the interpolation and the taper of the ends leave.
        assert volume == pytest.approx(true_millilitres(name), rel=0.02)
        assert summary[name]["status"] == "annotated", summary[name]["reason"]
        assert summary[name]["annotated_frames"] == 20


def test_zero_order_is_smaller(made):
    fractions, _ = label([sweep(-29), sweep(-2, reverse=True)], method="zoi")
    for component in range(2):
        smaller, larger = (
            millilitres(fractions.array[..., component]),
            millilitres(made[0].array[..., component]),
        )
        assert 0.8 * larger < smaller < 0.98 * larger


def test_frames_beyond_the_annotations_say_nothing(made):
    fractions, _ = label([sweep(-29, annotated=(16, 40, 64)), sweep(-2, annotated=(16, 40, 64))])
    known = (fractions.array[..., 0] != UNKNOWN).any(axis=(1, 2))
    assert np.flatnonzero(known).tolist() == list(range(16, 65))


def test_an_end_that_was_not_annotated_is_told_with_its_area():
    cut = range(24, 80, 8)
    _, summary = label([sweep(-29, annotated=cut), sweep(-2, annotated=cut)])
    assert summary["GM"]["status"] == "partial"
    centre, (a, b, c) = MUSCLES["GM"]
    area = np.pi * a * b * (1 - ((24 - centre[2]) / c) ** 2)
    ends = summary["GM"]["open_ends"]
    assert {end["side"] for end in ends} == {"low"}
    # Two sweeps overlap by 6 of 33 mm, so each last mask shows a good half.
    assert 0.5 * area < max(end["area_mm2"] for end in ends) < area
    assert "low end was not annotated" in summary["GM"]["reason"]
    assert f"{max(end['area_mm2'] for end in ends):.0f} mm2" in summary["GM"]["reason"]


def test_an_end_that_another_sweep_shows_is_no_loss():
    _, summary = label([sweep(-16, annotated=range(24, 80, 8)), sweep(-17), sweep(-30), sweep(-2)])
    assert summary["GM"]["open_ends"]
    assert summary["GM"]["status"] == "annotated", summary["GM"]["reason"]


def test_a_muscle_that_leaves_the_sweeps_at_the_side_is_partial():
    _, summary = label([sweep(-29)])
    assert summary["GM"]["status"] == "partial"
    assert "leaves the swept volume" in summary["GM"]["reason"]


def test_a_structure_that_was_not_named_is_unknown():
    fractions, summary = label([sweep(-29, names=("SOL",)), sweep(-2, names=("SOL",))])
    assert (fractions.array[..., 0] == UNKNOWN).all()
    assert summary["GM"]["status"] == "not_annotated"
    assert summary["GM"]["reason"]
    assert summary["SOL"]["status"] == "annotated"


def test_a_sweep_with_empty_masks_says_background():
    empty = sweep(-2)
    for mask in empty.masks.values():
        mask[:] = 0
    fractions, summary = label([empty])
    assert set(np.unique(fractions.array)) == {0, UNKNOWN}
    assert summary["GM"]["status"] == "annotated"


def test_the_values_of_the_labels_do_not_matter(made):
    swapped = {"GM": 9, "SOL": 3}
    sweeps = [sweep(-29), sweep(-2, reverse=True)]
    for annotated in sweeps:
        for index, mask in annotated.masks.items():
            annotated.masks[index] = np.select([mask == 1, mask == 7], [9, 3], 0).astype(np.uint8)
    fractions, _ = label(sweeps, structures=swapped)
    np.testing.assert_array_equal(fractions.array, made[0].array)


def test_a_rigid_motion_of_all_poses_changes_nothing(made):
    motion = rigid_transform(rotation_about((1, 2, -1), 0.7), (30, -12, 5))
    fractions, _ = label([sweep(-29, world=motion), sweep(-2, reverse=True, world=motion)], motion=motion)
    for component in range(2):
        before, after = (
            millilitres(made[0].array[..., component]),
            millilitres(fractions.array[..., component]),
        )
        # Rounding of poses only: a thousandth.
        assert after == pytest.approx(before, rel=1e-3)
    assert np.mean(fractions.array != made[0].array) < 0.01


def test_tilted_frames_keep_the_volume():
    fractions, _ = label([sweep(-29, tilt=0.3), sweep(-2, tilt=0.3)])
    assert millilitres(fractions.array[..., 0]) == pytest.approx(true_millilitres("GM"), rel=0.03)


def test_nothing_is_filled_from_one_sweep_to_the_next():
    one, two = (sweep(x, annotated=(8, 12), columns=14) for x in (-29, 18))
    fractions, _ = label([one, two])
    assert (fractions.array[:, :, 14:46] == UNKNOWN).all()
    assert (fractions.array[10, 10, [5, 52]] != UNKNOWN).any()


def test_two_runs_give_the_same_bytes(made):
    again, summary = label([sweep(-29), sweep(-2, reverse=True)])
    assert again.array.tobytes() == made[0].array.tobytes()
    assert summary == made[1]


def test_frames_outside_of_the_grid_are_no_empty_muscle():
    away = rigid_transform(np.eye(3), (500, 0, 0))
    fractions, summary = label([sweep(-29, world=away)])
    assert (fractions.array == UNKNOWN).all()
    assert summary["GM"]["status"] == "not_annotated"
    assert "outside" in summary["GM"]["reason"]


def test_pixels_beside_a_fan_say_nothing():
    fan = {"apex": [22, -20], "radii": [20, 60], "angles_degrees": [-25, 25]}
    full, _ = label_acquisition([sweep(-16)], GRID, np.eye(4), STRUCTURES, "shape", "full")
    part, _ = label_acquisition([sweep(-16)], GRID, np.eye(4), STRUCTURES, "shape", fan)
    z, y, x = np.indices(GRID.shape)
    # Voxels' centres as pixels of the frames: 0.75 mm from x = -16 on, the grid from x = -30 on.
    column, row = (x - 30 + 16) / 0.75, y / 0.75
    radius, angle = np.hypot(column - 22, row + 20), np.degrees(np.arctan2(column - 22, row + 20))
    # A voxel and a half, two pixels, off the border on either side.
    inside = (radius > 22) & (radius < 58) & (np.abs(angle) < 22)
    outside = (radius < 18) | (radius > 62) | (np.abs(angle) > 28)
    assert (part.array[outside] == UNKNOWN).all()
    np.testing.assert_array_equal(
        part.array[inside & (z > 2) & (z < 70)], full.array[inside & (z > 2) & (z < 70)]
    )
