"""The text of a Stradwin recording (.sw), line by line, and the files of images that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from myosweep.errors import InputError

# 100 000 frames and as many contours as hands can draw take a tenth of this.
LARGEST_TEXT = 128 << 20
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
DICOM_SUFFIXES = (".dcm", ".dicom")

KEYWORDS = frozenset(
    [
        *(f"RES_BUF_{word}" for word in ("FRAMES", "WIDTH", "HEIGHT", "RF", "DICOM", "DOPPLER")),
        *("RES_POS_REC", "RES_POS_MANUAL", "RES_BIN_IM_FILENAME", "RES_DICOM_FRAME_LIST"),
        *("RES_INVERT_BSCAN", "RES_MASKED_DATA", "RES_CORRECTED_PRESSURE", "RES_CORRECTED_POS"),
        *("RES_XSCALE", "RES_YSCALE"),
        *(
            f"RES_{start}{word}"
            for start in ("", "ISOCENTRE_")
            for word in ("XTRANS", "YTRANS", "ZTRANS", "AZIMUTH", "ELEVATION", "ROLL")
        ),
    ]
)


def read_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield number (from 1), keyword and rest of every line from the first RES_ line on.

    A recording's comment stands above that line in words that may be anything.

    Raises
    ------
    InputError
        There is no such file, or it is too long to be the text of a recording.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "a Stradwin recording (.sw)", "correct the column `path`")
    if (size := path.stat().st_size) > LARGEST_TEXT:
        raise InputError(
            path,
            f"{size} bytes",
            f"the text of a recording, at most {LARGEST_TEXT} bytes",
            "name the .sw file, not the file of images",
        )
    begun = False
    # Stradwin writes in the code page of its Windows, Stradview not always.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            keyword, _, rest = line.strip().partition(" ")
            begun = begun or keyword.startswith("RES_")
            if begun and keyword:
                yield number, keyword, _readable(rest.strip())


def _readable(text: str) -> str:
    if text.isascii():
        return text
    data = text.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def truth(values: Mapping[str, str], keyword: str, default: bool = False) -> bool | None:
    """A `true` or `false` of the text; None where it is neither."""
    word = values.get(keyword, str(default)).strip().casefold()
    return {"true": True, "1": True, "false": False, "0": False}.get(word)


def path_inside(path: Path, name: str) -> Path:
    """The file or folder that a recording names; upper and lower case are the same where they must be.

    Raises
    ------
    InputError
        The name leads out of the recording's folder, or names nothing.
    """
    where = f"{path}, RES_BIN_IM_FILENAME"
    plain = name.strip().strip('"').replace("\\", "/")
    parts = plain.split("/")
    leaves = plain.startswith("/") or re.match(r"[A-Za-z]:", plain) or ".." in parts
    if not plain or not plain.isprintable() or leaves:
        raise InputError(
            where,
            f"`{plain[:200]}`" if plain.isprintable() else "a name with characters that do not print",
            "a file in the recording's folder, or in a folder there",
            "put the images beside the recording, and leave only their name in this line",
        )
    try:
        root = path.parent.resolve()
        target = path.parent
        for part in parts:
            target = _same_but_for_case(target, part)
        outside = not target.resolve().is_relative_to(root)
        there = target.exists()
    except (OSError, RuntimeError) as error:
        raise InputError(
            where, f"`{plain[:200]}` ({error})", "a file that can be read", "correct the line"
        ) from None
    if outside:
        raise InputError(
            where,
            f"`{plain}`, a link that leads out of the recording's folder, to {target.resolve()}",
            "a file in the recording's folder",
            "put the images themselves beside the recording",
        )
    if not there:
        raise InputError(
            where, f"no file {target}", "the images of the recording", "copy them beside the recording"
        )
    return target


def _same_but_for_case(folder: Path, name: str) -> Path:
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    same = sorted(item for item in folder.iterdir() if item.name.casefold() == name.casefold())
    return same[0] if len(same) == 1 else exact


def pixel_file(path: Path, values: Mapping[str, str]) -> Path:
    """The .sxi file: the one that is named, or (pairs are renamed together) the one of the same name.

    Raises
    ------
    InputError
        Neither is there, or the name leads out of the recording's folder.
    """
    named = values.get("RES_BIN_IM_FILENAME", "")
    own = f"{path.stem}.sxi"
    if not named:
        return path_inside(path, own)
    try:
        return path_inside(path, named)
    except InputError as error:
        if error.found.startswith("no file") and _same_but_for_case(path.parent, own).exists():
            return path_inside(path, own)
        raise


def image_files(path: Path, values: Mapping[str, str]) -> list[Path]:
    """The DICOM or image files that the numbers of RES_DICOM_FRAME_LIST count, in natural order.

    The named folder's, or those that differ from the named file in their last number alone.

    Raises
    ------
    InputError
        Nothing is named, it is not there, leads out of the recording's folder, or is no image.
    """
    named = path_inside(path, values.get("RES_BIN_IM_FILENAME", ""))
    if named.is_dir():
        found = [item for item in named.iterdir() if kind_of(item)]
        if len({kind_of(item) for item in found}) != 1:
            raise InputError(
                named,
                "DICOM files and images" if found else "no image",
                "the DICOM files, or the images, that the recording was made of",
                "leave only these in the folder",
            )
    elif not kind_of(named):
        raise InputError(
            named,
            "neither DICOM nor an image",
            f"a DICOM file, or one of {', '.join(IMAGE_SUFFIXES)}",
            "save the recording with its images as .sxi",
        )
    elif numbered := re.fullmatch(r"(.*?)(\d+)(\D*)", named.name):
        pattern = re.compile(re.escape(numbered[1]) + r"\d+" + re.escape(numbered[3]), re.IGNORECASE)
        found = [item for item in named.parent.iterdir() if pattern.fullmatch(item.name) and kind_of(item)]
    else:
        found = [named]
    # What lies in the folder may be a link, too.
    root = path.parent.resolve()
    return sorted((item for item in found if item.resolve().is_relative_to(root)), key=_natural)


def _natural(path: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]


def kind_of(path: Path) -> str:
    """Say whether a file is "DICOM", an "image", or "" (something else)."""
    if path.name.startswith(".") or not path.is_file():
        return ""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return "image"
    if path.suffix.lower() in DICOM_SUFFIXES:
        return "DICOM"
    with path.open("rb") as file:
        # Exports from scanners bear names without a suffix; DICOMDIR is their table of contents.
        return "DICOM" if file.read(132)[128:] == b"DICM" and path.name.upper() != "DICOMDIR" else ""


def frame_list(values: Mapping[str, str]) -> list[int] | None:
    """RES_DICOM_FRAME_LIST, or None where there is no such line, or it does not hold numbers from 0 on."""
    words = values.get("RES_DICOM_FRAME_LIST", "").split()
    if not words or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
        return None
    return [int(word) for word in words]


def stradwin_files(path: str | Path) -> list[Path]:
    """All files that a recording consists of, the .sw first: reads text and names only, and never raises.

    Of a recording that is damaged: those that can be told.
    """
    path = Path(path)
    values: dict[str, str] = {}
    try:
        for _, keyword, rest in read_lines(path):
            if keyword in KEYWORDS:
                values.setdefault(keyword, rest)
        if not truth(values, "RES_BUF_DICOM"):
            return [path, pixel_file(path, values)]
        named, files = path_inside(path, values.get("RES_BIN_IM_FILENAME", "")), image_files(path, values)
        numbers = frame_list(values) or range(int(values["RES_BUF_FRAMES"]))
        if max(numbers) < len(files):
            files = [files[number] for number in sorted(set(numbers))]
        elif named.is_file():
            files = [named]
        return [path, *files]
    except (InputError, OSError, RuntimeError, ValueError, KeyError):
        return [path]
