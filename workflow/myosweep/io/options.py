"""How recordings are read: the settings `recordings` as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class RecordingOptions:
    """The settings `recordings`; their defaults are those of the schema.

    Attributes
    ----------
    contour_names
        Object names as annotators typed them (without regard to case and blanks around) to structures, or to
        "background" (`contours.masks_by_structure`).
    contour_unit
        Unit of contours' points: "pixels", "cm", or "auto".
    time_offset_s
        Seconds to add to the times of poses so that they are those of frames; "auto": estimated.
    suspect_poses
        "leave_out" or "keep" frames whose pose jumps or is frozen.
    pose_smoothing_s
        Standard deviation in seconds of the Gaussian that smooths poses; 0: none.
    """

    contour_names: Mapping[str, str] = field(default_factory=dict)
    contour_unit: str = "auto"
    time_offset_s: float | str = 0.0
    suspect_poses: str = "leave_out"
    pose_smoothing_s: float = 0.0


def recording_options(settings: Mapping[str, Any] | None) -> RecordingOptions:
    """Options from plain values; what is not given has its default."""
    names = {item.name for item in fields(RecordingOptions)}
    given = dict(settings or {})
    if unknown := set(given) - names:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    return RecordingOptions(**given)
