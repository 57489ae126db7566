"""The pictures of one case."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from myosweep.figures.areas import draw_areas
from myosweep.figures.coverage import draw_coverage, shares_in_words
from myosweep.figures.montage import draw_montage
from myosweep.figures.scene import OPEN_OUTLINE_SHARE, Scene, Survey, make_scene, survey
from myosweep.figures.surfaces import draw_surfaces
from myosweep.io.files import write_json
from myosweep.io.volumes import Volume, resample


def draw_case(
    case: str,
    image: Volume,
    coverage: Volume,
    labels: dict[str, Volume],
    reference: Volume | None,
    structures: dict[str, int],
    output_dir: str | Path,
    *,
    confidence: Volume | None = None,
    main: str | None = None,
    axes: Literal["probe", "world"] = "probe",
    renderer: Literal["auto", "simple"] = "auto",
) -> None:
    """Write `montage.png`, `view3d.png`, `areas.png`, `coverage.png` and `summary.json` into a folder.

    Parameters
    ----------
    case
        Name of the case, as it stands above the pictures.
    image
        uint8 (z, y, x), the base acquisition.
    coverage
        float32 (z, y, x): pixels per voxel; minus the distance in mm where filled; 0 where unknown.
    labels
        uint8 label volume (255 unknown) for each source. May be empty.
    reference
        A trusted label volume, or None. It, labels and coverage are resampled where they lie on another grid.
    structures
        Label value of each structure, in the order of legends.
    output_dir
        Made if it is not there.
    confidence
        float32 (z, y, x) in 0..1, or None: its mean within each structure goes to the summary.
    main
        The source that is drawn in space and whose structures the shares of filled voxels refer to; the first
        one where it is not given or not there.
    axes
        The setting `compounding.axes`: names the z axis.
    renderer
        `auto`: VTK in a child process, else the simple ray caster; `simple`: the ray caster at once.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if main in labels:
        labels = {main: labels[main], **labels}
    scene = make_scene(case, image, coverage, labels, reference, structures, axes)
    counted = survey(scene)
    draw_montage(scene, counted, folder / "montage.png")
    draw_areas(scene, counted, folder / "areas.png")
    draw_coverage(scene, counted, folder / "coverage.png")
    remark = draw_surfaces(scene, counted, folder / "view3d.png", renderer)
    told = summarise(scene, counted, remark)
    told["confidence"] = mean_confidence(scene, confidence)
    write_json(folder / "summary.json", told)


def mean_confidence(scene: Scene, confidence: Volume | None) -> dict[str, float]:
    """Mean confidence within each structure of the first source; structures without a voxel are left out."""
    if confidence is None or scene.main is None:
        return {}
    if not confidence.grid.same_as(scene.grid):
        confidence = resample(confidence, scene.grid)
    sums, counts = np.zeros(256), np.zeros(256)
    for mask, values in zip(scene.labels[scene.main], confidence.array, strict=True):
        sums += np.bincount(mask.ravel(), weights=values.ravel(), minlength=256)
        counts += np.bincount(mask.ravel(), minlength=256)
    return {
        name: round(float(sums[value] / counts[value]), 4)
        for name, value in scene.structures.items()
        if counts[value]
    }


def summarise(scene: Scene, counted: Survey, remark: str) -> dict[str, Any]:
    """What the report says of the case beside its pictures: shares in percent, volumes in ml."""
    covered, filled = int(counted.covered.sum()), int(counted.filled.sum())
    muscle = int(counted.muscle.sum())
    known = covered + filled
    open_mm: dict[str, dict[str, float]] = {}
    for source, areas in counted.areas.items():
        open_mm[source] = {
            name: round(
                float((areas.open_share[index] > OPEN_OUTLINE_SHARE).sum() * scene.grid.spacing[2]), 3
            )
            for index, name in enumerate(scene.structures)
        }
    return {
        "case": scene.case,
        "coverage": shares_in_words(scene, counted),
        "known_ml": round(known * scene.grid.voxel_ml, 3),
        "filled_percent": round(100 * filled / known, 3) if known else None,
        "structures_filled_percent": round(100 * int(counted.muscle_filled.sum()) / muscle, 3)
        if muscle
        else None,
        "structures_far_percent": round(100 * int(counted.muscle_far.sum()) / muscle, 3) if muscle else None,
        "fill_distance_mm": None if counted.fill_distance_mm is None else list(counted.fill_distance_mm),
        "sources": list(scene.labels),
        "volume_ml": {
            source: {
                name: round(float(volume), 3)
                for name, volume in zip(scene.structures, areas.volume_ml, strict=True)
            }
            for source, areas in counted.areas.items()
        },
        "open_outline_mm": open_mm,
        "view3d_remark": remark,
    }
