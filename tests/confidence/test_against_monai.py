"""MONAI's UltrasoundConfidenceMapTransform with its default solver, to 1e-6."""

import numpy as np
import pytest
import SimpleITK as sitk
from echoes import DEFAULTS, limb, speckle, tissue
from myosweep.confidence import ConfidenceOptions, confidence_map

BONE, SPINE = "BoneUltrasound_L14.igs.mha", "SpinePhantomFreehand.igs.mha"
# The image area of both scans: rows, columns.
AREAS = {BONE: (slice(8, 604), slice(180, 640)), SPINE: (slice(15, 595), slice(190, 630))}


@pytest.fixture(scope="module")
def monai():
    return pytest.importorskip("monai.transforms").UltrasoundConfidenceMapTransform


@pytest.fixture(scope="module")
def scans(plus_data):
    found = {}
    for name, area in AREAS.items():
        path = plus_data / "sequences" / name
        if not path.is_file():
            pytest.skip(f"no {path}")
        found[name] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[:, *area]
    return found


def difference(monai, image, mask=None, **settings):
    sink = {"middle": "mid", "minimum": "min"}.get(settings.get("sink"), settings.get("sink", "all"))
    numbers = {**DEFAULTS, **{name: value for name, value in settings.items() if name != "sink"}}
    theirs = monai(**numbers, sink_mode=sink)
    mine = confidence_map(image, ConfidenceOptions(**settings), sink=mask)
    image = image[None].astype(np.float64)
    other = theirs(image) if mask is None else theirs(image, mask[None].astype(np.float64))
    return np.abs(np.asarray(other) - mine).max()


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        (tissue((120, 80), (60, 20, 50)), {}),
        (tissue((97, 131), (40, 60, 90), 1), {"alpha": 0.5, "beta": 100.0}),
        (tissue((150, 61), None, 2), {"alpha": 0.2, "beta": 400.0}),
        (limb(), {}),
        (limb((48, 60), 1), {"alpha": 1.0, "beta": 30.0, "gamma": 0.2}),
        (speckle((131, 97)), {}),
        (speckle((33, 33)), {"alpha": 0.0}),
        (speckle((31, 20)), {"beta": 0.0, "gamma": 0.0}),
        (np.random.default_rng(0).normal(size=(70, 12)), {"beta": 300.0}),
        # Neither a constant image nor one column is a rounding matter for either.
        (np.full((20, 15), 7, dtype=np.uint8), {}),
        (np.zeros((20, 15), dtype=np.uint8), {"gamma": 0.0}),
        (limb((40, 1)), {}),
    ],
)
def test_simulated_images(monai, image, settings):
    assert difference(monai, image, **settings) < 1e-6


@pytest.mark.parametrize(
    ("name", "frame", "step", "rows", "cols", "settings"),
    [
        (BONE, 0, 4, 149, 115, {}),
        (BONE, 3, 5, 110, 92, {"alpha": 0.5, "beta": 100.0}),
        (BONE, 7, 6, 99, 40, {"alpha": 0.5, "beta": 400.0}),
        (BONE, 10, 4, 90, 111, {"gamma": 0.01}),
        (BONE, 15, 3, 60, 153, {}),
        (BONE, 20, 7, 85, 65, {"alpha": 5.0}),
        (SPINE, 0, 4, 145, 110, {}),
        (SPINE, 10, 5, 116, 70, {"alpha": 0.2, "beta": 100.0}),
        (SPINE, 15, 6, 50, 73, {}),
        (SPINE, 20, 3, 64, 140, {"alpha": 0.2, "beta": 400.0}),
    ],
)
def test_recorded_images(monai, scans, name, frame, step, rows, cols, settings):
    image = np.ascontiguousarray(scans[name][frame, ::step, ::step][:rows, :cols])
    assert image.shape == (rows, cols)
    assert difference(monai, image, **settings) < 1e-6


@pytest.mark.parametrize("sink", ["middle", "minimum", "mask"])
@pytest.mark.parametrize("shape", [(60, 48), (51, 35)])
def test_sinks(monai, sink, shape):
    image = tissue(shape, (25, 10, 20))
    mask = None
    if sink == "mask":
        mask = np.zeros(shape, dtype=bool)
        mask[30:40, 20:30] = mask[-1, :5] = True
    assert difference(monai, image, mask, sink=sink) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", AREAS)
def test_recorded_images_of_full_size(monai, scans, name):
    for frame in (0, 10, 20):
        assert difference(monai, scans[name][frame]) < 1e-6
