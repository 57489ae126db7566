"""DAF3D: deep attentive features (Wang et al. 2019, IEEE TMI 38, 2768).

A ResNeXt-50 in 3D with group norm and PReLU, dilated by 2 in its last two stages in place of strides; strides
of (2, 8, 8) in all. 1 x 1 x 1 convolutions make a pyramid of 128 maps per stage, the coarser levels added to
the finer ones. The four levels together are fused to 64 maps; each level attends to these (192-64-64-64,
sigmoid) and is refined by what it attends to (192-64-64-64): A = sigmoid(F_a(L, S)), R = F_r(L, A S) for a
level L and the shared maps S. The refined levels are joined, seen at atrous rates (1, r, r) with r = 1, 6,
12, 18, and classified. The four levels of the pyramid, the four refined ones and the result are all
supervised (`training.deep_supervision`). Layers, norms and weights of the losses are those of the authors'
published code: 0.4, 0.5, 0.7, 0.8 from fine to coarse for pyramid and refined levels, 1 for the result (its
Dice of the refined levels alone has 0.4, 0.7, 0.8, 1; here one set serves both losses).

Here softmax over the classes stands where Wang et al. have a sigmoid for one prostate, and Dice with
cross-entropy where they have Dice with binary cross-entropy. Neither paper nor published code says how many
channels of input there may be; here any. Trilinear enlargement as there, by products of matrices, so that it
repeats bit for bit on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from myosweep.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from myosweep.training.objectives import Objective
    from myosweep.training.settings import TrainingSettings

# The published code trains with Adam at 1e-3.
TRAINING: dict[str, Any] = {"learning_rate": 1e-3}

# Norms are over groups of maps.
SINGLE_VOXEL = True


@dataclass(frozen=True)
class Settings:
    """Settings of DAF3D.

    Attributes
    ----------
    width
        Feature maps of the first convolution, a multiple of 32; the stages have 4, 8, 16 and 32 times as
        many.
    blocks
        Residual blocks in each of the four stages; 3, 4, 23, 3 for ResNeXt-101.
    supervision
        Weights of the losses of the levels, from the finest of four on; that of the result is 1.
    """

    width: int = 64
    blocks: Sequence[int] = (3, 4, 6, 3)
    supervision: Sequence[float] = (0.4, 0.5, 0.7, 0.8)

    def __post_init__(self) -> None:
        where = "settings of daf3d"
        if type(self.width) is not int or self.width < 32 or self.width % 32:
            raise InputError(f"{where}, width", repr(self.width), "a multiple of 32", "write 64, for example")
        if len(self.blocks) != 4 or any(type(count) is not int or count < 1 for count in self.blocks):
            raise InputError(
                f"{where}, blocks", f"{list(self.blocks)}", "four whole numbers from 1", "correct it"
            )
        if len(self.supervision) != 4 or min(self.supervision) < 0:
            raise InputError(
                f"{where}, supervision", f"{list(self.supervision)}", "four numbers from 0", "correct it"
            )


def multiple(settings: Settings) -> tuple[int, int, int]:
    """What the numbers of voxels along (z, y, x) must be a multiple of."""
    return 2, 8, 8


def build(in_channels: int, out_channels: int, settings: Settings) -> nn.Module:
    """Build the network; it returns logits."""
    from myosweep.networks.modules.attentive_pyramid import AttentivePyramid

    return AttentivePyramid(in_channels, out_channels, width=settings.width, blocks=settings.blocks)


def objective(settings: Settings, options: TrainingSettings) -> Objective:
    """How it is trained: all nine outputs together."""
    from myosweep.training.deep_supervision import DeepSupervision

    return DeepSupervision([*settings.supervision, *settings.supervision, 1.0], *options.loss_weights)
