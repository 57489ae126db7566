"""Propagation of a few annotated slices along a volume, in use and in training (Al Chanti et al. 2021).

Windows of w slices, one slice apart, go through a network one after another; each comes with the prediction
of the one before. It runs both ways from an annotated window, downwards on mirrored windows, so that the
network always sees the masks one slice behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from myosweep.errors import InputError
from myosweep.networks.modules.slices import same_weights
from myosweep.training.lattice import Floats
from myosweep.training.tversky import balance, squared_dice, tversky_index

# A slice counts as annotated where this part of what is known on the best known one is known on it. A single
# frame that somebody drew may be a tenth of the network's slice, and three at the network's spacing, with
# what is interpolated between them, begin and end somewhere within their slices.
KNOWN_PART = 0.05
# A window to start from in training shows at least this part of the structure's largest cross-section: an
# expert annotates where the muscle is, not where it ends.
LEAST_AREA = 0.25
# Added to both sides of an index, as a part of the window's voxels. Beyond the structure's ends the index is
# this alone over false positives: a single voxel would leave nothing to learn from.
SMOOTH = 0.005


class Volume(Protocol):
    """Channels (channel, z, y, x): an array, a memory map, or what reads slices when it is asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of channels, slices, rows and columns."""

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Strand:
    """One way along a volume: `start` is the first slice, `step` 1 or -1, `count` the slices that it visits.

    Of those the first `settled` are given out; the others are seen for what they tell of them.
    """

    start: int
    step: int
    count: int
    settled: int


def strands(annotated: list[int], slices: int, window: int) -> list[Strand]:
    """The ways from the annotated windows; each slice is settled by one at least.

    A run of `window` annotated slices or more sends a strand both ways, from its ends, half way to the next
    run (slices as near to both belong to the lower).

    Raises
    ------
    InputError
        No `window` consecutive slices are annotated.
    """
    known = sorted(set(annotated))
    runs: list[list[int]] = []
    for index in known:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    long = [run for run in runs if len(run) >= window]
    if not long:
        raise InputError(
            "annotated slices",
            f"{len(known)}, at most {max(map(len, runs), default=0)} in a row",
            f"{window} neighbouring ones to start from",
            f"annotate {window} neighbouring slices, best where the structure is thick",
        )
    result = []
    for place, run in enumerate(long):
        upper = slices - 1 if place + 1 == len(long) else (run[-1] + long[place + 1][0]) // 2
        lower = 0 if place == 0 else (long[place - 1][-1] + run[0]) // 2 + 1
        for start, limit, step, end in (
            (run[-1] - window + 1, upper, 1, slices - 1),
            (run[0] + window - 1, lower, -1, 0),
        ):
            settled = (limit - start) * step + 1
            beyond = min(window - 1, (end - limit) * step)
            result.append(Strand(start, step, settled + beyond, settled))
    return result


def propagate(
    network: nn.Module,
    channels: Volume,
    given: Mapping[int, NDArray[Any]],
    *,
    chunk: int = 8,
) -> Iterator[tuple[int, Floats]]:
    """Propagate the masks of a few slices over a volume, slice by slice.

    Memory does not depend on the number of slices: what is read are `chunk` windows at a time, and a
    slice is given out once all windows that hold it were seen, as the mean of what they say. Slices that are
    given come back as they are, and are what is fed back in their place.

    Parameters
    ----------
    network
        In evaluation mode; with `window`, `recurrence`, `aligned`, `encode` and `segment` as
        `networks.modules.siamese.Siamese` has them.
    channels
        Prepared for the network, (channel, z, y, x), float32; y and x multiples of the network's.
    given
        Masks (y, x), 0 to 1, by slice.
    chunk
        Windows whose image is encoded at once.

    Yields
    ------
    Slice and the structure's probability there, (y, x); each slice once, in no order.

    Raises
    ------
    InputError
        Too few slices, or no `window` neighbouring ones given.
    """
    window = int(network.window)  # type: ignore[arg-type]
    count = channels.shape[1]
    if count < window:
        raise InputError(
            "volume", f"{count} slices along the limb", f"{window} or more", "use a finer spacing"
        )
    outside = [index for index in given if not 0 <= index < count]
    if outside:
        raise InputError("annotated slices", f"{outside[0]}", f"0 to {count - 1}", "correct the slices")
    device = next(iter(network.parameters()), torch.zeros(())).device
    masks = {index: np.asarray(mask, dtype=np.float32) for index, mask in given.items()}
    done: set[int] = set()
    for index, mask in masks.items():
        done.add(index)
        yield index, mask
    for strand in strands(list(masks), count, window):
        for index, probability in _along(network, channels, masks, strand, chunk, device):
            if index not in done:
                done.add(index)
                yield index, probability


def _along(
    network: nn.Module,
    channels: Volume,
    masks: Mapping[int, Floats],
    strand: Strand,
    chunk: int,
    device: torch.device,
) -> Iterator[tuple[int, Floats]]:
    window = int(network.window)  # type: ignore[arg-type]
    indices = [strand.start + strand.step * step for step in range(strand.count)]
    steps = strand.count - window + 1
    fed = torch.from_numpy(np.stack([masks[index] for index in indices[:window]]))[None].to(device)
    sums: list[Any] = []
    encoded: list[Any] = []
    for step in range(steps):
        if not encoded:
            last = min(step + chunk, steps)
            encoded = _encoded(network, channels, indices[step : last - 1 + window], last - step, device)
        with torch.inference_mode():
            probability = _probability(network, encoded.pop(0), fed)
        for place in range(window):
            value = probability[0, place].cpu().numpy()
            if step + place == len(sums):
                sums.append([value.astype(np.float64), 1])
            else:
                sums[step + place][0] += value
                sums[step + place][1] += 1
        final = range(step, step + 1) if step + 1 < steps else range(step, strand.count)
        for place in final:
            if place < strand.settled:
                total, times = sums[place]
                yield indices[place], (total / times).astype(np.float32)
            sums[place] = None
        if network.recurrence:
            fed = probability.clone()
            for place, index in enumerate(indices[step : step + window]):
                if index in masks:
                    fed[0, place] = torch.from_numpy(masks[index]).to(device)
            fed = _passed_on(network, fed)


def _encoded(
    network: nn.Module, channels: Volume, indices: list[int], windows: int, device: torch.device
) -> list[Any]:
    low, high = min(indices), max(indices)
    block = np.ascontiguousarray(channels[:, low : high + 1], dtype=np.float32)
    if indices[0] > indices[-1]:
        block = np.ascontiguousarray(block[:, ::-1])
    with torch.inference_mode():
        return _encode_steps(network, torch.from_numpy(block)[None].to(device), windows)


def _encode_steps(network: nn.Module, stretch: torch.Tensor, windows: int) -> list[Any]:
    """The image maps of each window of stretches (strand, channel, slice, y, x), a list over windows."""
    window = int(network.window)  # type: ignore[arg-type]
    rolled = stretch.unfold(2, window, 1)[:, :, :windows].permute(2, 0, 1, 5, 3, 4).flatten(0, 1)
    maps = network.encode(rolled)  # type: ignore[operator]

    def parted(slices: torch.Tensor) -> list[torch.Tensor]:
        last = slices.permute(0, 2, 3, 1)
        steps = last.reshape(window, windows, len(stretch), *last.shape[1:]).unbind(1)
        return [step.flatten(0, 1).permute(0, 3, 1, 2) for step in steps]

    stages = list(zip(*map(parted, maps.stages), strict=True))
    kind = type(maps)
    return [
        kind(extra, list(stage), end)
        for extra, stage, end in zip(parted(maps.extra), stages, parted(maps.end), strict=True)
    ]


def _passed_on(network: nn.Module, masks: torch.Tensor) -> torch.Tensor:
    """What the next window is fed of a window's masks (strand, slice, y, x)."""
    return torch.cat([masks[:, 1:], masks[:, -1:]], dim=1) if network.aligned else masks


