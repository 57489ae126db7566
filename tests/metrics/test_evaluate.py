import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume
from myosweep.metrics.evaluate import DEFINITIONS, UNITS, evaluate
from myosweep.metrics.volume import error_percent, volumes

STRUCTURES = {"GM": 1, "SOL": 7}
SPACING = (0.5, 0.8, 2.0)


def grid(shape, spacing=SPACING, origin=(3.0, -2.0, 5.0)):
    return Grid((shape[2], shape[1], shape[0]), spacing, np.array(origin), np.eye(3))


def two_boxes(shape=(12, 16, 20)):
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:9, 3:8, 4:14] = 1
    labels[3:10, 9:14, 5:17] = 7
    return Volume(labels, grid(shape))


def values(frame, structure):
    part = frame[(frame.structure == structure) & (frame.slice == "")]
    assert part.metric.is_unique
    return dict(zip(part.metric, part.value, strict=True))


def test_every_metric_has_a_unit_and_a_definition():
    assert set(DEFINITIONS) == set(UNITS)
    labels = two_boxes()
    rng = np.random.default_rng(0)
    image = Volume(rng.integers(0, 255, labels.array.shape, dtype=np.uint8), labels.grid)
    coverage = Volume(np.ones(labels.array.shape, dtype=np.float32), labels.grid)
    frame = evaluate(labels, labels, STRUCTURES, image, coverage, slices=True)
    assert list(frame.columns) == ["structure", "slice", "metric", "unit", "value"]
    assert set(frame.metric) == set(DEFINITIONS)
    assert all(UNITS[metric] == unit for metric, unit in zip(frame.metric, frame.unit, strict=True))
    assert frame.value.notna().all()


def test_a_perfect_prediction():
    labels = two_boxes()
    found = values(evaluate(labels, labels, STRUCTURES), "SOL")
    assert found["dice"] == found["iou"] == found["surface_dice"] == 1
    assert found["hausdorff"] == found["hausdorff_95"] == found["surface_distance"] == 0
    assert found["volume_error"] == 0
    assert found["volume"] == pytest.approx(7 * 5 * 12 * 0.8 / 1000)


def test_a_missed_structure_is_worst_in_every_metric():
    reference = two_boxes()
    empty = Volume(np.zeros_like(reference.array), reference.grid)
    image = Volume(reference.array * 30, reference.grid)
    found = values(evaluate(empty, reference, STRUCTURES, image), "GM")
    worst = np.linalg.norm([11 * 2.0, 15 * 0.8, 19 * 0.5])
    assert (
        found["dice"] == found["iou"] == found["precision"] == found["recall"] == found["surface_dice"] == 0
    )
    for metric in ("hausdorff", "hausdorff_95", "surface_distance"):
        assert found[metric] == pytest.approx(worst)
    assert found["found"] == 0
    assert found["volume_error_percent"] == -100
    assert found["absolute_volume_error_percent"] == 100
    invented = values(evaluate(reference, empty, STRUCTURES, image), "GM")
    assert invented["dice"] == 0
    assert invented["hausdorff"] == pytest.approx(worst)
    assert "found" not in invented
    nothing = values(evaluate(empty, empty, STRUCTURES, image), "GM")
    assert (nothing["dice"], nothing["hausdorff"], nothing["volume_error_percent"]) == (1, 0, 0)


def test_a_shift_by_whole_voxels():
    reference = two_boxes()
    moved = Volume(np.roll(reference.array, 2, axis=2), reference.grid)
    found = values(evaluate(moved, reference, STRUCTURES), "GM")
    assert found["hausdorff"] == pytest.approx(2 * 0.5)
    assert found["dice"] == pytest.approx(0.8)


