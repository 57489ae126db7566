"""Writes Stradwin recordings, so that reading can be tested by round trips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

WORDS = ("XTRANS", "YTRANS", "ZTRANS", "AZIMUTH", "ELEVATION", "ROLL")


def euler_of(transform: np.ndarray) -> list[float]:
    """x, y, z (cm), azimuth, elevation, roll (degrees) of a rigid transform in mm.

    Elevation and roll are those of what is left after the azimuth, which may be any where the elevation is 90
    degrees: so nothing is lost there.
    """
    rotation = np.asarray(transform)[:3, :3]
    azimuth = np.arctan2(rotation[1, 0], rotation[0, 0])
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    left = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]) @ rotation
    elevation, roll = np.arctan2(-left[2, 0], left[0, 0]), np.arctan2(-left[1, 2], left[1, 1])
    return [*(np.asarray(transform)[:3, 3] / 10).tolist(), *np.rad2deg([azimuth, elevation, roll]).tolist()]


def six_lines(start: str, transform: np.ndarray) -> list[str]:
    return [f"RES_{start}{word} {value!r}" for word, value in zip(WORDS, euler_of(transform), strict=True)]


def write_stradwin(
    path: Path,
    frames: np.ndarray,
    probe_to_room: np.ndarray,
    scales_cm: tuple[float, float] = (0.02, 0.03),
    image_to_probe: np.ndarray | None = None,
    isocentre: np.ndarray | None = None,
    times: Sequence[float] | None = None,
    invert: bool = False,
    flags: Mapping[str, object] | None = None,
    objects: Mapping[int, str] | None = None,
    contours: Sequence[tuple[int, int, bool, np.ndarray]] = (),
    landmarks: Mapping[str, Sequence[float]] | None = None,
    images: str = "",
    contour_unit: str = "pixels",
    line_end: str = "\r\n",
    encoding: str = "cp1252",
) -> Path:
    """Write a recording.

    Parameters
    ----------
    path
        The .sw file; the .sxi is put beside it.
    frames
        uint8 (frame, row, column), rows running away from the probe.
    probe_to_room
        (frame, 4, 4), rigid, mm.
    image_to_probe
        Rigid, mm: from the image's top left corner as stored (F_calibration).
    invert
        Store frames with the probe at the bottom.
    flags
        Further RES_ lines of the header.
    contours
        (object, frame, closed, points): points (column, row) in pixel indices of `frames`.
    landmarks
        Name to x, y, z in mm.
    images
        What RES_BIN_IM_FILENAME names instead of a .sxi file; the caller writes the images.
    """
    frames = np.asarray(frames)
    count, rows, columns = frames.shape
    times = [frame / 25 for frame in range(count)] if times is None else times
    lines = [
        "A comment about Müller's leg",
        "IM not a line of a frame",
        f"RES_BUF_FRAMES {count}",
        f"RES_BUF_WIDTH {columns}",
        f"RES_BUF_HEIGHT {rows}",
        f"RES_BUF_DICOM {'true' if images else 'false'}",
        "RES_POS_REC true",
        "RES_BUF_RF false",
        *([f"RES_BIN_IM_FILENAME {images}"] if images else []),
        *(f"{keyword} {value}" for keyword, value in (flags or {}).items()),
        "RES_END_HEADER",
        f"RES_XSCALE {scales_cm[0]!r}",
        f"RES_YSCALE {scales_cm[1]!r}",
        f"RES_INVERT_BSCAN {'true' if invert else 'false'}",
        "RES_VERSION 6.02",
        *six_lines("", np.eye(4) if image_to_probe is None else image_to_probe),
        *([] if isocentre is None else six_lines("ISOCENTRE_", isocentre)),
    ]
    for time, pose in zip(times, probe_to_room, strict=True):
        lines.append(f"IM {float(time)!r} {' '.join(repr(value) for value in euler_of(pose))}")
    for number, name in (objects or {}).items():
        lines.append(f"OBJECT {number} 1 178 89 0 1.0 0.3 0 {name}")
    for number, frame, closed, points in contours:
        drawn = np.array(points, np.float64)
        if invert:
            drawn[:, 1] = rows - 1 - drawn[:, 1]
        drawn += 0.5
        if contour_unit == "cm":
            drawn *= scales_cm
        words = " ".join(repr(value) for value in drawn.ravel().tolist())
        lines.append(f"CONT {number} {frame} {int(closed)} {words}")
    for number, (name, point) in enumerate((landmarks or {}).items()):
        lines.append(f"LANDMARK {' '.join(repr(float(value) / 10) for value in point)} {name} {number}")
    path.write_bytes((line_end.join(lines) + line_end).encode(encoding))
    if not images:
        (frames[:, ::-1] if invert else frames).tofile(path.with_suffix(".sxi"))
    return path


def write_dicom(
    path: Path, frames: np.ndarray, instance: int = 1, colour: bool = False, jpeg: bool = False
) -> Path:
    """Write 8-bit frames, (frame, row, column), as one ultrasound DICOM file."""
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{instance}"
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.SOPInstanceUID = f"1.2.3.{instance}"
    dataset.Modality = "US"
    dataset.InstanceNumber = instance
    count, dataset.Rows, dataset.Columns = frames.shape
    if count > 1:
        dataset.NumberOfFrames = count
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
        frames = np.repeat(frames[..., None], 3, axis=-1)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if jpeg:
        dataset.PixelData = encapsulate([_jpeg(frame) for frame in frames])
        if colour:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
    else:
        data = frames.tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _jpeg(frame: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(frame).save(stream, format="JPEG", quality=95)
    return stream.getvalue()


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines, (point, 2) as (column, row), half way between the pixels of a mask and the others."""
    from contourpy import contour_generator

    lines = contour_generator(z=np.pad(mask.astype(float), 1)).lines(0.5)
    return [np.asarray(line)[:-1] - 1 for line in lines]


def contours_of(
    masks: Mapping[int, np.ndarray], structures: Mapping[str, int], looked_at: int | None = None
) -> list[tuple[int, int, bool, np.ndarray]]:
    """Contours for `write_stradwin`, the label values being the objects' numbers.

    looked_at: the object whose small contour on every frame says that the frame was looked at.
    """
    corner = np.array([[0.0, 0], [2, 0], [0, 2]])
    marks = [] if looked_at is None else [(looked_at, frame, True, corner) for frame in masks]
    return marks + [
        (value, frame, True, line)
        for frame, mask in masks.items()
        for value in structures.values()
        for line in outlines(mask == value)
    ]
