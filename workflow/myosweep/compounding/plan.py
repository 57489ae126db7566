"""How frames become a volume: names that belong together, checked."""

from __future__ import annotations

from dataclasses import dataclass

from myosweep.compounding.combination import COMBINATIONS
from myosweep.compounding.filling import FILLINGS
from myosweep.compounding.spreading import KINDS
from myosweep.compounding.weights import BLENDINGS
from myosweep.errors import InputError

VOXEL_METHODS = ("voxel_nearest", "between_frames")
METHODS = (*KINDS, *VOXEL_METHODS)
# Frames closer than this many voxels leave nothing between them that could be filled.
CLOSE_VOXELS = 0.9


@dataclass(frozen=True)
class Plan:
    """How frames become a volume.

    Attributes
    ----------
    method
        Pixels to voxels: "nearest" (PNN), "trilinear" (PTL), "squared_distance", "gaussian"; voxels from
        pixels: "voxel_nearest" (VNN), "between_frames" (VBM along the probe's way).
    combine
        Of several frames in one voxel: "mean", "median", "maximum", "first", "latest" (in the order given).
    fill
        Of voxels that were swept and have no pixel: "between" (interpolated between consecutive frames, and
        slits closed), "gaussian", "nearest", "distance", "none".
    blending
        "feather": frames count less towards their edges; "confidence": and where less of the sound arrives;
        "none". For the mean only.
    reach_mm
        How far from data a hole may be filled.
    radius_voxels
        How far a pixel reaches with "squared_distance" and "gaussian".
    """

    method: str = "trilinear"
    combine: str = "mean"
    fill: str = "between"
    blending: str = "none"
    reach_mm: float = 0.0
    radius_voxels: float = 1.5
    close_voxels: float = CLOSE_VOXELS


def make_plan(
    method: str, combine: str, fill: bool | str, blending: str, reach_mm: float, radius_voxels: float
) -> Plan:
    """Check the settings `compounding`; fill: true means "between".

    Raises
    ------
    InputError
        A name is unknown, or two do not go together.
    """
    chosen = "between" if fill is True else "none" if fill is False else fill
    known = {
        "method": (method, METHODS),
        "combine": (combine, ("mean", *COMBINATIONS)),
        "fill": (chosen, ("between", *FILLINGS, "none")),
        "blending": (blending, BLENDINGS),
    }
    for key, (name, names) in known.items():
        if name not in names:
            raise InputError(
                f"compounding.{key}", f"`{name}`", f"one of {', '.join(names)}", f"correct {key}"
            )
    if method in VOXEL_METHODS and combine != "mean":
        raise InputError(
            "compounding.combine",
            f"`{combine}` with the method {method}, which looks from the voxel",
            "mean",
            f"set combine to mean, or method to one of {', '.join(KINDS)}",
        )
    if blending == "confidence" and (combine != "mean" or method == "voxel_nearest"):
        chosen_key, value = ("method", method) if combine == "mean" else ("combine", combine)
        raise InputError(
            "compounding.blending",
            f"`confidence` with `{value}` for {chosen_key}, which weighs no pixels",
            "a weighted mean",
            "set blending to feather, or combine to mean and method to another one",
        )
    return Plan(method, combine, chosen, blending, reach_mm, radius_voxels)
