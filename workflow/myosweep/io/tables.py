"""The tables of cases and sweeps: what is measured and which recordings belong to it.

Everything is checked that can be seen without opening a recording, and told at once. Read whenever the
workflow is planned, so it imports nothing heavy and takes time linear in the number of rows.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myosweep.errors import InputError, InputErrors
from myosweep.io.delimited import RawTable, Row, read_delimited

CASE_COLUMNS = ("case", "participant", "session", "side", "split", "labels", "reference", "exclude")
SWEEP_COLUMNS = ("case", "acquisition", "sweep", "path", "calibration", "annotations", "structures")

# The columns of results/volumes.csv; a study's own columns come behind them under other names.
VOLUME_COLUMNS = (
    "case",
    "participant",
    "session",
    "side",
    "split",
    "structure",
    "source",
    "status",
    "volume_ml",
    "low_ml",
    "high_ml",
    "reference_ml",
    "error_percent",
    "reason",
)
# The columns of results/metrics.csv.
METRIC_COLUMNS = ("case", "structure", "source", "slice", "metric", "unit", "value")

SIDES = ("left", "right")
SPLITS = ("train", "validation", "test")
CONTOURS = "contours"

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
# Looking for a name that is alike takes time: beyond so many wrong names something else is the matter.
_SUGGESTIONS = 50
_LISTED = 100
_CELL = re.compile(r"(.*), row (\d+)(, column .*)?")


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table of cases.

    Attributes
    ----------
    labels, reference
        Paths as written, "" where there is none.
    exclude
        The reason why the case is left out, or "".
    extra
        The study's own columns.
    """

    case: str
    participant: str
    session: str = ""
    side: str = ""
    split: str = ""
    labels: str = ""
    reference: str = ""
    exclude: str = ""
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A row of the table of sweeps; paths as written, "" where there is none."""

    case: str
    acquisition: str
    sweep: str
    path: str
    calibration: str = ""
    annotations: str = ""
    structures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tables:
    """Both tables.

    Attributes
    ----------
    cases
        All cases in the order of the table.
    sweeps
        Per case and acquisition the recordings in the order of the table; every case has an entry.
    extra_columns
        Names of the study's own columns.
    base_setting
        `registration.base_acquisition`, or "".
    """

    cases: dict[str, Case]
    sweeps: dict[str, dict[str, list[SweepRow]]]
    extra_columns: tuple[str, ...] = ()
    base_setting: str = ""

    @property
    def included(self) -> list[str]:
        """The cases that are not excluded in the table."""
        return [name for name, case in self.cases.items() if not case.exclude]

    def acquisitions(self, case: str) -> list[str]:
        """A case's acquisitions, the base first."""
        names = list(self.sweeps[case])
        base = self.base_acquisition(case)
        return [base, *(name for name in names if name != base)] if names else []

    def base_acquisition(self, case: str) -> str:
        """The acquisition whose grid carries a case's labels, "" for a case without sweeps."""
        return self.base_setting or next(iter(self.sweeps[case]), "")

    def case_sweeps(self, case: str) -> list[SweepRow]:
        """All recordings of a case."""
        return [row for rows in self.sweeps[case].values() for row in rows]


def read_tables(
    cases_path: str | Path,
    sweeps_path: str | Path,
    settings: Mapping[str, Any],
    simulated_root: str | Path | None = None,
) -> Tables:
    """Read and check both tables.

    Parameters
    ----------
    cases_path, sweeps_path
        The tables.
    settings
        Complete settings, as `settings.read_settings` returns them.
    simulated_root
        A folder whose files need not exist yet because the workflow makes them, or None.

    Raises
    ------
    InputErrors
        All problems together: file, row, column, what was found, what was expected, what to write instead.
    """
    problems: list[InputError] = []
    paths = _Paths(simulated_root, settings.get("simulate", {}).get("sweeps"))
    case_table = read_delimited(cases_path, CASE_COLUMNS[:1], CASE_COLUMNS[1:], problems)
    sweep_table = read_delimited(
        sweeps_path,
        ("case", "acquisition", "path"),
        ("sweep", "calibration", "annotations", "structures"),
        problems,
    )
    cases: dict[str, Case] = {}
    case_rows: dict[str, Row] = {}
    extra: tuple[str, ...] = ()
    if case_table is not None:
        extra = _extra_columns(case_table, problems)
        cases, case_rows = _read_cases(case_table, extra, paths, problems)
        _check_splits(case_table, cases, case_rows, problems)
    sweeps: dict[str, dict[str, list[SweepRow]]] = {name: {} for name in cases}
    if sweep_table is not None:
        known = cases if case_table is not None else None
        _read_sweeps(sweep_table, known, sweeps, list(settings["structures"]), paths, problems)
    base = str(settings["registration"].get("base_acquisition", ""))
    tables = Tables({name: cases[name] for name in cases}, sweeps, extra, base)
    if case_table is not None and sweep_table is not None:
        _check_sweeps_of_cases(case_table, sweep_table, case_rows, tables, problems)
        _check_training(case_table, tables, settings, problems)
    if problems:
        raise InputErrors(_shortened(problems))
    return tables


