"""Several answers for one limb: turned, with dropout, from several trainings."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from myosweep.errors import InputError
from myosweep.geometry import Grid
from myosweep.io.volumes import Volume, write_planes, write_volume
from myosweep.models import members_of, model_folders, network_in
from myosweep.networks import complete_settings, create
from myosweep.training.data import position_channel, prepare_channels
from myosweep.training.inference import predict, segmented
from myosweep.training.inference_settings import InferenceSettings, Pass, passing
from myosweep.training.lattice import Lattice
from myosweep.training.model import Description, check_models, load_model, save_model
from spindles import STRUCTURES, spindles

UNET = {"channels": [4, 8], "strides": [2], "dropout": 0.3}
CLSTM = {"widths": [4, 8], "memory_cells": 1, "dropout": 0.3, "window": 7, "norm": "batch"}
GUIDED = {"widths": [4, 8], "rates": [1, 2], "pooling": [2, 1], "extent": 5, "dropout": [0.2, 0.2, 0.2]}
PLAIN = InferenceSettings(largest_component=False)


def untrained(
    folder: Path,
    network: str,
    settings: dict[str, Any],
    *,
    structures: dict[str, int] = STRUCTURES,
    spacing: tuple[float, float, float] = (2.0, 2.0, 4.0),
    seed: int = 1,
    **training: Any,
) -> Path:
    """A model whose weights are drawn."""
    torch.manual_seed(seed)
    settings = complete_settings(network, settings)
    weights = create(network, 2, len(structures) + 1, settings).state_dict()
    options = {"threads": 1, "position": True, "precision": "float32", **training}
    description = Description(
        network, settings, options, structures, ["image"], list(spacing), [8, 8, 8], seed, {}, {}
    )
    save_model(folder, description, weights)
    return folder


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("models") / "unet", "unet", UNET)


def scores_of(found: Any) -> np.ndarray[Any, Any]:
    return found._found[0].scores[:, :]


def by_hand(folder: Path, image: Volume, passes: list[Pass]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Probabilities of each pass on a limb that needs no padding: 16 x 16 x 24 of the network's voxels."""
    network, description = load_model(folder)
    lattice = Lattice.of(image.grid, tuple(description.spacing_mm))  # type: ignore[arg-type]
    channels, _ = prepare_channels(image, None, "right", ["image"], lattice, "it")
    seen = np.concatenate([channels, position_channel(lattice.shape, 2.0)])
    found = []
    for one in passes:
        turned = np.ascontiguousarray(seen[:, ::-1]) if one.turned else seen
        with passing(network, one, description.seed, folder), torch.inference_mode():
            scores = torch.softmax(network(torch.from_numpy(turned)[None]), dim=1)[0].numpy()
        found.append(scores[:, ::-1] if one.turned else scores)
    return found


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        (InferenceSettings(flips=True), [Pass(False, None), Pass(True, None)]),
        (InferenceSettings(dropout_passes=3), [Pass(False, number) for number in range(3)]),
        (
            InferenceSettings(flips=True, dropout_passes=2),
            [Pass(turned, number) for turned in (False, True) for number in range(2)],
        ),
    ],
)
def test_passes_count_by_their_mean(unet: Path, settings: InferenceSettings, passes: list[Pass]) -> None:
    image = spindles(3)[0]
    expected = np.mean(by_hand(unet, image, passes), axis=0)
    with segmented(unet, image, None, "right", settings=settings) as found:
        np.testing.assert_allclose(scores_of(found), expected, atol=1e-6)
    if settings.dropout_passes:
        assert np.ptp(by_hand(unet, image, passes[:2]), axis=0).max() > 0.01


