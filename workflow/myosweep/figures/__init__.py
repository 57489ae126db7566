"""Every picture: of one case, and of the cohort."""

from myosweep.figures.case import draw_case

__all__ = ["draw_case"]
