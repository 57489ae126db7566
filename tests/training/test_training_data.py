from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.io.volumes import Volume, write_volume
from myosweep.networks.sizes import Sizes
from myosweep.training.augmentation import augment
from myosweep.training.data import (
    Sample,
    check_channels,
    check_structures,
    load_sample,
    position_channel,
)
from myosweep.training.fields import cut, field_corner
from myosweep.training.seeds import generator
from myosweep.training.settings import TrainingSettings
from scipy.ndimage import uniform_filter
from spindles import STRUCTURES, spindles, write_case

BOTH = ["image", "confidence"]
SPACING = (2.0, 2.0, 2.0)
STILL = TrainingSettings(
    rotation_degrees=0,
    elastic_mm=0,
    scale_percent=0,
    shift_mm=0,
    gain_percent=0,
    shadow_probability=0,
    flip_along_limb=False,
)


def load(folder: Path, side: str = "right", seed: int = 1) -> Sample:
    return load_sample(write_case(folder, seed, "train", side), STRUCTURES, BOTH, SPACING)


def test_a_left_limb_is_seen_as_a_right_one(tmp_path: Path) -> None:
    right, left = load(tmp_path / "r", "right"), load(tmp_path / "l", "left")
    # Sums in another order: equal to rounding of float32.
    np.testing.assert_allclose(left.channels, right.channels, atol=1e-5)
    np.testing.assert_array_equal(left.target, right.target)


def test_intensities_are_centred_and_classes_follow_the_structures(tmp_path: Path) -> None:
    sample = load(tmp_path)
    assert sample.channels.shape == (2, 32, 16, 24)
    assert sample.channels[0].mean() == pytest.approx(0, abs=1e-4)
    assert sample.channels[0].std() == pytest.approx(1, abs=1e-4)
    assert sample.black[0] < -1
    assert sample.black[1] == 0
    assert sample.target.shape == (4, 32, 16, 24)
    assert abs(sample.target.sum(axis=0, dtype=int) - 255).max() <= 2
    _, _, labels = spindles(1)
    for value in STRUCTURES.values():
        assert sample.target[value].sum() / 255 * 8 == pytest.approx((labels.array == value).sum(), rel=1e-3)


def test_classes_are_numbered_by_the_order_of_structures(tmp_path: Path) -> None:
    case = write_case(tmp_path, 1, "train")
    plain = load_sample(case, {"GM": 1, "GL": 2, "SOL": 3}, BOTH, SPACING).target
    turned = load_sample(case, {"SOL": 3, "GM": 1, "GL": 2}, BOTH, SPACING).target
    np.testing.assert_array_equal(plain[[0, 3, 1, 2]], turned)


def test_labels_outside_the_structures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label 3"):
        load_sample(write_case(tmp_path, 1, "train"), {"GM": 1, "GL": 2}, BOTH, SPACING)


def test_volumes_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    case = write_case(tmp_path, 1, "train")
    image, _, labels = spindles(1)
    moved = replace(image.grid, origin=np.array([5.0, 0, 0]))
    write_volume(tmp_path / "moved.mha", Volume(labels.array, moved))
    with pytest.raises(InputError, match=r"moved\.mha"):
        load_sample(replace(case, labels=tmp_path / "moved.mha"), STRUCTURES, BOTH, SPACING)
    write_volume(tmp_path / "empty.mha", Volume(np.zeros_like(image.array), image.grid))
    with pytest.raises(InputError, match="without a voxel above 0"):
        load_sample(replace(case, image=tmp_path / "empty.mha"), STRUCTURES, BOTH, SPACING)
    with pytest.raises(InputError, match="no confidence map"):
        load_sample(replace(case, confidence=None), STRUCTURES, BOTH, SPACING)
    with pytest.raises(InputError, match="no such file"):
        load_sample(replace(case, labels=tmp_path / "none.mha"), STRUCTURES, BOTH, SPACING)


@pytest.mark.parametrize("channels", [[], ["confidence"], ["image", "coverage"], ["confidence", "image"]])
def test_unknown_channels_are_refused(channels: list[str]) -> None:
    with pytest.raises(InputError, match=r"segmentation\.channels"):
        check_channels(channels)


@pytest.mark.parametrize("structures", [{}, {"GM": 0}, {"GM": 255}, {"GM": 1, "GL": 1}])
def test_impossible_structures_are_refused(structures: dict[str, int]) -> None:
    with pytest.raises(InputError, match="structures"):
        check_structures(structures)


def test_padding_is_black_unknown_and_a_multiple(tmp_path: Path) -> None:
    sample = load(tmp_path)
    shape = Sizes((8, 8, 8)).holding([sample.shape, (3, 17, 9)])
    assert shape == (32, 24, 24)
    corner = field_corner(sample.shape, None, shape)
    channels, target = cut(sample.channels, corner, shape, sample.black), cut(sample.target, corner, shape)
    np.testing.assert_array_equal(channels[:, :, 4:20], sample.channels)
    np.testing.assert_array_equal(target[:, :, 4:20], sample.target)
    assert (target[:, :, :4] == 0).all()
    assert (channels[0, :, 20:] == sample.black[0]).all()
    told = position_channel(shape, 2.0)
    assert told.shape == (1, *shape)
    np.testing.assert_allclose(told[0, 5, 7], (np.arange(24) - 11.5) / 25, rtol=1e-6)


def test_augmentation_without_strength_changes_nothing(tmp_path: Path) -> None:
    sample = load(tmp_path)
    same = augment(sample, STILL, generator(1))
    np.testing.assert_allclose(same.channels, sample.channels, atol=1e-5)
    np.testing.assert_array_equal(same.target, sample.target)