@pytest.mark.parametrize(("network", "own"), [("unet", UNET), ("unet_s_r_clstm", CLSTM)])
def test_the_same_passes_give_the_same_bytes(tmp_path: Path, network: str, own: dict[str, Any]) -> None:
    model = untrained(tmp_path / "model", network, own)
    image = spindles(4)[0]
    settings = InferenceSettings(flips=True, dropout_passes=2, fill_holes=True)
    for name in ("a", "b"):
        torch.manual_seed(len(name))
        torch.rand(ord(name))
        with segmented(model, image, None, "left", settings=settings) as found:
            write_planes(tmp_path / f"{name}_map.mha", found.grid, np.dtype(np.uint8), found.entropies())
            write_planes(tmp_path / f"{name}.mha", found.grid, np.dtype(np.uint8), found.labels())
    for kind in ("", "_map"):
        assert (tmp_path / f"a{kind}.mha").read_bytes() == (tmp_path / f"b{kind}.mha").read_bytes()


def test_a_map_is_the_entropy_of_the_mean(unet: Path) -> None:
    """At the network's own spacing nothing is interpolated."""
    image = spindles(3)[0]
    grid = Lattice.of(image.grid, (2.0, 2.0, 4.0))
    coarse = Volume(
        np.clip(grid.mean(image.array), 1, 255).astype(np.uint8),
        type(image.grid)((24, 16, 16), (2.0, 2.0, 4.0), np.zeros(3), np.eye(3)),
    )
    with segmented(unet, coarse, None, "left", settings=InferenceSettings(flips=True)) as found:
        mean = scores_of(found)[..., ::-1].astype(np.float64)
        planes = np.stack(list(found.entropies()))
    expected = -(mean * np.log(mean)).sum(axis=0) / np.log(4)
    np.testing.assert_allclose(planes, 200 * expected, atol=0.501)


def test_a_network_without_dropout_has_no_dropout_passes(tmp_path: Path) -> None:
    model = untrained(tmp_path / "model", "unet", {**UNET, "dropout": 0.0})
    with pytest.raises(InputError, match="without dropout") as problem:
        predict(model, spindles(3)[0], None, "right", settings=InferenceSettings(dropout_passes=2))
    assert "dropout_passes to 0" in problem.value.remedy


def test_dropout_leaves_norms_and_other_random_numbers_alone(unet: Path) -> None:
    network, _ = load_model(unet)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with passing(network, Pass(False, 0), 1, unet):
        training = [type(layer).__name__ for layer in network.modules() if layer.training]
    assert set(training) == {"Dropout"}
    assert not any(layer.training for layer in network.modules())
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_ensemble_of_twins_is_the_twin_and_of_others_their_mean(unet: Path, tmp_path: Path) -> None:
    image = spindles(3)[0]
    for fold in ("fold1", "fold2", "fold10"):
        shutil.copytree(unet, tmp_path / "twins" / fold)
    folders = model_folders(tmp_path / "twins", STRUCTURES)
    assert [folder.name for folder in folders] == ["fold1", "fold2", "fold10"]
    assert network_in(tmp_path / "twins", STRUCTURES) == "unet"
    check_models(folders, STRUCTURES, ["image"])
    twins = predict(folders[:2], image, None, "right").array
    np.testing.assert_array_equal(twins, predict(unet, image, None, "right").array)
    other = untrained(tmp_path / "other", "unet", UNET, seed=2)
    whole = [Pass(False, None)]
    expected = (by_hand(unet, image, whole)[0] + by_hand(other, image, whole)[0]) / 2
    with segmented([unet, other], image, None, "right") as found:
        np.testing.assert_allclose(scores_of(found), expected, atol=1e-6)


def test_members_of_an_ensemble_must_agree(unet: Path, tmp_path: Path) -> None:
    shutil.copytree(unet, tmp_path / "fold1")
    untrained(tmp_path / "fold2", "unet", UNET, spacing=(2.0, 2.0, 3.0))
    with pytest.raises(InputError, match=r"(?s)fold2.*2 x 2 x 3 mm.*2 x 2 x 4.*an ensemble"):
        check_models(model_folders(tmp_path, STRUCTURES), STRUCTURES, ["image"])
    untrained(tmp_path / "fold2", "unet", UNET, structures={"GM": 1, "GL": 2})
    with pytest.raises(InputError, match="fold2"):
        check_models(model_folders(tmp_path, STRUCTURES), STRUCTURES, ["image"])


