"""Tables of the studies that were made, as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from myosweep.report.tables import number, read_text_table
from myosweep.studies import STUDIES

# Column of the table, unit, heading.
SHOWN = (
    ("dice", "1", "Dice"),
    ("hausdorff_95_mm", "mm", "95 % Hausdorff distance (mm)"),
    ("surface_distance_mm", "mm", "surface distance (mm)"),
    ("volume_error_percent", "%", "volume error without sign (%)"),
)

STEPS = (
    "All networks of a study learned from the same cases for the same number of steps. One step shows one "
    "network one example, a limb or a patch of it, and updates its weights once; unet_s_r_clstm updates "
    "them for each window of 16 slices, and once more to reconstruct the image where it does; ifssnet "
    "updates them twice, once for each window of slices that it propagates. Mean ± standard deviation over "
    "the measured cases, which no network learned from; the row mean takes each case with the mean over its "
    "structures. Where a network found nothing of a structure its Dice is 0 and its distances are the "
    "diagonal of the labels' grid."
)
LIMITS = (
    "What this can tell: which networks learn something useful from few steps, and large differences "
    "between them. What it cannot: which network is the best. A short training stops networks of many "
    "weights before they have learned what they could; a handful of cases leaves differences of a standard "
    "deviation and less to chance, as another seed would show; and simulated legs are more alike than "
    "people's."
)


@dataclass(frozen=True)
class StudyTable:
    """A study in the report.

    Attributes
    ----------
    name
        Of the table without its suffix.
    title, about
        As `studies.Study` has them.
    rows
        Per row its model, structure, cases, steps, weights and given slices as text, and a pair of mean and
        standard deviation for each of `SHOWN`, nan where there is none.
    """

    name: str
    title: str
    about: str
    rows: list[tuple[dict[str, str], list[tuple[float, float]]]]

    @property
    def guided(self) -> bool:
        """Whether a model was given slices."""
        return any(text["given_slices"] != "0" for text, _ in self.rows)


def study_tables(paths: Mapping[str, str | Path]) -> list[StudyTable]:
    """The tables, by study, that are there and have rows, in the order of the studies."""
    tables = []
    for name, study in STUDIES.items():
        rows = [
            (
                {str(key): str(row[key]) for key in row if not str(key).endswith(("_mean", "_sd"))},
                [(number(row[f"{column}_mean"]), number(row[f"{column}_sd"])) for column, _, _ in SHOWN],
            )
            for row in read_text_table(paths.get(name), ()).to_dict("records")
        ]
        if rows:
            tables.append(StudyTable(name, study.title, study.about, rows))
    return tables
