from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st
from myosweep.errors import InputError
from myosweep.networks import ifssnet
from myosweep.networks.modules.siamese import ImageMaps, Siamese
from myosweep.training.propagation import Propagation, propagate, starting_windows, strands
from myosweep.training.settings import TrainingSettings
from torch import nn

SMALL: dict[str, Any] = {
    "widths": (8, 12),
    "pooling": (2, 2),
    "extent": 3,
    "parts": 2,
    "starts": 1,
    "reach": 0,
    "lead": 0,
    "dropout": (0, 0, 0),
}


class Copies(nn.Module):
    """Says again what it was fed."""

    window = 3
    recurrence = True
    aligned = False
    balance = None

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.weight = nn.Parameter(torch.ones(()))

    def encode(self, image: torch.Tensor) -> ImageMaps:
        slices = image.permute(2, 0, 1, 3, 4).flatten(0, 1)
        return ImageMaps(slices[:, 1:], [slices], slices)

    def segment(self, maps: ImageMaps, mask: torch.Tensor) -> torch.Tensor:
        self.seen.append(maps.end[:, 0].detach().clone())
        probability = mask.clamp(1e-6, 1 - 1e-6)
        return torch.stack([torch.log1p(-probability), probability.log()], dim=1) * self.weight


def run(network: nn.Module, channels: Any, masks: dict[int, np.ndarray]) -> dict[int, np.ndarray]:  # type: ignore[type-arg]
    found: dict[int, np.ndarray] = {}  # type: ignore[type-arg]
    for index, mask in propagate(network, channels, masks):
        assert index not in found
        found[index] = mask
    return found


@quick(deadline=None, max_examples=25)
@given(slices=st.integers(3, 25), start=st.integers(0, 22), extra=st.integers(0, 3))
def test_a_network_that_copies_carries_the_masks_both_ways(slices: int, start: int, extra: int) -> None:
    start = min(start, slices - 3)
    mask = np.zeros((4, 4), dtype=np.float32)
    mask[1:3, 1:] = 1
    given_ones = dict.fromkeys(range(start, min(start + 3 + extra, slices)), mask)
    found = run(Copies(), np.zeros((1, slices, 4, 4), dtype=np.float32), given_ones)
    assert sorted(found) == list(range(slices))
    assert all(np.allclose(found[index], mask, atol=1e-5) for index in range(slices))


def test_windows_go_up_and_down_one_slice_at_a_time() -> None:
    network = Copies()
    image = np.broadcast_to(np.arange(7, dtype=np.float32)[None, :, None, None], (1, 7, 2, 2))
    run(network, image, {index: np.ones((2, 2), dtype=np.float32) for index in (2, 3, 4)})
    seen = [maps[:, 0, 0].tolist() for maps in network.seen]
    assert seen == [[2, 3, 4], [3, 4, 5], [4, 5, 6], [4, 3, 2], [3, 2, 1], [2, 1, 0]]


def test_the_nearest_annotated_window_decides() -> None:
    low, high = np.zeros((2, 2), dtype=np.float32), np.ones((2, 2), dtype=np.float32)
    masks = dict.fromkeys((0, 1, 2), low) | dict.fromkeys((11, 12, 13), high)
    found = run(Copies(), np.zeros((1, 14, 2, 2), dtype=np.float32), masks)
    assert [round(float(found[index].mean())) for index in range(14)] == [0] * 7 + [1] * 7


def test_given_slices_come_back_as_they_are() -> None:
    masks = {index: np.full((2, 2), 0.3, dtype=np.float32) for index in (1, 2, 3)}
    alone = np.array([[0.2, 0.9], [0.0, 1.0]], dtype=np.float32)
    found = run(Copies(), np.zeros((1, 9, 2, 2), dtype=np.float32), {**masks, 6: alone})
    assert np.array_equal(found[6], alone)
    # What follows an annotated slice is fed by it.
    assert abs(float(found[7].mean()) - 0.3) > abs(float(found[5].mean()) - 0.3)


@given(
    slices=st.integers(3, 60),
    starts=st.sets(st.integers(0, 57), min_size=1, max_size=5),
    window=st.integers(2, 3),
)
def test_every_slice_is_settled_from_some_side(slices: int, starts: set[int], window: int) -> None:
    known = sorted({min(start, slices - window) + step for start in starts for step in range(window)})
    settled = set(known)
    for strand in strands(known, slices, window):
        visited = [strand.start + strand.step * step for step in range(strand.count)]
        assert min(visited) >= 0
        assert max(visited) < slices
        assert set(visited[:window]) <= set(known)
        settled |= set(visited[: strand.settled])
    assert settled == set(range(slices))


