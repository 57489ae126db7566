"""The same simulated sweep in every format: the same frames, poses and volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from myosweep.compounding.frames import compound_frames
from myosweep.compounding.grid import case_grid
from myosweep.geometry import rigid_transform
from myosweep.io.annotations import write_mask
from myosweep.io.calibration import write_calibration
from myosweep.io.plus import write_sequence
from myosweep.io.recordings import read_sweep
from myosweep.io.sweeps import Sweep
from myosweep.labels.reading import read_annotated_sweeps
from myosweep.labels.volumes import label_acquisition
from myosweep.phantom.population import draw_leg, seed_of
from myosweep.phantom.probe import noisy_poses
from myosweep.phantom.scanner import Scanner, prepare_body, scan
from myosweep.phantom.skin import wrap_leg
from scipy.spatial.transform import Rotation
from stradwin_writer import contours_of, write_stradwin
from sweep_writers import (
    write_challenge_calibration,
    write_dicom,
    write_images,
    write_matrix,
    write_poses,
    write_tus_rec,
    write_video,
)

COUNT, ROWS, COLUMNS, PIXEL = 24, 70, 50, 0.8
FRAME_MS = 40


STRUCTURES = {"GM": 1, "SOL": 2}


def drawn_masks() -> dict[int, np.ndarray]:
    """Two structures that begin and end within the sweep, drawn on every fourth frame or so."""
    rows, columns = np.indices((ROWS, COLUMNS))
    masks = {}
    for frame in (0, 4, 9, 13, 18, 23):
        size = np.sqrt(max(0.0, 1 - ((frame - 11) / 10) ** 2))
        masks[frame] = np.zeros((ROWS, COLUMNS), np.uint8)
        masks[frame][(columns - 20) ** 2 + ((rows - 18) / 0.7) ** 2 < (13 * size) ** 2] = 1
        masks[frame][(columns - 28) ** 2 + ((rows - 50) / 0.8) ** 2 < (16 * size) ** 2] = 2
    return masks


class Written:
    """A sweep of the phantom, and where it is written in each format with the calibration to give."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(4)
        leg = draw_leg("right", np.random.default_rng(seed_of(1, "agree", 0)))
        body = prepare_body(leg, wrap_leg(leg, rng), rng)
        image_to_leg = np.tile(np.diag([PIXEL, PIXEL, PIXEL, 1.0]), (COUNT, 1, 1))
        way = np.arange(COUNT)
        image_to_leg[:, :3, 3] = np.column_stack([way * 0.02 - 20, way * 0.0, 120 + 1.5 * way])
        self.frames = scan(body, Scanner(5.0, 45.0), image_to_leg, (ROWS, COLUMNS), PIXEL, rng)
        turn = Rotation.from_rotvec((0.4, -1.1, 0.7)).as_matrix()
        mount = rigid_transform(Rotation.from_rotvec((0.2, 0.1, -0.3)).as_matrix(), (12.0, -90.0, 5.0))
        scaling = np.diag([PIXEL, PIXEL, PIXEL, 1.0])
        self.calibration = mount @ scaling
        self.probe = rigid_transform(turn, (30, -200, 900)) @ image_to_leg @ np.linalg.inv(self.calibration)
        self.probe = noisy_poses(rng, self.probe, 0.05, 0.05)
        self.expected = self.probe @ self.calibration
        xml = folder / "calibration.xml"
        write_calibration(xml, self.calibration)
        # The text of numbers in these files is exact; XML carries ten digits.
        plain = write_matrix(folder / "calibration.csv", self.calibration)
        to_first = np.eye(4)
        to_first[:2, 3] = -1
        # The challenge counts pixels from 1.
        shifted = rigid_transform(mount[:3, :3], (mount @ scaling @ to_first)[:3, 3])
        challenge = write_challenge_calibration(folder / "calib_matrix.csv", scaling, shifted)
        times = np.arange(COUNT) * FRAME_MS / 1000
        stamps = [f"{time:.6f}" for time in times]

        transforms = {"ProbeToTracker": self.probe}
        write_sequence(folder / "s.mha", self.frames, transforms, times, orientation="UNA")
        self.paths: dict[str, tuple[Path, Path | str]] = {"PLUS": (folder / "s.mha", xml)}
        self.paths["HDF5"] = (
            write_tus_rec(folder / "s.h5", self.frames, self.probe, chunks=(5, 32, 32), compression="gzip"),
            challenge,
        )
        for layout in ("matrix", "quaternion", "zyx", "xzy"):
            images = write_images(folder / layout, self.frames, colour=layout == "xzy")
            names = [f"frame_{index}.png" for index in range(COUNT)]
            write_poses(images / "poses.csv", self.probe, layout, file=names, time_s=stamps)
            self.paths[f"images, {layout}"] = (images, plain)
        images = write_images(folder / "pixels", self.frames, "{}.tif")
        write_poses(folder / "pixels.csv", self.expected, "matrix", frame=range(COUNT))
        self.paths["images, no calibration"] = (images, "")
        self.paths["DICOM"] = (
            write_dicom(folder / "d.dcm", self.frames, "rle", FrameTime=str(FRAME_MS)),
            plain,
        )
        write_poses(folder / "d.csv", self.probe, "quaternion", time_s=stamps)
        self.paths["video"] = (write_video(folder / "v.mkv", self.frames, g="6"), plain)
        write_poses(folder / "v.csv", self.probe, "matrix", time_s=stamps)
        # Stradwin's image starts at the corner of the first pixel, not at its centre.
        half = rigid_transform(np.eye(3), (-PIXEL / 2, -PIXEL / 2, 0))
        self.masks = drawn_masks()
        write_stradwin(
            folder / "t.sw",
            self.frames,
            self.probe,
            (PIXEL / 10, PIXEL / 10),
            mount @ half,
            times=times.tolist(),
            objects={1: " Gastroc med ", 2: "SOL", 9: "nothing here"},
            contours=contours_of(self.masks, STRUCTURES, looked_at=9),
        )
        self.paths["Stradwin"] = (folder / "t.sw", "")

    def read(self, name: str) -> Sweep:
        path, calibration = self.paths[name]
        return read_sweep(path, calibration)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("agree"))


