"""What prediction is said to take, against the peaks of benchmarks/full_size_prediction.py."""

from __future__ import annotations

from typing import Any

import pytest
from myosweep.prediction_memory import prediction_bytes

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
