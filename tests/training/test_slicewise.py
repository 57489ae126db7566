"""Parts of prediction that go slice by slice, each against what does the same on a whole volume."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, write_volume
from myosweep.training import slice_files
from myosweep.training.data import classes_of, prepare_channels
from myosweep.training.fields import Part, Turned, cut
from myosweep.training.lattice import Lattice
from myosweep.training.near import far_slices
from myosweep.training.pieces import enclosed, fill_holes, keep_largest
from myosweep.training.prepared import prepare
from myosweep.training.slice_files import SliceFile
from scipy import ndimage
from spindles import spindles

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
SPACINGS = st.tuples(*[st.sampled_from([0.5, 0.75, 1.0, 1.75, 4.0])] * 3)

REACHES = st.sampled_from([0.4, 1.0, 2.5, 5.0, 1e6])


def stored(array: np.ndarray[Any, Any]) -> SliceFile:
    file = SliceFile(array.shape, array.dtype.type)
    for z in range(array.shape[1]):
        file.write(z, array[:, z])
    return file


@settings(max_examples=40, deadline=None)
@given(size=SHAPES, fine=SPACINGS, coarse=SPACINGS, planes=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_lattice_is_the_same_slab_by_slab(
    size: tuple[int, int, int],
    fine: tuple[float, float, float],
    coarse: tuple[float, float, float],
    planes: int,
    seed: int,
) -> None:
    lattice = Lattice.of(Grid(size, fine, np.zeros(3), np.eye(3)), coarse)
    random = np.random.default_rng(seed)
    array = random.choice(np.array([0, 1, 2, 255], dtype=np.uint8), size[::-1])

    def slabs() -> Any:
        return (array[start : start + planes] for start in range(0, len(array), planes))

    np.testing.assert_array_equal(np.stack(list(lattice.means(slabs()))), lattice.mean(array))
    classes = classes_of({"a": 1, "b": 2})
    parts = np.stack(list(lattice.fractions_by_slice(slabs(), classes, 3)), axis=1)
    np.testing.assert_array_equal(parts, lattice.fractions(array, classes, 3))
    scores, values = random.random((3, *lattice.shape), dtype=np.float32), np.array([0, 7, 9], np.uint8)
    found = np.stack(list(lattice.largest_planes(scores.swapaxes(0, 1), values)))
    np.testing.assert_array_equal(found, lattice.largest(scores, values))


def test_entropy_has_its_closed_form() -> None:
    """All alike: 1. Certain: 0. Half way between two certain slices that differ: log 2 / log 3."""
    lattice = Lattice.of(Grid((1, 1, 4), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3)), (1.0, 1.0, 2.0))
    first, second = np.eye(3, dtype=np.float32)[:2, :, None, None]
    alike = np.full((3, 1, 1), 1 / 3, dtype=np.float32)
    assert np.ravel(list(lattice.entropy_planes([first, first]))).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(np.ravel(list(lattice.entropy_planes([alike, alike]))), 1, rtol=1e-6)
    mixed = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(3)
    found = np.ravel(list(lattice.entropy_planes([first, second])))
    np.testing.assert_allclose(found, [0, mixed, mixed, 0], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    shape=SHAPES, spacing=SPACINGS, reach=st.sampled_from([0.4, 1.0, 2.5, 5.0, 1e6]), seed=st.integers(0, 99)
)
def test_far_is_what_the_distance_transform_says(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], reach: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    known = random.random(shape) < 0.03
    known.ravel()[int(random.integers(known.size))] = True
    expected = np.asarray(ndimage.distance_transform_edt(~known, sampling=spacing)) > reach
    found = np.stack(list(far_slices(lambda z: known[z], shape, spacing, reach)))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 999), part=st.sampled_from([0.2, 0.4, 0.6]))
def test_the_largest_pieces_are_those_of_the_whole_volume(
    shape: tuple[int, int, int], seed: int, part: float
) -> None:
    random = np.random.default_rng(seed)
    scores = (
        random.random((3, *shape), dtype=np.float32) * np.array([part, 1, 1], np.float32)[:, None, None, None]
    )
    expected = scores.copy()
    for index in (1, 2):
        mask = expected.argmax(axis=0) == index
        pieces, count = ndimage.label(mask)
        if count > 1:
            largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
            expected[index][mask & (pieces != largest)] = 0
    with stored(scores) as file, stored(scores.argmax(axis=0)[None].astype(np.uint8)) as winners:
        keep_largest(file, winners, ["a", "b"])
        np.testing.assert_array_equal(file[:, :], expected)
        np.testing.assert_array_equal(winners[:, :][0], expected.argmax(axis=0))


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 999))
def test_what_is_enclosed_is_what_scipy_fills(rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.6
    np.testing.assert_array_equal(enclosed(mask), ndimage.binary_fill_holes(mask) & ~mask)


def test_holes_of_background_are_filled_and_other_structures_stay() -> None:
    winners = np.zeros((1, 1, 9, 9), dtype=np.uint8)
    winners[0, 0, 1:8, 1:8] = 1
    winners[0, 0, 2, 2] = 0
    winners[0, 0, 4:7, 4:7] = 2
    winners[0, 0, 5, 5] = 0
    scores = np.full((3, 1, 9, 9), 0.1, dtype=np.float32)
    np.put_along_axis(scores, winners.astype(np.int64), 0.8, axis=0)
    with stored(scores) as file, stored(winners) as best:
        fill_holes(file, best, ["outer", "inner"])
        found = best.read(0)[0]
        np.testing.assert_array_equal(file.read(0).argmax(axis=0), found)
    expected = winners[0, 0].copy()
    expected[2, 2], expected[5, 5] = 1, 2
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_limb_on_disk_is_the_limb_in_memory(tmp_path: Path, side: str) -> None:
    image, confidence, _ = spindles(5, side)
    image.array[:9] = 0
    lattice = Lattice.of(image.grid, (2.0, 1.5, 3.0))
    channels = ["image", "confidence"]
    expected, black = prepare_channels(image, confidence, side, channels, lattice, "it")
    files = tmp_path / "image.mha", tmp_path / "confidence.mha"
    write_volume(files[0], image)
    write_volume(files[1], confidence)
    for sources in ((image, confidence), files):
        with ExitStack() as stack:
            found = prepare(*sources, side, channels, lattice, stack, tmp_path)
            np.testing.assert_allclose(found[:, :], expected, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(found.black, black, rtol=1e-6)
            known = np.stack([found.known(z) for z in range(lattice.shape[0])])
            np.testing.assert_array_equal(known, expected[0] > black[0])
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    image, confidence, _ = spindles(5)
    lattice = Lattice.of(image.grid, (2.0, 2.0, 2.0))
    colours = Volume(np.stack([image.array] * 3, axis=-1), image.grid)
    moved = Volume(confidence.array, Grid((48, 32, 64), (1.0, 1.0, 2.0), np.zeros(3), np.eye(3)))
    path = tmp_path / "colours.mha"
    write_volume(path, colours)
    black = Volume(np.zeros_like(image.array), image.grid)
    for source, other, found in (
        (colours, confidence, "3 components"),
        (path, confidence, "3 components"),
        (black, confidence, "without a voxel above 0"),
        (image, None, "no confidence map"),
        (image, moved, "another grid"),
    ):
        with ExitStack() as stack, pytest.raises(InputError, match=found):
            prepare(source, other, "", ["image", "confidence"], lattice, stack)


@settings(max_examples=30, deadline=None)
@given(shape=SHAPES, field=SHAPES, corner=st.tuples(*[st.integers(-5, 5)] * 3), low=st.integers(0, 8))
def test_a_part_read_by_slices_is_cut_out(
    shape: tuple[int, int, int], field: tuple[int, int, int], corner: tuple[int, int, int], low: int
) -> None:
    volume = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    outside = np.array([-1, -2], dtype=np.float32)
    part, whole = Part(volume, corner, field, outside), cut(volume, corner, field, outside)
    np.testing.assert_array_equal(part[:, low : low + 3], whole[:, low : low + 3])
    np.testing.assert_array_equal(Turned(part)[:, low : low + 3], whole[:, ::-1][:, low : low + 3])
    np.testing.assert_array_equal(Part(volume, corner, field, outside, 2.0)[:, :][:2], whole)


def test_a_file_without_room_is_refused_before_time_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = slice_files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(slice_files.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(InputError, match=r"(?s)room for 0.0 GiB.*temporary file"):
        SliceFile((4, 100, 100, 100), np.float32, tmp_path)


def test_room_is_kept_for_all_slices_before_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SliceFile((1, 8, 1024, 1024), np.uint8, tmp_path) as file:
        assert os.fstat(file._file.fileno()).st_blocks * 512 >= 8 * 1024**2
        assert not file[:, :].any()

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=rf"(?s)room for .*{4 * 100**3 / 2**30:.1f} GiB"):
        SliceFile((1, 100, 100, 100), np.float32, tmp_path)
