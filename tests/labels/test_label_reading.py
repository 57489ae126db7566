"""From a Stradwin recording with contours to labels, against masks of the same frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.geometry import Grid, apply_transform, rigid_transform, rotation_about
from myosweep.io.annotations import write_mask
from myosweep.labels.fractions import FULL, UNKNOWN
from myosweep.labels.reading import read_annotated_sweeps
from myosweep.labels.volumes import label_acquisition
from myosweep.screening import screen_case
from stradwin_writer import contours_of, write_stradwin

STRUCTURES = {"GM": 1, "SOL": 7}
GRID = Grid((60, 40, 80), (1.0, 1.0, 1.0), np.array([-30.0, 0.0, 0.0]), np.eye(3))
# Centre and half axes in mm.
MUSCLES = {"GM": ((0, 12, 38), (17, 8, 32)), "SOL": ((2, 29, 40), (14, 6, 30))}
FRAMES, ROWS, COLUMNS = 80, 80, 120
PROBE = rigid_transform(rotation_about((1, 1, 2), 0.8), (12, -30, 44))
PIXELS = np.diag([0.5, 0.5, 0.5, 1.0])
# Of Stradwin's pixels, whose first centre is half a pixel from the corner.
CORNER = rigid_transform(np.eye(3), (-0.25, -0.25, 0))
POSES = np.array([rigid_transform(np.eye(3), (-29, 0, z)) for z in range(FRAMES)])


def drawn(frame: int, names: tuple[str, ...]) -> np.ndarray:
    column, row = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS))
    points = apply_transform(POSES[frame] @ PIXELS, np.stack([column, row, 0 * row], axis=-1))
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    for name in names:
        centre, half = MUSCLES[name]
        mask[(((points - centre) / half) ** 2).sum(axis=-1) < 1] = STRUCTURES[name]
    return mask


def row_of(path: Path, annotations: str) -> dict[str, Any]:
    return {
        "acquisition": "deep",
        "sweep": "1",
        "path": str(path),
        "calibration": "",
        "annotations": annotations,
        "structures": ("GM", "SOL"),
    }


def write(path: Path, masks: dict[int, np.ndarray], looked_at: int | None = None) -> Path:
    return write_stradwin(
        path,
        np.zeros((FRAMES, ROWS, COLUMNS), np.uint8),
        POSES @ np.linalg.inv(PROBE),
        scales_cm=(0.05, 0.05),
        image_to_probe=PROBE @ CORNER,
        objects={1: "gastroc", 7: "SOL", 9: "nothing else"},
        contours=contours_of(masks, STRUCTURES, looked_at),
        invert=True,
    )


def label(row: dict[str, Any], names: dict[str, str]) -> tuple[np.ndarray, dict[str, Any]]:
    sweeps = read_annotated_sweeps([row], STRUCTURES, "auto", {"contour_names": names})
    made, summary = label_acquisition(sweeps, GRID, np.eye(4), STRUCTURES, "shape", "full")
    volumes = np.where(made.array == UNKNOWN, 0, made.array).sum(axis=(0, 1, 2), dtype=float) / FULL / 1000
    return volumes, summary


def test_contours_give_the_labels_of_masks(tmp_path: Path) -> None:
    masks = {frame: drawn(frame, ("GM", "SOL")) for frame in range(0, FRAMES, 8)}
    for frame, mask in masks.items():
        write_mask(tmp_path / "masks" / f"frame_{frame:04d}.png", mask)
    names = {"Gastroc": "GM", "nothing else": "background"}
    path = write(tmp_path / "s.sw", masks, looked_at=9)
    from_masks, judged = label(row_of(path, str(tmp_path / "masks")), names)
    volumes, summary = label(row_of(path, "contours"), names)
    # The same pixels on the same frames.
    np.testing.assert_allclose(volumes, from_masks, rtol=1e-9)
    assert summary == judged
    assert [part["status"] for part in summary.values()] == ["annotated", "annotated"]


def test_structures_drawn_on_different_frames_do_not_erase_each_other(tmp_path: Path) -> None:
    masks = {frame: drawn(frame, ("GM",) if frame % 8 else ("SOL",)) for frame in range(0, FRAMES, 4)}
    path = write(tmp_path / "s.sw", masks)
    volumes, summary = label(row_of(path, "contours"), {"gastroc": "GM"})
    for (name, (centre, (a, b, c))), volume in zip(MUSCLES.items(), volumes, strict=True):
        own = [frame for frame, mask in masks.items() if (mask == STRUCTURES[name]).any()]
        # Slices of 1 mm from the first contour to the last; what lies beyond is unknown.
        low, high = ((end - centre[2]) / c for end in (own[0] - 0.5, own[-1] + 0.5))
        expected = np.pi * a * b * c * ((high - high**3 / 3) - (low - low**3 / 3)) / 1000
        # Drawn every 8 mm: what the interpolation leaves.
        assert volume == pytest.approx(expected, rel=0.01), name
    assert summary["GM"]["annotated_frames"] == 8
    assert {part["status"] for part in summary.values()} == {"partial"}
    assert "(sweep 1, frame" in summary["SOL"]["reason"]


def test_the_screen_counts_each_structures_own_frames(tmp_path: Path) -> None:
    masks = {frame: drawn(frame, ("GM",) if frame % 8 else ("SOL",)) for frame in range(0, FRAMES, 4)}
    path = write(tmp_path / "s.sw", masks)
    options = {"contour_names": {"gastroc": "GM"}}
    screen = screen_case("p01", [row_of(path, "contours")], STRUCTURES, options=options)
    assert screen["status"] == "usable", screen["reason"]
    counts = screen["sweeps"][0]["annotated_frames"]
    assert counts == {
        "GM": {"annotated": 8, "drawn": 8, "unusable": 0},
        "SOL": {"annotated": 7, "drawn": 7, "unusable": 0},
    }
    screen = screen_case("p01", [row_of(path, "contours") | {"structures": ("GM",)}], STRUCTURES)
    assert screen["status"] == "excluded"
    assert 'contour_names: {"gastroc": ?}' in screen["reason"]
