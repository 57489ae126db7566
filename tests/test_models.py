from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from myosweep.models import LOSSES, fold_of, fold_splits, model_of
from myosweep.settings import network_names, read_settings


def segmentation(**given: Any) -> dict[str, Any]:
    needed = {"cases": "c.tsv", "sweeps": "s.tsv", "structures": {"GM": 1}}
    part: dict[str, Any] = read_settings({**needed, "segmentation": given})["segmentation"]
    return part


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_ten_configurations_are_chosen_by_name(channels: int, loss: str) -> None:
    name = f"unet_{channels}ch_{loss}"
    part = segmentation(models=[name], channels=["image"], unet={"epochs": 7})
    model = model_of(name, part, network_names())
    assert model is not None
    assert (model.name, model.network) == (name, "unet")
    assert model.channels == ("image", "confidence")[:channels]
    assert model.needs_confidence == (channels == 2)
    assert model.settings == {**part["unet"], "loss": loss}
    assert model.settings["epochs"] == 7


def test_a_network_s_name_is_the_network_as_its_section_says() -> None:
    part = segmentation(models=["unet"], channels=["image"], unet={"epochs": 7})
    model = model_of("unet", part, network_names())
    assert model is not None
    assert (model.network, model.channels, model.settings) == ("unet", ("image",), part["unet"])


def test_a_network_with_losses_of_its_own_takes_channels_alone() -> None:
    model = model_of("unet_s_r_clstm_1ch", segmentation(), network_names())
    assert model is not None
    assert (model.network, model.channels) == ("unet_s_r_clstm", ("image",))


def test_a_variant_changes_what_it_names() -> None:
    variant = {"network": "unet", "channels": ["image"], "settings": {"dropout": 0.2}}
    part = segmentation(models=["mine"], unet={"epochs": 7}, variants={"mine": variant})
    model = model_of("mine", part, network_names())
    assert model is not None
    assert model.settings == {**part["unet"], "dropout": 0.2}
    assert model.channels == ("image",)


@pytest.mark.parametrize(
    "name", ["unet_3ch_Dice", "unet_1ch_dice", "net_1ch_Dice", "", "unet_1ch_", "unet_s_r_clstm_1ch_Dice"]
)
def test_other_names_are_no_model(name: str) -> None:
    assert model_of(name, segmentation(), network_names()) is None


@given(
    st.sets(st.text("abcdef01", min_size=1), min_size=2, max_size=30), st.integers(2, 6), st.integers(0, 9)
)
def test_folds_are_even_and_every_participant_is_tested_once(names: set[str], folds: int, seed: int) -> None:
    dealt = fold_of(names, folds, seed)
    sizes = [list(dealt.values()).count(fold) for fold in range(1, folds + 1)]
    assert max(sizes) - min(sizes) <= 1
    assert dealt == fold_of(sorted(names, reverse=True), folds, seed)
    tested = []
    for fold in range(1, folds + 1):
        splits = fold_splits(names, folds, fold, seed)
        assert set(splits) == names
        tested += [name for name, split in splits.items() if split == "test"]
        learning = [split for split in splits.values() if split != "test"]
        assert not learning or "train" in learning
        assert ("validation" in learning) == (len(learning) >= 4)
    assert sorted(tested) == sorted(names)
