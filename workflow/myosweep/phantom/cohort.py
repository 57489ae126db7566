"""One simulated case on disk: recordings, calibration, annotations, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from myosweep.geometry import Grid, Matrix, apply_transform, rigid_transform
from myosweep.io.annotations import write_mask
from myosweep.io.calibration import write_calibration
from myosweep.io.files import write_json
from myosweep.io.plus import write_sequence
from myosweep.io.sweeps import Rectangle
from myosweep.io.volumes import Volume, write_volume
from myosweep.phantom.anatomy import LABELS, Leg
from myosweep.phantom.expert import frames_to_annotate, true_mask, wobble
from myosweep.phantom.population import draw_leg, seed_of
from myosweep.phantom.probe import image_to_face, lead_probe, noisy_poses, small_motion, smooth_noise
from myosweep.phantom.scanner import FOCUS_MM, Body, Scanner, prepare_body, scan
from myosweep.phantom.settings import Settings, complete_settings
from myosweep.phantom.skin import wrap_leg
from myosweep.progress import track

# Random streams of a case.
ANATOMY, TEXTURE, PLACES, ACQUISITION = range(4)
STRUCTURES = {"deep": ("SOL",), "superficial": ("GM", "GL")}


@dataclass(frozen=True)
class Places:
    """Where everything is in one acquisition.

    Attributes
    ----------
    leg_to_world
        Leg to the reference tool, which is the world.
    reference_to_tracker
        The reference tool on average; it drifts a little.
    image_to_probe, written_calibration
        The true calibration, and the one with its error that goes to the file.
    """

    leg_to_world: Matrix
    reference_to_tracker: Matrix
    image_to_probe: Matrix
    written_calibration: Matrix


def simulate_case(
    folder: str | Path, case: str, side: str, settings: Mapping[str, Any] | None, seed: int
) -> None:
    """Simulate the recordings of one leg, with exact truth.

    Parameters
    ----------
    folder
        Gets {acquisition}/sweep_{k}.mha (k from 1), {acquisition}/sweep_{k}_masks/frame_NNNN.png,
        calibration_{acquisition}.xml, truth.mha and truth.json, for the acquisitions `deep` (low frequency,
        SOL annotated, the base) and `superficial` (high frequency, GM and GL annotated).
    case
        Its name and `seed` determine the leg and everything random.
    side
        "left" or "right"; left legs are mirror images of right ones.
    settings
        Keys of `Settings`, and `preset`; what is missing has its default.

    Raises
    ------
    InputError
        A setting is unknown or impossible, or the side is neither left nor right.
    """
    folder = Path(folder)
    chosen = complete_settings(settings or {})
    leg = draw_leg(side, case_generator(seed, case, ANATOMY), chosen.leg_scale)
    texture_rng = case_generator(seed, case, TEXTURE)
    body = prepare_body(leg, wrap_leg(leg, texture_rng), texture_rng)
    places, deep_to_superficial = _draw_places(leg, chosen, case_generator(seed, case, PLACES))
    tasks = [(name, number) for name in STRUCTURES for number in range(chosen.sweeps)]
    for name, number in track(tasks, len(tasks), "sweeps simulated"):
        rng = case_generator(seed, case, ACQUISITION, list(STRUCTURES).index(name), number)
        _record(folder, name, number, body, places[name], chosen, rng)
    clip = Rectangle(0, 0, chosen.columns, chosen.rows)
    for name, place in places.items():
        write_calibration(folder / f"calibration_{name}.xml", place.written_calibration, clip)
    truth = true_volume(leg, places["deep"].leg_to_world, chosen.truth_spacing_mm)
    write_volume(folder / "truth.mha", truth)
    description = {
        "case": case,
        "side": side,
        "seed": seed,
        "volumes_ml": leg.volumes_ml,
        "deep_to_superficial": deep_to_superficial.tolist(),
        "leg_to_world": {name: place.leg_to_world.tolist() for name, place in places.items()},
        "structures": {name: list(structures) for name, structures in STRUCTURES.items()},
        "labels": LABELS,
        "settings": chosen.to_dict(),
        "anatomy": {
            "fat_mm": leg.fat_mm * leg.scale,
            "gap_mm": leg.gap_mm * leg.scale,
            "muscles": [asdict(muscle) for muscle in leg.muscles],
            "bones": [asdict(bone) for bone in leg.bones],
        },
    }
    write_json(folder / "truth.json", description)


def true_volume(leg: Leg, leg_to_world: Matrix, spacing_mm: float) -> Volume:
    """Labels, uint8, on a lattice along the leg's axes that holds all muscles."""
    low, high = leg.bounds
    low, high = low - 2 * spacing_mm, high + 2 * spacing_mm
    axes = [
        low[i] + spacing_mm * np.arange(int(np.ceil((high[i] - low[i]) / spacing_mm)) + 1) for i in range(3)
    ]
    array = np.empty((len(axes[2]), len(axes[1]), len(axes[0])), np.uint8)
    plane = np.stack(np.meshgrid(axes[1], axes[0], indexing="ij")[::-1], axis=-1)
    points = np.concatenate([plane, np.zeros((*plane.shape[:2], 1))], axis=-1)
    for index, z in enumerate(axes[2]):
        points[..., 2] = z
        array[index] = leg.label(points)
    grid = Grid(
        (len(axes[0]), len(axes[1]), len(axes[2])),
        (spacing_mm,) * 3,
        apply_transform(leg_to_world, low),
        leg_to_world[:3, :3],
    )
    return Volume(array, grid)


