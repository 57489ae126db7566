"""Put the report together: an index, a page for each case, and copies of the pictures."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from myosweep.errors import InputError
from myosweep.figures.cohort import draw_cohort, unseen_pairs
from myosweep.figures.effort import draw_effort
from myosweep.figures.style import PICTURES, RESOURCES, structure_colours
from myosweep.figures.training import draw_training
from myosweep.io.files import read_json, write_text
from myosweep.io.tables import VOLUME_COLUMNS
from myosweep.progress import track
from myosweep.report.accuracy import accuracy_tables, volume_statistics
from myosweep.report.methods import methods_text
from myosweep.report.studies import LIMITS, SHOWN, STEPS, study_tables
from myosweep.report.tables import (
    Case,
    cases_of,
    read_metrics,
    read_text_table,
    rows_by_case,
)
from myosweep.report.trust import KINDS, Flag, flags_of, registration_rows

TEMPLATES = RESOURCES / "report"

CASES_PER_PAGE = 500
MONTAGES_ON_INDEX = 6
NAMED_PER_KIND = 12

NOTICE = "Research use only; not a medical device."

CAPTIONS = {
    "montage.png": "Cross-sections, evenly spaced over the structures' extent, as the scanner shows them "
    "(probe on top), and two cuts along the limb, on which light lines mark the cross-sections. Colour: "
    "structure; line: source. True proportions.",
    "view3d.png": "Surfaces of the structures, smoothed for the picture; volumes are those of the labels.",
    "areas.png": "Cross-sectional area along z. Where an area jumps, is hatched or ends in a circle, the "
    "volume is not to be trusted.",
    "coverage.png": "Where frames gave data, where voxels were filled from their neighbourhood, and where "
    "nothing is known; outlines of the structures in black.",
}

METRIC_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "hausdorff": "Hausdorff distance",
    "hausdorff_95": "95 % Hausdorff distance",
    "surface_dice": "surface Dice",
}
DECIMALS = {"1": 3, "%": 1, "mm": 2, "ml": 1, "cm2": 2}


@dataclass(frozen=True)
class CasePage:
    """A case with all that its page and its row of the index show."""

    case: Case
    href: str
    flags: list[Flag]
    registrations: list[dict[str, Any]]
    screen: list[dict[str, str]]
    pictures: dict[str, str]
    summary: dict[str, Any]

    @property
    def severe(self) -> bool:
        """Whether a volume of the case is missing or a bound only."""
        return any(flag.severe for flag in self.flags)


def write_report(
    output_dir: str | Path,
    *,
    volumes_csv: str | Path,
    metrics_csv: str | Path | None = None,
    screen_tsv: str | Path | None = None,
    excluded_tsv: str | Path | None = None,
    figures: Mapping[str, str | Path] | None = None,
    registration: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    definitions: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    models: Mapping[str, str | Path] | None = None,
    comparison_csv: str | Path | None = None,
    studies: Mapping[str, str | Path] | None = None,
) -> None:
    """Write `index.html`, `case/{case}.html` and what they show into a folder.

    Nothing in the pages points outside the folder. The index holds the first `CASES_PER_PAGE` cases, further
    ones stand on `cases/{number}.html`; every case has its own page. Only `volumes_csv` must be given.

    Parameters
    ----------
    output_dir
        Made if it is not there; what an earlier report left in it and is no longer true is removed.
    volumes_csv, metrics_csv, screen_tsv, excluded_tsv
        As the workflow writes them; one that is missing or empty leaves its part out.
    figures
        For each case the folder that `draw_case` wrote to.
    registration
        For each case a dictionary per acquisition: `acquisition`, `accepted`, `reason` and `measures` (name
        to number), or the measures beside the others.
    definitions
        What each metric means.
    settings, provenance
        Plain values, of any depth.
    models
        For each model its history.csv.
    comparison_csv
        As `metrics.comparison.write_comparison` writes it.
    studies
        For each study that was made its table, as `metrics.studies.write_study` writes it.

    Raises
    ------
    InputError
        volumes.csv is missing.
    """
    folder = Path(output_dir)
    if not Path(volumes_csv).is_file():
        raise InputError(
            volumes_csv, "no such file", "the table of volumes", "run the workflow up to volumes.csv"
        )
    settings, figures, registration = settings or {}, figures or {}, registration or {}
    volumes = read_text_table(volumes_csv, VOLUME_COLUMNS)
    metrics = read_metrics(metrics_csv)
    cases = cases_of(volumes)
    structures = list(settings.get("structures") or dict.fromkeys(volumes["structure"])) or []
    sources = [source for source in dict.fromkeys(volumes["source"]) if source]
    unseen = unseen_pairs(volumes)
    screens = rows_by_case(read_text_table(screen_tsv, (), "\t"))
    excluded = rows_by_case(read_text_table(excluded_tsv, ("case", "reason"), "\t"))
    use = (settings.get("labels") or {}).get("use")
    compared = [
        source
        for source in sources
        if not (use and source.startswith("labels_")) or source == f"labels_{use}"
    ]
    metrics_of: dict[str, pd.DataFrame] = {
        str(name): part for name, part in metrics.groupby("case", sort=False)
    }

    environment = _environment()
    names = page_names(cases)
    pages: list[CasePage] = []
    for case in cases.values():
        pictures, summary = _take_pictures(folder, names[case.name], figures.get(case.name))
        pages.append(
            CasePage(
                case,
                f"case/{quote(names[case.name])}.html",
                flags_of(
                    case,
                    registration.get(case.name, ()),
                    screens.get(case.name, ()),
                    summary,
                    metrics_of.get(case.name),
                    compared,
                ),
                registration_rows(registration.get(case.name, ())),
                screens.get(case.name, []),
                pictures,
                summary,
            )
        )

    shared = {
        "notice": NOTICE,
        "structures": structures,
        "colours": structure_colours(structures),
        "captions": CAPTIONS,
        "definitions": dict(definitions or {}),
    }
    template = environment.get_template("case.html")
    for index, page in enumerate(track(pages, len(pages), "case pages written")):
        rows = metrics_of.get(page.case.name)
        write_text(
            folder / "case" / f"{names[page.case.name]}.html",
            template.render(
                **shared,
                root="../",
                page=page,
                before=pages[index - 1] if index else None,
                after=pages[index + 1] if index + 1 < len(pages) else None,
                metrics=_case_metrics(rows, structures),
            ),
        )
    _remove_stale(folder, set(names.values()))

    groups = [pages[start : start + CASES_PER_PAGE] for start in range(0, len(pages), CASES_PER_PAGE)] or [[]]
    links = [
        (group[0].case.name, group[-1].case.name, "index.html" if number == 0 else f"cases/{number + 1}.html")
        for number, group in enumerate(groups)
        if group
    ]
    for number, group in enumerate(groups[1:], start=2):
        page_text = environment.get_template("cases.html").render(
            **shared, root="../", pages=group, links=links, number=number, total=len(pages)
        )
        write_text(folder / "cases" / f"{number}.html", page_text)

    cohort = [path.name for path in draw_cohort(volumes, metrics, folder / "images", structures)]
    curves = list(_training_curves(folder, models or {}))
    effort = _draw_effort(folder, comparison_csv, use)
    with_pictures = [page for page in pages if "montage.png" in page.pictures]
    text = environment.get_template("index.html").render(
        **shared,
        root="",
        pages=groups[0],
        all_pages=pages,
        links=links,
        sources=sources,
        test_cases=len({case for case, _ in unseen}),
        excluded=[(name, row.get("reason", "")) for name, rows in excluded.items() for row in rows],
        statuses=_count_statuses(volumes),
        with_reference=len(
            {c.name for c in cases.values() if any(math.isfinite(m.reference_ml) for m in c.measurements)}
        ),
        volume_statistics=volume_statistics(volumes, structures, sources),
        by_kind=_by_kind(pages),
        kinds=KINDS,
        named=NAMED_PER_KIND,
        montages=with_pictures[:MONTAGES_ON_INDEX],
        montage_total=len(with_pictures),
        accuracy=accuracy_tables(metrics, unseen, structures),
        cohort=cohort,
        curves=curves,
        effort=effort,
        studies=study_tables(studies or {}),
        study_columns=SHOWN,
        study_words={"steps": STEPS, "limits": LIMITS},
        methods=methods_text(settings),
        settings=list(flatten(settings)),
        provenance=list(flatten(provenance or {})),
    )
    write_text(folder / "index.html", text)


def _environment() -> Environment:
    if not (TEMPLATES / "index.html").is_file():
        raise InputError(
            TEMPLATES,
            "no templates",
            "the resources beside the workflow",
            "install from a checkout with `pip install -e .`",
        )
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        ml=ml, value=value, measure=measure, metric_name=metric_name, signed=signed, words=words, short=short
    )
    environment.globals["style"] = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment


def page_names(cases: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    """A file name for each case: its id, or, where that is not plain, what is plain in it and a digest."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for case in cases:
        name = case
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", case) or case.lower() in taken:
            plain = re.sub(r"[^A-Za-z0-9_-]+", "_", case).strip("_-")[:60] or "case"
            name = f"{plain}-{hashlib.sha256(case.encode()).hexdigest()[:8]}"
        taken.add(name.lower())
        names[case] = name
    return names