def _shortened(problems: Sequence[InputError]) -> list[InputError]:
    """The problems, but of those in the same column no more than can be read."""
    short: list[InputError] = []
    rows: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        match = _CELL.fullmatch(problem.where)
        if match is None:
            short.append(problem)
            continue
        listed = rows.setdefault((match[1], match[3] or ""), [])
        listed.append(match[2])
        if len(listed) <= _LISTED:
            short.append(problem)
    for (path, column), listed in rows.items():
        if len(listed) > _LISTED:
            short.append(
                InputError(
                    f"{path}, rows {listed[_LISTED]} to {listed[-1]}{column}",
                    f"{len(listed) - _LISTED} more rows with a problem here",
                    "as above",
                    "correct the rows above first: the others may have the same cause",
                )
            )
    return short


class _Paths:
    """Tells of paths that do not exist, with a suggestion."""

    def __init__(self, simulated_root: str | Path | None, simulated_sweeps: int | None = None) -> None:
        self.simulated_sweeps = simulated_sweeps
        self.root = "" if simulated_root is None else os.path.normpath(simulated_root) + os.sep
        self.suggestions = 0

    def problem(self, path: str, kind: str) -> tuple[str, str] | None:
        """What is wrong with a path that should be a `kind` ("file", "folder", ""), and what may be meant."""
        if self.root and os.path.normpath(path).startswith(self.root):
            number = re.search(r"/sweep_(\d+)(?:_masks|\.mha)$", path)
            if number and self.simulated_sweeps and not 1 <= int(number[1]) <= self.simulated_sweeps:
                return f"{path}, but simulate.sweeps is {self.simulated_sweeps}", ""
            return None
        if (
            os.path.isfile(path)
            if kind == "file"
            else os.path.isdir(path)
            if kind == "folder"
            else os.path.exists(path)
        ):
            return None
        if os.path.exists(path):
            return f"{path}, which is not a {kind}", ""
        place = "" if os.path.isabs(path) else f" in {os.getcwd()}"
        return f"{path}, which does not exist{place}", self._suggest(path)

    def _suggest(self, path: str) -> str:
        self.suggestions += 1
        if self.suggestions > _SUGGESTIONS:
            return ""
        slashed = path.replace("\\", "/")
        if slashed != path and os.path.exists(slashed):
            return slashed
        folder, name = os.path.split(path)
        try:
            names = sorted(os.listdir(folder or "."))
        except OSError:
            return ""
        same = [other for other in names if other.casefold() == name.casefold()]
        close = same or difflib.get_close_matches(name, names[:2000], n=1)
        return os.path.join(folder, close[0]) if close else ""


def _extra_columns(table: RawTable, problems: list[InputError]) -> tuple[str, ...]:
    extra = tuple(name for name in table.columns if name not in CASE_COLUMNS)
    for name in extra:
        if name in VOLUME_COLUMNS:
            problems.append(
                InputError(
                    f"{table.path}, row 1, column {name}",
                    f"a column of your own named {name}",
                    "a name that volumes.csv does not use itself",
                    f"rename the column, to study_{name} for example",
                )
            )
    return extra


def _row_remedy(table: RawTable, row: Row, **changes: str) -> str:
    return f"write this row instead: {table.line(row, **changes)}"


def _check_id(
    table: RawTable, row: Row, column: str, problems: list[InputError], optional: bool = False
) -> bool:
    value = row[column]
    if _ID.fullmatch(value) or (optional and not value):
        return True
    if not value:
        problems.append(
            InputError(table.where(row, column), "an empty cell", f"the {column}", f"fill in the {column}")
        )
        return False
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", value).strip("._") or "a01"
    problems.append(
        InputError(
            table.where(row, column),
            f"{value}, which cannot be part of a file name",
            "letters without accents, digits, . - and _, not starting with a dot",
            _row_remedy(table, row, **{column: plain}),
        )
    )
    return False


