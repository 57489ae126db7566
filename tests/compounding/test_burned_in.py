"""Names and scales beside the image must not reach a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding import case_grid, compound, image_area_of
from myosweep.compounding.fan import draw_fan
from myosweep.compounding.plan import METHODS
from myosweep.io.sweeps import Fan, Sweep
from painted import INK, screen

PIXEL_MM = 0.2


def recording(shape: str) -> Sweep:
    """A sweep of screens along z with a name in the margin, brighter than any pixel of the image."""
    frames = screen(shape, 8).frames
    frames = np.where(frames == INK, INK, np.minimum(frames, 200)).astype(np.uint8)
    poses = np.tile(np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]), (8, 1, 1))
    poses[:, 2, 3] = 0.4 * np.arange(8)
    return Sweep(Path("screen.mha"), frames, poses, ("",) * 8, np.arange(8) / 10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", ["linear", "curved", "sector"])
def test_a_name_in_the_margin_does_not_reach_the_volume(shape: str, method: str) -> None:
    sweep = recording(shape)
    grid = case_grid([sweep], "probe", 0.4, "auto")
    volume, coverage, _ = compound([sweep], grid, method=method)
    # Means of image pixels are at most 200; any part of a letter with half its weight would be above.
    assert volume.array.max() <= 200
    # Black below the fan is nothing, where it was black on the screen.
    area = image_area_of(sweep, "auto")
    if area.mask is not None:
        assert (coverage.array == 0).mean() > 0.8 * (1 - area.mask.mean())
    assert (volume.array > 0).mean() > 0.8 * (1.0 if area.mask is None else area.mask.mean())


@pytest.mark.parametrize("method", METHODS)
def test_what_touches_a_given_fan_is_not_mixed_into_it(method: str) -> None:
    rows, columns, fan = 60, 60, {"apex": [30, -5], "radii": [10, 60], "angles_degrees": [-30, 30]}
    inside = draw_fan(Fan(30, -5, 10, 60, *np.radians([-30, 30])), rows, columns)
    frames = np.where(inside, np.random.default_rng(0).integers(10, 40, (6, rows, columns)), 255)
    poses = np.tile(np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]), (6, 1, 1))
    poses[:, 2, 3] = 0.5 * np.arange(6)
    sweep = Sweep(Path("s.mha"), frames.astype(np.uint8), poses, ("",) * 6, np.arange(6) / 10)
    grid = case_grid([sweep], "probe", 0.15, fan)
    volume, _, _ = compound([sweep], grid, image_area=fan, method=method)
    assert 30 < volume.array.max() < 40
    assert frames.max() == 255


def test_the_whole_screen_would_carry_the_name() -> None:
    sweep = recording("curved")
    volume, _, _ = compound([sweep], case_grid([sweep], "probe", 0.4, "full"), image_area="full")
    assert volume.array.max() > 240