@pytest.mark.parametrize(
    ("annotated", "message"),
    [([], "0, at most 0 in a row"), ([1, 2, 4, 5], "2 in a row"), ([3, 4, 99], "99")],
)
def test_nothing_to_start_from_is_said(annotated: list[int], message: str) -> None:
    masks = {index: np.zeros((2, 2), dtype=np.float32) for index in annotated}
    with pytest.raises(InputError, match=message):
        run(Copies(), np.zeros((1, 9, 2, 2), dtype=np.float32), masks)


def test_a_volume_thinner_than_a_window_is_refused() -> None:
    with pytest.raises(InputError, match="2 slices along the limb"):
        run(Copies(), np.zeros((1, 2, 2, 2), dtype=np.float32), {0: np.zeros((2, 2), dtype=np.float32)})


@dataclass
class Endless:
    """A volume that is made when it is read."""

    slices: int
    edge: int = 64

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.slices, self.edge, self.edge)

    def __getitem__(self, index: Any) -> Any:
        span = index[1]
        return np.zeros((1, span.stop - span.start, self.edge, self.edge), dtype=np.float32)


def test_memory_does_not_grow_with_the_slices() -> None:
    peaks = []
    for slices in (40, 200):
        network = Copies()
        network.seen = Discards()  # type: ignore[assignment]
        masks = {index: np.ones((64, 64), dtype=np.float32) for index in (10, 11, 12)}
        tracemalloc.start()
        total = sum(float(mask.mean()) for _, mask in propagate(network, Endless(slices), masks))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == pytest.approx(slices, rel=1e-3)
    # numpy's memory alone is traced; one slice is 16 kB, 160 more would be 2.6 MB.
    assert peaks[1] < peaks[0] + 300_000


class Discards(list):  # type: ignore[type-arg]
    def append(self, item: object) -> None:
        pass


def spindle(slices: int = 12, edge: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """An image (1, 1, z, y, x) of a square that wanders, and its target (1, 2, z, y, x)."""
    mask = torch.zeros(slices, edge, edge)
    for z in range(1, slices - 1):
        mask[z, 2 : 5 + z % 2, 2:6] = 1
    torch.manual_seed(5)
    image = 2 * mask - 1 + 0.1 * torch.randn(mask.shape)
    return image[None, None], torch.stack([1 - mask, mask])[None]


def network_of(**changes: Any) -> tuple[Siamese, Propagation]:
    torch.manual_seed(0)
    settings = ifssnet.Settings(**{**SMALL, **changes})
    network = ifssnet.build(1, 2, settings)
    assert isinstance(network, Siamese)
    return network, ifssnet.objective(settings, TrainingSettings())


def stepped(
    network: nn.Module, objective: Propagation, batch: tuple[torch.Tensor, torch.Tensor], rate: float = 3e-3
) -> Iterator[float]:
    optimiser = torch.optim.Adam(objective.parameters(network)[0], rate)
    while True:
        for _, loss in objective.losses(network, *batch):
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            yield float(loss.detach())


@pytest.mark.parametrize("index", ["tversky", "dice"])
def test_gradients_reach_every_weight_and_those_of_the_loss(index: str) -> None:
    network, objective = network_of(index=index)
    weights = objective.parameters(network)
    assert [len(each) for each in weights] == [len(list(network.parameters()))]
    for _, value in objective.losses(network, *spindle()):
        value.backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is not None and value.grad.any() for value in weights[0])


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_each_part_is_an_update(parts: int) -> None:
    network, objective = network_of(parts=parts)
    assert [place for place, _ in objective.losses(network, *spindle(24))] == [0] * parts


def test_a_network_that_learns_follows_what_it_was_not_shown() -> None:
    network, objective = network_of(parts=1, reach=2, balance_rate=1.0)
    batch = spindle()
    steps = stepped(network, objective, batch, 1e-2)
    losses = [next(steps) for _ in range(120)]
    assert np.mean(losses[-5:]) < losses[0] / 3
    image, target = batch
    masks = {z: target[0, 1, z].numpy() for z in (5, 6, 7)}
    found = run(network, image[0].numpy(), masks)
    mine = np.stack([found[z] for z in range(12)])
    truth = target[0, 1].numpy()
    assert 2 * np.minimum(mine, truth).sum() / (mine.sum() + truth.sum()) > 0.9


