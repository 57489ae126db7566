from __future__ import annotations

import numpy as np
import painted
import pytest
from myosweep.compounding import activity, detection
from myosweep.compounding.detection import Found, find_image
from myosweep.io.sweeps import Rectangle
from painted import COLUMNS, INK, ROWS, SHAPES, Screen, screen

WHOLE = Rectangle(0, 0, COLUMNS, ROWS)


def found(frames: np.ndarray) -> tuple[np.ndarray, Found]:
    """The image as a mask of whole frames."""
    result = find_image(frames, range(len(frames)), Rectangle(0, 0, frames.shape[2], frames.shape[1]))
    mask = np.zeros(frames.shape[1:], bool)
    area = result.rectangle
    inner = mask[area.row : area.row + area.rows, area.column : area.column + area.columns]
    inner[:] = True if result.mask is None else result.mask
    return mask, result


def judge(screen: Screen, lost: float, over: float = 0.001) -> np.ndarray:
    """No pixel of text; at most a part of what is ever lit is lost, and of the image's size added."""
    mask, _ = found(screen.frames)
    lit = screen.image & (screen.frames.max(axis=0) > activity.FLICKER)
    assert not (mask & screen.ink).any()
    assert (mask & ~screen.image).sum() <= over * screen.image.sum()
    assert (lit & ~mask).sum() <= lost * lit.sum()
    return mask


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("count", "noise", "outline"),
    [(24, 2, False), (12, 1, True), (2, 2, False)],
)
def test_an_image_is_found_on_a_full_screen(shape: str, count: int, noise: int, outline: bool) -> None:
    # A fan is drawn a pixel smaller, and a line along it takes two or three with it: of 1500 around 100000.
    judge(screen(shape, count, noise=noise, outline=outline), lost=0.0 if shape == "linear" else 0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_that_stand_still(shape: str) -> None:
    # Three pixels all around go, as a line along the border could not be told from the image.
    judge(screen(shape, 1, outline=True), lost=0.1)
    still = screen(shape, 6)
    still.frames[:, still.image] = still.frames[0, still.image]
    judge(still, lost=0.1)


@pytest.mark.parametrize("shape", ["linear", "curved", "sector"])
def test_an_image_that_is_black_in_depth_and_in_a_shadow(shape: str) -> None:
    dark = screen(shape, 12, dark=True)
    mask = judge(dark, lost=0.06, over=0.05)
    # The shadow lies between lit parts: it belongs to the image.
    assert mask[160:240, 300:340].all()


@pytest.mark.parametrize("shape", ["linear", "curved"])
def test_a_lifted_probe(shape: str) -> None:
    judge(screen(shape, 24, lifted=19, noise=2), lost=0.02)


@pytest.mark.parametrize("shape", ["linear", "curved"])
def test_what_comes_and_goes_on_a_screen(shape: str) -> None:
    plain, rng = screen(shape, 24), np.random.default_rng(4)
    frames, ink = plain.frames.copy(), plain.ink.copy()
    # A dialogue over image and margin, a pointer that wanders, a bar that grows below the image.
    frames[10:12, 100:420, 20:400] = rng.integers(120, 250, (320, 380))
    arrow = np.tril(np.ones((18, 12), bool))
    for frame in range(24):
        row, column = rng.integers(0, ROWS - 18), rng.integers(0, COLUMNS - 12)
        frames[frame, row : row + 18, column : column + 12][arrow] = INK
        ink[row : row + 18, column : column + 12] |= arrow
        frames[frame, 466:476, 100 : 120 + 18 * frame] = 180
    ink[466:476] = True
    judge(Screen(frames, plain.image, ink & ~plain.image), lost=0.02)


def test_a_grey_screen() -> None:
    plain = screen("curved")
    frames = np.where(plain.image, plain.frames, np.maximum(plain.frames, 32))
    flicker = np.random.default_rng(0).integers(-2, 3, frames.shape)
    frames = np.where(plain.image, frames, np.clip(frames + flicker, 0, 255)).astype(np.uint8)
    judge(Screen(frames, plain.image, plain.ink), lost=0.02)


def test_a_trapezoid_and_a_steered_image(monkeypatch: pytest.MonkeyPatch) -> None:
    row, column = np.indices((ROWS, COLUMNS))
    depth = (row >= 40) & (row < 430)
    for image in (
        depth & (np.abs(column - 320) < 110 + (row - 40) / 4),
        depth & (np.abs(column - 250 - 0.3 * (row - 40)) < 120),
    ):
        monkeypatch.setattr(painted, "image_of", lambda _, image=image: image.copy())
        judge(screen("linear"), lost=0.06)


def test_an_image_of_islands_loses_what_is_written_between_them() -> None:
    rng = np.random.default_rng(2)
    islands = np.zeros((ROWS, COLUMNS), bool)
    for row, column in ((60, 100), (60, 380), (180, 250), (300, 110), (310, 400)):
        islands[row : row + 60, column : column + 90] = True
    ink = painted.written([(220, 90, "DOE, JANE"), (400, 200, "left leg"), (8, 8, "Hospital")])
    frames = np.where(islands, painted.speckle(rng, 12), 0) + np.where(ink, INK, 0)
    mask = judge(Screen(frames.astype(np.uint8), islands, ink), lost=0.001, over=10)
    # Black between islands is image.
    assert mask[150, 150]
    assert mask[250, 300]


def test_nothing_to_see_is_everything() -> None:
    for level in (0, 17, 255):
        mask, result = found(np.full((3, 60, 80), level, np.uint8))
        assert mask.all()
        assert result.mask is None
    tiny = np.random.default_rng(0).integers(0, 255, (2, 1, 3)).astype(np.uint8)
    assert found(tiny)[0].all()


def test_frames_without_margins_stay_rectangles() -> None:
    rng = np.random.default_rng(1)
    frames = painted.speckle(rng, 8)[:, :190, :80]
    row, column = np.indices((190, 80))
    # Air beside a round limb: black in a corner, three quarters of the first row.
    frames[:, row < 60 - column] = 0
    mask, result = found(frames)
    assert result.mask is None
    assert mask.all()


class Counting:
    """Frames that count how often they are read."""

    def __init__(self, frames: np.ndarray, times: int) -> None:
        self.frames, self.times, self.read = frames, times, 0

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.frames) * self.times, *self.frames.shape[1:])

    def __getitem__(self, index: int) -> np.ndarray:
        self.read += 1
        return self.frames[index % len(self.frames)]


def test_a_long_recording_is_sampled_and_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Counting(screen("curved", 5).frames, 2000)
    first = find_image(frames, range(10_000), WHOLE)
    assert frames.read == activity.SAMPLED_FRAMES
    looks: list[object] = []
    monkeypatch.setattr(detection, "look_at", looks.append)
    assert find_image(frames, range(10_000), WHOLE) is first
    assert not looks


def test_samples_too_large_to_keep_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = screen("curved", 5)
    kept, _ = found(plain.frames)
    monkeypatch.setattr(activity, "KEPT_BYTES", 0)
    monkeypatch.setattr(detection, "_known", {})
    again, _ = found(plain.frames)
    np.testing.assert_array_equal(kept, again)