def _probability(network: nn.Module, maps: Any, fed: torch.Tensor) -> torch.Tensor:
    logits = network.segment(maps, fed)  # type: ignore[operator]
    return torch.softmax(logits.float(), dim=1)[:, 1]


@dataclass(frozen=True)
class Propagation:
    """What training minimises: 1 - the mean index of the windows, plus the sum of squared weights (eq. 4).

    The paper's eq. 4 divides the index by w besides, so that its loss cannot fall below 1 - 1/w: a constant
    factor of the gradient, left out. For each volume a window to start from is drawn among the annotated
    ones; strands run from it both ways, side by side. Gradients flow through the predictions fed back, over
    one part of the strands at a time (truncated back-propagation), and each part ends with an update.

    Attributes
    ----------
    parts
        Parts of a strand.
    l2
        Factor of the sum of squared weights; those of the loss are not among them.
    adding
        Whether the volumes of a training are added one after the other over its first half.
    pseudo_labels
        Whether a slice without labels follows the network's own prediction of the window before, place by
        place (thesis II.2.3; the paper's fig. 5): made binary at .5, no gradient through it. Otherwise it has
        no part in the loss.
    starts
        How often a window to start from is drawn in each volume, one after the other.
    reach
        The most windows of a strand from which something is learned; 0 for all to the volume's end.
    lead
        The most windows over which a strand runs before them, on its own predictions and without gradients:
        so a network meets what long ways do to its masks. How many is drawn at each step.
    balance_rate
        Factor of the logits of the loss's weights, and so of the rate at which they learn.
    """

    parts: int = 2
    l2: float = 1e-5
    pseudo_labels: bool = False
    adding: bool = False
    starts: int = 1
    reach: int = 0
    lead: int = 0
    balance_rate: float = 1.0
    tasks: ClassVar[Sequence[str]] = ("segmentation",)

    def at(self, done: float) -> Propagation:
        """The objective after this part of the training, 0 to 1: the lead grows over its first half.

        Masks of a network that has learned nothing yet fade within a few windows, and from faded masks it
        learns to find nothing.
        """
        return replace(self, lead=round(self.lead * min(2 * done, 1.0)))

    def volumes(self, done: float, count: int) -> int:
        """How many of the training's volumes are learned from after this part of it, 0 to 1."""
        return min(1 + int(2 * done * count), count) if self.adding else count

    def parameters(self, network: nn.Module) -> list[list[nn.Parameter]]:
        """One list: one optimiser holds the network and the weights of the loss."""
        return [list(network.parameters())]

    def losses(
        self,
        network: nn.Module,
        channels: torch.Tensor,
        target: torch.Tensor,
        confidence: torch.Tensor | None = None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The losses of a batch, one per start and part; each is to be stepped before the next is asked for.

        Parameters
        ----------
        network
            A `networks.modules.siamese.Siamese`.
        channels
            (case, channel, z, y, x), prepared.
        target
            (case, 2, z, y, x), background's and structure's part of each voxel; missing to 1 is unknown. A
            slice without any known voxel counts as not annotated.

        Yields
        ------
        0 and the loss. Nothing for a batch in which no window is annotated.
        """
        started = [self._ways(network, channels, target) for _ in range(self.starts)]
        self._lead_on(network, [way for ways in started for way in ways])
        for ways in started:
            yield from self._learned(network, ways)

    def rehearse(self, network: nn.Module, channels: torch.Tensor) -> None:
        """As many windows as a part has on both ways together, side by side."""
        window = int(network.window)  # type: ignore[arg-type]
        count = channels.shape[2] - window + 1
        learned = min(2 * self.reach, count) if self.reach else count
        windows = channels[:, :, :window].repeat(-(-learned // self.parts), 1, 1, 1, 1)
        with same_weights(network):
            (maps,) = _encode_steps(network, windows, 1)
            _probability(network, maps, windows[:, 0])

    def _ways(self, network: nn.Module, channels: torch.Tensor, target: torch.Tensor) -> list[_Way]:
        """From one start in each volume, the longest first."""
        window = int(network.window)  # type: ignore[arg-type]
        lead = int(torch.randint(self.lead + 1, ())) if self.lead else 0
        found = [
            pair
            for image, truth in zip(channels, target, strict=True)
            for pair in self._strands(image, truth, window, lead)
        ]
        found.sort(key=lambda pair: -pair[0].shape[1])
        longest = found[0][0].shape[1] - window + 1 if found else 0
        lead = max(min(lead, longest - self.reach), 0)
        return [_Way.of(image, truth, window, lead) for image, truth in found]

    def _lead_on(self, network: nn.Module, ways: list[_Way]) -> None:
        """Run over the windows from which nothing is learned, of all starts side by side.

        So those of the second start have the weights that those of the first have: one update older than
        those that learn.
        """
        ways = sorted(ways, key=lambda way: -min(way.lead, way.windows))
        ends = [min(way.lead, way.windows) for way in ways]
        step = 0
        with same_weights(network), torch.no_grad():
            while ways and step < ends[0]:
                alive = sum(end > step for end in ends)
                masks = _Masks.of(ways[:alive])
                for _ in _advance(network, ways[:alive], masks, step, ends[alive - 1]):
                    pass
                step = ends[alive - 1]
                masks.give(ways[:alive])

    def _learned(self, network: nn.Module, ways: list[_Way]) -> Iterator[tuple[int, torch.Tensor]]:
        ways = [way for way in ways if way.windows > way.lead]
        if not ways:
            return
        step = ways[0].lead
        learned = ways[0].windows - step
        ends = [step + -(-learned * (part + 1) // self.parts) for part in range(self.parts)]
        masks = _Masks.of(ways)
        for end in ends:
            scores: list[torch.Tensor] = []
            masks.fed = masks.fed.detach()
            with same_weights(network):
                while step < end:
                    alive = sum(way.windows > step for way in ways)
                    stop = min(end, ways[alive - 1].windows)
                    masks.keep(alive)
                    for probability, truth, before in _advance(network, ways[:alive], masks, step, stop):
                        scores.append(self._score(network, probability, truth, before))
                    step = stop
            if scores:
                yield 0, 1 - torch.cat(scores).mean() + self.l2 * _squares(network)

    def _strands(
        self, image: torch.Tensor, truth: torch.Tensor, window: int, lead: int
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        annotated = _annotated(truth)
        # Padding is one value, and nothing can be learned from it.
        plain = image[0].flatten(1)
        used = annotated if not self.pseudo_labels else annotated | (plain.amax(1) > plain.amin(1))
        choices = starting_windows(truth, window)
        if not choices:
            return []
        places = used.nonzero()[:, 0]
        low, high = int(places.min()), int(places.max()) + 1
        reach = window - 1 + (self.reach + lead if self.reach else image.shape[1])
        start = choices[int(torch.randint(len(choices), ()))]
        end = start + window
        up, down = slice(start, min(high, start + reach)), slice(max(low, end - reach), end)
        return [(image[:, up], truth[:, up]), (image[:, down].flip(1), truth[:, down].flip(1))]

    def _score(
        self,
        network: nn.Module,
        probability: torch.Tensor,
        truth: torch.Tensor,
        before: torch.Tensor | None,
    ) -> torch.Tensor:
        known, target = truth.sum(1), truth[:, 1]
        smooth = SMOOTH * target[0].numel()
        if self.pseudo_labels and before is not None:
            target = target + (1 - known) * (before.detach() > 0.5)
            known = torch.ones_like(known)
        if network.balance is None:
            return squared_dice(probability, target, known, smooth=smooth)
        weights: torch.Tensor = network.balance  # type: ignore[assignment]
        alpha, beta = balance(self.balance_rate * weights)
        return tversky_index(probability, target, alpha, beta, known, smooth=smooth)


@dataclass
class _Way:
    """One way from a start: what lies along it, and what its next window is fed.

    `before` is what the window before says of that window's slices; None at the start.
    """

    image: torch.Tensor
    truth: torch.Tensor
    windows: int
    lead: int
    fed: torch.Tensor
    before: torch.Tensor | None = None

    @classmethod
    def of(cls, image: torch.Tensor, truth: torch.Tensor, window: int, lead: int) -> _Way:
        fed = part_of_known(truth[:, :window])
        return cls(image, truth, image.shape[1] - window + 1, lead, fed)


@dataclass
class _Masks:
    """What the next windows of several ways are fed, and what those before say, (way, slice, y, x)."""

    fed: torch.Tensor
    before: torch.Tensor | None

    @classmethod
    def of(cls, ways: list[_Way]) -> _Masks:
        before = [way.before for way in ways if way.before is not None]
        return cls(torch.stack([way.fed for way in ways]), torch.stack(before) if before else None)

    def keep(self, alive: int) -> None:
        """Only the first ways."""
        self.fed = self.fed[:alive]
        self.before = None if self.before is None else self.before[:alive]

    def give(self, ways: list[_Way]) -> None:
        """To the ways themselves."""
        for place, way in enumerate(ways):
            way.fed = self.fed[place]
            way.before = None if self.before is None else self.before[place]


def _advance(
    network: nn.Module, ways: list[_Way], masks: _Masks, step: int, stop: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """The windows from `step` up to `stop` of ways that all have them; `masks` goes along.

    Yields
    ------
    Per window what is predicted, (way, slice, y, x), what is true, and what the window before says.
    """
    window = int(network.window)  # type: ignore[arg-type]
    images = torch.stack([way.image[:, step : stop - 1 + window] for way in ways])
    for maps in _encode_steps(network, images, stop - step):
        truth = torch.stack([way.truth[:, step : step + window] for way in ways])
        probability = _probability(network, maps, masks.fed)
        yield probability, truth, masks.before
        given = part_of_known(truth[:, :, : max(window - step, 0)])
        following = torch.cat([given, probability[:, given.shape[1] :]], dim=1)
        masks.before = _passed_on(network, following)
        if network.recurrence:
            masks.fed = masks.before
        step += 1


def starting_windows(truth: torch.Tensor, window: int) -> list[int]:
    """The first slices of the windows from which a training may start: annotated, where a structure is thick.

    Parameters
    ----------
    truth
        Parts of background and structure, (2, z, y, x), in any unit; what is missing is unknown.
    window
        Slices of a window.
    """
    if truth.shape[1] < window:
        return []
    starts = _annotated(truth).unfold(0, window, 1).all(1)
    area = truth[1].flatten(1).sum(1).unfold(0, window, 1).amin(1)
    starts &= area > 0
    if not starts.any():
        return []
    starts &= area >= LEAST_AREA * area[starts].max()
    places: list[int] = starts.nonzero()[:, 0].tolist()
    return places


def _annotated(truth: torch.Tensor) -> torch.Tensor:
    """Whether each slice of (2, z, y, x) is annotated."""
    annotated: torch.Tensor = enough_known(truth.sum((0, 2, 3)))
    return annotated


def enough_known(known: Any) -> Any:
    """Whether each slice counts as annotated, by how much of it is known: an array or a tensor, (slice,)."""
    return (known > KNOWN_PART * known.max()) & (known > 0)


def part_of_known(truth: torch.Tensor) -> torch.Tensor:
    """The structure's part of what is known of each voxel, of (..., 2, z, y, x) the (..., z, y, x).

    An outlined frame is thinner than a voxel.
    """
    known = truth.sum(-4)
    return torch.where(known > 0, truth.select(-4, 1) / known.clamp(min=1e-6), known)


def _squares(network: nn.Module) -> torch.Tensor:
    weights = [value for name, value in network.named_parameters() if name != "balance"]
    total: torch.Tensor = torch.stack([(value**2).sum() for value in weights]).sum()
    return total
