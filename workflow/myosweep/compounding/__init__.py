"""From tracked frames to a volume: choice of the grid, distribution of pixels to voxels, filling of gaps."""

from myosweep.compounding.area import ImageArea, image_area_of
from myosweep.compounding.frames import Compounded, compound, compound_frames
from myosweep.compounding.grid import case_grid

__all__ = ["Compounded", "ImageArea", "case_grid", "compound", "compound_frames", "image_area_of"]
