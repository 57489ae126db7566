"""Both tables from a folder of recordings whose names tell what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myosweep.errors import InputError, InputErrors
from myosweep.io.files import write_text
from myosweep.io.recordings import SUFFIXES, format_of, read_sweep
from myosweep.io.tables import CASE_COLUMNS, CONTOURS, SWEEP_COLUMNS
from myosweep.progress import track

FIELDS = ("case", "participant", "session", "side", "acquisition", "sweep")
SIDES = {
    **dict.fromkeys(("l", "left", "li", "lt", "links"), "left"),
    **dict.fromkeys(("r", "right", "re", "rt", "rechts"), "right"),
}
DEFAULT_ACQUISITION = "b-mode"
DEFAULT_SWEEP = "1"

_FIELD = re.compile(r"\{([^{}]*)\}")
_EXAMPLES = 5
# What a cell of a table can hold; undecodable bytes of names become surrogates.
_WRITABLE = re.compile(r'[^\t\r\n"\ud800-\udfff]*')


@dataclass(frozen=True)
class MadeTables:
    """Rows of both tables, and what became of the other files.

    Attributes
    ----------
    cases, sweeps
        Rows by column.
    left_out
        Path and reason of every recording that has no row.
    remarks
        Path and what there is to say of recordings that have one.
    others
        Number of files that are no recordings.
    """

    cases: list[dict[str, str]]
    sweeps: list[dict[str, str]]
    left_out: list[tuple[str, str]]
    remarks: list[tuple[str, str]]
    others: int


class Pattern:
    """A path with fields in braces, `{participant}_{side}_{sweep}.sw`; `*` stands for anything but a slash.

    A field's value is never empty, has no slash and none of the signs that part the field from its
    neighbours: with the pattern above, `p_01_L_1.sw` does not match.

    Raises
    ------
    InputError
        A brace is not closed, a field is unknown, or nothing parts two fields.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parts = _FIELD.split(text.removeprefix("./"))
        literals, names = parts[::2], parts[1::2]
        where = f"pattern {text}"
        if unknown := [name for name in names if name not in FIELDS]:
            raise InputError(where, f"{{{unknown[0]}}}", f"fields {', '.join(FIELDS)}", "rename the field")
        if any("{" in literal or "}" in literal for literal in literals):
            raise InputError(where, "a brace without its partner", "fields like {case}", "close the brace")
        if "" in literals[1:-1]:
            raise InputError(
                where, "two fields next to each other", "a sign between two fields", "put one there"
            )
        self.fields = tuple(dict.fromkeys(names))
        expression = [_literal(literals[0])]
        seen: set[str] = set()
        for index, name in enumerate(names):
            # What follows the last field parts it from nothing: a suffix may stand behind a dot in a value.
            before, after = literals[index][-1:], literals[index + 1][:1] if index + 1 < len(names) else ""
            signs = "".join(sign for sign in before + after if not sign.isalnum() and sign != "*")
            expression.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/{re.escape(signs)}]+?)")
            expression.append(_literal(literals[index + 1]))
            seen.add(name)
        self._expression = re.compile("".join(expression))

    def values(self, path: str) -> dict[str, str] | None:
        """The fields' values in a path, or None where it does not match."""
        match = self._expression.fullmatch(path)
        return match.groupdict() if match else None

    def filled(self, values: Mapping[str, str]) -> str:
        """The path for the values."""
        return _FIELD.sub(lambda match: values[match[1]], self.text)


def _literal(text: str) -> str:
    return "[^/]*".join(re.escape(part) for part in text.split("*"))