def _check_choice(
    table: RawTable, row: Row, column: str, choices: Sequence[str], problems: list[InputError]
) -> None:
    value = row[column]
    if not value or value in choices:
        return
    lower = value.casefold()
    close = [choice for choice in choices if choice.startswith(lower[:3])]
    if len(close) != 1:
        close = difflib.get_close_matches(lower, choices, n=1)
    problems.append(
        InputError(
            table.where(row, column),
            f"{value}, an unknown {column}",
            f"{', '.join(choices)} or an empty cell",
            _row_remedy(table, row, **{column: close[0] if close else f"<{' or '.join(choices)}>"}),
        )
    )


def _check_path(
    table: RawTable, row: Row, column: str, kind: str, paths: _Paths, problems: list[InputError]
) -> None:
    trouble = paths.problem(row[column], kind)
    if trouble is None:
        return
    found, suggestion = trouble
    problems.append(
        InputError(
            table.where(row, column),
            found,
            f"an existing {kind or 'recording'}, absolute or relative to where Snakemake is started",
            _row_remedy(table, row, **{column: suggestion}) if suggestion else "correct the path",
        )
    )


def _read_cases(
    table: RawTable, extra: Sequence[str], paths: _Paths, problems: list[InputError]
) -> tuple[dict[str, Case], dict[str, Row]]:
    cases: dict[str, Case] = {}
    rows: dict[str, Row] = {}
    if not table.rows:
        problems.append(
            InputError(
                table.path,
                "a header without any row",
                "a row for each case",
                "write a row: p01 is enough where the other columns are empty",
            )
        )
    for row in table.rows:
        name = row["case"]
        _check_id(table, row, "case", problems)
        if name in rows:
            problems.append(
                InputError(
                    table.where(row, "case"),
                    f"{name}, a duplicate of row {rows[name].number}",
                    "every case once",
                    "delete one of the rows, or give the second limb or session a case of its own: "
                    + table.line(row, case=f"{name}_2", participant=row["participant"] or name),
                )
            )
            continue
        _check_choice(table, row, "side", SIDES, problems)
        _check_choice(table, row, "split", SPLITS, problems)
        if not row["exclude"]:
            for column in ("labels", "reference"):
                if row[column] and not (column == "labels" and _is_made(table, row, problems)):
                    _check_path(table, row, column, "file", paths, problems)
        if name:
            rows[name] = row
            own = {column: row[column] for column in extra}
            values = {column: row[column] for column in CASE_COLUMNS[2:]}
            cases[name] = Case(name, row["participant"] or name, **values, extra=own)
    return cases, rows


def _is_made(table: RawTable, row: Row, problems: list[InputError]) -> bool:
    """Whether the labels lie where the workflow makes files, and would overwrite them; told as a problem."""
    path = os.path.relpath(row["labels"])
    if not path.startswith((os.path.join("results", "labels", ""), os.path.join("results", "predict", ""))):
        return False
    name = os.path.basename(path)
    problems.append(
        InputError(
            table.where(row, "labels"),
            f"{row['labels']}, a place where the workflow writes files of its own",
            "labels drawn by hand, outside of results/",
            f"`mkdir -p labels && mv {path} labels/`, then "
            + _row_remedy(table, row, labels=os.path.join("labels", name)),
        )
    )
    return True


def _check_splits(
    table: RawTable, cases: Mapping[str, Case], rows: Mapping[str, Row], problems: list[InputError]
) -> None:
    first: dict[str, Case] = {}
    for case in cases.values():
        if case.split and case.split not in SPLITS:
            continue
        other = first.setdefault(case.participant, case)
        if case.split != other.split:
            problems.append(
                InputError(
                    table.where(rows[case.case], "split"),
                    f"{case.split or 'an empty cell'}, but participant {case.participant} is in "
                    f"{other.split or 'no split'} by case {other.case} (row {rows[other.case].number})",
                    "one split for all cases of a participant",
                    _row_remedy(table, rows[case.case], split=other.split),
                )
            )


