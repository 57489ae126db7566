"""Labels drawn by hand: the round trip through other programs, crops of the lattice, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.geometry import Grid, rotation_about
from myosweep.io.segmentations import write_segmentation
from myosweep.io.volumes import Volume, to_image, write_volume
from myosweep.labels.hand import read_drawn_labels
from myosweep.labels.merging import merge_labels
from myosweep.labels.placing import TOLERANCE_VOXELS, place_on

STRUCTURES = {"GM": 1, "GL": 2, "SOL": 7}
UNKNOWN = 255
TURN = rotation_about((1.0, 2.0, 3.0), 0.3)
GRID = Grid((9, 8, 7), (0.277, 0.277, 1.5), np.array([31.0, -22.0, 1e3 / 7]), TURN)


def made(seed: int, structures: int = 3, unknown: bool = True) -> Volume:
    """Dense labels without a gap along z, as the workflow makes them."""
    draw = np.random.default_rng(seed)
    array = draw.choice([0, 0, 0, *STRUCTURES.values()][: 3 + structures], GRID.shape).astype(np.uint8)
    first, last = sorted(draw.choice(GRID.shape[0] - 1, 2, replace=False))
    array[:first] = 0
    array[last + 2 :] = 0
    for z in range(first, last + 2):
        array[z, draw.integers(GRID.shape[1]), draw.integers(GRID.shape[2])] = 1
    if unknown:
        array[draw.random(GRID.shape) < 0.2] = UNKNOWN
        array[first : last + 2, 0, 0] = 1
        array[0, 0, 1] = UNKNOWN if first else array[0, 0, 1]
    return Volume(array, GRID)


def saved_by_slicer(source: Path, target: Path, seed: int, layered: bool = False) -> None:
    """What 3D Slicer makes of a file: cropped to its segments, in its own numbers and order."""
    data, header = nrrd.read(str(source))
    draw = np.random.default_rng(seed)
    names = {
        int(header[f"Segment{number}_LabelValue"]): header[f"Segment{number}_Name"]
        for number in range(sum(key.endswith("_ID") for key in header))
    }
    drawn = np.argwhere(data > 0)
    low, high = drawn.min(axis=0), drawn.max(axis=0) + 1
    data = data[tuple(slice(*ends) for ends in zip(low, high, strict=True))]
    origin = header["space origin"] + low @ header["space directions"]
    order = draw.permutation(list(names))
    layers = np.zeros((len(order) if layered else 1, *data.shape), np.uint8)
    fields = {}
    for number, value in enumerate(order.tolist()):
        layer = number if layered else 0
        layers[layer][data == value] = number + 1
        own = {
            "ID": f"Segment_{number + 1}",
            "Name": names[value],
            "Extent": " ".join(f"0 {count - 1}" for count in data.shape),
            "LabelValue": str(number + 1),
            "Layer": str(layer),
        }
        fields |= {f"Segment{number}_{key}": text for key, text in own.items()}
    nrrd.write(
        str(target),
        layers if layered else layers[0],
        {
            "space": "left-posterior-superior",
            "kinds": [*(["list"] if layered else []), "domain", "domain", "domain"],
            "space directions": np.vstack(
                [*([np.full(3, np.nan)] if layered else []), header["space directions"]]
            ),
            "space origin": origin,
            "Segmentation_SourceRepresentation": "Binary labelmap",
            "Segmentation_ReferenceImageExtentOffset": " ".join(str(value) for value in low),
            **fields,
        },
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), layered=st.booleans(), method=st.sampled_from(["zoi", "shape"]))
def test_made_labels_that_come_back_through_slicer_keep_every_voxel(
    tmp_path_factory: pytest.TempPathFactory, seed: int, layered: bool, method: str
) -> None:
    folder = tmp_path_factory.mktemp("round")
    labels = made(seed)
    write_segmentation(folder / "p01.seg.nrrd", labels, STRUCTURES)
    saved_by_slicer(folder / "p01.seg.nrrd", folder / "edited.seg.nrrd", seed, layered)
    drawn = read_drawn_labels(folder / "edited.seg.nrrd", GRID, STRUCTURES)
    np.testing.assert_array_equal(drawn.array, labels.array)
    merged, told = merge_labels([], [], GRID, STRUCTURES, hand=drawn, interpolation=method)
    np.testing.assert_array_equal(merged.array, labels.array)
    assert told["GM"]["source"] == "hand"


@pytest.mark.parametrize("name", ["p01.mha", "p01.nii.gz", "p01.nrrd", "p01.seg.nrrd"])
def test_every_format_comes_back(tmp_path: Path, name: str) -> None:
    labels = made(5)
    labels.array[3, 4, 4] = 2
    if name.endswith(".seg.nrrd"):
        write_segmentation(tmp_path / name, labels, STRUCTURES)
    else:
        write_volume(tmp_path / name, labels)
    drawn = read_drawn_labels(tmp_path / name, GRID, STRUCTURES)
    merged, _ = merge_labels([], [], GRID, STRUCTURES, hand=drawn)
    np.testing.assert_array_equal(merged.array, labels.array)


def test_an_edit_in_slicer_is_what_counts(tmp_path: Path) -> None:
    labels = made(8)
    write_segmentation(tmp_path / "p01.seg.nrrd", labels, STRUCTURES)
    data, header = nrrd.read(str(tmp_path / "p01.seg.nrrd"))
    data[4, 5, :] = 7
    nrrd.write(str(tmp_path / "mine.seg.nrrd"), data, header)
    drawn = read_drawn_labels(tmp_path / "mine.seg.nrrd", GRID, STRUCTURES)
    expected = labels.array.copy()
    expected[:, 5, 4] = 7
    merged, _ = merge_labels([], [], GRID, STRUCTURES, hand=drawn)
    np.testing.assert_array_equal(merged.array, expected)


def part_of(grid: Grid, first: tuple[int, int, int], size: tuple[int, int, int]) -> Grid:
    corner = grid.index_to_world[:3, :3] @ np.array(first) + grid.origin
    return Grid(size, grid.spacing, corner, grid.direction)


@settings(max_examples=50, deadline=None)
@given(
    first=st.tuples(*[st.integers(-4, 6)] * 3),
    size=st.tuples(*[st.integers(1, 12)] * 3),
    shift=st.floats(-0.8, 0.8),
)
def test_crops_and_margins_of_the_lattice_are_put_in_place(
    first: tuple[int, int, int], size: tuple[int, int, int], shift: float
) -> None:
    grid = part_of(GRID, first, size)
    grid = Grid(size, grid.spacing, grid.origin + shift * TOLERANCE_VOXELS * 0.277 * TURN[:, 0], TURN)
    array = np.random.default_rng(1).choice(np.array([0, 1, UNKNOWN], np.uint8), grid.shape)
    expected = np.zeros(GRID.shape, np.uint8)
    outside = 0
    for z, y, x in np.ndindex(array.shape):
        place = (z + first[2], y + first[1], x + first[0])
        if all(0 <= index < count for index, count in zip(place, GRID.shape, strict=True)):
            expected[place] = array[z, y, x]
        else:
            outside += int(array[z, y, x] == 1)
    if outside:
        with pytest.raises(InputError, match=f"{outside} labelled voxels outside|far larger"):
            place_on(Volume(array, grid), GRID, "d.mha", UNKNOWN)
    else:
        placed = place_on(Volume(array, grid), GRID, "d.mha", UNKNOWN)
        np.testing.assert_array_equal(placed.array, expected)
        assert placed.grid is GRID


@pytest.mark.parametrize(
    ("grid", "word"),
    [
        (Grid(GRID.size, (0.3, 0.277, 1.5), GRID.origin, TURN), "other spacing"),
        (Grid(GRID.size, (0.277, 0.277, 1.52), GRID.origin, TURN), "other spacing"),
        (Grid(GRID.size, GRID.spacing, GRID.origin, TURN @ rotation_about((0, 0, 1), 0.05)), "2.86 degrees"),
        (Grid(GRID.size, GRID.spacing, GRID.origin, TURN @ np.diag([1.0, -1, -1])), "180 degrees"),
        (Grid(GRID.size, GRID.spacing, GRID.origin, TURN @ np.diag([1.0, 1, -1])), "mirrored"),
        (Grid(GRID.size, GRID.spacing, GRID.origin + TURN[:, 1] * 0.1, TURN), "part of a voxel"),
        (Grid((40, 8, 7), GRID.spacing, GRID.origin, TURN), "far larger"),
        (part_of(GRID, (100, 0, 0), GRID.size), "504 labelled voxels outside"),
        (part_of(GRID, (2, 0, 0), GRID.size), "112 labelled voxels outside"),
    ],
)
def test_another_grid_is_refused_with_the_reason(tmp_path: Path, grid: Grid, word: str) -> None:
    write_volume(tmp_path / "p01.mha", Volume(np.ones(grid.shape, np.uint8), grid))
    with pytest.raises(InputError, match=word) as caught:
        read_drawn_labels(tmp_path / "p01.mha", GRID, STRUCTURES)
    assert caught.value.where == str(tmp_path / "p01.mha")


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.full(GRID.shape, 3, np.uint8), "the value 3"),
        (np.full(GRID.shape, 1000, np.int16), "the value 1000"),
        (np.full(GRID.shape, 0.5, np.float32), "the value 0.5"),
        (np.full(GRID.shape, np.nan, np.float32), "the value nan"),
        (np.full(GRID.shape, -1, np.int16), "the value -1"),
    ],
)
def test_values_that_no_structure_has_are_refused(tmp_path: Path, array: np.ndarray, word: str) -> None:
    sitk.WriteImage(to_image(Volume(array, GRID)), str(tmp_path / "p01.nrrd"))
    with pytest.raises(InputError, match=word) as caught:
        read_drawn_labels(tmp_path / "p01.nrrd", GRID, STRUCTURES)
    assert "GM 1, GL 2, SOL 7" in caught.value.expected


def test_several_values_per_voxel_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(to_image(Volume(np.ones((*GRID.shape, 2), np.uint8), GRID)), str(tmp_path / "p01.mha"))
    with pytest.raises(InputError, match="2 values per voxel"):
        read_drawn_labels(tmp_path / "p01.mha", GRID, STRUCTURES)


def test_whole_numbers_of_another_type_are_labels(tmp_path: Path) -> None:
    labels = made(4)
    sitk.WriteImage(to_image(Volume(labels.array.astype(np.float32), GRID)), str(tmp_path / "p01.nii.gz"))
    drawn = read_drawn_labels(tmp_path / "p01.nii.gz", GRID, STRUCTURES)
    merged, _ = merge_labels([], [], GRID, STRUCTURES, hand=drawn)
    np.testing.assert_array_equal(merged.array, labels.array)


def test_a_sparse_drawing_is_interpolated_and_its_crop_is_too(tmp_path: Path) -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[[1, 5], 2:6, 2:7] = 7
    write_segmentation(tmp_path / "p01.seg.nrrd", Volume(array, GRID), STRUCTURES)
    saved_by_slicer(tmp_path / "p01.seg.nrrd", tmp_path / "crop.seg.nrrd", 1)
    for name in ("p01.seg.nrrd", "crop.seg.nrrd"):
        drawn = read_drawn_labels(tmp_path / name, GRID, STRUCTURES)
        merged, told = merge_labels([], [], GRID, STRUCTURES, hand=drawn)
        assert (merged.array[1:6, 2:6, 2:7] == 7).all()
        assert (merged.array[[0, 6]] == UNKNOWN).all()
        assert told["SOL"]["annotated_frames"] == 2
        assert told["GM"]["status"] == "not_annotated"


def test_a_method_for_sweeps_only_falls_back_to_shape() -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[[1, 5], 2:6, 2:7] = 7
    hand = Volume(array, GRID)
    merged, _ = merge_labels([], [], GRID, STRUCTURES, hand=hand, interpolation="grow_from_seeds")
    expected, _ = merge_labels([], [], GRID, STRUCTURES, hand=hand, interpolation="shape")
    np.testing.assert_array_equal(merged.array, expected.array)


def test_what_is_said_to_be_unknown_stays_unknown() -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[[2, 4], 2:6, 2:7] = 7
    array[:, 0] = UNKNOWN
    array[3, 3, 3] = UNKNOWN
    merged, _ = merge_labels([], [], GRID, STRUCTURES, hand=Volume(array, GRID))
    assert (merged.array[array == UNKNOWN] == UNKNOWN).all()
    # Interpolation may spread it by a voxel; drawn slices are as drawn.
    assert (merged.array[:, 2:][array[:, 2:] != UNKNOWN] != UNKNOWN).all()
    np.testing.assert_array_equal(np.delete(merged.array, 3, axis=0), np.delete(array, 3, axis=0))
    # Where 255 says what is not known, 0 beyond the last slice says that nothing is there.
    assert (merged.array[[0, 1, 5, 6], 1:] == 0).all()


def test_three_slices_amid_unknown_ones_are_no_whole_muscle() -> None:
    array = np.full(GRID.shape, UNKNOWN, np.uint8)
    array[[1, 3, 5]] = 0
    array[[1, 3, 5], 2:6, 2:7] = 7
    merged, told = merge_labels([], [], GRID, STRUCTURES, hand=Volume(array, GRID))
    np.testing.assert_array_equal(merged.array, array)
    assert [end["side"] for end in told["SOL"]["open_ends"]] == ["low", "high"]
