from __future__ import annotations

import numpy as np
import pytest
from myosweep.phantom.anatomy import Leg
from myosweep.phantom.population import draw_leg, seed_of
from myosweep.phantom.probe import image_to_face, lead_probe
from myosweep.phantom.scanner import Body, Scanner, prepare_body, scan
from myosweep.phantom.settings import Settings
from myosweep.phantom.skin import wrap_leg

FINE = Settings(pixel_spacing_mm=0.2, frame_spacing_mm=100.0, tremor_mm=0.0, tremor_degrees=0.0)


@pytest.fixture(scope="module")
def body() -> Body:
    leg: Leg = draw_leg("right", np.random.default_rng(seed_of(1, "a", 0)))
    rng = np.random.default_rng(1)
    return prepare_body(leg, wrap_leg(leg, rng), rng)


def frames(body: Body, frequency: float, number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    path = lead_probe(body.skin, body.leg.mirror, FINE, number, np.random.default_rng(2))
    poses = path.face_to_leg @ image_to_face(FINE)
    scanner = Scanner(frequency, 45.0 if frequency < 7 else 25.0)
    rng = np.random.default_rng(seed)
    return poses, scan(body, scanner, poses, (FINE.rows, FINE.columns), FINE.pixel_spacing_mm, rng)


def speckle_widths(images: list[np.ndarray]) -> tuple[float, float]:
    """Lag in mm where the autocorrelation of what differs between two speckle patterns falls to a half."""
    change = images[0].astype(float) - images[1].astype(float)
    region = change[100:170, 40:160]
    region -= region.mean()
    widths = []
    for axis in (1, 0):
        moved = np.moveaxis(region, axis, 0)
        lags = np.array([(moved[: len(moved) - k] * moved[k:]).mean() for k in range(15)])
        lags /= lags[0]
        k = int(np.argmax(lags < 0.5))
        widths.append((k - (0.5 - lags[k]) / (lags[k - 1] - lags[k])) * 0.2)
    return widths[0], widths[1]


def test_speckle_grows_where_frequency_falls(body: Body) -> None:
    low = speckle_widths([frames(body, 4.0, 2, seed)[1][2] for seed in (0, 1)])
    high = speckle_widths([frames(body, 10.0, 2, seed)[1][2] for seed in (0, 1)])
    assert low[0] > 1.3 * high[0]
    assert low[1] > 1.1 * high[1]
    # The beam is wider than the pulse is long.
    assert low[0] > low[1]


def test_behind_bone_is_shadow(body: Body) -> None:
    tibia = body.leg.bones[0]
    poses, images = frames(body, 5.0, 2)
    rows, columns = np.mgrid[: FINE.rows, : FINE.columns]
    pixels = np.stack([columns, rows, np.zeros(rows.shape), np.ones(rows.shape)], axis=-1)
    points = pixels @ poses[2].T
    x, y = points[..., 0] * body.leg.mirror - tibia.x_mm, points[..., 1] - tibia.y_mm
    level = images[2].astype(float)
    behind = (np.abs(x) < 0.5 * tibia.half_width_mm) & (y > 0)
    before = (np.abs(x) < 0.5 * tibia.half_width_mm) & (y < -tibia.half_depth_mm - 3) & (y > -30)
    surface = (np.abs(x) < 0.5 * tibia.half_width_mm) & (np.abs(y + tibia.half_depth_mm) < 1.5)
    assert behind.any()
    assert level[behind].mean() < 0.4 * level[before].mean()
    assert level[surface].mean() > 1.5 * level[before].mean()


def test_high_frequency_hardly_reaches_the_deep(body: Body) -> None:
    _, low = frames(body, 5.0, 1)
    _, high = frames(body, 10.0, 1)
    deep = slice(int(70 / 0.2), int(80 / 0.2))
    assert high[2, deep].mean() < 0.6 * low[2, deep].mean()
    # What is left is the receiver's noise, which is the same everywhere.
    near = slice(int(15 / 0.2), int(25 / 0.2))
    assert abs(high[2, near].mean() - low[2, near].mean()) < 0.25 * low[2, near].mean()


def test_gel_is_dark_and_skin_bright(body: Body) -> None:
    poses, images = frames(body, 5.0, 1)
    rows = np.arange(FINE.rows)
    column = FINE.columns // 2
    points = np.stack([np.full(len(rows), column), rows, 0 * rows, 1 + 0 * rows], axis=-1) @ poses[2].T
    skin = body.skin.skin_at(points[:, 0] * body.leg.mirror, points[:, 2])
    around = images[2][:, column - 10 : column + 10].mean(axis=1)
    assert around[points[:, 1] < skin - 1].mean() < 30
    assert around[(points[:, 1] > skin) & (points[:, 1] < skin + 1)].mean() > 120


def test_blocks_leave_no_trace(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = frames(body, 5.0, 0)
    monkeypatch.setattr("myosweep.phantom.scanner.FRAMES_AT_ONCE", 2)
    np.testing.assert_array_equal(frames(body, 5.0, 0)[1], whole)


def test_acquisitions_have_their_own_speckle(body: Body) -> None:
    _, one = frames(body, 5.0, 1, seed=0)
    _, two = frames(body, 5.0, 1, seed=1)
    assert (one != two).mean() > 0.5
    assert abs(float(one.mean()) - float(two.mean())) < 1
