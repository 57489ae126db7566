"""An expert draws again on a simulated case: other frames, another hand, the same sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from myosweep.geometry import Matrix
from myosweep.io.sweeps import Sweep
from myosweep.io.volumes import Volume
from myosweep.phantom.anatomy import LABELS, Leg
from myosweep.phantom.cohort import ACQUISITION, ANATOMY, STRUCTURES, TEXTURE, case_generator, true_volume
from myosweep.phantom.expert import frames_to_annotate, true_mask, wobble
from myosweep.phantom.population import draw_leg
from myosweep.phantom.probe import image_to_face, lead_probe
from myosweep.phantom.settings import Settings, complete_settings
from myosweep.phantom.skin import Skin, wrap_leg
from myosweep.phantom.zero_order import Annotated

# Random stream of the hand; those before it are the simulation's.
_HAND = 4


@dataclass(frozen=True)
class _Black:
    """Frames that nobody looks at, (frame, row, column)."""

    shape: tuple[int, int, int]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.zeros(self.shape[1:], dtype=np.uint8)


class Redrawing:
    """A simulated case as its description tells it, without its images and without errors of tracking.

    Everything lies in the leg's coordinates.

    Parameters
    ----------
    description
        What `simulate_case` wrote to truth.json.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._seed, self._case = int(description["seed"]), str(description["case"])
        self._settings: Settings = complete_settings(description["settings"])
        self.leg: Leg = draw_leg(
            str(description["side"]),
            case_generator(self._seed, self._case, ANATOMY),
            self._settings.leg_scale,
        )
        self._skin: Skin = wrap_leg(self.leg, case_generator(self._seed, self._case, TEXTURE))
        self.leg_to_world: dict[str, Matrix] = {
            name: np.array(matrix, dtype=np.float64) for name, matrix in description["leg_to_world"].items()
        }

    def truth(self, spacing_mm: float) -> Volume:
        """True labels, uint8 (z, y, x), on a lattice along the leg's axes."""
        return true_volume(self.leg, np.eye(4), spacing_mm)

    def image_to_leg(self, acquisition: str, number: int) -> NDArray[np.float64]:
        """True poses (frame, 4, 4) of a sweep, `number` from 0, pixel index to mm."""
        stream = (ACQUISITION, list(STRUCTURES).index(acquisition), number)
        rng = case_generator(self._seed, self._case, *stream)
        path = lead_probe(self._skin, self.leg.mirror, self._settings, number, rng)
        poses: NDArray[np.float64] = path.face_to_leg @ image_to_face(self._settings)
        return poses

    def annotated(self, acquisition: str, every: int) -> list[Annotated]:
        """Per sweep the frames to draw on: every `every`-th, and those at the structures' ends."""
        settings = replace(self._settings, annotation_spacing_mm=every * self._settings.frame_spacing_mm)
        shape = (settings.rows, settings.columns)
        made = []
        for number in range(settings.sweeps):
            poses = self.image_to_leg(acquisition, number)
            frames = frames_to_annotate(self.leg, poses, shape, STRUCTURES[acquisition], settings)
            made.append(Annotated(poses, shape, tuple(frames)))
        return made

    def sweeps(
        self, acquisition: str, every: int, wobble_mm: float
    ) -> list[tuple[Sweep, dict[int, NDArray[np.uint8]]]]:
        """All sweeps of an acquisition with masks on the frames that `annotated` tells.

        The hand draws the same line at every strength of its wobble, only further off.

        Returns
        -------
        Per sweep the recording, all of whose frames are black, and frame index to mask, uint8 (row, column).
        """
        settings = replace(self._settings, wobble_mm=1.0)
        labels = tuple(LABELS[name] for name in STRUCTURES[acquisition])
        made = []
        for number, seen in enumerate(self.annotated(acquisition, every)):
            poses, shape = seen.image_to_leg, seen.shape
            masks = {}
            for frame in seen.frames:
                stream = (_HAND, list(STRUCTURES).index(acquisition), number, frame)
                hand = wobble_mm * wobble(case_generator(self._seed, self._case, *stream), settings)
                masks[frame] = true_mask(
                    self.leg, poses[frame], shape, labels, hand if wobble_mm > 0 else None
                )
            count = len(poses)
            sweep = Sweep(
                Path(f"{self._case}/{acquisition}/{number + 1}"),
                _Black((count, *shape)),
                poses,
                ("",) * count,
                np.arange(count, dtype=np.float64),
            )
            made.append((sweep, masks))
        return made
