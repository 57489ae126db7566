"""From tracked frames to a volume: choice of the grid, distribution of pixels to voxels, filling of gaps."""

from myosweep.compounding.area import ImageArea, image_area_of
from myosweep.compounding.frames import MAP_LEVELS, Compounded, Maps, compound, compound_frames, compound_maps
from myosweep.compounding.grid import case_grid

__all__ = [
    "MAP_LEVELS",
    "Compounded",
    "ImageArea",
    "Maps",
    "case_grid",
    "compound",
    "compound_frames",
    "compound_maps",
    "image_area_of",
]