def test_unknown_voxels_count_for_nothing():
    reference = two_boxes()
    wrong = reference.array.copy()
    wrong[6:] = 0
    wrong[6:, 0, 0] = 1
    half = wrong.copy()
    half[6:] = 255
    for ours, theirs in ((half, reference.array), (wrong, np.where(half == 255, 255, reference.array))):
        frame = evaluate(
            Volume(ours, reference.grid), Volume(theirs.astype(np.uint8), reference.grid), STRUCTURES
        )
        found = values(frame, "GM")
        assert found["dice"] == found["precision"] == found["recall"] == found["surface_dice"] == 1
        assert found["hausdorff"] == 0
    assert values(evaluate(Volume(wrong, reference.grid), reference, STRUCTURES), "GM")["dice"] < 0.8
    # Unknown labels are missed volume; an unknown reference says nothing about volume there.
    assert (
        values(evaluate(Volume(half, reference.grid), reference, STRUCTURES), "GM")["volume_error_percent"]
        < -40
    )
    assert found["volume_error_percent"] == 0


def test_renaming_the_labels_changes_nothing():
    reference = two_boxes()
    moved = Volume(np.roll(reference.array, 1, axis=1), reference.grid)
    table = np.arange(256, dtype=np.uint8)
    table[[1, 7]] = 200, 3
    renamed = [Volume(table[v.array], v.grid) for v in (moved, reference)]
    before = evaluate(moved, reference, STRUCTURES)
    after = evaluate(*renamed, {"GM": 200, "SOL": 3})
    assert before.equals(after)


def test_a_reference_on_a_finer_grid():
    labels = two_boxes()
    fine_array = labels.array.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    fine_spacing = (0.25, 0.4, 1.0)
    origin = np.array(labels.grid.origin) - np.array(fine_spacing) / 2
    fine = Volume(fine_array, grid(fine_array.shape, fine_spacing, origin))
    found = values(evaluate(labels, fine, STRUCTURES), "SOL")
    assert found["dice"] == 1
    assert found["reference_volume"] == pytest.approx(found["volume"])


def test_beyond_the_reference_nothing_is_known():
    labels = two_boxes()
    part = Volume(labels.array[:6], grid((6, *labels.array.shape[1:])))
    found = values(evaluate(labels, part, STRUCTURES), "GM")
    assert found["dice"] == 1
    assert found["volume_error"] == pytest.approx(0)
    assert found["volume"] > found["reference_volume"]


def test_areas_of_slices():
    reference = two_boxes()
    frame = evaluate(reference, reference, STRUCTURES, slices=True)
    areas = frame[(frame.structure == "GM") & (frame.metric == "area")]
    assert areas.slice.tolist() == [str(z) for z in range(2, 9)]
    assert areas.value.tolist() == pytest.approx([50 * 0.4 / 100] * 7)


def test_volumes():
    labels = two_boxes()
    assert volumes(labels, STRUCTURES) == {
        "GM": pytest.approx(350 * 0.0008),
        "SOL": pytest.approx(420 * 0.0008),
    }
    assert volumes(labels, {"TA": 9}) == {"TA": 0}
    assert error_percent(80, 100) == -20
    assert error_percent(0, 0) == 0
    assert error_percent(1, 0) == 100


def test_a_ball_has_its_analytic_volume():
    z, y, x = np.indices((60, 60, 60)) * 0.5 - 15
    array = (x**2 + y**2 + z**2 < 12**2).astype(np.uint8)
    found = volumes(Volume(array, grid(array.shape, (0.5, 0.5, 0.5))), {"ball": 1})["ball"]
    # Half a per cent: voxels of 0.5 mm on a radius of 12 mm.
    assert found == pytest.approx(4 / 3 * np.pi * 12**3 / 1000, rel=0.005)


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.full((3, 4, 5), 300), np.full((3, 4, 5), 0.5)])
def test_what_is_not_labels_is_refused(array):
    labels = Volume(np.zeros((3, 4, 5), dtype=np.uint8), grid((3, 4, 5)))
    with pytest.raises(InputError, match="reference"):
        evaluate(labels, Volume(array, labels.grid), STRUCTURES)


def test_an_image_of_another_size_is_refused():
    labels = two_boxes()
    with pytest.raises(InputError, match="image"):
        evaluate(labels, labels, STRUCTURES, Volume(np.zeros((2, 2, 2), dtype=np.uint8), labels.grid))


def test_without_a_reference_the_labels_tell_their_volume():
    labels = two_boxes()
    frame = evaluate(labels, None, STRUCTURES)
    assert set(frame.metric) == {"volume"}
    assert list(frame.structure) == list(STRUCTURES)
    assert (frame.value > 0).any()