def test_the_lead_is_run_and_not_learned_from() -> None:
    """Windows before the reach are seen, and their gradient is none: a copy's loss has that of the reach."""
    image, target = spindle(24)
    seen = []
    for lead in (0, 4):
        network = Copies()
        torch.manual_seed(2)
        objective = Propagation(parts=1, reach=2, lead=lead, l2=0)
        for _, loss in objective.losses(network, image, target):
            loss.backward()  # type: ignore[no-untyped-call]
            assert loss.requires_grad
        seen.append(len(network.seen))
    assert seen[0] == 2
    assert 2 < seen[1] <= 6


def test_leads_side_by_side_are_those_of_each_start_alone() -> None:
    """Two volumes of different length, four ways of each: while the weights stay, so do the losses."""
    network, objective = network_of(parts=1, starts=4, reach=2, lead=9)
    image, target = spindle(24)
    batch = torch.cat([image, image.flip(2)]), torch.cat([target, target.flip(2)])
    batch[1][1, :, 15:] = 0
    torch.manual_seed(7)
    together = [float(loss.detach()) for _, loss in objective.losses(network, *batch)]
    torch.manual_seed(7)
    alone = [
        float(loss.detach())
        for _ in range(4)
        for _, loss in replace(objective, starts=1).losses(network, *batch)
    ]
    assert len(together) == 4
    assert len(set(together)) > 1
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_the_lead_grows_over_the_first_half() -> None:
    objective = Propagation(reach=3, lead=8)
    assert [objective.at(done).lead for done in (0.0, 0.25, 0.5, 0.9)] == [0, 4, 8, 8]
    assert objective.at(0.1).reach == 3


def test_the_weights_of_the_loss_learn_at_their_own_rate() -> None:
    moved = []
    for rate in (1.0, 0.1):
        network, objective = network_of(parts=1, reach=2, lead=0, balance_rate=rate)
        torch.manual_seed(4)
        for _, loss in objective.losses(network, *spindle()):
            loss.backward()  # type: ignore[no-untyped-call]
        assert network.balance is not None
        assert network.balance.grad is not None
        moved.append(network.balance.grad.clone())
    torch.testing.assert_close(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-7)


def test_the_same_seed_takes_the_same_way() -> None:
    ways = []
    for _ in range(2):
        network, objective = network_of()
        torch.manual_seed(3)
        losses = stepped(network, objective, spindle())
        ways.append([next(losses) for _ in range(4)])
    assert ways[0] == ways[1]


def test_a_perfect_copy_costs_nothing_but_the_squared_weights() -> None:
    """Masks that never change, copied: every index is 1, and what is left is l2 times the one weight, 1."""
    mask = torch.zeros(9, 4, 4)
    mask[:, 1:3, 1:3] = 1
    batch = torch.zeros(1, 1, 9, 4, 4), torch.stack([1 - mask, mask])[None]
    network = Copies()
    losses = [loss.item() for _, loss in Propagation(l2=0.25).losses(network, *batch)]
    assert losses == pytest.approx([0.25, 0.25], abs=1e-4)
    assert len(Propagation(reach=2, parts=1).parameters(network)) == 1


def test_pseudo_labels_are_the_window_before_where_nothing_is_annotated() -> None:
    """A copy agrees with its own last prediction; without pseudo-labels the unknown slices have no part."""
    image, target = spindle()
    image = image.clone()
    target = target.clone()
    target[:, :, :4] = 0
    target[:, :, 7:] = 0
    counts = []
    for pseudo in (True, False):
        network = Copies()
        objective = Propagation(pseudo_labels=pseudo, l2=0, parts=1)
        losses = [loss.item() for _, loss in objective.losses(network, image, target)]
        assert losses[0] < 0.2
        counts.append(len(network.seen))
    # Slices 4 to 6 are one window; with pseudo-labels strands go on to slices 0 and 11.
    assert counts == [6, 1]


def test_no_gradient_passes_through_pseudo_labels() -> None:
    network, objective = network_of(supervision="decremental")
    assert objective.pseudo_labels
    probability, before = (torch.rand(2, 3, 4, 4, requires_grad=True) for _ in range(2))
    objective._score(network, probability, torch.zeros(2, 2, 3, 4, 4), before).sum().backward()  # type: ignore[no-untyped-call]
    assert probability.grad is not None
    assert probability.grad.abs().min() > 0
    assert before.grad is None


