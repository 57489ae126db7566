from __future__ import annotations

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.training.seeds import derived_seed, generator
from myosweep.training.settings import TrainingSettings, split_settings


def test_settings_part_into_training_and_network() -> None:
    training, network = split_settings("unet", {"epochs": 7, "channels": [4, 8], "strides": [2]})
    assert training == TrainingSettings(epochs=7)
    assert network["channels"] == [4, 8]
    assert network["norm"] == "instance"


def test_spacing_is_one_number_or_three() -> None:
    assert TrainingSettings(spacing_mm=2).spacing == (2.0, 2.0, 2.0)
    assert TrainingSettings(spacing_mm=[1, 2, 3]).spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", True),
        ("spacing_mm", [1, 2]),
        ("spacing_mm", "auto"),
        ("spacing_mm", 0),
        ("learning_rate", -1),
        ("learning_rate", "high"),
        ("precision", "float16"),
        ("schedule", "linear"),
        ("step_epochs", 0),
        ("step_factor", 0),
        ("keep", "first"),
        ("shadow_probability", 1.5),
        ("move_probability", -0.1),
        ("flip_along_limb", 1),
        ("weight_decay", -0.1),
        ("epoch", 3),
        ("patch", [8, 8]),
        ("patch", [8, 8, 0]),
        ("patch", [8, 8, 8.5]),
        ("patch", 8),
        ("patch", "abc"),
        ("patches", 0),
        ("flip_laterally", True),
        ("flip_laterally", ["GM"]),
        ("flip_laterally", ["GM", "GM"]),
        ("flip_laterally", [1, 2]),
        ("start_from", 3),
    ],
)
def test_bad_settings_are_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"segmentation.unet.{key}"):
        split_settings("unet", {key: value})


def test_seeds_depend_on_their_purpose_alone() -> None:
    # The value is fixed: another one would change every model that was ever trained.
    assert derived_seed(1, "order", 3) == derived_seed(1, "order", 3) == 3525351923113002860
    assert len({derived_seed(seed, name, epoch) for seed in (1, 2) for name in "ab" for epoch in (0, 1)}) == 8
    np.testing.assert_array_equal(generator(1, "x").random(3), generator(1, "x").random(3))