FORMATS = [
    "HDF5",
    "images, matrix",
    "images, quaternion",
    "images, zyx",
    "images, xzy",
    "images, no calibration",
    "DICOM",
    "video",
    "Stradwin",
]


@pytest.mark.parametrize("name", ["PLUS", *FORMATS])
def test_frames_and_poses_are_those_that_were_written(written: Written, name: str) -> None:
    sweep = written.read(name)
    assert sweep.frames.shape == (COUNT, ROWS, COLUMNS)
    for frame in range(COUNT):
        np.testing.assert_array_equal(sweep.frames[frame], written.frames[frame])
    assert sweep.problems == ("",) * COUNT
    # mm; PLUS and Stradwin files carry ten digits of a metre.
    np.testing.assert_allclose(sweep.image_to_world, written.expected, atol=1e-6)
    if name not in ("HDF5", "images, no calibration"):
        np.testing.assert_allclose(sweep.timestamps, np.arange(COUNT) * FRAME_MS / 1000, atol=1e-9)


@pytest.mark.parametrize("name", FORMATS)
def test_volumes_agree(written: Written, name: str) -> None:
    one, two = written.read("PLUS"), written.read(name)
    grid = case_grid([one], spacing_mm=1.0, image_area="full")
    # Poses differ by what the files round: the box, by less than it takes to add a voxel.
    assert case_grid([two], spacing_mm=1.0, image_area="full").same_as(grid, tolerance_mm=1e-5)
    volumes = []
    for sweep in (one, two):
        frames = [(sweep.frames[frame], sweep.image_to_world[frame]) for frame in range(COUNT)]
        volumes.append(compound_frames(frames, grid))
    assert volumes[0].values.max() > 100
    # Grey levels.
    np.testing.assert_allclose(volumes[1].values, volumes[0].values, atol=0.01, rtol=0)
    np.testing.assert_array_equal(volumes[1].coverage > 0, volumes[0].coverage > 0)


@pytest.mark.parametrize("method", ["shape", "zoi"])
def test_masks_and_contours_make_the_same_labels(written: Written, tmp_path: Path, method: str) -> None:
    for frame, mask in written.masks.items():
        write_mask(tmp_path / f"frame_{frame:04d}.png", mask)
    options = {"contour_names": {"gastroc med": "GM", "Nothing here": "background"}}
    volumes = []
    for name, drawn in (("PLUS", str(tmp_path)), ("Stradwin", "contours")):
        path, calibration = written.paths[name]
        row = {
            "path": path,
            "calibration": calibration,
            "annotations": drawn,
            "structures": ["GM", "SOL"],
        }
        sweeps = read_annotated_sweeps([row], STRUCTURES, "auto", options)
        grid = case_grid([written.read("PLUS")], spacing_mm=1.0, image_area="full")
        fractions, summaries = label_acquisition(sweeps, grid, np.eye(4), STRUCTURES, method, "full")
        assert {summary["status"] for summary in summaries.values()} == {"annotated"}
        parts = np.moveaxis(fractions.array, -1, 0)
        volumes.append([float(((part <= 250) * part).sum() / 250) for part in parts])
    assert min(volumes[0]) > 1000  # voxels of 1 mm3
    np.testing.assert_allclose(volumes[1], volumes[0], rtol=0.005)
