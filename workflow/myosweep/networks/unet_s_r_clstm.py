"""UNet-S-R-CLSTM: slices as a sequence, segmented and reconstructed by one encoder (MICCAI 2020).

Gonzalez Duque, Al Chanti, Crouzier, Nordez, Lacourpaille, Mateus: Spatio-temporal consistency and negative
label transfer for 3D freehand US segmentation (MICCAI 2020), section 3; again in Gonzalez Duque (thesis,
2024), part II, chapter 1. Both are meant by "the source".

What the source says. z is the sequence. The encoder has 5 residual blocks of depthwise-separable convolutions
with 16, 32, 64, 128 and 256 maps, with batch norm, ReLU, dropout of 0.5 and max-pooling. Its last maps go
through 4 stacked ConvLSTM cells of 256 maps. What these give goes to two decoders that mirror the encoder,
with transposed convolutions: one ends in a softmax over the classes, one in a single channel, the image. Two
Adam optimisers, one per task, update the shared encoder in turn (`training.two_tasks`); the losses are st-MSE
and st-SDC with negative labels (`training.consistency`). Its ablation (MICCAI table 1) adds one thing at a
time to a U-Net: S, separable in place of full convolutions; R, the second decoder; CLSTM, the memory.
`PRESETS` holds the three smaller ones.

Where the defaults are not the source's, which the preset `paper` has at the voxels that it is given: set
`spacing_mm` to those of your recordings for the source's. It learned from 29 limbs of 300 x 400
pixels; a handful of limbs of 80 x 80 pixels asks for less.

- Batch norm with the statistics of the window in evaluation, too. The slices of a window are neighbours of
  one limb, their statistics are not the running ones, at the limb's ends least of all: of a network with
  windows of 16 slices .015 Dice were lost between the two.
- 4 poolings: a pixel of the bottleneck is 32 mm wide then, and there are 5 x 5.
- Memory kernels of 1 x 1: the memory goes along the limb, blocks see the plane. With 3 x 3 it has 18.9 of the
  network's 20 million weights and takes two thirds of a step.
- Windows of 16 slices: an update of either task every 96 mm, not one or two a limb.
- No dropout.

Where the source is silent, and what was chosen.

- Poolings: "5 blocks interspersed with max-pooling" are 4, "5 down blocks" and "5 up blocks", each of these
  with a transposed convolution (thesis fig. 1.2), are 5. `paper` has 5, `pool_after_last: false` makes 4.
- A block: two 3 x 3 convolutions with batch norm, the input through 1 x 1 convolution and batch norm added
  before the last ReLU (He et al. 2016). The plain U-Net of the ablation keeps the shortcut, so that S changes
  the convolutions alone. Transposed convolutions are 2 x 2 with stride 2, never separable.
- Skips from encoder to decoder are in the figure's legend, not in the text. Here both decoders have them;
  `reconstruction_skips: false` makes the image pass the bottleneck.
- Dropout, by elements, lies on the way from a block to the next, after the pooling: before it, the largest of
  four values of which half are doubled and half are lost is nearly twice what it is without dropout, and
  evaluation would see other maps than batch norm learned. Skips and the last block's maps are not dropped.
- ConvLSTM: its kernels are not told, 3 x 3 in `paper`; not separable, no peepholes
  (`networks.modules.conv_lstm`), output of each cell to the next, one way along z, zeros at the first slice.
  The paper speaks of two encoding and two decoding cells (section 2), its text of 4 stacked ones, as here.
- The image is reconstructed without an activation, since it has mean 0. Further channels (confidence,
  position) are seen and not reconstructed.
- T, the slices of one sequence, is not given; volumes had 140, and `paper` takes so many. `window` slices are
  learned from at a time, the memory's state goes on from window to window, and gradients end there.
- Weights are averaged over steps, the learning rate falls as a cosine after a warm-up, the network is told
  each voxel's distance from the middle (`position`), and the Dice index has a small number added to both its
  sides (`training.consistency`): settings of all trainings here, in `paper`, too.
- The order of the two updates: the image first, the segmentation last.
- Which masks of a muscle are missing where a part of a sequence is annotated alone (MICCAI table 2). Here
  those that are left lie at equal distances over all slices of a volume, as an expert would spread them
  (`sparse_structure`, `annotated_percent`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from myosweep.training.annotation_schedule import Annotations
    from myosweep.training.objectives import Objective
    from myosweep.training.propagation import Volume
    from myosweep.training.settings import TrainingSettings

TRAINING: dict[str, Any] = {
    "epochs": 50,
    "optimizer": "adam",
    "learning_rate": 2e-3,
    "weight_decay": 0.0,
    "averaging": 0.99,
}
WITHOUT = ("loss", "dice_weight", "cross_entropy_weight")

NEGATIVE_LABELS = ("known", "slice", "none")

# `paper`: the source's values, and Shi et al.'s kernel, where Settings has others. The rest: MICCAI 2020,
# table 1, from the baseline on; the whole is what Settings gives.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "norm": "batch",
        "memory_kernel": 3,
        "dropout": 0.5,
        "pool_after_last": True,
        "window": 140,
    },
    "unet": {"separable": False, "reconstruction": False, "memory_cells": 0},
    "unet_s": {"reconstruction": False, "memory_cells": 0},
    "unet_s_r": {"memory_cells": 0},
}


@dataclass(frozen=True)
class Settings:
    """Settings of UNet-S-R-CLSTM.

    Attributes
    ----------
    widths
        Feature maps per block of the encoder, from the finest on.
    separable
        Depthwise-separable convolutions (S) in place of full ones.
    norm
        Batch norm, which evaluates with running statistics (`batch`) or those of the window (`window`).
    reconstruction
        The second decoder and its loss (R).
    reconstruction_skips
        Whether the second decoder is given the encoder's maps, too.
    memory_cells
        Stacked ConvLSTM cells at the bottleneck (CLSTM); 0 for none.
    memory_kernel
        Edge of their convolutions, odd, pixels at the bottleneck.
    dropout
        Share of the features that is dropped in training, 0 to below 1.
    pool_after_last
        Whether the encoder pools after its last block, too.
    negative_labels
        What a slice without a structure, on which others are known, says of it: `known` (not where they are),
        `slice` (the same, with sums over the whole slice as printed in the source) or `none` (nothing).
    window
        Slices that are in memory at a time; training learns from so many together.
    sparse_structure
        A structure that is taken as annotated on a part of the slices of the training cases only, the others
        on all; "" for none. On a hidden slice neither the structure nor the background is known, see
        `training.consistency.st_sdc`; cases to validate on keep all labels. Training turns, shifts and bends
        volumes: a slice then shows a little of its neighbours in the recording, hidden or not, unless
        `move_probability` is 0.
    annotated_percent
        The part of the slices on which it is annotated, evenly spread over each volume.
    """

    widths: Sequence[int] = (16, 32, 64, 128, 256)
    separable: bool = True
    norm: str = "window"
    reconstruction: bool = True
    reconstruction_skips: bool = True
    memory_cells: int = 4
    memory_kernel: int = 1
    dropout: float = 0.0
    pool_after_last: bool = False
    negative_labels: str = "known"
    window: int = 16
    sparse_structure: str = ""
    annotated_percent: float = 100.0

    def __post_init__(self) -> None:
        wrong = [
            (name, expected)
            for name, good, expected in (
                (
                    "widths",
                    len(self.widths) >= 2 and all(type(width) is int and width >= 1 for width in self.widths),
                    "two or more positive whole numbers, one per block",
                ),
                ("separable", isinstance(self.separable, bool), "true or false"),
                ("norm", self.norm in ("batch", "window"), "batch or window"),
                ("reconstruction", isinstance(self.reconstruction, bool), "true or false"),
                ("reconstruction_skips", isinstance(self.reconstruction_skips, bool), "true or false"),
                ("memory_cells", _whole(self.memory_cells, 0), "a whole number from 0"),
                (
                    "memory_kernel",
                    _whole(self.memory_kernel, 1) and self.memory_kernel % 2 == 1,
                    "an odd whole number from 1",
                ),
                ("dropout", 0 <= self.dropout < 1, "a share from 0 to below 1"),
                ("pool_after_last", isinstance(self.pool_after_last, bool), "true or false"),
                ("negative_labels", self.negative_labels in NEGATIVE_LABELS, "known, slice or none"),
                ("window", _whole(self.window, 1), "a whole number from 1"),
                ("sparse_structure", isinstance(self.sparse_structure, str), "a structure's name, or empty"),
                ("annotated_percent", 0 < self.annotated_percent <= 100, "a number above 0, at most 100"),
            )
            if not good
        ]
        for name, expected in wrong:
            raise InputError(
                f"settings of unet_s_r_clstm, {name}", repr(getattr(self, name)), expected, "correct it"
            )


def _whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    edge: int = 2 ** (len(settings.widths) - 1 + settings.pool_after_last)
    return 1, edge, edge


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from myosweep.networks.modules.two_decoders import TwoDecoders

    values = asdict(settings)
    for name in ("negative_labels", "sparse_structure", "annotated_percent"):
        del values[name]
    return TwoDecoders(in_channels, out_channels, **values)


def objective(settings: Settings, options: TrainingSettings) -> Objective:
    """How it is trained: image and segmentation in turn, window by window."""
    from myosweep.training.two_tasks import TwoTasks

    return TwoTasks(settings.negative_labels)


def annotated(settings: Settings, slices: Sequence[int]) -> Annotations | None:
    """The slices of each training volume that keep the sparse structure's labels; None where all do."""
    from myosweep.training.annotation_schedule import Annotations, even_slices

    if not settings.sparse_structure:
        return None
    percent = settings.annotated_percent
    return Annotations([even_slices(depth, percent) for depth in slices], settings.sparse_structure)


def in_windows(
    network: nn.Module, channels: Volume, device: torch.device
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Segment a volume window by window, as the network itself does; the memory's state goes on.

    Parameters
    ----------
    network
        As `build` makes it, in evaluation mode, on the device.
    channels
        (channel, z, y, x), padded to what `multiple` says; read as they are needed.
    device
        Where it computes.

    Yields
    ------
    Slice and probabilities of the classes there, (class, y, x), in order.
    """
    import torch

    from myosweep.networks.modules.two_decoders import windows_of

    state = None
    window = int(network.window)  # type: ignore[arg-type]
    for place in windows_of(channels.shape[1], window):
        part = torch.from_numpy(channels[:, place])[None].to(device)
        with torch.inference_mode():
            found = network.run(part, state)  # type: ignore[operator]
            state = found.state
            scores = torch.softmax(found.segmentation[0].float(), dim=0).cpu().numpy()
        yield from enumerate(scores.swapaxes(0, 1), start=place.start)
