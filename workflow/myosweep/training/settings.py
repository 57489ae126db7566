"""Settings of a training, their defaults and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from myosweep.errors import InputError
from myosweep.models import LOSSES
from myosweep.networks import check_patch, complete_settings, module_of


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes
    ----------
    spacing_mm
        Voxel size that the network sees, mm; one number, or three along (x, y, z). Longer along the limb,
        where muscles change slowly: of three simulated muscles 2, 2, 6 keeps as much as 2, 2, 2. Where z is
        not along the limb (`axes: world`), give one number.
    position
        Whether the network is also told how far each voxel lies from the middle along x (Liu et al. 2018): GM
        and GL differ by their side alone, and without it some seeds take them for each other.
    epochs
        The most passes over the training cases.
    keep
        Which weights the training leaves: `best`, those of the best validation Dice, or `last`, those of the
        last epoch, as nnU-Net does. With few cases to validate on, the best epoch is often one that met these
        few by luck while the learning rate was still high.
    patience
        Training stops after so many epochs without a better validation Dice; not where the last weights are
        kept.
    validation_interval
        Cases of the split validation are segmented after each so many epochs, and after the last one. One
        such segmentation takes as long as several steps do: of patches of 48 voxels as long as sixteen.
    optimizer
        `adamw` (Loshchilov and Hutter 2019) or `adam` (Kingma and Ba 2015), whose weight decay is an l2 term.
    learning_rate, weight_decay
        Of the optimiser.
    schedule
        `cosine` (to zero over all epochs, after `warmup_epochs`), `constant`, `step` (times `step_factor`
        after each `step_epochs` epochs) or `drop` (times `step_factor` for the last `step_epochs` epochs).
    step_epochs, step_factor
        See `schedule`.
    warmup_epochs
        Epochs over which the learning rate rises linearly to its value.
    clip_norm
        Longest gradient, in the 2-norm over all weights.
    averaging
        The weights that are validated and kept are an exponential moving average over steps with this decay
        (Tarvainen and Valpola 2017); 0 for none.
    loss
        `Dice`, `CE`, `DiceCE`, or with the cross-entropy weighted by the confidence map `CEconf`,
        `DiceCEconf` (Gonzalez Duque 2024, part III, eq. 1.1 and 1.2).
    dice_weight, cross_entropy_weight
        Weights of the two parts of the loss, as far as it has them.
    move_probability
        Share of the cases that are turned, stretched, shifted and bent; the others are seen on their own
        voxels, as in use. Where voxels are more than three times longer along z than across, only within
        slices.
    rotation_degrees, scale_percent, shift_mm
        Largest rotation (half of it about x and y), change of size per axis, and shift of a changed case.
    elastic_mm
        Root mean square, per axis, of a changed case's smooth bending. It varies what few limbs do not: the
        thickness of fat above all.
    gain_percent
        Largest change of an augmented case's brightness and contrast.
    shadow_probability
        Share of augmented cases that get a simulated shadow.
    flip_along_limb
        Whether half of the cases are turned upside down along z. Muscles differ along the limb, so not by
        default.
    flip_laterally
        Two structures that change places in half of the cases, which are mirrored along x: what lay on the
        one side then lies where the other belongs. None: no case is mirrored.
    patch
        Voxels along (z, y, x) of the parts of a limb that the network sees in training (see
        `training.patches`); it then segments through windows of that size. None: it sees whole limbs.
    patches
        How often each case is drawn per epoch, each time changed and, with `patch`, cut anew.
    start_from
        The folder of a network whose weights training begins with (see `training.start`); empty: random ones.
    precision
        `float32`, or `bfloat16` for autocast: some four times faster on a processor that computes with it
        (avx512_bf16), three times slower on one that does not; `automatic` is the faster of the two, and
        model.json says which that was.
    threads
        Threads of torch. Fixed, whatever the cores, since sums depend on it.
    checkpoint_seconds
        Least time between two checkpoints, s.
    """

    spacing_mm: float | Sequence[float] = (2.0, 2.0, 6.0)
    position: bool = True
    epochs: int = 100
    keep: str = "best"
    patience: int = 40
    validation_interval: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    step_epochs: int = 10
    step_factor: float = 0.5
    warmup_epochs: int = 3
    clip_norm: float = 1.0
    averaging: float = 0.98
    loss: str = "DiceCE"
    dice_weight: float = 1.0
    cross_entropy_weight: float = 1.0
    move_probability: float = 0.5
    rotation_degrees: float = 10.0
    scale_percent: float = 10.0
    shift_mm: float = 6.0
    elastic_mm: float = 2.0
    gain_percent: float = 20.0
    shadow_probability: float = 0.2
    flip_along_limb: bool = False
    flip_laterally: Sequence[str] | None = None
    patch: Sequence[int] | None = None
    patches: int = 1
    start_from: str = ""
    precision: str = "float32"
    threads: int = 2
    checkpoint_seconds: float = 10.0

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along (x, y, z), mm."""
        if isinstance(self.spacing_mm, Sequence):
            x, y, z = self.spacing_mm
            return float(x), float(y), float(z)
        return (float(self.spacing_mm),) * 3

    @property
    def weighs_by_confidence(self) -> bool:
        """Whether the loss is weighted by the confidence map."""
        return self.loss.endswith("conf")

    @property
    def loss_weights(self) -> tuple[float, float]:
        """Weights of Dice and of the cross-entropy, 0 for the one that the loss does not have."""
        return self.dice_weight * ("Dice" in self.loss), self.cross_entropy_weight * ("CE" in self.loss)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_RULES: dict[str, tuple[str, Any]] = {
    "spacing_mm": (
        "a number above 0, or three",
        lambda v: (
            all(_number(s) and s > 0 for s in ([v] * 3 if _number(v) else v)) and (_number(v) or len(v) == 3)
        ),
    ),
    "epochs": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "keep": ("best or last", lambda v: v in ("best", "last")),
    "patience": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "validation_interval": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "warmup_epochs": ("a whole number from 0", lambda v: type(v) is int and v >= 0),
    "threads": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "learning_rate": ("a number above 0", lambda v: _number(v) and v > 0),
    "clip_norm": ("a number above 0", lambda v: _number(v) and v > 0),
    "averaging": ("a number from 0 to below 1", lambda v: _number(v) and 0 <= v < 1),
    "move_probability": ("a number from 0 to 1", lambda v: _number(v) and 0 <= v <= 1),
    "shadow_probability": ("a number from 0 to 1", lambda v: _number(v) and 0 <= v <= 1),
    "scale_percent": ("a number from 0 to below 100", lambda v: _number(v) and 0 <= v < 100),
    "gain_percent": ("a number from 0 to below 100", lambda v: _number(v) and 0 <= v < 100),
    "position": ("true or false", lambda v: isinstance(v, bool)),
    "flip_along_limb": ("true or false", lambda v: isinstance(v, bool)),
    "flip_laterally": (
        "two names of structures, or null",
        lambda v: v is None or (len(v) == 2 and all(isinstance(name, str) for name in v) and v[0] != v[1]),
    ),
    "patch": (
        "three whole numbers from 1, or null",
        lambda v: v is None or (len(v) == 3 and all(type(edge) is int and edge >= 1 for edge in v)),
    ),
    "patches": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "start_from": ("a folder, or an empty text", lambda v: isinstance(v, str)),
    "loss": (f"one of {', '.join(LOSSES)}", lambda v: v in LOSSES),
    "optimizer": ("adamw or adam", lambda v: v in ("adamw", "adam")),
    "schedule": ("cosine, constant, step or drop", lambda v: v in ("cosine", "constant", "step", "drop")),
    "step_epochs": ("a whole number from 1", lambda v: type(v) is int and v >= 1),
    "step_factor": ("a number above 0", lambda v: _number(v) and v > 0),
    "precision": ("float32, bfloat16 or automatic", lambda v: v in ("float32", "bfloat16", "automatic")),
}
_NOT_NEGATIVE = ("a number from 0", lambda v: _number(v) and v >= 0)


def split_settings(network: str, settings: dict[str, Any]) -> tuple[TrainingSettings, dict[str, Any]]:
    """Part the settings of a network into those of training and the network's own, complete with defaults.

    Raises
    ------
    InputError
        An unknown network or key, a value that cannot be, or a patch that the network does not take.
    """
    module = module_of(network)
    of_training = {field.name for field in fields(TrainingSettings)} - set(getattr(module, "WITHOUT", ()))
    of_network = asdict(module.Settings())
    for key, value in settings.items():
        where = f"segmentation.{network}.{key}"
        if key in of_training:
            expected, allowed = _RULES.get(key, _NOT_NEGATIVE)
            try:
                good = bool(allowed(value))
            except TypeError:
                good = False
            if not good:
                raise InputError(where, repr(value), expected, "correct the value")
        elif key not in of_network:
            names = ", ".join(sorted({*of_training, *of_network}))
            raise InputError(where, "an unknown key", f"one of {names}", "correct or remove it")
    given = {**module.TRAINING, **{key: value for key, value in settings.items() if key in of_training}}
    own = {key: value for key, value in settings.items() if key in of_network}
    options, complete = TrainingSettings(**given), complete_settings(network, own)
    if options.patch is not None:
        check_patch(network, complete, options.patch, f"segmentation.{network}.patch")
    return options, complete
