"""All ways to fill between annotations: what they share, what they keep, and what ends and sweeps say."""

from functools import cache

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.interpolation import interpolate
from myosweep.labels.merging import merge_labels
from myosweep.labels.methods import FRAME_WISE, METHODS, NEED_IMAGE
from myosweep.labels.volumes import AnnotatedSweep, label_acquisition, label_structures

STRUCTURES = {"GM": 1, "SOL": 7}
GRID = Grid((44, 32, 64), (1.0, 1.0, 1.0), np.array([-22.0, 0.0, 0.0]), np.eye(3))
# Centre and half axes in mm.
MUSCLES = {"GM": ((0, 10, 31), (14, 6, 25)), "SOL": ((2, 22, 32), (12, 5, 24))}
FRAMES = 64


class Black:
    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, index):
        return np.zeros(self.shape[1:], np.uint8)


def drawn(points, structures):
    mask = np.zeros(points.shape[:-1], np.uint8)
    for name, value in structures.items():
        centre, half = MUSCLES[name]
        mask[(((points - np.array(centre)) / half) ** 2).sum(axis=-1) < 1] = value
    return mask


def sweep(
    left,
    annotated=range(0, FRAMES, 7),
    structures=STRUCTURES,
    world=None,
    tilt=0.0,
    columns=34,
    bigger=0,
    tremor=0.0,
):
    world = np.eye(4) if world is None else world
    draw = np.random.default_rng(8)
    turns = tilt + 0.03 * tremor * draw.standard_normal(FRAMES)
    corners = np.array([left, 0, 0]) + tremor * draw.uniform(-0.4, 0.4, (FRAMES, 3))
    corners[:, 2] += np.arange(FRAMES)
    poses = np.array(
        [
            rigid_transform(rotation_about((1, 0, 0), turn), corner) @ np.diag([0.8, 0.8, 1, 1])
            for turn, corner in zip(turns, corners, strict=True)
        ]
    )
    column, row = np.meshgrid(np.arange(columns), np.arange(40))
    pixels = np.stack([column, row, 0 * row], axis=-1)
    masks = {index: drawn(apply_transform(poses[index], pixels), structures) for index in annotated}
    for mask in masks.values():
        for value in structures.values():
            rows = np.flatnonzero((mask == value).any(axis=1))
            if bigger and len(rows):
                mask[rows[-1] + 1 : rows[-1] + 1 + bigger][:, (mask == value).any(axis=0)] = value
    recording = Sweep(
        f"{left}.mha", Black((FRAMES, 40, columns)), world @ poses, ("",) * FRAMES, np.arange(FRAMES) / 20
    )
    return AnnotatedSweep(recording, masks, list(structures))


def picture(grid=GRID, world=None):
    """A compounded volume in which the muscles are brighter than what is around them."""
    z, y, x = np.mgrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    points = np.stack([x, y, z], axis=-1) + np.array([-22.0, 0, 0])
    noise = np.random.default_rng(5).normal(0, 4, grid.shape)
    values = 60 + 90 * (drawn(points, STRUCTURES) > 0) + noise
    moved = grid
    if world is not None:
        moved = Grid(grid.size, grid.spacing, (world @ np.array([*grid.origin, 1]))[:3], world[:3, :3])
    return Volume(values.astype(np.uint8), moved)


def label(sweeps, method, structures=STRUCTURES, motion=None, **settings):
    image = picture(world=motion) if method in NEED_IMAGE else None
    motion = np.eye(4) if motion is None else motion
    return label_acquisition(sweeps, GRID, motion, structures, method, "full", image=image, **settings)


def millilitres(array):
    return np.where(array == UNKNOWN, 0, array).sum(dtype=float) / FULL / 1000


def true_millilitres(name):
    return 4 / 3 * np.pi * np.prod(MUSCLES[name][1]) / 1000


@cache
def label_once(method):
    return label([sweep(-22), sweep(-5, tilt=0.05)], method)[0]


@pytest.fixture(scope="module")
def both():
    return [sweep(-22), sweep(-5, tilt=0.05)]


# Annotated every 7 mm over 50 mm: zero order loses a fifth, and a fill that knows no ends what tapers there.
LOSS = {
    "zoi": 0.25,
    "nearest": 0.03,
    "shape_linear": 0.08,
    "fill_between_slices": 0.15,
    "grow_from_seeds": 0.1,
    "watershed": 0.15,
}