def _read_sweeps(
    table: RawTable,
    cases: Mapping[str, Case] | None,
    sweeps: dict[str, dict[str, list[SweepRow]]],
    structures: Sequence[str],
    paths: _Paths,
    problems: list[InputError],
) -> None:
    if not table.rows:
        problems.append(
            InputError(
                table.path,
                "a header without any row",
                "a row for each recording",
                "write a row such as: p01\tdeep\t1\tdata/p01/deep_1.mha\tdata/calibration.xml",
            )
        )
    suggest = _case_suggester(cases or {})
    by_path: dict[str, Row] = {}
    by_name: dict[tuple[str, str, str], Row] = {}
    recordings: dict[tuple[str, str], list[SweepRow]] = {}
    for row in table.rows:
        name, acquisition = row["case"], row["acquisition"]
        usable = _check_id(table, row, "acquisition", problems)
        _check_id(table, row, "sweep", problems, optional=True)
        if not name:
            _check_id(table, row, "case", problems)
        elif cases is not None and name not in cases:
            likely = suggest(name)
            problems.append(
                InputError(
                    table.where(row, "case"),
                    f"{name}, a case unknown in the table of cases",
                    "a case of that table",
                    _row_remedy(table, row, case=likely) if likely else f"add a row for {name} there",
                )
            )
        excluded = cases is not None and name in cases and bool(cases[name].exclude)
        _check_recording(table, row, by_path, excluded, paths, problems)
        annotated = _check_annotations(table, row, structures, excluded, paths, problems)
        rows = recordings.setdefault((name, acquisition), [])
        if usable and name in sweeps:
            sweeps[name][acquisition] = rows
        sweep = row["sweep"] or str(len(rows) + 1)
        same = by_name.setdefault((name, acquisition, sweep), row)
        if same is not row:
            problems.append(
                InputError(
                    table.where(row, "sweep"),
                    f"sweep {sweep} of {name}, {acquisition}: a duplicate of row {same.number}",
                    "every sweep of an acquisition once",
                    _row_remedy(table, row, sweep=str(len(rows) + 1)),
                )
            )
        rows.append(
            SweepRow(name, acquisition, sweep, row["path"], row["calibration"], row["annotations"], annotated)
        )


def _case_suggester(cases: Mapping[str, Case]) -> Callable[[str], str]:
    """Find the case that is meant: spreadsheets make 1 of 01, people write P01 for p01."""
    plain = {_without_zeros(name): name for name in cases}
    asked = 0

    def suggest(name: str) -> str:
        nonlocal asked
        found = plain.get(_without_zeros(name))
        if found is not None:
            return found
        asked += 1
        close = difflib.get_close_matches(name, list(cases), n=1, cutoff=0.8) if asked <= _SUGGESTIONS else []
        return close[0] if close else ""

    return suggest


def _without_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name.casefold())


def _check_recording(
    table: RawTable,
    row: Row,
    by_path: dict[str, Row],
    excluded: bool,
    paths: _Paths,
    problems: list[InputError],
) -> None:
    if not row["path"]:
        problems.append(
            InputError(
                table.where(row, "path"), "an empty cell", "the recording", "fill in the recording's path"
            )
        )
        return
    same = by_path.setdefault(os.path.abspath(row["path"]), row)
    if same is not row:
        problems.append(
            InputError(
                table.where(row, "path"),
                f"{row['path']}, a duplicate of row {same.number}",
                "every recording once",
                f"delete row {row.number}, or write the path of the recording that is meant",
            )
        )
    elif not excluded:
        _check_path(table, row, "path", "", paths, problems)
    if row["calibration"] and not excluded:
        _check_path(table, row, "calibration", "file", paths, problems)


def _check_annotations(
    table: RawTable,
    row: Row,
    structures: Sequence[str],
    excluded: bool,
    paths: _Paths,
    problems: list[InputError],
) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(part for part in re.split(r"[,;\s]+", row["structures"]) if part))
    strange = [name for name in named if name not in structures]
    if strange:
        fixed = ",".join(dict.fromkeys(_meant(name, structures) for name in named))
        problems.append(
            InputError(
                table.where(row, "structures"),
                f"{', '.join(strange)}, unknown among the configuration's structures",
                f"some of {', '.join(structures)}, separated by commas",
                _row_remedy(table, row, structures=fixed),
            )
        )
    if row["annotations"]:
        if row["annotations"] != CONTOURS and not excluded:
            _check_path(table, row, "annotations", "folder", paths, problems)
        if not named:
            problems.append(
                InputError(
                    table.where(row, "structures"),
                    f"an empty cell beside the annotations {row['annotations']}",
                    f"the structures that were annotated in this recording, some of {', '.join(structures)}",
                    _row_remedy(table, row, structures=",".join(structures)),
                )
            )
    elif named:
        problems.append(
            InputError(
                table.where(row, "annotations"),
                f"an empty cell beside the structures {','.join(named)}",
                f"a folder of masks, or `{CONTOURS}` where they are in the recording",
                f"write the folder, or empty the cell of the structures: {table.line(row, structures='')}",
            )
        )
    return named