def case_generator(seed: int, case: str, *stream: int) -> np.random.Generator:
    """The generator of one random stream of a case."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, case, *stream)))


def _draw_places(leg: Leg, settings: Settings, rng: np.random.Generator) -> tuple[dict[str, Places], Matrix]:
    """Places of both acquisitions, and the motion from points of the deep one's world to the other's."""
    middle = np.array([0.0, 35.0, 200.0]) * leg.scale
    # The reference tool is strapped to the thigh: the leg lies along its first axis, turned a little.
    turned = Rotation.from_rotvec(np.radians(12) * rng.uniform(-1, 1, 3)).as_matrix()
    base = turned @ np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    leg_to_deep = rigid_transform(base, rng.uniform(-60, 60, 3))
    size, turn = rng.uniform(0.3, 1.0, 2)
    motion = small_motion(
        rng, settings.motion_mm * size, settings.motion_degrees * turn, apply_transform(leg_to_deep, middle)
    )
    tracker = rigid_transform(
        Rotation.random(rng=rng).as_matrix(), rng.uniform((-300, -300, 900), (300, 300, 1500))
    )
    places = {}
    for name in STRUCTURES:
        mount = rigid_transform(
            Rotation.from_rotvec(rng.uniform(-0.5, 0.5, 3)).as_matrix(),
            rng.uniform((-20, -140, -20), (20, -90, 20)),
        )
        image_to_probe = mount @ image_to_face(settings)
        face = apply_transform(mount, (0.0, settings.depth_mm / 2, 0.0))
        error = small_motion(rng, settings.calibration_error_mm, settings.calibration_error_degrees, face)
        places[name] = Places(
            leg_to_deep if name == "deep" else motion @ leg_to_deep,
            small_motion(rng, 15.0, 5.0) @ tracker,
            image_to_probe,
            error @ image_to_probe,
        )
    return places, motion


def _record(
    folder: Path,
    name: str,
    number: int,
    body: Body,
    places: Places,
    settings: Settings,
    rng: np.random.Generator,
) -> None:
    """Write one sweep: images from true poses, recorded poses with the tracker's errors, and masks."""
    path = lead_probe(body.skin, body.leg.mirror, settings, number, rng)
    image_to_leg = path.face_to_leg @ image_to_face(settings)
    count, shape = len(image_to_leg), (settings.rows, settings.columns)
    high = name == "superficial"
    scanner = Scanner(
        settings.superficial_frequency_mhz if high else settings.deep_frequency_mhz,
        FOCUS_MM["high" if high else "low"] * body.leg.scale,
    )
    wander = smooth_noise(rng, count, 6, 40.0)
    reference_to_tracker = np.tile(places.reference_to_tracker, (count, 1, 1))
    drift = np.tile(np.eye(4), (count, 1, 1))
    drift[:, :3, 3] = 0.8 * wander[:, :3]
    drift[:, :3, :3] = Rotation.from_rotvec(np.radians(0.3) * wander[:, 3:]).as_matrix()
    reference_to_tracker = reference_to_tracker @ drift
    probe_to_image = np.linalg.inv(places.image_to_probe)
    probe_to_tracker = reference_to_tracker @ places.leg_to_world @ image_to_leg @ probe_to_image
    recorded = noisy_poses(rng, probe_to_tracker, settings.jitter_mm, settings.jitter_degrees)

    structures = STRUCTURES[name]
    annotated = frames_to_annotate(body.leg, image_to_leg, shape, structures, settings)
    seen = rng.random(count) >= settings.invalid_fraction
    seen[annotated] = True
    recorded[~seen] = np.eye(4)
    labels = tuple(LABELS[structure] for structure in structures)
    masks = folder / name / f"sweep_{number + 1}_masks"
    for frame in annotated:
        shift = wobble(rng, settings) if settings.wobble_mm > 0 else None
        write_mask(
            masks / f"frame_{frame:04d}.png", true_mask(body.leg, image_to_leg[frame], shape, labels, shift)
        )

    images: NDArray[np.uint8] = scan(body, scanner, image_to_leg, shape, settings.pixel_spacing_mm, rng)
    write_sequence(
        folder / name / f"sweep_{number + 1}.mha",
        images,
        {"ProbeToTracker": recorded, "ReferenceToTracker": reference_to_tracker},
        path.timestamps,
        {"ProbeToTracker": [bool(value) for value in seen]},
        settings.compress,
    )
