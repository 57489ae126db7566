"""Names of the ways to fill between annotations, and what each needs; light, as planning reads it."""

from __future__ import annotations

FRAME_WISE = ("zoi", "nearest", "shape", "shape_linear", "fill_between_slices")
"""Give each frame of a sweep its mask; the frames are then compounded."""

VOLUME_WISE = ("surface", "grow_from_seeds", "watershed")
"""Decide in space, from all annotated frames of all sweeps at once."""

NEED_IMAGE = ("grow_from_seeds", "watershed")
"""Look at the compounded volume, too."""

METHODS = (*FRAME_WISE, *VOLUME_WISE)

ENDS = ("cut", "capped", "tapered")
"""What stands beyond a first or last annotation that still shows the structure."""
