"""Text tables as spreadsheets write them: tabs, semicolons or commas, byte-order marks, quotation marks."""

from __future__ import annotations

import codecs
import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myosweep.errors import InputError

DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file (the header is row 1) and its cells by column, stripped."""

    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell of a column, "" where the row or the table does not have it."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class RawTable:
    """A table of text."""

    path: Path
    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def line(self, row: Row, **changes: str) -> str:
        """The row as a line of the file, with some cells changed."""
        cells = (changes.get(column, row[column]) for column in self.columns)
        return self.delimiter.join(_quoted(cell, self.delimiter) for cell in cells).rstrip(" \t")

    def where(self, row: Row, column: str) -> str:
        """The place of a cell, for a message."""
        return f"{self.path}, row {row.number}, column {column}"


def _quoted(cell: str, delimiter: str) -> str:
    if delimiter in cell or cell.startswith('"'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def read_delimited(
    path: str | Path, required: Sequence[str], optional: Sequence[str], problems: list[InputError]
) -> RawTable | None:
    """Read a table whose cells are text.

    Understood: UTF-8 with or without a byte-order mark, UTF-16 with one, any line ends, quoted cells, blanks
    around cells, empty rows, empty columns at the right, the known columns' names in any case.

    Parameters
    ----------
    path
        The file.
    required, optional
        Names of the known columns; others are kept as they are. None required: any header will do.
    problems
        What is wrong is appended here.

    Returns
    -------
    The table, or None where its rows make no sense to read (no file, no text, no usable header).
    """
    path = Path(path)
    text = _read_text(path, problems)
    if text is None:
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip(" \t;,\xa0")]
    if not numbered:
        problems.append(
            InputError(
                path,
                "an empty table",
                f"a header with the column {', '.join(required)} and a row for each"
                if required
                else "a header and rows below it",
                f"write the header: {chr(9).join([*required, *optional])}" if required else "fill the table",
            )
        )
        return None
    header_number, header_line = numbered[0]
    delimiter = _delimiter(header_line, required)
    header = _cells(header_line, delimiter)
    columns = _columns(path, header or [], delimiter, required, optional, problems)
    if columns is None:
        return None
    rows = []
    for number, line in numbered[1:]:
        cells = _cells(line, delimiter)
        if cells is None:
            problems.append(
                InputError(
                    f"{path}, row {number}",
                    "a quotation mark that is not closed in this row",
                    "cells without line breaks, and quotation marks in pairs",
                    "take the line break or the quotation mark out of the cell",
                )
            )
            continue
        if any(cells[len(columns) :]):
            signs = DELIMITERS[delimiter] + (" (quote a cell that holds a comma)" if delimiter == "," else "")
            problems.append(
                InputError(
                    f"{path}, row {number}",
                    f"{len(cells)} cells: {line.strip()[:120]}",
                    f"at most {len(columns)} cells as in the header, separated by {signs}",
                    "take the cell out that is too much, or name its column in the header",
                )
            )
        rows.append(Row(number, {name: cell for name, cell in zip(columns, cells, strict=False) if name}))
    nameless = [index for index, name in enumerate(columns) if not name]
    if nameless:
        _name_nameless(path, delimiter, nameless, numbered, header_number, problems)
    return RawTable(path, delimiter, tuple(name for name in columns if name), tuple(rows))


def _read_text(path: Path, problems: list[InputError]) -> str | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        problems.append(
            InputError(
                path,
                f"{found} (looked for in {Path.cwd()})",
                "a table of text",
                "correct the path in the configuration, or start Snakemake in the folder it is relative to",
            )
        )
        return None
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    found = ""
    if data.startswith(b"PK\x03\x04"):
        found = "a spreadsheet workbook"
    elif encoding == "utf-8-sig" and b"\0" in data:
        found = "a file that is not text"
    else:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            row = data.count(b"\n", 0, error.start) + 1
            found = f"a character in row {row} that is not UTF-8"
    problems.append(
        InputError(
            path, found, "text in UTF-8", "save the table as tab-separated text with the encoding UTF-8"
        )
    )
    return None


def _delimiter(header: str, required: Sequence[str]) -> str:
    for delimiter in DELIMITERS:
        names = {name.casefold() for name in _cells(header, delimiter) or []}
        if required and required[0] in names and (delimiter in header or len(required) == 1):
            return delimiter
    return max(DELIMITERS, key=header.count)


def _cells(line: str, delimiter: str) -> list[str] | None:
    """The stripped cells of a line; None where a quotation mark is not closed."""
    if '"' in line:
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error:
            return None
    else:
        cells = line.split(delimiter)
    return [cell.strip() for cell in cells]


def _columns(
    path: Path,
    header: list[str],
    delimiter: str,
    required: Sequence[str],
    optional: Sequence[str],
    problems: list[InputError],
) -> list[str] | None:
    known = {name.casefold(): name for name in (*required, *optional)}
    columns = [known.get(name.casefold(), name) for name in header]
    usable = True
    for name in dict.fromkeys(columns):
        if name and columns.count(name) > 1:
            places = " and ".join(str(index + 1) for index, other in enumerate(columns) if other == name)
            problems.append(
                InputError(
                    f"{path}, row 1, column {name}",
                    f"a duplicate column (columns {places})",
                    "every column once",
                    f"delete or rename all but one of them: {delimiter.join(dict.fromkeys(columns))}",
                )
            )
    missing = [name for name in (*required, *optional) if name not in columns]
    alike: set[str] = set()
    for name in columns:
        if name and name not in known.values():
            close = difflib.get_close_matches(name.casefold(), missing, n=1, cutoff=0.85)
            if close:
                alike.add(close[0])
                usable = usable and close[0] not in required
                problems.append(
                    InputError(
                        f"{path}, row 1, column {name}",
                        f"the column {name}, which is almost {close[0]}",
                        f"{close[0]}, or a name of your own that is less like it",
                        f"write `{close[0]}` in the header",
                    )
                )
    for name in required:
        if name in missing and name not in alike:
            usable = False
            seen = ", ".join(column for column in columns if column) or "nothing"
            blanks = delimiter not in "".join(header) and len(header) == 1 and name in header[0].split()
            problems.append(
                InputError(
                    f"{path}, row 1, column {name}",
                    f"a missing column; the header has {seen}"
                    + (" (it seems to be separated by blanks)" if blanks else ""),
                    f"a header with {', '.join(required)}, separated by tabs, semicolons or commas",
                    "put tabs between the columns"
                    if blanks
                    else f"add the column `{name}` to the header and fill it",
                )
            )
    return columns if usable else None


def _name_nameless(
    path: Path,
    delimiter: str,
    nameless: list[int],
    numbered: list[tuple[int, str]],
    header_number: int,
    problems: list[InputError],
) -> None:
    for index in nameless:
        for number, line in numbered[1:]:
            cells = _cells(line, delimiter) or []
            if index < len(cells) and cells[index]:
                problems.append(
                    InputError(
                        f"{path}, row {header_number}, column {index + 1}",
                        f"no name for a column that holds {cells[index]} in row {number}",
                        "a name for every column that is used",
                        "name the column in the header, or empty it",
                    )
                )
                break
