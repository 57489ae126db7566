"""Writers of what the readers read: HDF5 of TUS-REC, images, videos, DICOM files, tables of poses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

SCALING = "scaling_from_pixel_to_mm"
SPATIAL = "spatial_calibration_from_image_coordinate_system_to_tracking_tool_coordinate_system"


def some_frames(count: int = 6, rows: int = 10, columns: int = 14, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, rows, columns)).astype(np.uint8)


def some_poses(count: int = 6, seed: int = 2) -> np.ndarray:
    """A probe led along z that turns a little."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(0.3 * rng.normal(size=3) + 0.02 * np.arange(count)[:, None] * (1, -2, 0.5))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = turns.as_matrix()
    poses[:, :3, 3] = rng.normal(size=3) * 100 + np.arange(count)[:, None] * (0.1, -0.05, 1.2)
    return poses


def write_matrix(path: Path, matrix: np.ndarray, delimiter: str = ",") -> Path:
    path.write_text(
        "\n".join(delimiter.join(f"{value!r}" for value in row) for row in matrix.tolist()) + "\n"
    )
    return path


def write_challenge_calibration(path: Path, scaling: np.ndarray, spatial: np.ndarray) -> Path:
    lines = []
    for title, matrix in ((SCALING, scaling), (SPATIAL, spatial)):
        lines += [title, *(",".join(f"{value!r}" for value in row) for row in matrix.tolist())]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_tus_rec(path: Path, frames: np.ndarray | None, tforms: np.ndarray | None, **layout: Any) -> Path:
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if frames is not None:
            file.create_dataset("frames", data=frames, **layout)
        if tforms is not None:
            file.create_dataset("tforms", data=tforms)
    return path


def write_images(folder: Path, frames: np.ndarray, name: str = "frame_{}.png", colour: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        image = Image.fromarray(frame)
        (image.convert("RGB") if colour else image).save(folder / name.format(index))
    return folder


def write_video(
    path: Path,
    frames: np.ndarray,
    codec: str = "ffv1",
    pixels: str = "gray",
    times_ms: Sequence[int] | None = None,
    **options: str,
) -> Path:
    import av

    times = range(0, 40 * len(frames), 40) if times_ms is None else times_ms
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], pixels
        stream.codec_context.time_base = Fraction(1, 1000) if times_ms is not None else Fraction(1, 25)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
            picture = picture.reformat(format=pixels)
            picture.time_base = stream.codec_context.time_base
            picture.pts = times[index] if times_ms is not None else index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def write_dicom(
    path: Path, frames: np.ndarray, compress: str = "", offsets: bool = True, **elements: Any
) -> Path:
    """compress: "", "rle" or "jpeg"; frames: (frame, row, column) or (frame, row, column, 3)."""
    from io import BytesIO

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.pixels.encoders import RLELosslessEncoder
    from pydicom.uid import (
        ExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        RLELossless,
        UltrasoundMultiFrameImageStorage,
    )

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3"
    data.Modality, data.PatientName = "US", "Nobody^Real"
    data.NumberOfFrames, data.Rows, data.Columns = len(frames), frames.shape[1], frames.shape[2]
    data.SamplesPerPixel = 1 if frames.ndim == 3 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if frames.ndim == 3 else "RGB"
    if frames.ndim == 4:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    for name, value in elements.items():
        setattr(data, name, value)
    syntax = ExplicitVRLittleEndian
    if compress == "rle":
        syntax = RLELossless
        options = {
            name: getattr(data, element)
            for name, element in (
                ("rows", "Rows"),
                ("columns", "Columns"),
                ("samples_per_pixel", "SamplesPerPixel"),
                ("photometric_interpretation", "PhotometricInterpretation"),
                ("bits_allocated", "BitsAllocated"),
                ("bits_stored", "BitsStored"),
                ("pixel_representation", "PixelRepresentation"),
            )
        }
        if frames.ndim == 4:
            options["planar_configuration"] = 0
        encoded = [
            RLELosslessEncoder.encode(frame.tobytes(), number_of_frames=1, **options) for frame in frames
        ]
        data.PixelData = encapsulate(encoded, has_bot=offsets)
    elif compress == "jpeg":
        syntax = JPEGBaseline8Bit
        encoded = []
        for frame in frames:
            with BytesIO() as buffer:
                Image.fromarray(frame).save(buffer, "JPEG", quality=95)
                encoded.append(buffer.getvalue())
        # Two pieces per frame: then only the table of offsets tells frames apart.
        data.PixelData = encapsulate(encoded, fragments_per_frame=2, has_bot=offsets)
    else:
        data.PixelData = frames.tobytes() + b"\0" * (frames.size % 2)
    data.file_meta.TransferSyntaxUID = syntax
    data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)
    return path


def pose_columns(poses: np.ndarray, layout: str) -> dict[str, list[str]]:
    """Cells of poses, to the last digit: "matrix", "quaternion", or an order of axes like "zyx"."""
    if layout == "matrix":
        names = [f"m{row}{column}" + "_mm" * (column == 3) for row in range(3) for column in range(4)]
        values = poses[:, :3].reshape(len(poses), 12)
    else:
        names, values = ["x_mm", "y_mm", "z_mm"], poses[:, :3, 3]
        turns = Rotation.from_matrix(poses[:, :3, :3])
        if layout == "quaternion":
            names += ["qx", "qy", "qz", "qw"]
            values = np.hstack([values, turns.as_quat()])
        else:
            names += [f"r{axis}_deg" for axis in layout]
            values = np.hstack([values, turns.as_euler(layout.upper(), degrees=True)])
    return {
        name: [repr(float(value)) for value in column] for name, column in zip(names, values.T, strict=True)
    }


def write_table(path: Path, columns: dict[str, Sequence[Any]], delimiter: str = ",") -> Path:
    rows = zip(*columns.values(), strict=True)
    lines = [delimiter.join(columns), *(delimiter.join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_poses(path: Path, poses: np.ndarray, layout: str = "matrix", **more: Sequence[Any]) -> Path:
    """more: further columns, before those of the pose."""
    return write_table(path, {**more, **pose_columns(poses, layout)})