def make_tables(
    raw: str | Path,
    pattern: str,
    output: str | Path = ".",
    calibration: str = "",
    annotations: str = "",
    structures: Sequence[str] | Mapping[str, Sequence[str]] = (),
) -> MadeTables:
    """Find the recordings below a folder and make a row for each; every one is opened, no image is read.

    Parameters
    ----------
    raw
        The folder; those below it are searched, too.
    pattern
        See `Pattern`; paths are relative to `raw`. Where a field is missing, the case is made of participant,
        session and side, the acquisition is `b-mode`, and the sweep 1.
    output
        The folder that the tables are written to: relative paths in them are relative to it.
    calibration
        A file, or a pattern with the fields of `pattern`; below `raw` or below the current folder.
    annotations
        A pattern for the folder of masks, or `contours` where they are in the recordings.
    structures
        What was annotated; or, where it is not the same in all, acquisition to what was annotated in it.

    Raises
    ------
    InputErrors
        A pattern makes no sense, nothing matches, or two files are the same sweep.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise InputError(raw, "no such folder", "a folder of recordings", "correct the path")
    if annotations and not structures:
        raise InputError(
            "option --annotations", "no structures", "what was annotated", "add --structures GM,GL,SOL"
        )
    if structures and not annotations:
        raise InputError(
            "option --structures", "no annotations", "where the annotations are", "add --annotations"
        )
    recording = Pattern(pattern)
    if not {"case", "participant"} & set(recording.fields):
        raise InputError(
            f"pattern {pattern}", "neither {case} nor {participant}", "one of them", "name the case in it"
        )
    beside = {"--calibration": Pattern(calibration), "--annotations": Pattern(annotations)}
    for option, other in beside.items():
        if missing := [name for name in other.fields if name not in recording.fields]:
            raise InputError(
                f"option {option}", f"{{{missing[0]}}}", f"fields of {pattern}", "take it out of the pattern"
            )
    if isinstance(structures, Mapping) and "acquisition" not in recording.fields:
        raise InputError(
            "option --structures",
            f"structures of the acquisition {next(iter(structures))}",
            f"structures alone, as {pattern} tells no acquisitions apart",
            "leave out the acquisition's name, or put {acquisition} into the pattern",
        )
    made = MadeTables([], [], [], [], 0)
    found, others = _matching(raw, recording, made.left_out)
    if not found:
        names = [name for name, _ in made.left_out[:_EXAMPLES]]
        raise InputError(
            f"{raw}, pattern {pattern}",
            f"no recording that matches; there are {', '.join(names) or 'none at all'}",
            f"recordings ({', '.join(SUFFIXES)}, folders of images) named like the pattern",
            "correct the pattern; it is relative to the folder",
        )
    problems: list[InputError] = []
    cases: dict[str, tuple[dict[str, str], str]] = {}
    sweeps: dict[tuple[str, str, str], str] = {}
    for name, values in track(found, len(found), "recordings opened"):
        row = _row(raw, name, values, Path(output), beside, annotations, structures, made)
        if row is None:
            continue
        case, sweep = row
        key = (sweep["case"], sweep["acquisition"], sweep["sweep"])
        if key in sweeps:
            problems.append(
                InputError(
                    raw / name,
                    f"sweep {key[2]} of {key[0]}, {key[1]}, which {sweeps[key]} is already",
                    "every sweep of an acquisition once",
                    "rename or move one of the files, or tell them apart by the pattern",
                )
            )
            continue
        sweeps[key] = name
        known, first = cases.setdefault(case["case"], (case, name))
        if known != case:
            problems.append(
                InputError(
                    raw / name,
                    f"case {case['case']}, {_described(case)}",
                    f"{_described(known)}, as in {first}",
                    "rename the file, or leave {case} out of the pattern",
                )
            )
            continue
        made.sweeps.append(sweep)
    if isinstance(structures, Mapping):
        there = {row["acquisition"] for row in made.sweeps}
        problems += [
            InputError(
                "option --structures",
                f"the acquisition {name}",
                f"one of {', '.join(sorted(there))}",
                "correct the name",
            )
            for name in structures
            if there and name not in there
        ]
    if problems:
        raise InputErrors(problems)
    made.cases.extend(case for case, _ in cases.values())
    return MadeTables(made.cases, made.sweeps, made.left_out, made.remarks, others)


def write_tables(made: MadeTables, output: str | Path) -> tuple[Path, Path]:
    """Write cases.tsv and sweeps.tsv; files that exist are not touched (InputError)."""
    paths = table_paths(output)
    for path, columns, rows in zip(
        paths, (CASE_COLUMNS, SWEEP_COLUMNS), (made.cases, made.sweeps), strict=True
    ):
        lines = ["\t".join(columns), *("\t".join(row.get(column, "") for column in columns) for row in rows)]
        write_text(path, "\n".join(lines) + "\n")
    return paths


def table_paths(output: str | Path) -> tuple[Path, Path]:
    """Where the tables go; an InputError where something is already there."""
    paths = Path(output) / "cases.tsv", Path(output) / "sweeps.tsv"
    for path in paths:
        if path.exists():
            raise InputError(
                path, "a file that is already there", "none", "move it away, or write elsewhere with --output"
            )
    return paths


def _matching(
    raw: Path, pattern: Pattern, left_out: list[tuple[str, str]]
) -> tuple[list[tuple[str, dict[str, str]]], int]:
    """Recordings below the folder that match, in natural order, and the number of files that are none."""
    found: list[tuple[str, dict[str, str]]] = []
    inside: set[str] = set()
    others = 0
    for name, is_folder in _below(raw):
        if any(parent in inside for parent in _parents(name)):
            continue
        values = pattern.values(name)
        kind = format_of(raw / name)
        if is_folder:
            if values is not None and kind is not None and _WRITABLE.fullmatch(name):
                inside.add(name)
                found.append((name, values))
        elif kind is None:
            others += 1
        elif not _WRITABLE.fullmatch(name):
            left_out.append((ascii(name), "a tab, a line break, a quotation mark or no UTF-8 in the name"))
        elif values is None:
            left_out.append((name, f"does not match {pattern.text}"))
        else:
            found.append((name, values))
    return sorted(found, key=lambda item: _natural(item[0])), others


def _below(raw: Path) -> Iterator[tuple[str, bool]]:
    """Paths below a folder, relative to it, and whether they are folders; hidden ones are passed over."""
    for folder, folders, files in os.walk(raw):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(files)]:
            if not name.startswith("."):
                path = Path(folder, name).relative_to(raw).as_posix()
                yield path, name in folders


def _parents(name: str) -> Iterator[str]:
    for match in re.finditer("/", name):
        yield name[: match.start()]


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", text)]


def _row(
    raw: Path,
    name: str,
    values: Mapping[str, str],
    output: Path,
    beside: Mapping[str, Pattern],
    annotations: str,
    structures: Sequence[str] | Mapping[str, Sequence[str]],
    made: MadeTables,
) -> tuple[dict[str, str], dict[str, str]] | None:
    """A recording's rows of both tables, or None where it is left out."""
    side = values.get("side", "")
    if side and side.casefold() not in SIDES:
        made.left_out.append((name, f"the side `{side}` is neither left nor right (L, R, li, re)"))
        return None
    case = {
        "participant": values.get("participant", ""),
        "session": values.get("session", ""),
        "side": SIDES.get(side.casefold(), ""),
    }
    joined = "_".join(part for part in case.values() if part)
    ids = {
        "case": values.get("case", joined),
        "acquisition": values.get("acquisition", DEFAULT_ACQUISITION),
        "sweep": values.get("sweep", DEFAULT_SWEEP),
    }
    plain = {column: _plain(value) for column, value in ids.items()}
    calibration = ""
    if beside["--calibration"].text:
        wanted = beside["--calibration"].filled(values)
        file = _existing(raw, wanted)
        if file is None or not file.is_file():
            made.left_out.append((name, f"there is no calibration {wanted}, neither in {raw} nor here"))
            return None
        calibration = _from_output(file, output)
    try:
        recording = read_sweep(raw / name, _as_found(calibration, output))
    except InputError as error:
        made.left_out.append((name, f"cannot be read: {_reason(error, raw / name)}"))
        return None
    except OSError as error:
        made.left_out.append((name, f"cannot be read: {error.strerror}"))
        return None
    for column, value in ids.items():
        if plain[column] != value:
            made.remarks.append((name, f"the {column} `{value}` is written {plain[column]}"))
    drawn = ""
    annotated = structures.get(plain["acquisition"], ()) if isinstance(structures, Mapping) else structures
    if annotations and not annotated:
        made.remarks.append((name, "--structures names none of this acquisition: not annotated"))
    elif annotations == CONTOURS:
        drawn = CONTOURS if recording.contours else ""
        if not drawn:
            made.remarks.append((name, "no contours in it: not annotated"))
    elif annotations:
        wanted = beside["--annotations"].filled(values)
        folder = _existing(raw, wanted)
        if folder is None or not folder.is_dir():
            made.remarks.append((name, f"no folder of masks {wanted}: not annotated"))
        else:
            drawn = _from_output(folder, output)
    sweep = {
        **plain,
        "path": _from_output(raw / name, output),
        "calibration": calibration,
        "annotations": drawn,
        "structures": ",".join(annotated) if drawn else "",
    }
    return {"case": plain["case"], **case}, sweep


def _reason(error: InputError, path: Path) -> str:
    """What is wrong with a recording in one line, its own path left out."""
    where = error.where.removeprefix(str(path)).lstrip(", /")
    remedy = error.remedy.replace("in the column `calibration`", "with --calibration")
    text = f"{error.found}; expected {error.expected}; {remedy}"
    return " ".join((f"{where}: {text}" if where else text).split())


def _as_found(calibration: str, output: Path) -> str:
    """A calibration as this process finds it."""
    return str(output / calibration) if calibration else ""


def _plain(value: str) -> str:
    """A value that can be part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", value).lstrip(".") or "_"


def _existing(raw: Path, name: str) -> Path | None:
    return next((path for path in (raw / name, Path(name)) if path.exists()), None)


def _from_output(path: Path, output: Path) -> str:
    """A path for the tables: relative to their folder, or absolute as it was given, from elsewhere."""
    relative = os.path.relpath(path, output)
    elsewhere = path.is_absolute() and relative.startswith("..")
    return path.as_posix() if elsewhere else Path(relative).as_posix()


def _described(case: Mapping[str, str]) -> str:
    named = [f"{column} {case[column]}" for column in ("participant", "session", "side") if case[column]]
    return ", ".join(named) or "no participant"
