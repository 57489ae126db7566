"""IFSS-Net: few annotated slices, propagated along the limb by a Siamese network with a memory.

Al Chanti, Gonzalez Duque, Crouzier, Nordez, Lacourpaille, Mateus: Interactive Few-Shot Siamese Network for
faster muscles segmentation and propagation in 3-D freehand ultrasound (2021); Gonzalez Duque, thesis, part
II.2. A window of w slices and the masks of the window before it go through twin 3D encoders with shared
weights; each stage's image maps are added to those of the mask stream; global feature matching fuses the ends
(`modules.feature_matching`); a ConvLSTM reused in both directions (`modules.conv_lstm`, with its equations)
runs over the window's slices; a decoder refines with the mask stream's maps; the loss is in
`training.propagation` and `training.tversky`. One structure per network: channel 0 of its logits is the
background, channel 1 the structure.

Where the sources are silent or disagree, and what was chosen:

- An encoder stage: the maps of the four rates together are the stage's width (30 is 8 + 8 + 7 + 7). Norm and
  ReLU follow; the paper names neither, the authors' code has layer norm over all maps of a whole window. Here
  it is over those of each voxel, on which padding has no part (twenty epochs of GL reached no more with a
  norm over whole slices). Pooling is in plane only: the sub-volume keeps its depth (3 x 16 x 16 from 3 x 512
  x 512).
- Rate r reaches 2 r + 1 voxels: 3, 13, 25 and 37, where the paper writes 3, 9, 15 and 18. Along the limb a
  window of 3 slices leaves only the middle tap of rates 6, 12 and 18 something to see.
- Shared weights ask for the same number of channels in both streams: the mask takes the place of the image;
  what other channels there are (confidence, position) enter both.
- The image's maps are added to the mask's after each stage, before pooling; the decoder's skip connections
  take them there.
- f is the size of the bottleneck, 16 for the paper's 512 x 512. It is fixed when the network is built
  (`extent`); on smaller maps the taps that would meet only padding are left out.
- The memory starts at 0 in each window (thesis 2.3: "dependencies across images within the same sub-volume").
  Its two directions are added to its input.
- Refinement (Pinheiro et al. 2016): a separable convolution of the encoder's maps is added to the upsampled
  ones, norm, ReLU, and a separable convolution around which they are carried.
- Decremental supervision: "we progressively add volumes to the training set, each time requiring fewer
  annotations" (thesis II.2.3), which does not say when. They are added in the order of the table of cases and
  at equal distances over the first half of the epochs, each of which has as many steps as there are volumes
  in all, so that `fixed` has the same number.
- The first window comes with its own annotated masks, each later one with the prediction one slice behind
  (unless `aligned`). Without recurrence every window comes with the annotated masks of the first.

Trainings of minutes need more than the sources have; each is a setting, and the preset `paper` is without:

- The network looks at what lies around the given masks (`margin_mm`), not at the whole cross-section.
- Gradients flow over a short part of a strand (`reach`), which begins a random way from the annotated window
  (`lead`): whole strands from the first step on end in a network that finds nothing.
- Alpha and beta learn at the paper's rate of 1e-4 (`balance_rate`) while all else learns thirty times faster:
  nothing holds them in the middle (see `training.tversky`), and volumes would follow where they go.

The published code differs in its widths (30, 30, 60, 120, 120), in the rates of its stages ((6, 12, 18)
twice, (4, 6, 8), (2, 4, 6), (2, 4, 6), each beside 1), and in a ConvLSTM kernel of 1: `widths`, `rates` and
`memory_kernel` say so. Its plain convolution before each pyramid, image-level pooling and BiSeNet-like fusion
are not built, since the papers do not have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from myosweep.training.annotation_schedule import Annotations
    from myosweep.training.propagation import Propagation, Volume
    from myosweep.training.settings import TrainingSettings

# Chosen on the simulated legs. Voxels in plane of 2 mm: of 3 mm those of the smallest muscle alone cost more
# than 1 % of its volume. Along the limb 8 mm: a strand then has some fifteen windows and not hundreds, and
# linear interpolation loses next to nothing. Eq. 4 has the sum of squared weights in the loss itself. The
# paper's rate goes from 1e-4 to 1e-5; a training of some hundred updates needs a larger one.
TRAINING: dict[str, Any] = {
    "spacing_mm": (2.0, 2.0, 8.0),
    "position": False,
    "epochs": 80,
    "patience": 80,
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "weight_decay": 0.0,
    "threads": 1,
}
# One structure has none to change places with; the network follows whole limbs from the given masks.
WITHOUT = ("loss", "dice_weight", "cross_entropy_weight", "flip_laterally", "patch", "patches")
BINARY = True

# What the paper trains with, as far as settings say it: its widths, poolings and dropout on voxels of .277
# mm, whole images, sequences in halves from one start, weights of the loss that learn as fast as the others,
# and a rate that is a tenth in the last two epochs; how many epochs, it does not tell. The defaults below are
# what a training of minutes on a processor needs instead.
_PAPER: dict[str, Any] = {
    "spacing_mm": 0.277,
    "learning_rate": 1e-4,
    "schedule": "drop",
    "step_epochs": 2,
    "step_factor": 0.1,
    "warmup_epochs": 0,
    "averaging": 0.0,
    "widths": (30, 30, 60, 60, 120),
    "rates": (1, 6, 12, 18),
    "pooling": (2, 2, 2, 2, 2),
    "parts": 2,
    "starts": 1,
    "reach": 0,
    "lead": 0,
    "balance_rate": 1.0,
    "margin_mm": 0.0,
    "dropout": (0.1, 0.4, 0.1),
}
# The thesis's variants (II.2.4) and the ablations of its tables. Of Seg-Net its results also say that it does
# not propagate: `recurrence: false` besides comes near that reading, but shows the given masks everywhere.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": _PAPER,
    "pgnet": {"memory": "none"},
    "segnet": {"index": "dice"},
    "convlstm": {"memory": "convlstm"},
    "concatenation": {"matching": "concatenation"},
    "correlation": {"matching": "correlation"},
    "no_recurrence": {"recurrence": False},
    "w10": {"window": 10},
    "decremental": {"supervision": "decremental"},
    "fixed": {"supervision": "fixed"},
}


@dataclass(frozen=True)
class Settings:
    """Settings of IFSS-Net; the defaults suit voxels of millimetres and trainings of minutes, see `PRESETS`.

    Attributes
    ----------
    window
        Slices of a sub-volume, w: 3, or 10 in an ablation.
    widths
        Maps of the encoder's stages; the decoder has them in reverse.
    rates
        Dilations that a stage puts side by side; the same for all, or one list per stage. The paper's 1, 6,
        12 and 18 are .3 to 5 mm of its voxels; with those of 2 mm one filter in four sees what is near.
    pooling
        Voxels along y and x that each stage pools to one. Voxels much larger than the paper's .277 mm ask for
        less: five times 2 leave cells of 9 mm there, of 64 mm with voxels of 2 mm.
    extent
        Length f of the matching kernels along y and x, in voxels of the bottleneck.
    matching
        `feature_matching`, `concatenation` or `correlation`.
    memory
        `biconvlstm`, `convlstm` (forwards alone) or `none`.
    memory_kernel
        Rows and columns of the ConvLSTM's convolutions, odd.
    recurrence
        Whether the prediction is fed back; without, the annotated masks are shown at each window.
    aligned
        Whether each slice of a window comes with what was predicted of itself, and the newest alone with that
        of the slice behind. Without, as in the paper, all come with that of the slice behind, which is .277
        mm there and 8 mm with the spacing here.
    index
        What training makes large: `tversky`, with weights that are learned, or `dice`.
    l2
        Factor of the sum of squared weights in the loss (eq. 4).
    parts
        Parts of a sequence through which gradients flow; one update of the weights after each. The paper has
        halves.
    starts
        Annotated windows of a volume from which an epoch propagates, one after the other, both ways from
        each.
    reach
        The most windows that a training step learns from on each way; 0 for all to the volume's end, as in
        the paper.
    lead
        The most windows that it runs over before those, learning nothing from them; the number is drawn, and
        grows over the first half of the training. The paper has none.
    balance_rate
        Rate at which alpha and beta are learned, as a part of the learning rate.
    margin_mm
        How far the network sees around the given masks in plane, mm; what lies beyond is background. 0 for
        the whole image, as in the paper.
    supervision
        `full`: every slice of a training volume has its labels; `decremental` or `fixed`: a few have, and the
        rest follow the network's own pseudo-labels.
    annotated_percent
        Slices of all training volumes that keep their labels unless supervision is full. Each volume keeps a
        window at least (see `training.annotation_schedule`).
    dropout
        Shares of the features dropped after the encoders, after the memory, and after each stage of the
        decoder.
    """

    window: int = 3
    widths: Sequence[int] = (16, 16, 32, 32, 64)
    rates: Sequence[Any] = (1, 2, 3, 4)
    pooling: Sequence[int] = (2, 2, 2, 1, 1)
    extent: int = 16
    matching: str = "feature_matching"
    memory: str = "biconvlstm"
    memory_kernel: int = 3
    recurrence: bool = True
    aligned: bool = False
    index: str = "tversky"
    l2: float = 1e-5
    parts: int = 1
    starts: int = 2
    reach: int = 5
    lead: int = 10
    balance_rate: float = 0.03
    margin_mm: float = 16.0
    supervision: str = "full"
    annotated_percent: float = 3.5
    dropout: Sequence[float] = (0.1, 0.1, 0.0)

    def __post_init__(self) -> None:
        stages = len(self.widths)
        _check("window", self.window, "a whole number from 2", _whole(self.window) and self.window >= 2)
        _check("widths", self.widths, "one or more numbers from 1", stages >= 1 and _all_from_1(self.widths))
        good = len(self.pooling) == stages and _all_from_1(self.pooling)
        _check("pooling", self.pooling, f"{stages} numbers from 1, one per stage", good)
        lists = [*self.rates] if self.rates and not _whole(self.rates[0]) else [self.rates]
        good = all(isinstance(rates, Sequence) and rates and _all_from_1(rates) for rates in lists)
        good = good and (lists[0] is self.rates or len(lists) == stages)
        _check("rates", self.rates, f"numbers from 1, or {stages} lists of them", good)
        few = all(len(rates) <= width for rates, width in zip(self.rates_by_stage, self.widths, strict=True))
        _check("widths", self.widths, "no fewer maps than rates in any stage", few)
        for name in ("extent", "memory_kernel", "parts", "starts"):
            value = getattr(self, name)
            _check(name, value, "a whole number from 1", _whole(value) and value >= 1)
        _check("reach", self.reach, "a whole number from 0", _whole(self.reach) and self.reach >= 0)
        _check("lead", self.lead, "a whole number from 0", _whole(self.lead) and self.lead >= 0)
        _check("lead", self.lead, "0 where reach is 0", self.reach > 0 or self.lead == 0)
        rate = self.balance_rate
        _check("balance_rate", rate, "a number from 0", _number(rate) and rate >= 0)
        margin = self.margin_mm
        _check("margin_mm", margin, "a number from 0", _number(margin) and margin >= 0)
        _check("memory_kernel", self.memory_kernel, "an odd number", self.memory_kernel % 2 == 1)
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            _check(name, value, "one of " + ", ".join(known), value in known)
        for name in ("recurrence", "aligned"):
            value = getattr(self, name)
            _check(name, value, "true or false", isinstance(value, bool))
        _check("l2", self.l2, "a number from 0", _number(self.l2) and self.l2 >= 0)
        percent = self.annotated_percent
        good = _number(percent) and 0 < percent <= 100
        _check("annotated_percent", percent, "a number above 0, at most 100", good)
        good = len(self.dropout) == 3 and all(_number(share) and 0 <= share < 1 for share in self.dropout)
        _check("dropout", self.dropout, "three shares from 0 to below 1", good)

    @property
    def rates_by_stage(self) -> list[tuple[int, ...]]:
        """The rates of each stage."""
        if _whole(self.rates[0]):
            return [tuple(self.rates)] * len(self.widths)
        return [tuple(rates) for rates in self.rates]


_CHOICES = {
    "matching": ("feature_matching", "concatenation", "correlation"),
    "memory": ("none", "convlstm", "biconvlstm"),
    "index": ("tversky", "dice"),
    "supervision": ("full", "decremental", "fixed"),
}


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    factor = prod(settings.pooling)
    return 1, factor, factor


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network (`modules.siamese.Siamese`).

    Raises
    ------
    InputError
        More than one structure is asked for.
    """
    from myosweep.networks.modules.siamese import Siamese

    _check("structures", out_channels - 1, "1: a network of this kind learns one", out_channels == 2)
    return Siamese(in_channels, settings)