def _take_pictures(
    folder: Path, name: str, source: str | Path | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """Addresses of a case's pictures relative to the report's folder, and the summary beside them."""
    if source is None or not Path(source).is_dir():
        return {}, {}
    source = Path(source)
    summary: dict[str, Any] = (
        read_json(source / "summary.json") if (source / "summary.json").is_file() else {}
    )
    pictures = {}
    for picture in PICTURES:
        if not (source / picture).is_file():
            continue
        if source.resolve().is_relative_to(folder.resolve()):
            relative = (source.resolve() / picture).relative_to(folder.resolve())
        else:
            relative = Path("images") / "cases" / name / picture
            _copy(source / picture, folder / relative)
        pictures[picture] = quote(relative.as_posix())
    return pictures, summary


def _copy(source: Path, target: Path) -> None:
    """A second name for the file where the disk allows it: ten thousand cases have gigabytes of pictures."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _remove_stale(folder: Path, names: set[str]) -> None:
    for page in (folder / "case").glob("*.html"):
        if page.stem not in names:
            page.unlink()
    for page in (folder / "cases").glob("*.html"):
        page.unlink()
    if (folder / "images" / "cases").is_dir():
        for pictures in (folder / "images" / "cases").iterdir():
            if pictures.name not in names:
                shutil.rmtree(pictures)
    for picture in (folder / "images").glob("*.png"):
        picture.unlink()


def _training_curves(folder: Path, models: Mapping[str, str | Path]) -> Iterator[tuple[str, str]]:
    for model, file in page_names(models).items():
        history = read_text_table(models[model], ())
        if history.empty:
            continue
        (folder / "images").mkdir(parents=True, exist_ok=True)
        if draw_training(history, folder / "images" / f"training_{file}.png", model):
            yield model, f"images/training_{quote(file)}.png"


def _draw_effort(folder: Path, comparison_csv: str | Path | None, use: str | None) -> str:
    """Address of the picture of errors over the effort of annotating; empty where nothing was compared."""
    if comparison_csv is None or not Path(comparison_csv).is_file():
        return ""
    table = pd.read_csv(comparison_csv, dtype={"case": str})
    path = folder / "images" / "effort.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return "images/effort.png" if draw_effort(table, path, use or "shape") else ""


def _case_metrics(rows: pd.DataFrame | None, structures: list[str]) -> dict[str, Any] | None:
    """Metrics of a case: a row per metric, a column per source and structure."""
    if rows is None or rows.empty:
        return None
    sources = list(dict.fromkeys(rows["source"]))
    found = {
        (row["metric"], row["source"], row["structure"]): float(row["value"])
        for row in rows.to_dict("records")
    }
    units = dict(zip(rows["metric"], rows["unit"], strict=True))
    keys = [(source, structure) for source in sources for structure in structures]
    return {
        "sources": sources,
        "rows": [
            (metric, unit, [found.get((metric, source, structure), math.nan) for source, structure in keys])
            for metric, unit in units.items()
        ],
    }


def _count_statuses(volumes: pd.DataFrame) -> list[tuple[str, int]]:
    order = ["measured", "partial", "not_annotated", "excluded", "failed"]
    counts = {str(key): int(count) for key, count in volumes["status"].value_counts().items()}
    return [(name, counts[name]) for name in [*order, *sorted(set(counts) - set(order))] if counts.get(name)]


def _by_kind(pages: Sequence[CasePage]) -> list[tuple[str, list[CasePage]]]:
    found: dict[str, list[CasePage]] = {kind: [] for kind in KINDS}
    for page in pages:
        for kind in dict.fromkeys(flag.kind for flag in page.flags):
            found[kind].append(page)
    return [(kind, flagged) for kind, flagged in found.items() if flagged]


def flatten(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested plain values as dotted names and texts."""
    for key, item in values.items():
        name = f"{before}{key}"
        if isinstance(item, Mapping) and item:
            yield from flatten(item, f"{name}.")
        elif isinstance(item, list | tuple):
            yield name, ", ".join(str(entry) for entry in item) or "none"
        else:
            yield name, "" if item is None else str(item)


def ml(volume: float) -> str:
    """Millilitres with as many digits as they deserve; a dash where there are none."""
    if not math.isfinite(volume):
        return "–"
    return f"{volume:.1f}" if abs(volume) < 1000 else f"{volume:.0f}"


def value(number: Any, digits: int = 3) -> str:
    """A number with so many significant digits; texts as they are; a dash where there is nothing."""
    if number is None or (isinstance(number, float) and not math.isfinite(number)):
        return "–"
    if isinstance(number, bool) or not isinstance(number, int | float):
        return str(number)
    if isinstance(number, int) or abs(number) >= 10**digits:
        return f"{number:.0f}".replace("-", "−")
    return f"{number:.{digits}g}".replace("-", "−")


def signed(number: float, digits: int = 1) -> str:
    """A number with its sign; a dash where there is none."""
    return "–" if not math.isfinite(number) else f"{number:+.{digits}f}".replace("-", "−")


def measure(number: float, unit: str) -> str:
    """A measured value with the decimals that its unit deserves; a dash where there is none."""
    if not math.isfinite(number):
        return "–"
    text = f"{number:.{DECIMALS[unit]}f}" if unit in DECIMALS else f"{number:.3g}"
    return text.replace("-", "−")


def metric_name(metric: str) -> str:
    """What a metric is called in text."""
    return METRIC_NAMES.get(metric, words(metric))


def words(name: str) -> str:
    """A name from a table as words: `not_annotated` is not annotated."""
    return str(name).replace("_", " ")


def short(text: str, length: int = 90) -> str:
    """A text that fits a cell."""
    text = " ".join(str(text).split())
    return text if len(text) <= length else text[: length - 1] + "…"