@pytest.mark.parametrize("recurrence", [True, False])
def test_pseudo_labels_are_what_was_predicted_and_not_what_was_given(
    monkeypatch: pytest.MonkeyPatch, recurrence: bool
) -> None:
    """Without recurrence every window is fed the given masks: still each follows the window before it."""
    network, objective = network_of(supervision="decremental", recurrence=recurrence, parts=1)
    image, target = spindle()
    target = target.clone()
    target[:, :, 7:] = 0
    scored: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    monkeypatch.setattr(
        Propagation,
        "_score",
        lambda _self, _network, found, _truth, before: scored.append((found, before)) or found.mean()[None],
    )
    list(objective.losses(network, image, target))
    assert scored[0][1] is None
    for (found, _), (after, before) in pairwise(scored[3:]):
        assert before is not None
        torch.testing.assert_close(before[: len(after)], found[: len(after)])


@pytest.mark.parametrize(("supervision", "seen"), [("fixed", [3] * 6), ("decremental", [1, 2, 3, 3, 3, 3])])
def test_volumes_are_added_while_their_annotations_decrease(supervision: str, seen: list[int]) -> None:
    _, objective = network_of(supervision=supervision)
    assert [objective.volumes(epoch / 6, 3) for epoch in range(6)] == seen


def test_nothing_annotated_is_no_update() -> None:
    network, objective = network_of()
    image, target = spindle()
    assert list(objective.losses(network, image, torch.zeros_like(target))) == []
    absent = torch.stack([torch.ones(12, 8, 8), torch.zeros(12, 8, 8)])[None]
    assert list(objective.losses(network, image, absent)) == []


def test_a_volume_thinner_than_a_window_is_no_update() -> None:
    network, objective = network_of()
    image, target = spindle()
    assert list(objective.losses(network, image[:, :, :2], target[:, :, :2])) == []


def test_frames_that_are_thinner_than_slices_are_learned_from() -> None:
    """Outlined frames that fill a fifth of a slice each: the masks fed back are whole all the same."""
    image, target = spindle()
    thin = 0.2 * target
    assert starting_windows(target[0], 3) == starting_windows(thin[0], 3) != []
    of_both = []
    for truth in (target, thin):
        torch.manual_seed(1)
        network = Copies()
        # What belongs in parts to the structure is known in full, and so is what is fed.
        of_both.append([loss.item() for _, loss in Propagation(l2=0).losses(network, image, truth)])
        assert len(network.seen) > 0
    assert of_both[1] == pytest.approx(of_both[0], abs=0.05)
    assert of_both[0]


def test_without_recurrence_the_annotated_masks_stay() -> None:
    network = Copies()
    network.recurrence = False
    masks = {index: np.full((2, 2), 0.1 * index, dtype=np.float32) for index in (1, 2, 3)}
    found = run(network, np.zeros((1, 8, 2, 2), dtype=np.float32), masks)
    # The last slice is seen by the last window alone, whose last place is the third annotated mask.
    assert float(found[7].mean()) == pytest.approx(0.3, abs=1e-4)


def shown_and_fed(aligned: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each window's slices, of a volume whose voxels are their slice's number, and the masks fed to it."""
    numbers = torch.arange(40.0).reshape(1, 1, 40, 1, 1).expand(1, 1, 40, 4, 4)
    part = (numbers[0] / 100).clamp(min=0.01)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Watched(Copies):
        def segment(self, maps: ImageMaps, mask: torch.Tensor) -> torch.Tensor:
            seen.append((maps.end[:, 0, 0, 0].reshape(3, -1)[:, 0], mask[0, :, 0, 0].detach() * 100))
            return super().segment(maps, mask)

    network = Watched()
    network.aligned = aligned
    torch.manual_seed(3)
    target = torch.stack([1 - part[0], part[0]])[None]
    assert list(Propagation(l2=0, parts=1, reach=4).losses(network, numbers, target))
    return seen


def test_aligned_masks_are_those_of_the_slices_themselves() -> None:
    for aligned in (False, True):
        seen = shown_and_fed(aligned)
        # The first window comes with its own masks, and a copy says them again.
        torch.testing.assert_close(seen[0][1], seen[0][0], atol=0.01, rtol=0)
        slices, fed = seen[1]
        way = slices[1] - slices[0]
        expected = torch.stack([slices[0], slices[1], slices[1]]) if aligned else slices - way
        torch.testing.assert_close(fed, expected, atol=0.01, rtol=0)
