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

FRAMES, ROWS, COLUMNS = 6, 9, 7
PIXELS = np.diag([0.2, 0.3, 0.2, 1.0])


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


# A format's sample: writes into an empty folder.
SAMPLES: dict[str, Callable[[Path], Sample]] = {
    **{
        f"{suffix} {'compressed' if compress else 'raw'}": _plus(suffix, compress)
        for suffix in (".mha", ".mhd", ".nrrd", ".nhdr")
        for compress in (False, True)
    },
    "a file for each frame": _listed,
}
