"""The picture of errors over the effort of annotating."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from myosweep.figures.effort import draw_effort
from myosweep.labels.methods import METHODS
from PIL import Image


def comparison(methods=METHODS, wobbles=(0.0, 0.4), everies=(5, 20)):
    rows = [
        {
            "case": case,
            "structure": "GM",
            "interpolation": method,
            "every_frames": every,
            "wobble_mm": wobble,
            "annotated_frames": 800 // every,
            "dice": 0.99 - 0.002 * every * (1 + number) / 4,
            "absolute_volume_error_percent": 0.1 * every * number,
        }
        for case, (number, method), every, wobble in product("ab", enumerate(methods), everies, wobbles)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    "table", [comparison(), comparison(("zoi",), (0.4,), (10,)), comparison().iloc[::3]], ids=len
)
def test_whatever_was_compared_is_drawn(table, tmp_path):
    assert draw_effort(table, tmp_path / "effort.png")
    with Image.open(tmp_path / "effort.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 1500
    # The first method's colour, in lines and legend.
    assert (np.abs(pixels.astype(int) - (0x00, 0x72, 0xB2)).max(axis=-1) < 8).sum() > 50


def test_the_used_method_stands_out(tmp_path):
    def ink(emphasised):
        draw_effort(comparison(("zoi", "shape")), tmp_path / "effort.png", emphasised)
        with Image.open(tmp_path / "effort.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        return (np.abs(pixels - (0xD5, 0x5E, 0x00)).max(axis=-1) < 8).sum()

    assert ink("shape") > 1.2 * ink("zoi")


def test_nothing_compared_draws_nothing(tmp_path):
    assert not draw_effort(comparison().iloc[:0], tmp_path / "effort.png")
    assert not (tmp_path / "effort.png").exists()
