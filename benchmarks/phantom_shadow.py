"""Where bone shadows the frames of a simulated leg: the phantom's own truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from myosweep.io.files import read_json
from myosweep.io.sweeps import Sweep
from myosweep.phantom.cohort import ANATOMY, case_generator
from myosweep.phantom.echo import bone_slope
from myosweep.phantom.population import draw_leg
from numba import njit

# What the surface's own echo smears over is no shadow yet.
SURFACE_MM = 2.0


@njit(cache=True)
def _behind(pose: np.ndarray, bones: np.ndarray, mirror: int, below: int, mask: np.ndarray) -> None:
    rows, columns = mask.shape
    for column in range(columns):
        met = -1
        for row in range(rows):
            if met < 0:
                x = mirror * (pose[0, 0] * column + pose[0, 1] * row + pose[0, 3])
                y = pose[1, 0] * column + pose[1, 1] * row + pose[1, 3]
                if not np.isnan(bone_slope(x, y, bones)):
                    met = row
            mask[row, column] = met >= 0 and row >= met + below


class Shadows:
    """Per frame 1 where the beam has met bone more than SURFACE_MM before, else 0; float32 (row, column)."""

    def __init__(self, recordings: Path, sweep: Sweep, acquisition: str = "deep") -> None:
        told = read_json(recordings / "truth.json")
        scale = told["settings"]["leg_scale"]
        leg = draw_leg(told["side"], case_generator(told["seed"], told["case"], ANATOMY), scale)
        to_leg = np.linalg.inv(np.array(told["leg_to_world"][acquisition]))
        self._poses = to_leg @ sweep.image_to_world
        self._shape = sweep.frames.shape[1:]
        self._below = round(SURFACE_MM / sweep.pixel_spacing[1])
        self._mirror = leg.mirror
        sizes = [[b.x_mm, b.y_mm, b.half_width_mm, b.half_depth_mm] for b in leg.bones]
        self._bones = np.array(sizes) * leg.scale

    def __getitem__(self, index: int) -> np.ndarray:
        mask = np.zeros(self._shape, np.float32)
        _behind(self._poses[index], self._bones, self._mirror, self._below, mask)
        return mask
