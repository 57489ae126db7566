"""Segmentations of 3D Slicer: labels in a NRRD file whose header names each segment (.seg.nrrd).

Fields by 3D Slicer's developer guide, "Segmentations", and what its reader makes of them. Segments are known
by their names: Slicer numbers them anew, crops the image to them, and puts segments that overlap into layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.io.colours import structure_colours
from myosweep.io.drawn_names import BACKGROUND_NAME, meanings, plain
from myosweep.io.files import whole_file
from myosweep.io.volumes import Header, Volume, read_header, read_volume, to_image
from myosweep.progress import log

SUFFIX = ".seg.nrrd"
UNKNOWN = 255
# The segment that holds what nobody knows; a grey that no structure has.
UNKNOWN_NAME = "unknown"
UNKNOWN_COLOUR = "#808080"

# Beyond so many a header is none of a person's work.
_MOST_SEGMENTS = 1000
_BINARY = "Binary labelmap"


@dataclass(frozen=True)
class Segment:
    """A segment: its name as typed, and the value that it has in its layer (0 is the first layer)."""

    name: str
    layer: int
    value: int


def is_segmentation(path: str | Path, header: Header) -> bool:
    """Whether a volume file is a segmentation: by its fields, or by its name."""
    return "Segment0_ID" in header.metadata or Path(path).name.lower().endswith(SUFFIX)


def segments_of(path: str | Path, header: Header) -> list[Segment]:
    """The segments that a header names; `path` stands in messages.

    Where a file names no layer each segment is a layer of its own, where it names no value it is 1: so old
    versions of 3D Slicer wrote them.

    Raises
    ------
    InputError
        There is no segment, the labels are not binary, a field is no number, there are more layers than
        segments, segments share layer and value.
    """
    fields = header.metadata
    for key in ("Segmentation_SourceRepresentation", "Segmentation_MasterRepresentation"):
        if fields.get(key, _BINARY).strip().casefold() != _BINARY.casefold():
            raise InputError(
                path,
                f"a segmentation stored as {fields[key]}",
                "a binary labelmap",
                "make Binary labelmap the source representation in 3D Slicer's module Segmentations",
            )
    found: list[Segment] = []
    while f"Segment{len(found)}_ID" in fields and len(found) < _MOST_SEGMENTS:
        at = f"Segment{len(found)}"
        name = fields.get(f"{at}_Name", "").strip() or fields[f"{at}_ID"].strip() or "(no name)"
        # Bytes that are no UTF-8 come as halves of characters, which no table takes.
        name = name.encode(errors="replace").decode()
        layer = _number(path, fields, f"{at}_Layer", len(found), 0, header.components - 1)
        found.append(Segment(name, layer, _number(path, fields, f"{at}_LabelValue", 1, 1, 2**31)))
    # An empty segmentation is one voxel, because an image without voxels cannot be written.
    if not found or header.grid.voxels == 1:
        raise InputError(
            path,
            "a segmentation without a segment" if not found else "an empty segmentation",
            "segments named like the structures",
            "draw the structures in 3D Slicer's Segment Editor and save again",
        )
    if header.components > max(1, len(found)):
        raise InputError(
            path,
            f"{header.components} layers for {len(found)} segments",
            "at least one segment in every layer",
            "save the segmentation in 3D Slicer again",
        )
    _refuse_merged(path, found)
    return found


def _number(
    path: str | Path, fields: Mapping[str, str], key: str, default: int, least: int, most: int
) -> int:
    text = fields.get(key, str(default)).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise InputError(
            f"{path}, field {key}",
            f"{text[:40]!r}" if key in fields else "no value",
            f"a whole number from {least} to {most}",
            "save the segmentation in 3D Slicer again",
        )
    return int(text)


def _refuse_merged(path: str | Path, segments: list[Segment]) -> None:
    owners: dict[tuple[int, int], Segment] = {}
    for segment in segments:
        other = owners.setdefault((segment.layer, segment.value), segment)
        if other is not segment:
            raise InputError(
                path,
                f"merged labels: the segments {other.name} and {segment.name} both have the value "
                f"{segment.value} in layer {segment.layer}",
                "a value of its own for every segment of a layer",
                "draw them as separate segments in 3D Slicer and save again",
            )


def segment_labels(
    path: str | Path,
    segments: list[Segment],
    structures: Mapping[str, int],
    names: Mapping[str, str] | None = None,
) -> list[int]:
    """The label that each segment stands for: a structure's, 255 for `unknown`, 0 for `background`.

    Names are matched without regard to case and to blanks around.

    Parameters
    ----------
    structures
        Label value of every structure.
    names
        What annotators typed to structures, or to "background" for a segment that is not used.

    Raises
    ------
    InputError
        A name means no structure, or two segments mean the same structure.
    """
    known = {UNKNOWN_NAME: UNKNOWN_NAME, BACKGROUND_NAME: BACKGROUND_NAME} | meanings(structures, names or {})
    strange = [segment.name for segment in segments if plain(segment.name) not in known]
    if strange:
        first = next(iter(structures))
        raise InputError(
            path,
            f"{'segments' if len(strange) > 1 else 'the segment'} named {', '.join(strange[:8])}",
            f"segments named {', '.join(structures)} (upper and lower case are the same), or {UNKNOWN_NAME}",
            "rename or delete them in 3D Slicer, or say what they mean: "
            f"`recordings: {{contour_names: {{{strange[0]}: {first}}}}}` ({BACKGROUND_NAME}: not used)",
        )
    meant = [known[plain(segment.name)] for segment in segments]
    for at, name in enumerate(meant):
        if name in meant[:at] and name != BACKGROUND_NAME:
            other = segments[meant.index(name)]
            raise InputError(
                path,
                f"two segments for {name}: `{other.name}` and `{segments[at].name}`",
                "one segment for a structure",
                "delete or rename one; two annotators' segments belong into files of their own",
            )
    return [{**structures, UNKNOWN_NAME: UNKNOWN, BACKGROUND_NAME: 0}[name] for name in meant]


def check_segmentation(
    path: str | Path, structures: Mapping[str, int], names: Mapping[str, str] | None = None
) -> None:
    """Refuse a volume file that is a segmentation whose header cannot be used; reads no voxel."""
    header = read_header(path)
    if is_segmentation(path, header):
        segment_labels(path, segments_of(path, header), structures, names)


def read_segmentation(
    path: str | Path, structures: Mapping[str, int], names: Mapping[str, str] | None = None
) -> Volume:
    """Read a segmentation as labels on the file's own grid.

    Parameters
    ----------
    path
        A `.seg.nrrd` of 3D Slicer, of one or several layers.
    structures, names
        See `segment_labels`.

    Returns
    -------
    uint8 (z, y, x): a structure's value; 255 in the segment `unknown`, where no structure is; 0 elsewhere.

    Raises
    ------
    InputError
        As `segments_of` and `segment_labels`; two structures overlap; a value belongs to no segment.
    """
    header = read_header(path)
    segments = segments_of(path, header)
    labels = segment_labels(path, segments, structures, names)
    array = read_volume(path).array
    if array.ndim == 3:
        array = array[..., None]
    out = np.zeros(array.shape[:3], dtype=np.uint8)
    overlaps: dict[tuple[int, int], int] = {}
    for z in range(len(out)):
        _fill_slice(path, array[z], segments, labels, out[z], overlaps)
    if overlaps:
        (first, second), voxels = max(overlaps.items(), key=lambda item: item[1])
        owners = {label: segment.name for label, segment in zip(labels, segments, strict=True)}
        raise InputError(
            path,
            f"{owners[first]} and {owners[second]} overlap on {voxels} voxels",
            "structures that do not overlap",
            "set Modify other segments to Overwrite all in 3D Slicer's Segment Editor and remove the overlap",
        )
    return Volume(out, header.grid)


def read_labels(
    path: str | Path, structures: Mapping[str, int], names: Mapping[str, str] | None = None
) -> Volume:
    """Read labels from any volume file: a segmentation by its segments' names, another volume as it is.

    See `read_segmentation` for arguments and errors.
    """
    if is_segmentation(path, read_header(path)):
        return read_segmentation(path, structures, names)
    return read_volume(path)


def _fill_slice(
    path: str | Path,
    planes: NDArray[np.generic],
    segments: list[Segment],
    labels: list[int],
    out: NDArray[np.uint8],
    overlaps: dict[tuple[int, int], int],
) -> None:
    unknown = np.zeros(out.shape, dtype=bool)
    for layer in range(planes.shape[-1]):
        plane = planes[..., layer]
        unclaimed = plane != 0
        if not unclaimed.any():
            continue
        for segment, label in zip(segments, labels, strict=True):
            if segment.layer != layer:
                continue
            mask = plane == segment.value
            unclaimed &= ~mask
            if label == UNKNOWN:
                unknown |= mask
            elif label:
                for other in np.unique(out[mask & (out != 0)]).tolist():
                    shared = int(np.count_nonzero(mask & (out == other)))
                    overlaps[other, label] = overlaps.get((other, label), 0) + shared
                out[mask] = label
        if unclaimed.any():
            raise InputError(
                path,
                f"the value {plane[unclaimed][0]} in layer {layer}, which no segment has",
                "values of the segments that the header names",
                "save the segmentation in 3D Slicer again",
            )
    out[unknown & (out == 0)] = UNKNOWN


def write_segmentation(path: str | Path, labels: Volume, structures: Mapping[str, int]) -> None:
    """Write labels as a segmentation that 3D Slicer opens with names and colours.

    Every structure is a segment, drawn or not, with its own label value; 255 is a segment `unknown` where it
    occurs, so that labels that come back say the same of every voxel. All segments lie in one layer.

    Parameters
    ----------
    labels
        uint8 (z, y, x): structures' values, 0 background, 255 unknown.
    structures
        Label value of every structure, in the order of the segments.
    """
    segments = dict(structures)
    if (labels.array == UNKNOWN).any():
        segments[UNKNOWN_NAME] = UNKNOWN
    colours = {**structure_colours(structures), UNKNOWN_NAME: UNKNOWN_COLOUR}
    # Slicer cuts a layer to the extent of its first segment: it must be the whole image's.
    extent = " ".join(f"0 {count - 1}" for count in labels.grid.size)
    fields = {
        # Versions before 5.4 call it Master, later ones Source; each reads past the other's.
        "Segmentation_MasterRepresentation": _BINARY,
        "Segmentation_SourceRepresentation": _BINARY,
        "Segmentation_ContainedRepresentationNames": f"{_BINARY}|",
        "Segmentation_ConversionParameters": "",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for at, (name, value) in enumerate(segments.items()):
        red, green, blue = (int(colours[name][place : place + 2], 16) / 255 for place in (1, 3, 5))
        own = {
            "ID": name,
            "Name": name,
            "NameAutoGenerated": "0",
            "Color": f"{red:.6g} {green:.6g} {blue:.6g}",
            "ColorAutoGenerated": "0",
            "LabelValue": str(value),
            "Layer": "0",
            "Extent": extent,
            "Tags": "",
        }
        fields |= {f"Segment{at}_{key}": text for key, text in own.items()}
    with whole_file(path) as temporary:
        image = to_image(Volume(labels.array, labels.grid, fields))
        sitk.WriteImage(image, str(temporary), useCompression=True)
    log(f"{path}: {', '.join(segments)}")
