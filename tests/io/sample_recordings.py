"""Small sound recordings of every format, for tests that go over all readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from myosweep.geometry import rigid_transform, rotation_about
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.sweeps import Rectangle
from stradwin_writer import write_stradwin
from sweep_writers import write_dicom, write_images, write_poses, write_tus_rec, write_video

FRAMES, ROWS, COLUMNS = 6, 9, 7
PIXELS = np.diag([0.2, 0.3, 0.2, 1.0])
TIMES = [i * 0.1 for i in range(FRAMES)]


@dataclass(frozen=True)
class Sample:
    """A recording's path, its calibration ("": none), and the files of both that may be damaged."""

    path: Path
    calibration: str
    files: tuple[Path, ...]


def frames() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (FRAMES, ROWS, COLUMNS)).astype(np.uint8)


def poses() -> np.ndarray:
    return np.array(
        [rigid_transform(rotation_about((1, 2, 3), 0.01 * i), (i, 2 * i, -3 * i)) for i in range(FRAMES)]
    )


def _plus(suffix: str, compress: bool) -> Callable[[Path], Sample]:
    def write(folder: Path) -> Sample:
        path = folder / f"s{suffix}"
        transforms = {"ProbeToTracker": poses(), "ReferenceToTracker": poses()[::-1]}
        write_sequence(path, frames(), transforms, np.arange(FRAMES) / 10, compress=compress)
        write_calibration(folder / "c.xml", PIXELS, Rectangle(0, 0, 4, 4))
        return Sample(path, str(folder / "c.xml"), tuple(sorted(folder.iterdir())))

    return write


def _listed(folder: Path) -> Sample:
    """A header with a file for each frame."""
    path = folder / "s.mhd"
    write_sequence(
        path, frames(), {"ImageToTracker": poses() @ PIXELS}, np.arange(FRAMES) / 10, compress=False
    )
    (folder / "s.raw").unlink()
    names = [f"f{frame}.raw" for frame in range(FRAMES)]
    for name, frame in zip(names, frames(), strict=True):
        (folder / name).write_bytes(frame.tobytes())
    path.write_text(path.read_text().replace("s.raw", "LIST\n" + "\n".join(names)))
    return Sample(path, "", (path, folder / "f0.raw"))


def _found(folder: Path, path: Path, calibrated: bool = True) -> Sample:
    if calibrated:
        write_calibration(folder / "c.xml", PIXELS)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return Sample(path, str(folder / "c.xml") if calibrated else "", tuple(files))


def _stradwin(folder: Path) -> Sample:
    contour = (1, 2, True, np.array([(1.0, 1.0), (3.0, 1.0), (2.0, 4.0)]))
    write_stradwin(
        folder / "s.sw",
        frames(),
        poses(),
        times=TIMES,
        objects={1: "GM"},
        contours=[contour],
        landmarks={"a": (1, 2, 3)},
    )
    return _found(folder, folder / "s.sw", calibrated=False)


def _hdf5(folder: Path) -> Sample:
    write_tus_rec(folder / "s.h5", frames(), poses(), chunks=(2, 9, 7), compression="gzip")
    return _found(folder, folder / "s.h5")


def _images(name: str) -> Callable[[Path], Sample]:
    def write(folder: Path) -> Sample:
        images = write_images(folder / "im", frames(), name)
        names = [path.name for path in sorted(images.iterdir())]
        write_poses(images / "poses.csv", poses(), "quaternion", file=names, time_s=[repr(t) for t in TIMES])
        return _found(folder, images)

    return write


def _dicom(folder: Path) -> Sample:
    write_dicom(folder / "d.dcm", frames(), "rle", FrameTime="100")
    write_poses(folder / "d.csv", poses(), "zyx", time_s=[repr(t) for t in TIMES])
    return _found(folder, folder / "d.dcm")


def _video(folder: Path) -> Sample:
    write_video(folder / "v.mkv", frames(), times_ms=[100 * i for i in range(FRAMES)])
    write_poses(folder / "v.csv", poses(), "matrix", time_s=[repr(t) for t in TIMES])
    return _found(folder, folder / "v.mkv")


# A format's sample: writes into an empty folder.
SAMPLES: dict[str, Callable[[Path], Sample]] = {
    **{
        f"{suffix} {'compressed' if compress else 'raw'}": _plus(suffix, compress)
        for suffix in (".mha", ".mhd", ".nrrd", ".nhdr")
        for compress in (False, True)
    },
    "a file for each frame": _listed,
    "Stradwin": _stradwin,
    "HDF5": _hdf5,
    **{f"images, {suffix}": _images("frame_{}." + suffix) for suffix in ("png", "jpg", "tif")},
    "DICOM": _dicom,
    "video": _video,
}
