"""What the text of a Stradwin recording (.sw) says, in its own units, checked."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.stradwin_files import KEYWORDS, read_lines, truth

SIX = ("XTRANS", "YTRANS", "ZTRANS", "AZIMUTH", "ELEVATION", "ROLL")
# Beyond these no hand has drawn, and memory would not be bounded.
MOST_FRAMES = 1_000_000
MOST_LINES = 200_000
MOST_POINTS = 100_000
FARTHEST_CM = 1e5
LARGEST_ANGLE = 360.0
MOST_PIXELS = 1 << 26
SCALES_CM = (1e-5, 10.0)


@dataclass(frozen=True)
class Drawn:
    """A CONT line: points as they stand in the file, (point, 2)."""

    line: int
    number: int
    frame: int
    closed: bool
    points: NDArray[np.float64]


@dataclass(frozen=True)
class StradwinText:
    """A recording's text.

    Attributes
    ----------
    values
        The RES_ lines that matter: keyword to the rest of the line.
    shape
        (frames, rows, columns), as the text says.
    images
        (frame, 7): time (s), x, y, z (cm), azimuth, elevation, roll (degrees) of IM lines.
    objects
        Number to name.
    drawn
        The CONT lines.
    landmarks
        Name to x, y, z (cm).
    """

    path: Path
    values: Mapping[str, str]
    shape: tuple[int, int, int]
    images: NDArray[np.float64]
    objects: Mapping[int, str]
    drawn: tuple[Drawn, ...]
    landmarks: Mapping[str, tuple[float, float, float]]

    def flag(self, keyword: str, default: bool = False) -> bool:
        """A truth value; `default` where there is no such line."""
        value = truth(self.values, keyword, default)
        if value is None:
            raise InputError(
                f"{self.path}, {keyword}",
                f"`{self.values[keyword][:80]}`",
                "true or false",
                "correct the line",
            )
        return value

    def six(self, start: str) -> tuple[float, ...] | None:
        """x, y, z (cm), azimuth, elevation, roll (degrees) of the lines RES_`start`XTRANS ...; None: none."""
        keywords = [f"RES_{start}{word}" for word in SIX]
        missing = [keyword for keyword in keywords if keyword not in self.values]
        if len(missing) == len(keywords):
            return None
        if missing:
            raise InputError(
                self.path,
                f"no line {', '.join(missing)}",
                f"all six of {', '.join(keywords)}, or none",
                "add the lines, or save the recording again",
            )
        where = f"{self.path}, RES_{start}*"
        return placed(where, [number(self.path, key, self.values[key]) for key in keywords])

    def scales(self) -> tuple[float, float]:
        """Cm per pixel along a row and along a column."""
        found = []
        for keyword in ("RES_XSCALE", "RES_YSCALE"):
            text = required(self.path, self.values, keyword)
            scale = number(self.path, keyword, text)
            if not SCALES_CM[0] <= scale <= SCALES_CM[1]:
                raise InputError(
                    f"{self.path}, {keyword}",
                    f"`{text[:80]}`",
                    f"cm per pixel, {SCALES_CM[0]:g} to {SCALES_CM[1]:g}",
                    "correct the line, or give a calibration in the column `calibration`",
                )
            found.append(scale)
        return found[0], found[1]


def read_text(path: Path) -> StradwinText:
    """Read a .sw file.

    Raises
    ------
    InputError
        It is missing or too long; a line is missing, or holds something else than it should; the lines IM are
        not as many as RES_BUF_FRAMES says.
    """
    values: dict[str, str] = {}
    images = array("d")
    counts = dict.fromkeys(("IM", "OBJECT", "CONT", "LANDMARK"), 0)
    objects: dict[int, str] = {}
    drawn: list[Drawn] = []
    landmarks: list[tuple[str, str, list[float]]] = []
    for line, keyword, rest in read_lines(path):
        match keyword:
            case "IM":
                images.extend(_image(path, counts["IM"], line, rest))
            case "OBJECT":
                _add_object(path, line, rest, objects)
            case "CONT":
                drawn.append(_contour(path, line, rest))
            case "LANDMARK":
                landmarks.append(_landmark(path, line, rest))
            case _ if keyword in KEYWORDS:
                if values.setdefault(keyword, rest) != rest:
                    raise InputError(
                        f"{path}, line {line}",
                        f"a second line {keyword}, which differs from the first",
                        "one line of each kind",
                        "remove the wrong one",
                    )
        if keyword in counts:
            counts[keyword] += 1
            if counts[keyword] > (most := MOST_FRAMES if keyword == "IM" else MOST_LINES):
                raise InputError(
                    f"{path}, line {line}",
                    f"more than {most} lines {keyword}",
                    "what people record and draw by hand",
                    "save the recording again",
                )
    shape = _shape(path, values)
    if counts["IM"] != shape[0]:
        raise InputError(
            path,
            f"{counts['IM']} lines IM, but RES_BUF_FRAMES {shape[0]}",
            "one line IM for every frame",
            "save the recording again",
        )
    named = _unique_names(landmarks)
    return StradwinText(path, values, shape, np.array(images).reshape(-1, 7), objects, tuple(drawn), named)


def required(path: Path, values: Mapping[str, str], keyword: str) -> str:
    """The rest of a line that must be there."""
    if keyword not in values:
        raise InputError(
            path,
            f"no line {keyword}",
            "the text of a Stradwin or Stradview recording",
            "name the .sw file of a recording, or save it again",
        )
    return values[keyword]


def _shape(path: Path, values: Mapping[str, str]) -> tuple[int, int, int]:
    sizes = []
    for keyword in ("RES_BUF_FRAMES", "RES_BUF_HEIGHT", "RES_BUF_WIDTH"):
        text = required(path, values, keyword)
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            raise InputError(
                f"{path}, {keyword}",
                f"`{text[:80]}`",
                "a whole number from 1 to 999999999",
                "save the recording again",
            )
        sizes.append(int(text))
    if sizes[1] * sizes[2] > MOST_PIXELS:
        raise InputError(
            path,
            f"frames of {sizes[2]} x {sizes[1]} pixels",
            f"at most {MOST_PIXELS} pixels",
            "correct RES_BUF_WIDTH and RES_BUF_HEIGHT",
        )
    return sizes[0], sizes[1], sizes[2]


def _numbers(where: str, words: Sequence[str]) -> list[float]:
    """Finite numbers, or an error that names the first word that is none."""
    found = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(where, f"`{word[:40]}`", "a number", "correct the line")
        found.append(value)
    return found


def number(path: Path, keyword: str, text: str) -> float:
    """The one finite number of a line."""
    words = text.split()
    return _numbers(f"{path}, {keyword}", words[:1] or [""])[0]


def placed(where: str, values: Sequence[float]) -> tuple[float, ...]:
    """Three coordinates (cm) and three angles (degrees) that something on earth can have."""
    if max(abs(value) for value in values[:3]) > FARTHEST_CM:
        raise InputError(where, f"a position of {values[:3]} cm", "cm within a room", "correct the line")
    if max(abs(value) for value in values[3:]) > LARGEST_ANGLE:
        raise InputError(where, f"angles of {values[3:]} degrees", "-360 to 360 degrees", "correct the line")
    return tuple(values)


def _image(path: Path, frame: int, line: int, rest: str) -> list[float]:
    where = f"{path}, frame {frame} (line {line})"
    words = rest.split()
    if len(words) < 7:
        raise InputError(
            where,
            f"`IM {rest[:80]}`",
            "IM time x y z azimuth elevation roll",
            "save the recording again; its text is not whole",
        )
    values = _numbers(where, words[:7])
    placed(where, values[1:])
    return values


def _add_object(path: Path, line: int, rest: str, objects: dict[int, str]) -> None:
    """OBJECT number solid r g b alpha rough metal name; older versions have fewer numbers before the name."""
    where = f"{path}, line {line}"
    words = rest.split()
    if not words or not re.fullmatch(r"[0-9]{1,9}", words[0]):
        raise InputError(where, f"`OBJECT {rest[:80]}`", "OBJECT number ... name", "correct the line")
    settings = 0
    while settings < min(7, len(words) - 1) and _is_number(words[1 + settings]):
        settings += 1
    name = " ".join(words[1 + settings :]).strip('"')
    if objects.setdefault(int(words[0]), name) != name:
        raise InputError(
            where,
            f"object {words[0]}, `{name}`, which was `{objects[int(words[0])]}` before",
            "one name for every object",
            "remove the wrong line",
        )


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word) is not None


def _contour(path: Path, line: int, rest: str) -> Drawn:
    where = f"{path}, line {line}"
    words = rest.split()
    closed = {"1": True, "true": True, "0": False, "false": False}.get((words[2:3] or [""])[0].casefold())
    whole = all(re.fullmatch(r"[0-9]{1,9}", word) for word in words[:2])
    points = words[3:]
    if closed is None or not whole or not points or len(points) % 2 or len(points) > 2 * MOST_POINTS:
        raise InputError(
            where,
            f"`CONT {rest[:60]}` ({len(points)} coordinates)",
            "CONT object frame closed x1 y1 x2 y2 ...",
            "correct the line, or draw the contour again",
        )
    values = np.array(_numbers(where, points)).reshape(-1, 2)
    return Drawn(line, int(words[0]), int(words[1]), closed, values)


def _landmark(path: Path, line: int, rest: str) -> tuple[str, str, list[float]]:
    """Name, number ("" where there is none) and position of a line LANDMARK x y z name number."""
    where = f"{path}, line {line}"
    words = rest.split()
    if len(words) < 3:
        raise InputError(where, f"`LANDMARK {rest[:80]}`", "LANDMARK x y z ... number", "correct the line")
    values = _numbers(where, words[:3])
    placed(where, [*values, 0.0])
    last = words[-1] if len(words) > 3 and re.fullmatch(r"[0-9]{1,9}", words[-1]) else ""
    name = " ".join(words[3 : -1 if last else None]).strip('"')
    return name, last, values


def _unique_names(found: Sequence[tuple[str, str, list[float]]]) -> dict[str, tuple[float, float, float]]:
    """Names to positions; where a name is empty or not the only one, its number belongs to it."""
    names = [name for name, _, _ in found]
    often = {name for name in names if names.count(name) > 1} if len(names) <= 1000 else set(names)
    result: dict[str, tuple[float, float, float]] = {}
    for at, (name, last, (x, y, z)) in enumerate(found):
        key = name
        if not name or name in often:
            key = f"{name or 'landmark'} {last or at}"
        if key in result:
            key = f"{key} (line {at} of landmarks)"
        result[key] = (x, y, z)
    return result
