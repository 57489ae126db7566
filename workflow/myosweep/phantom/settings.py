"""Settings of a simulated case: names, units and defaults in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from myosweep.errors import InputError


@dataclass(frozen=True)
class Settings:
    """What a simulated case is made of; every name carries its unit.

    Attributes
    ----------
    pixel_spacing_mm
        Size of the square pixels.
    depth_mm, probe_width_mm
        Height and width of the image.
    sweeps, sweep_overlap_mm
        Parallel sweeps of an acquisition and how far neighbouring ones overlap at the skin.
    length_mm, frame_spacing_mm
        Length of a sweep and distance between its frames.
    deep_frequency_mhz, superficial_frequency_mhz
        Centre frequencies of the two acquisitions.
    tremor_mm, tremor_degrees
        Standard deviation of the hand's smooth wandering per axis.
    tilt_degrees
        Largest planned tilt of the probe as it follows the skin.
    jitter_mm, jitter_degrees
        Standard deviation, per axis, of the tracker's white noise on recorded poses.
    calibration_error_mm, calibration_error_degrees
        Size of the error of the written calibration.
    motion_mm, motion_degrees
        Largest shift and turn of the leg between the two acquisitions.
    invalid_fraction
        Fraction of frames that the tracker missed (annotated frames are never among them).
    annotation_spacing_mm
        Distance between annotated frames of a sweep.
    annotate_ends
        Annotate also the frames just inside and just beyond the ends of what a sweep shows of a structure.
    wobble_mm, wobble_length_mm
        Standard deviation and correlation length of the wobble of the expert's hand.
    truth_spacing_mm
        Voxel size of the true labels.
    leg_scale
        Linear scale of the whole leg (1: an adult's).
    compress
        Compress the recordings.
    """

    pixel_spacing_mm: float = 0.5
    depth_mm: float = 95.0
    probe_width_mm: float = 40.0
    sweeps: int = 4
    sweep_overlap_mm: float = 9.0
    length_mm: float = 400.0
    frame_spacing_mm: float = 2.0
    deep_frequency_mhz: float = 5.0
    superficial_frequency_mhz: float = 10.0
    tremor_mm: float = 0.5
    tremor_degrees: float = 1.0
    tilt_degrees: float = 8.0
    jitter_mm: float = 0.1
    jitter_degrees: float = 0.05
    calibration_error_mm: float = 0.2
    calibration_error_degrees: float = 0.1
    motion_mm: float = 8.0
    motion_degrees: float = 4.0
    invalid_fraction: float = 0.01
    annotation_spacing_mm: float = 20.0
    annotate_ends: bool = True
    wobble_mm: float = 0.4
    wobble_length_mm: float = 8.0
    truth_spacing_mm: float = 0.5
    leg_scale: float = 1.0
    compress: bool = False

    @property
    def rows(self) -> int:
        """Rows of a frame."""
        return max(2, round(self.depth_mm / self.pixel_spacing_mm))

    @property
    def columns(self) -> int:
        """Columns of a frame."""
        return max(2, round(self.probe_width_mm / self.pixel_spacing_mm))

    @property
    def frames(self) -> int:
        """Frames of a sweep."""
        return max(2, round(self.length_mm / self.frame_spacing_mm) + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


DEFAULTS: dict[str, Any] = Settings().to_dict()

# The published acquisition (544 rows x 227 columns of 0.176 mm, 5 sweeps over 156 mm, 400 mm long).
_FULL_SIZE: dict[str, Any] = {
    "pixel_spacing_mm": 0.176,
    "depth_mm": 544 * 0.176,
    "probe_width_mm": 227 * 0.176,
    "sweeps": 5,
    "sweep_overlap_mm": 11.0,
    "compress": True,
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "full_sparse": {**_FULL_SIZE, "frame_spacing_mm": 400 / 79},
    "full_dense": {**_FULL_SIZE, "frame_spacing_mm": 400 / 289},
}

_MAY_BE_ZERO = {
    name
    for name in DEFAULTS
    if name.startswith(("tremor", "tilt", "jitter", "calibration_error", "motion", "wobble_mm", "invalid"))
}


def complete_settings(given: Mapping[str, Any]) -> Settings:
    """Check what was given and fill in the defaults; `preset` names one of `PRESETS` to start from.

    Raises
    ------
    InputError
        A key is unknown, or a value has the wrong type or sign.
    """
    values = dict(given)
    preset = values.pop("preset", "default")
    if preset not in PRESETS:
        raise InputError(
            "simulate, preset", repr(preset), f"one of {', '.join(PRESETS)}", "name one of these presets"
        )
    values = {**PRESETS[preset], **values}
    kinds = {field.name: type(DEFAULTS[field.name]) for field in fields(Settings)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        where = f"simulate, {name}"
        if name not in kinds:
            raise InputError(
                where, "an unknown key", f"one of {', '.join(kinds)}", "correct or remove the key"
            )
        checked[name] = _checked(where, name, value, kinds[name])
    settings = Settings(**checked)
    if settings.sweep_overlap_mm >= settings.probe_width_mm:
        raise InputError(
            "simulate, sweep_overlap_mm",
            f"{settings.sweep_overlap_mm:g} mm",
            f"less than the probe's width of {settings.probe_width_mm:g} mm",
            "let the sweeps overlap less",
        )
    return settings


def _checked(where: str, name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(where, repr(value), "true or false", "correct the value")
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (kind is int and value != int(value)):
        noun = "a whole number" if kind is int else "a number"
        raise InputError(where, repr(value), noun, "correct the value")
    low_enough = value >= 0 if name in _MAY_BE_ZERO or name == "sweep_overlap_mm" else value > 0
    if not low_enough or (name == "invalid_fraction" and value >= 1):
        bounds = (
            "at least 0 and below 1"
            if name == "invalid_fraction"
            else ("at least 0" if name in _MAY_BE_ZERO else "more than 0")
        )
        raise InputError(where, f"{value:g}", bounds, "correct the value")
    return kind(value)