def _meant(name: str, structures: Sequence[str]) -> str:
    if name in structures:
        return name
    same = [known for known in structures if known.casefold() == name.casefold()]
    close = same or difflib.get_close_matches(name, structures, n=1)
    return close[0] if close else "<structure>"


def _check_sweeps_of_cases(
    case_table: RawTable,
    sweep_table: RawTable,
    case_rows: Mapping[str, Row],
    tables: Tables,
    problems: list[InputError],
) -> None:
    several: list[str] = []
    for name in tables.included:
        acquisitions = list(tables.sweeps[name])
        if not acquisitions and not _ID.fullmatch(name):
            continue
        if not acquisitions:
            row = case_rows[name]
            problems.append(
                InputError(
                    case_table.where(row, "case"),
                    f"{name}, for which {sweep_table.path} has no row",
                    "at least one recording for every case that is not excluded",
                    f"add its recordings there, or exclude it: {_excluding(case_table, row, 'no recording')}",
                )
            )
        elif tables.base_setting and tables.base_setting not in acquisitions:
            row = case_rows[name]
            reason = f"no acquisition {tables.base_setting}"
            problems.append(
                InputError(
                    case_table.where(row, "case"),
                    f"{name}, which has {', '.join(acquisitions)} but not the base acquisition",
                    f"a recording of {tables.base_setting} (registration.base_acquisition) for every case",
                    f"add it to {sweep_table.path}, or exclude it: {_excluding(case_table, row, reason)}",
                )
            )
        elif len(acquisitions) > 1 and not tables.base_setting:
            several.append(name)
    if several:
        acquisitions = list(tables.sweeps[several[0]])
        more = f" and {len(several) - 1} more cases" if len(several) > 1 else ""
        problems.append(
            InputError(
                "configuration, key registration.base_acquisition",
                f"no value, but case {several[0]}{more} has the acquisitions {', '.join(acquisitions)}",
                "the acquisition whose grid carries the labels; the others are registered to it",
                f"add to the configuration: `registration: {{base_acquisition: {acquisitions[0]}}}`",
            )
        )


def _excluding(table: RawTable, row: Row, reason: str) -> str:
    if "exclude" in table.columns:
        return table.line(row, exclude=reason)
    cells = [row[column] for column in table.columns]
    return f"{table.delimiter.join([*cells, reason])} (with `exclude` as the last column of the header)"


def _check_training(
    table: RawTable, tables: Tables, settings: Mapping[str, Any], problems: list[InputError]
) -> None:
    segmentation = settings["segmentation"]
    trained = [name for name in segmentation["models"] if name not in segmentation["pretrained"]]
    if not trained:
        return
    folds = segmentation["folds"]
    if folds:
        training = list(tables.included)
        people = {tables.cases[name].participant for name in training}
        if len(people) < folds:
            problems.append(
                InputError(
                    "configuration, key segmentation.folds",
                    f"{folds} folds for {len(people)} participants",
                    "at most one fold per participant",
                    f"write `folds: {len(people)}`" if len(people) > 1 else "write `folds: 0`",
                )
            )
            return
    else:
        training = [name for name in tables.included if tables.cases[name].split == "train"]
    remedies = "or train nothing: `segmentation: {models: []}` in the configuration"
    if not training:
        problems.append(
            InputError(
                f"{table.path}, column split",
                f"no case with train, but the model {', '.join(trained)} to train",
                "at least one case to train on",
                f"write train into the cell `split` of the cases to train on, {remedies}",
            )
        )
        return
    annotated = (
        tables.cases[name].labels or any(row.annotations for row in tables.case_sweeps(name))
        for name in training
    )
    if not any(annotated):
        problems.append(
            InputError(
                f"{table.path}, column split",
                f"{len(training)} case{'s' if len(training) > 1 else ''} with train, none of them annotated",
                "annotations (table of sweeps) or labels drawn by hand (table of cases) for some of them",
                f"fill in the annotations and structures of their sweeps, {remedies}",
            )
        )
