from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.phantom.anatomy import LABELS, Leg
from myosweep.phantom.population import VOLUMES_ML, draw_leg, seed_of


def leg_of(number: int, side: str = "right", scale: float = 1.0) -> Leg:
    return draw_leg(side, np.random.default_rng(seed_of(1, f"leg{number}", 0)), scale)


def lattice(leg: Leg, spacing: float) -> np.ndarray:
    low, high = leg.bounds
    axes = [np.arange(low[i] - 2, high[i] + 2, spacing) for i in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


@pytest.mark.parametrize("number", range(3))
def test_volume_is_the_integral_of_the_area(number: int) -> None:
    z = np.linspace(0, 420, 84001)
    for muscle in leg_of(number).muscles:
        integral = muscle.area(z).sum() * (z[1] - z[0]) / 1000
        assert integral == pytest.approx(muscle.volume_ml, rel=1e-5)


@pytest.mark.parametrize("number", range(2))
def test_area_is_that_of_the_surfaces(number: int) -> None:
    leg = leg_of(number)
    x = np.linspace(-80, 80, 160001)
    for place, muscle in enumerate(leg.muscles):
        z = muscle.start_mm + 0.37 * muscle.length_mm
        back, front = leg.surfaces(x, z)
        area = np.nansum(front[place] - back[place]) * (x[1] - x[0])
        # The blunt edges cost about a step times their height: 0.001 mm of 30 mm in 1200 mm2.
        assert area == pytest.approx(float(muscle.area(z)), rel=1e-4)


def test_lattice_has_the_volume() -> None:
    leg = leg_of(0)
    labels = leg.label(lattice(leg, 1.0))
    for name, volume in leg.volumes_ml.items():
        # Chance of the lattice: with surfaces of some 200 cm2 about 0.1 %.
        assert (labels == LABELS[name]).sum() / 1000 == pytest.approx(volume, rel=3e-3)


def test_random_points_have_the_volume() -> None:
    leg = leg_of(1)
    low, high = leg.bounds
    points = np.random.default_rng(5).uniform(low, high, (400_000, 3))
    labels = leg.label(points)
    box = float(np.prod(high - low)) / 1000
    for name, volume in leg.volumes_ml.items():
        part = volume / box
        error = box * np.sqrt(part * (1 - part) / len(points))
        assert abs((labels == LABELS[name]).mean() * box - volume) < 4 * error


@given(number=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, database=None)
def test_muscles_are_apart_and_inside_the_sweep(number: int) -> None:
    leg = leg_of(number)
    x, z = np.linspace(-70, 70, 141)[None, :], np.linspace(0, 400, 101)[:, None]
    back, front = leg.surfaces(x, z)
    assert not (np.isfinite(back[0]) & np.isfinite(back[1])).any()
    for head in (0, 1):
        space = back[2] - front[head]
        both = np.isfinite(space)
        np.testing.assert_allclose(space[both], leg.gap_mm, atol=1e-9)
    gm, gl, sol = leg.muscles
    assert gl.end_mm < gm.end_mm < sol.end_mm < 375
    assert min(muscle.start_mm for muscle in leg.muscles) > 15
    assert sol.length_mm > gm.length_mm > gl.length_mm
    for muscle in leg.muscles:
        assert 0.85 < muscle.volume_ml / VOLUMES_ML[muscle.name] < 1.15
    low, high = leg.bounds
    assert low[0] > -62
    assert high[0] < 62
    assert high[1] < 82


def test_bones_are_beside_the_muscles() -> None:
    for number in range(5):
        leg = leg_of(number)
        for bone in leg.bones:
            angle = np.linspace(0, 2 * np.pi, 60)
            cosine, sine = np.cos(angle), np.sin(angle)
            x = bone.x_mm + bone.half_width_mm * np.sign(cosine) * np.abs(cosine) ** 0.8
            y = bone.y_mm + bone.half_depth_mm * np.sign(sine) * np.abs(sine) ** 0.8
            z = np.linspace(0, 400, 101)
            points = np.stack(
                [
                    *(np.broadcast_to(a[None, :], (101, 60)) for a in (x, y)),
                    np.broadcast_to(z[:, None], (101, 60)),
                ],
                axis=-1,
            )
            assert not leg.label(points).any()


def test_left_mirrors_right() -> None:
    right, left = leg_of(3, "right"), leg_of(3, "left")
    points = np.random.default_rng(0).uniform(*right.bounds, (20_000, 3))
    labels = right.label(points)
    np.testing.assert_array_equal(left.label(points * (-1, 1, 1)), labels)
    # x points to the patient's left: the medial side of a right leg.
    x = points[:, 0]
    assert x[labels == LABELS["GM"]].mean() > 10
    assert x[labels == LABELS["GL"]].mean() < -10
    np.testing.assert_allclose(left.bounds[0][0], -right.bounds[1][0])


def test_scale_shrinks_everything() -> None:
    whole, half = leg_of(2), leg_of(2, scale=0.5)
    points = np.random.default_rng(0).uniform(*whole.bounds, (20_000, 3))
    assert (whole.label(points) == half.label(points / 2)).mean() > 0.9999
    assert half.volumes_ml["GM"] == pytest.approx(whole.volumes_ml["GM"] / 8)


def test_legs_differ_and_stay() -> None:
    assert leg_of(1).volumes_ml == leg_of(1).volumes_ml
    volumes = np.array([list(leg_of(number).volumes_ml.values()) for number in range(8)])
    assert (volumes.std(axis=0) / volumes.mean(axis=0) > 0.02).all()


def test_unknown_side_is_refused() -> None:
    with pytest.raises(InputError, match="left or right"):
        leg_of(0, "")
