"""Every picture: of one case, of the cohort, of a training."""

from myosweep.figures.case import draw_case
from myosweep.figures.cohort import draw_cohort
from myosweep.figures.training import draw_training

__all__ = ["draw_case", "draw_cohort", "draw_training"]
