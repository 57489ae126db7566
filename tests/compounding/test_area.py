from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding import image_area_of
from myosweep.errors import InputError
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Rectangle, Sweep


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