def test_flipped_along_the_limb_the_image_takes_its_labels_along(tmp_path: Path) -> None:
    sample, settings = load(tmp_path), replace(STILL, flip_along_limb=True, move_probability=0)
    flipped = []
    for number in range(20):
        found = augment(sample, settings, generator(number))
        turned = not np.array_equal(found.target, sample.target)
        step = -1 if turned else 1
        np.testing.assert_array_equal(found.target, sample.target[:, ::step])
        # The gain takes black off and puts it back: rounding of float32.
        np.testing.assert_allclose(found.channels, sample.channels[:, ::step], atol=1e-5)
        flipped.append(turned)
    assert 4 < sum(flipped) < 16


def test_a_moved_image_keeps_its_speckle() -> None:
    speckle = np.random.default_rng(1).rayleigh(size=(1, 24, 48, 48)).astype(np.float32)
    # As the network's voxels have it, which are means over several of the recording's.
    speckle = uniform_filter(speckle, (0, 0, 2, 2))
    sample = Sample("a", speckle, np.zeros((2, 24, 48, 48), np.uint8), np.zeros(1, np.float32))
    settings = replace(STILL, move_probability=1, shift_mm=4)
    inside = (slice(4, -4), slice(6, -6), slice(6, -6))
    kept = [
        augment(sample, settings, generator(number)).channels[0][inside].std() / speckle[0][inside].std()
        for number in range(12)
    ]
    # Linear interpolation keeps two thirds of it.
    assert np.mean(kept) > 0.8


@pytest.mark.parametrize(("thick", "mixed"), [(6.0, True), (6.1, False)])
def test_thick_slices_are_not_mixed(thick: float, mixed: bool) -> None:
    """Slices of a grey level of their own, whose middle is labelled on every second one."""
    levels = np.arange(1, 13, dtype=np.float32)
    image = np.zeros((1, 12, 32, 32), np.float32)
    image[:] = levels[:, None, None]
    part = np.zeros((12, 32, 32), np.uint8)
    part[::2, 8:24, 8:24] = 255
    sample = Sample("a", image, np.stack([255 - part, part]), np.zeros(1, np.float32))
    settings = TrainingSettings(
        spacing_mm=(2, 2, thick), move_probability=1, gain_percent=0, shadow_probability=0
    )
    for seed in range(5):
        moved = augment(sample, settings, generator(seed))
        inside = moved.channels[0, :, 12:20, 12:20]
        own = np.abs(inside - levels[:, None, None]) < 1e-3
        assert own.all() != mixed
        assert bool((moved.target[1, 1::2] > 0).any()) == mixed


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_of_so_many_cases_no_voxel_is_interpolated(tmp_path: Path, share: float) -> None:
    sample = load(tmp_path)
    settings = TrainingSettings(move_probability=share, gain_percent=0, shadow_probability=0)
    seen = [augment(sample, settings, generator(number)) for number in range(60)]
    moved = [bool((case.target != sample.target).any()) for case in seen]
    # Of 60 draws with probability 1/2 fewer than 15 or more than 45 come once in 10,000.
    assert {0: sum(moved) == 0, 0.5: 15 <= sum(moved) <= 45, 1: sum(moved) == 60}[share]
    for case, went in zip(seen, moved, strict=True):
        if not went:
            np.testing.assert_allclose(case.channels, sample.channels, rtol=0, atol=1e-5)


def test_augmentation_follows_its_generator_and_leaves_the_sample_alone(tmp_path: Path) -> None:
    sample = load(tmp_path)
    before = sample.channels.copy()
    settings = TrainingSettings(shadow_probability=1)
    one, again, other = (augment(sample, settings, generator(1, name)) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(one.channels, again.channels)
    assert (one.channels != other.channels).any()
    np.testing.assert_array_equal(sample.channels, before)


@pytest.mark.parametrize("thick", [6, 8], ids=["across slices", "within them"])
def test_image_and_labels_move_together_and_no_side_is_swapped(thick: int) -> None:
    z, y, x = np.mgrid[0:32, 0:16, 0:24]
    part = np.exp(-((z - 16.0) ** 2 / 60 + (y - 8.0) ** 2 / 20 + (x - 6.0) ** 2 / 20))
    target = np.rint(255 * np.stack([1 - part, part])).astype(np.uint8)
    sample = Sample("a", target[1:].astype(np.float32) / 255, target, np.zeros(1, np.float32))
    settings = replace(
        STILL,
        move_probability=1,
        rotation_degrees=15,
        scale_percent=10,
        shift_mm=4,
        elastic_mm=2,
        spacing_mm=(2, 2, thick),
    )
    for seed in range(20):
        moved = augment(sample, settings, generator(seed))
        # Half-way between voxels a line lies an eighth of the curvature below: 1/10, 1/10 and 1/30 a voxel^2.
        np.testing.assert_allclose(moved.channels[0], moved.target[1] / 255, atol=0.03 + 1 / 255)
        assert np.argwhere(moved.target[1] > 127)[:, 2].mean() < 12


def test_a_shadow_darkens_what_lies_deeper_only(tmp_path: Path) -> None:
    sample = load(tmp_path)
    shaded = augment(sample, replace(STILL, shadow_probability=1), generator(3))
    change = shaded.channels - sample.channels
    assert change.max() <= 1e-4
    assert change.min() < -0.3
    lost = -change[1]
    columns = lost.reshape(32, 16, 24)
    first = (columns > 1e-3).argmax(axis=1)[(columns > 1e-3).any(axis=1)]
    assert len(set(first.ravel().tolist())) == 1
