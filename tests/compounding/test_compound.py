from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from myosweep.compounding import case_grid, compound, compound_frames
from myosweep.errors import InputError


def test_frames_that_cannot_be_used_are_left_out_and_named(
    wobbling_sweep: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [""] * 12
    problems[2] = problems[3] = problems[7] = "ProbeToTracker is INVALID"
    problems[11] = "the image is INVALID"
    sweep = wobbling_sweep(problems=problems)
    sweep.image_to_world[[2, 3, 7]] = np.nan
    grid = case_grid([sweep], "probe", 0.7, "full")
    volume, coverage, summary = compound(
        [sweep], grid, image_area="full", method="trilinear", blending="none"
    )
    assert summary["frames"] == 12
    assert summary["frames_used"] == 8
    assert summary["left_out"] == [
        {"recording": "sweep.mha", "frames": "2-3, 7", "reason": "ProbeToTracker is INVALID"},
        {"recording": "sweep.mha", "frames": "11", "reason": "the image is INVALID"},
    ]
    assert "frames 2-3, 7 left out: ProbeToTracker is INVALID" in capsys.readouterr().err
    used = [(sweep.frames[i], sweep.image_to_world[i]) for i in (0, 1, 4, 5, 6, 8, 9, 10)]
    expected = compound_frames(used, grid)
    with_pixels = coverage.array > 0
    np.testing.assert_array_equal(volume.array[with_pixels], np.rint(expected.values)[with_pixels])
    # Slits are closed from grey levels that are rounded already.
    np.testing.assert_allclose(volume.array, expected.values, atol=1.0)
    np.testing.assert_array_equal(coverage.array, expected.coverage)


def test_what_is_unknown_is_black_and_percentages_add_up(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep(step=3.0)
    grid = case_grid([sweep], "probe", 0.7, "full")
    volume, coverage, summary = compound([sweep], grid, image_area="full")
    assert volume.array.dtype == np.uint8
    assert coverage.array.dtype == np.float32
    assert not volume.array[coverage.array == 0].any()
    known = summary["covered_percent"] + summary["filled_percent"]
    assert known == pytest.approx(100 * np.mean(coverage.array != 0), abs=1e-3)
    _, unfilled, summary = compound([sweep], grid, image_area="full", fill=False)
    assert summary["filled_percent"] == 0
    assert unfilled.array.min() == 0


def test_only_the_image_area_is_compounded(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep()
    grid = case_grid([sweep], "probe", 0.7, "full")
    _, part, _ = compound(
        [sweep], grid, image_area=[4, 2, 8, 10], fill=False, method="trilinear", blending="none"
    )
    cropped = [
        (np.ascontiguousarray(sweep.frames[i][2:12, 4:12]), sweep.image_to_world[i] @ shift(4, 2))
        for i in range(12)
    ]
    expected = compound_frames(cropped, grid, fill=False)
    # The same pixels; their positions are rounded otherwise.
    np.testing.assert_allclose(part.array, expected.coverage, atol=1e-6)


def shift(column: int, row: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, 3] = column, row
    return matrix


def test_settings_and_sweeps_that_cannot_be_used_are_refused(wobbling_sweep: Callable) -> None:
    sweep = wobbling_sweep()
    grid = case_grid([sweep], "probe", 0.7, "full")
    with pytest.raises(InputError, match=r"compounding\.method"):
        compound([sweep], grid, method="cubic")
    with pytest.raises(InputError, match=r"compounding\.combine"):
        compound([sweep], grid, combine="loudest")
    lost = wobbling_sweep(problems=["lost"] * 12)
    with pytest.raises(InputError, match="no usable frame"):
        compound([lost], grid, image_area="full")
    with pytest.raises(InputError, match="no usable frame"):
        case_grid([lost], "probe", 0.7, "full")
    with pytest.raises(ValueError, match="not finite"):
        compound_frames([(sweep.frames[0], np.full((4, 4), np.nan))], grid)


def test_no_frames_make_an_unknown_volume(wobbling_sweep: Callable) -> None:
    grid = case_grid([wobbling_sweep()], "probe", 0.7, "full")
    empty = compound_frames([], grid)
    assert empty.values.shape == empty.coverage.shape == grid.shape
    assert not empty.coverage.any()
