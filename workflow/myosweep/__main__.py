"""Commands around the workflow: `python -m myosweep tables`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from myosweep import __version__
from myosweep.errors import InputError, InputErrors

TABLES = """\
Write cases.tsv and sweeps.tsv from a folder of recordings, and say which files were left out and why.

The pattern is a path relative to RAW with fields in braces:
  {case} or {participant}   one of them is needed; the case is otherwise participant_session_side
  {session}                 the occasion
  {side}                    left or right: L, R, li, re, links, rechts are understood
  {acquisition}             the scanner's setting, if a limb was recorded at several (default: b-mode)
  {sweep}                   the recording's number in its acquisition (default: 1)
A * stands for anything. A value has no slash and none of the signs beside its field in the pattern.
"""
EXAMPLES = """\
examples:
  python -m myosweep tables raw --pattern "{participant}_{session}_{side}_{acquisition}_{sweep}.sw" \\
      --annotations contours --structures GM,GL,SOL
  python -m myosweep tables raw --pattern "{case}/{acquisition}_{sweep}.mha" \\
      --calibration "calibration_{acquisition}.xml" --annotations "{case}/{acquisition}_{sweep}_masks" \\
      --structures deep:SOL superficial:GM,GL

Name only structures that were looked for: a mask without one of them says that it is not there.

Calibrations and annotations are looked for below RAW, then below the current folder. Tables that exist are
never overwritten. Paths in the tables are relative to the folder that they are written to; start
Snakemake there.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser("python -m myosweep", description="Commands around the workflow.")
    parser.add_argument("--version", action="version", version=f"myosweep {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    tables = commands.add_parser(
        "tables",
        help="write cases.tsv and sweeps.tsv from a folder of recordings",
        description=TABLES,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tables.add_argument("raw", metavar="RAW", help="folder of recordings; folders below it are searched, too")
    tables.add_argument("--pattern", required=True, help="how the recordings are named")
    tables.add_argument("--output", default=".", metavar="FOLDER", help="where the tables go (default: here)")
    tables.add_argument(
        "--calibration", default="", metavar="PATTERN", help="the calibration: a file, or a pattern"
    )
    tables.add_argument(
        "--annotations", default="", metavar="PATTERN", help="folders of masks, or the word contours"
    )
    tables.add_argument(
        "--structures",
        nargs="+",
        default=[],
        metavar="NAMES",
        help="what was annotated, separated by commas; acquisition:NAMES where it is not the same in all",
    )
    chosen = parser.parse_args(arguments)
    try:
        _make_tables(chosen)
    except (InputError, InputErrors) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _make_tables(chosen: argparse.Namespace) -> None:
    from myosweep.io.table_making import make_tables, table_paths, write_tables

    table_paths(chosen.output)
    structures = _structures(chosen.structures)
    made = make_tables(
        chosen.raw, chosen.pattern, chosen.output, chosen.calibration, chosen.annotations, structures
    )
    if made.sweeps:
        for path, rows in zip(write_tables(made, chosen.output), (made.cases, made.sweeps), strict=True):
            print(f"{path}: {len(rows)} row{'s' if len(rows) != 1 else ''}")
    for title, listed in (("left out", made.left_out), ("remarks", made.remarks)):
        if listed:
            print(f"{title}:")
            for name, reason in listed:
                print(f"  {name}: {reason}")
    if made.others:
        print(f"{made.others} other files are no recordings by themselves")
    if not made.sweeps:
        raise InputError(chosen.raw, "no recording that can be used", "at least one", "see the reasons above")
    acquisitions = list(dict.fromkeys(row["acquisition"] for row in made.sweeps))
    if len(acquisitions) > 1:
        names = ", ".join(acquisitions)
        print(f"acquisitions: {names}; name the one that carries the labels in the configuration:")
        print(f"  registration: {{base_acquisition: {acquisitions[0]}}}")


def _structures(words: Sequence[str]) -> list[str] | dict[str, list[str]]:
    """["GM,GL"] is the same for all acquisitions, ["deep:SOL", "superficial:GM,GL"] says it of each."""
    parts = [word.rpartition(":") for word in words]
    names = [[name for name in re.split(r"[,;\s]+", text) if name] for _, _, text in parts]
    if not any(colon for _, colon, _ in parts):
        return [name for own in names for name in own]
    if not all(acquisition for acquisition, _, _ in parts) or len({part[0] for part in parts}) < len(parts):
        raise InputError(
            "option --structures",
            " ".join(words),
            "NAMES for all acquisitions, or each acquisition once with its own",
            "write --structures deep:SOL superficial:GM,GL",
        )
    return {acquisition: own for (acquisition, _, _), own in zip(parts, names, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
