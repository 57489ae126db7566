"""What networks are said to take, against peaks of benchmarks/full_size_prediction.py and of studies."""

from __future__ import annotations

from typing import Any

import pytest
from myosweep.network_memory import prediction_bytes, training_bytes

NATIVE = 0.277


@pytest.mark.parametrize(
    ("settings", "peak_gb"),
    [
        ({"spacing_mm": [2.0, 2.0, 6.0], "patch": None}, 1.3),
        ({"spacing_mm": NATIVE, "window": 16, "patch": None}, 4.4),
        ({"spacing_mm": [NATIVE] * 3, "window": 3}, 1.28),
        ({"spacing_mm": NATIVE, "patch": [64, 64, 64]}, 1.97),
    ],
    ids=["default", "unet_s_r_clstm", "ifssnet", "windows"],
)
def test_it_suffices_and_is_not_far_too_much(settings: dict[str, Any], peak_gb: float) -> None:
    told = prediction_bytes((564, 632, 1443), NATIVE, settings) / 1e9
    assert peak_gb < told < 2 * peak_gb


def test_memory_follows_what_the_network_sees_at_a_time() -> None:
    """100 x 50 x 80 voxels of 1 mm are 50 x 25 x 14 of 2, 2, 6 mm."""
    whole = prediction_bytes((100, 50, 80), 1.0, {"spacing_mm": [2.0, 2.0, 6.0]})
    assert whole - prediction_bytes((100, 50, 80), 1.0, {"spacing_mm": [2.0, 2.0, 12.0]}) == 7 * 1250 * 1000
    windows = {"spacing_mm": 1.0, "patch": [16, 16, 16]}
    assert prediction_bytes((100, 50, 80), 1.0, windows) == prediction_bytes((100, 50, 800), 1.0, windows)


def test_trainings_on_patches_ask_by_the_patch() -> None:
    """DAF3D, which holds most, peaked at 2.69 GB with patches of 32 x 48 x 48; two fit into 5.5 GB."""
    assert 2.69e9 < training_bytes("daf3d", {"patch": [32, 48, 48]}) < 2.75e9
    assert (
        training_bytes("daf3d", {"patch": [64, 48, 48]}) - training_bytes("daf3d", {"patch": [32, 48, 48]})
        > 1e9
    )


def test_a_training_of_unetr_asks_for_its_many_weights() -> None:
    """It peaked at 3.87 GB with patches of 32 x 48 x 48."""
    width = {"hidden_size": 768, "mlp_size": 3072}
    assert 3.87e9 < training_bytes("unetr", {"patch": [32, 48, 48], **width}) < 4.5e9


def test_a_training_around_given_masks_asks_for_less_than_one_of_whole_limbs() -> None:
    spacing = {"patch": None, "spacing_mm": [2.0, 2.0, 6.0]}
    guided = training_bytes("ifssnet", {**spacing, "margin_mm": 20.0})
    assert guided < training_bytes("ifssnet", {**spacing, "margin_mm": 0.0})


@pytest.mark.parametrize(
    ("network", "kilobytes"),
    [("unet", 1.21), ("attention_unet", 1.8), ("unet_s_r_clstm", 1.51), ("vnet", 3.99), ("unetr", 6.27)],
)
def test_trainings_on_whole_limbs_ask_by_network_and_voxels(network: str, kilobytes: float) -> None:
    """Against the peaks of training steps, kB for each voxel."""
    coarse, fine = (training_bytes(network, {"spacing_mm": mm}) for mm in ([2.0, 2.0, 6.0], 1.0))
    voxels = (1 - 1 / 24) * 150 * 150 * 430
    assert 1.9 < (fine - coarse) / voxels / 1e3 / kilobytes < 2.2
    assert training_bytes("daf3d", {"spacing_mm": [2.0, 2.0, 6.0]}) > 10e9