def objective(settings: Settings, options: TrainingSettings) -> Propagation:
    """What training minimises, and in which steps."""
    from myosweep.training.propagation import Propagation

    return Propagation(
        parts=settings.parts,
        l2=settings.l2,
        pseudo_labels=settings.supervision != "full",
        adding=settings.supervision == "decremental",
        starts=settings.starts,
        reach=settings.reach,
        lead=settings.lead,
        balance_rate=settings.balance_rate,
    )


def annotated(settings: Settings, slices: Sequence[int]) -> Annotations | None:
    """The slices of each training volume that keep their labels; None where all do."""
    from myosweep.training.annotation_schedule import Annotations, annotated_slices, annotation_counts

    if settings.supervision == "full":
        return None
    counts = annotation_counts(slices, settings.supervision, settings.annotated_percent, settings.window)
    return Annotations(
        [annotated_slices(depth, count, settings.window) for depth, count in zip(slices, counts, strict=True)]
    )


def segment(
    network: nn.Module, channels: NDArray[np.float32], given: Mapping[int, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Propagate the masks of a few slices over a volume.

    Parameters
    ----------
    network
        As `build` makes it, in evaluation mode.
    channels
        (channel, z, y, x), padded to what `multiple` says.
    given
        The structure's part of each voxel, (y, x), by slice.

    Returns
    -------
    Probabilities of background and structure, (2, z, y, x).
    """
    import numpy as np

    result = np.zeros((2, *channels.shape[1:]), dtype=np.float32)
    for index, scores in segment_slices(network, channels, given):
        result[:, index] = scores
    return result


def segment_slices(
    network: nn.Module, channels: Volume, given: Mapping[int, NDArray[np.float32]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`segment` slice by slice, each once, in no order; channels are read as they are needed.

    Yields
    ------
    Slice and probabilities of background and structure there, (2, y, x).
    """
    import numpy as np

    from myosweep.training.propagation import propagate

    for index, probability in propagate(network, channels, given):
        yield index, np.stack([1 - probability, probability])


def _check(name: str, value: Any, expected: str, good: bool) -> None:
    if not good:
        raise InputError(f"settings of ifssnet, {name}", f"{value!r}", expected, "correct it")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all_from_1(values: Any) -> bool:
    return all(_whole(value) and value >= 1 for value in values)
