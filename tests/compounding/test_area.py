from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding import image_area_of
from myosweep.errors import InputError
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Fan, Rectangle, Sweep


def framed(sweep: Sweep, clip: Rectangle | None = None) -> Sweep:
    """The sweep's images with a black border of 5 columns and 3 rows, a scale and a clock in it."""
    frames = np.pad(np.asarray(sweep.frames), ((0, 0), (3, 3), (5, 5)))
    frames[:, ::4, 1] = 200
    frames[:, 0, 20] = np.arange(len(frames))
    return Sweep(sweep.path, frames, sweep.image_to_world, sweep.problems, sweep.timestamps, clip)


def test_auto_finds_what_changes(wobbling_sweep: Callable) -> None:
    assert image_area_of(framed(wobbling_sweep()), "auto").rectangle == Rectangle(5, 3, 16, 20)
    clipped = framed(wobbling_sweep(), Rectangle(0, 0, 12, 10))
    assert image_area_of(clipped, "auto").rectangle == Rectangle(5, 3, 8, 8)


def test_auto_of_a_probe_at_rest_is_what_is_not_black(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(count=1)
    frames = np.pad(np.asarray(sweep.frames), ((0, 0), (3, 3), (5, 5)))
    still = Sweep(sweep.path, frames, sweep.image_to_world, sweep.problems, sweep.timestamps)
    assert image_area_of(still, "auto").rectangle == Rectangle(5, 3, 16, 20)
    black = Sweep(sweep.path, frames * 0, sweep.image_to_world, sweep.problems, sweep.timestamps)
    assert image_area_of(black, "auto").rectangle == Rectangle(0, 0, 26, 26)


def test_auto_of_a_real_recording(plus_data: Path) -> None:
    sweep = read_sweep(
        plus_data / "sequences" / "BoneUltrasound_L14.igs.mha",
        plus_data / "configs" / "BoneUltrasound_L14_config.xml",
    )
    area = image_area_of(sweep, "auto").rectangle
    assert (area.column, area.column + area.columns - 1) == (176, 642)
    assert area.row <= 2
    assert area.row + area.rows >= 612


def test_given_rectangles(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(clip=Rectangle(2, 1, 5, 100))
    assert image_area_of(sweep, "full").rectangle == Rectangle(0, 0, 16, 20)
    assert image_area_of(sweep, "calibration").rectangle == Rectangle(2, 1, 6, 19)
    assert image_area_of(sweep, [1, 2, 3, 4]).rectangle == Rectangle(1, 2, 3, 4)


def test_rectangles_that_do_not_fit_are_refused(wobbling_sweep: Callable) -> None:
    for setting in ([0, 0, 17, 3], [-1, 0, 3, 3], [0, 0, 0, 3], [1, 2], "everything"):
        with pytest.raises(InputError, match="image_area"):
            image_area_of(wobbling_sweep(), setting)
    with pytest.raises(InputError, match="no clip rectangle"):
        image_area_of(wobbling_sweep(), "calibration")
    with pytest.raises(InputError, match="outside of frames"):
        image_area_of(wobbling_sweep(clip=Rectangle(40, 0, 5, 5)), "calibration")


FAN = {"apex": [8, -6], "radii": [8, 24], "angles_degrees": [-30, 30]}


def test_a_fan_is_given_by_apex_radii_and_angles(wobbling_sweep: Callable) -> None:
    area = image_area_of(wobbling_sweep(), FAN)
    # Straight down the fan has rows 2 to 18; its corners are 24 sin 30 = 12 columns from the apex: cut off.
    assert area.rectangle == Rectangle(0, 1, 16, 18)
    assert area.mask is not None
    assert area.mask[1:, 8].all()
    assert not area.mask[0, 8]
    assert not area.mask[-1, [0, 15]].any()
    everything = image_area_of(wobbling_sweep(), {**FAN, "radii": [0, 90], "angles_degrees": [-179, 179]})
    assert everything.rectangle == Rectangle(0, 0, 16, 20)
    assert everything.mask is None


def test_the_calibration_has_a_fan(wobbling_sweep: Callable) -> None:
    fan = Fan(8, -6, 8, 24, -math.pi / 6, math.pi / 6)
    area = image_area_of(replace(wobbling_sweep(), fan=fan), "calibration")
    expected = image_area_of(wobbling_sweep(), FAN)
    assert area.rectangle == expected.rectangle
    np.testing.assert_array_equal(area.mask, expected.mask)
    # The rectangle cuts the fan, and what is found lies in both.
    both = image_area_of(replace(wobbling_sweep(clip=Rectangle(4, 3, 7, 5)), fan=fan), "calibration")
    assert both.rectangle == Rectangle(4, 3, 8, 6)
    found = image_area_of(replace(wobbling_sweep(), fan=fan), "auto")
    assert found.rectangle == expected.rectangle
    np.testing.assert_array_equal(found.mask, expected.mask)


def test_fans_that_do_not_fit_are_refused(wobbling_sweep: Callable) -> None:
    for change in (
        {"apex": [8, 200]},
        {"radii": [24, 8]},
        {"radii": [500, 600]},
        {"angles_degrees": [30, -30]},
        {"angles_degrees": [0, 400]},
        {"apex": [8]},
        {"apex": ["a", "b"]},
        {"apex": [float("nan"), 0]},
        {"depth": 3},
    ):
        with pytest.raises(InputError, match="image_area"):
            image_area_of(wobbling_sweep(), {**FAN, **change})
    far = replace(wobbling_sweep(), fan=Fan(8, 100, 8, 24, -0.5, 0.5))
    for setting in ("calibration", "auto"):
        with pytest.raises(InputError, match="outside of frames of 16 x 20") as caught:
            image_area_of(far, setting)
        assert "calibration" in str(caught.value)


def test_the_outline_holds_the_area(wobbling_sweep: Callable) -> None:
    assert image_area_of(wobbling_sweep(), [1, 2, 3, 4]).outline.tolist() == [[1, 2], [3, 2], [1, 5], [3, 5]]
    area = image_area_of(wobbling_sweep(), FAN)
    rows, columns = np.nonzero(area.mask)
    outline = area.outline - (area.rectangle.column, area.rectangle.row)
    assert outline[:, 0].min() == columns.min()
    assert outline[:, 1].max() == rows.max()


@pytest.mark.parametrize(
    ("name", "configuration", "within"),
    [
        ("BoneUltrasound_L14", "BoneUltrasound_L14_config", (176, 0, 642, 615)),
        ("SpinePhantomFreehand", "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly", (187, 12, 631, 601)),
        (
            "NwirePhantomFreehand",
            "PlusDeviceSet_NwirePhantomFreehand_vtkVolumeReconstructorTest2",
            (167, 62, 654, 550),
        ),
    ],
)
def test_auto_keeps_within_the_image_of_real_recordings(
    plus_data: Path, name: str, configuration: str, within: tuple[int, int, int, int]
) -> None:
    sweep = read_sweep(
        plus_data / "sequences" / f"{name}.igs.mha", plus_data / "configs" / f"{configuration}.xml"
    )
    area = image_area_of(sweep, "auto")
    box = area.rectangle
    first_column, first_row, last_column, last_row = within
    assert box.column >= first_column
    assert box.row >= first_row
    assert box.column + box.columns - 1 <= last_column
    assert box.row + box.rows - 1 <= last_row
    # Water without echoes hides where the image of the wires begins.
    assert box.columns >= 0.98 * (last_column - first_column + 1)
    assert box.rows >= (0.7 if "Nwire" in name else 0.98) * (last_row - first_row + 1)
    assert area.mask is None or area.mask.mean() > 0.99