@pytest.mark.parametrize("method", METHODS)
def test_volumes_and_what_is_known(both, method):
    fractions, summaries = label(both, method)
    reference = label_once("zoi")
    np.testing.assert_array_equal(fractions.array == UNKNOWN, reference.array == UNKNOWN)
    for component, name in enumerate(STRUCTURES):
        made = millilitres(fractions.array[..., component])
        assert made == pytest.approx(true_millilitres(name), rel=LOSS.get(method, 0.03)), name
        assert summaries[name]["status"] == "annotated", summaries[name]["reason"]


@pytest.mark.parametrize("method", METHODS)
def test_relabelling_permutes_the_result(both, method):
    changed = {"GM": 9, "SOL": 1}
    other = [sweep(-22, structures=changed), sweep(-5, tilt=0.05, structures=changed)]
    expected = label_once(method).array
    np.testing.assert_array_equal(expected, label(other, method, structures=changed)[0].array)
    if method == "surface":  # which takes long
        both = [sweep(-22, annotated=range(0, FRAMES, 21))]
        expected = label(both, method)[0].array
    turned = dict(reversed(STRUCTURES.items()))
    np.testing.assert_array_equal(expected, label(both, method, structures=turned)[0].array[..., ::-1])


@pytest.mark.parametrize("method", METHODS)
def test_a_rigid_motion_of_all_poses_changes_no_volume(method):
    motion = rigid_transform(rotation_about((1, 2, 3), 1.1), (40.0, -300.0, 7.0))
    moved = [sweep(-22, world=motion), sweep(-5, tilt=0.05, world=motion)]
    there, _ = label(moved, method, motion=motion)
    here = label_once(method)
    # Voxel labels of what grows through an image jump where resampling rounds a grey value.
    tolerance = 0.005 if method in NEED_IMAGE else 0.001
    for component in range(2):
        made = millilitres(there.array[..., component])
        assert made == pytest.approx(millilitres(here.array[..., component]), rel=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_a_structure_that_is_drawn_nowhere_is_absent_and_one_frame_alone_is_kept(method):
    empty, _ = label([sweep(-22, annotated=(0, 1))], method)
    assert set(np.unique(empty.array)) <= {0, UNKNOWN}
    assert (empty.array == 0).any()
    one, summaries = label([sweep(-22, annotated=(30,))], method)
    assert summaries["GM"]["annotated_frames"] == 1
    assert summaries["GM"]["status"] == "partial"
    known = (one.array[..., 0] != UNKNOWN).any(axis=(1, 2))
    assert np.flatnonzero(known).tolist() == [30]


def test_a_method_that_needs_an_image_says_so(both):
    with pytest.raises(InputError, match="compounded volume"):
        label_acquisition(both, GRID, np.eye(4), STRUCTURES, "watershed", "full")


def split(annotated, at):
    """The halves of a sweep up to and from one frame, which both keep."""
    old = annotated.sweep
    halves = []
    for part in (slice(0, at + 1), slice(at, FRAMES)):
        count = len(range(FRAMES)[part])
        recording = Sweep(
            old.path,
            Black((count, *old.frames.shape[1:])),
            old.image_to_world[part],
            ("",) * count,
            old.timestamps[part],
        )
        masks = {i - part.start: mask for i, mask in annotated.masks.items() if part.start <= i < part.stop}
        halves.append(AnnotatedSweep(recording, masks, annotated.structures))
    return halves


@pytest.mark.parametrize("method", FRAME_WISE)
@pytest.mark.parametrize("at", [14, 28, 42])
def test_splitting_a_sweep_changes_no_mask(method, at):
    """But for `shape`, whose outlines follow the annotations beyond, and in the two gaps beside alone."""
    annotated = [0, 5, 14, 21, 28, 34, 42, 50, 56, 63]
    whole = sweep(-22, annotated=annotated, tremor=1.0)
    made = interpolate(whole.masks, whole.sweep.image_to_world, whole.sweep.valid, 1, method)
    place = annotated.index(at)
    beside = range(annotated[place - 1] + 1, annotated[place + 1])
    moved = []
    for half, offset in zip(split(whole, at), (0, at), strict=True):
        own = interpolate(half.masks, half.sweep.image_to_world, half.sweep.valid, 1, method)
        for index in range(len(half.sweep.problems)):
            expected, found = made.membership(index + offset), own.membership(index)
            if method == "shape" and index + offset in beside:
                outline = (
                    np.abs(np.diff(expected > 0.5, axis=0)).sum() + np.abs(np.diff(expected > 0.5)).sum()
                )
                moved.append(0.8 * np.abs(found - expected).sum() / max(1, outline))
            else:
                # Rounding of positions, over the millimetre in which a membership falls from 1 to 0.
                np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(moved, default=0.0) < 0.5


@pytest.mark.parametrize(("ends", "added"), [("cut", 0.0), ("capped", 3.5), ("tapered", 7.0)])
def test_ends_that_were_not_annotated(ends, added):
    cut = range(21, 50, 7)
    fractions, summaries = label([sweep(-22, annotated=cut)], "shape", ends=ends)
    known = np.flatnonzero((fractions.array[..., 0] != UNKNOWN).any(axis=(1, 2)))
    assert known[0] == pytest.approx(21 - added, abs=0.51)
    assert known[-1] == pytest.approx(49 + added, abs=0.51)
    assert summaries["GM"]["status"] == "partial"
    assert "mm2" in summaries["GM"]["reason"]
    _, merged = merge_labels([fractions], [summaries], GRID, STRUCTURES)
    assert merged["GM"]["status"] == "partial"
    assert "low end" in merged["GM"]["reason"]
    assert "high end" in merged["GM"]["reason"]


def test_a_cap_is_the_last_mask_and_a_taper_ends():
    cut = range(21, 50, 7)
    plain, capped, tapered = (
        label([sweep(-22, annotated=cut)], "shape", ends=ends)[0].array[..., 0]
        for ends in ("cut", "capped", "tapered")
    )
    np.testing.assert_array_equal(capped[50], capped[49])
    inner = plain != UNKNOWN
    np.testing.assert_array_equal(capped[inner], plain[inner])
    np.testing.assert_array_equal(tapered[inner], plain[inner])
    areas = [int((tapered[z] == FULL).sum()) for z in range(49, 57)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 0
    assert areas[-1] == 0


def test_ends_add_nothing_where_another_sweep_knows():
    short, long = sweep(-22, annotated=range(21, 50, 7)), sweep(-20)
    plain, _ = label([short, long], "shape")
    capped, _ = label([short, long], "shape", ends="capped")
    inner = plain.array != UNKNOWN
    np.testing.assert_array_equal(plain.array[inner], capped.array[inner])


def test_sweeps_that_agree_and_sweeps_that_do_not():
    agreeing = label_structures([sweep(-22), sweep(-16)], GRID, np.eye(4), STRUCTURES, "shape", "full")
    array = agreeing.disagreement.array
    seen = array != UNKNOWN
    # Two sweeps of 27 mm that start 6 mm apart.
    assert 19 <= seen.any(axis=(0, 1)).sum() <= 23
    assert np.percentile(array[seen], 95) <= 0.15 * FULL
    differing = label_structures(
        [sweep(-22), sweep(-16, bigger=4)], GRID, np.eye(4), STRUCTURES, "shape", "full"
    ).disagreement.array
    assert differing[differing != UNKNOWN].max() == FULL
    alone = label_structures([sweep(-22)], GRID, np.eye(4), STRUCTURES, "shape", "full")
    assert (alone.disagreement.array == UNKNOWN).all()


def test_masks_that_cannot_be_used_are_told(capsys):
    one = sweep(-22, annotated=(20, 27, 34))
    problems = tuple("tracker lost" if index == 27 else "" for index in range(FRAMES))
    recording = Sweep(
        one.sweep.path, one.sweep.frames, one.sweep.image_to_world, problems, one.sweep.timestamps
    )
    masks = dict(one.masks)
    masks[34] = np.zeros_like(masks[34])
    masks[34][0] = 1
    label([AnnotatedSweep(recording, masks, ["GM", "SOL"])], "shape")
    said = capsys.readouterr().err
    assert "annotation of frame 27 is not used: tracker lost" in said
    assert "outermost pixels alone in frames 34" in said
    label([sweep(-22, annotated=(20,))], "shape")
    assert "frame 20 alone" in capsys.readouterr().err