def test_an_ensemble_may_have_a_network_for_each_structure(tmp_path: Path) -> None:
    for fold in ("fold1", "fold2"):
        for name, value in STRUCTURES.items():
            folder = tmp_path / fold / name
            untrained(folder, "ifssnet", GUIDED, structures={name: value}, seed=value)
    folders = model_folders(tmp_path, STRUCTURES)
    assert [len(member) for member in members_of(folders)] == [3, 3]
    check_models(folders, STRUCTURES, ["image"])
    image, _, labels = spindles(3)
    alone = predict(folders[:3], image, None, "right", labels, PLAIN).array
    np.testing.assert_array_equal(predict(folders, image, None, "right", labels, PLAIN).array, alone)
    # It goes both ways from the given slices as it is: turned, every number would come again.
    flipped = InferenceSettings(flips=True, largest_component=False)
    np.testing.assert_array_equal(predict(folders[:3], image, None, "right", labels, flipped).array, alone)
    with segmented(folders[:3], image, None, "", labels, InferenceSettings(dropout_passes=2)) as found:
        assert np.ptp(list(found.entropies())) > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_files_give_what_volumes_give(tmp_path: Path, side: str) -> None:
    model = untrained(tmp_path / "model", "unet_s_r_clstm", CLSTM)
    image = spindles(6, side)[0]
    write_volume(tmp_path / "image.mha", image)
    expected = predict(model, image, None, side).array
    found = predict(model, tmp_path / "image.mha", None, side).array
    np.testing.assert_array_equal(found, expected)


def test_a_network_of_windows_segments_in_windows(tmp_path: Path) -> None:
    """A window as large as the limb says the same as a network of whole limbs, smaller ones another thing."""
    image = spindles(7)[0]
    whole = untrained(tmp_path / "whole", "unet", UNET)
    large = untrained(tmp_path / "large", "unet", UNET, patch=[16, 16, 24])
    small = untrained(tmp_path / "small", "unet", UNET, patch=[8, 8, 8])
    expected = predict(whole, image, None, "right", settings=PLAIN).array
    np.testing.assert_array_equal(predict(large, image, None, "right", settings=PLAIN).array, expected)
    found = predict(small, image, None, "right", settings=PLAIN).array
    assert 0.5 < (found == expected).mean() < 1


def test_memory_does_not_grow_with_the_slices_and_nothing_stays(tmp_path: Path) -> None:
    model = untrained(tmp_path / "model", "unet", UNET, spacing=(1.0, 1.0, 1.0), patch=[8, 32, 32])
    (tmp_path / "work").mkdir()

    def work(slices: int) -> None:
        grid = Grid((32, 32, slices), (1.0, 1.0, 1.0), np.zeros(3), np.eye(3))
        plane = np.add.outer(np.arange(32), np.arange(1, 33)).astype(np.uint8)
        write_planes(tmp_path / "image.mha", grid, np.dtype(np.uint8), (plane for _ in range(slices)))
        # Weights that learned nothing find thousands of pieces, each of which takes its bytes.
        with segmented(
            model, tmp_path / "image.mha", None, "", settings=PLAIN, folder=tmp_path / "work"
        ) as found:
            assert sum(1 for _ in found.entropies()) == sum(1 for _ in found.labels()) == slices

    def peak(slices: int) -> int:
        tracemalloc.start()
        work(slices)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    work(24)
    # The probabilities of the 96 slices between them are 1.6 MB.
    assert peak(120) < peak(24) + 300_000
    assert not list((tmp_path / "work").iterdir())
