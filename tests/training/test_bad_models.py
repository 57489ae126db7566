"""Weights and descriptions from elsewhere: whatever they hold, a clear message and bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep.errors import InputError
from myosweep.training.inference import predict
from myosweep.training.model import load_model
from spindles import spindles, train_network, write_case

TINY: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8], "strides": [2]},
    "unet_s_r_clstm": {"widths": [4, 8], "memory_cells": 1},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    cases = [write_case(folder, 0, "train")]
    for network, settings in TINY.items():
        small = {"epochs": 1, "spacing_mm": 4.0, "threads": 1, **settings}
        train_network(cases, folder / "state" / network, network, small, output_dir=folder / network)
    return folder


def edit(folder: Path, **values: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def reseal(folder: Path, weights: bytes) -> None:
    """Other weights under a seal that fits them, as whoever means harm would write it."""
    (folder / "weights.safetensors").write_bytes(weights)
    seal = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    edit(folder, weights={"file": "weights.safetensors", **seal})


def weights_of(folder: Path) -> tuple[dict[str, Any], bytes]:
    data = (folder / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def packed(header: Any, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_first(folder: Path, **changes: Any) -> bytes:
    header, body = weights_of(folder)
    name = next(name for name in header if name != "__metadata__")
    header[name] = {**header[name], **changes}
    return packed(header, body)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (lambda _: b"", "not a safetensors file"),
        (lambda _: pickle.dumps(Trap()), "not a safetensors file"),
        (lambda _: struct.pack("<Q", 1 << 62) + b"{}", "a header of 4611686018427387904 bytes"),
        (lambda _: packed([1, 2], b""), "not a safetensors file"),
        (lambda _: packed({"a": 3}, b""), "not a safetensors file"),
        (lambda _: struct.pack("<Q", 200_000) + b"[" * 200_000, "not a safetensors file"),
        (lambda f: with_first(f, dtype="I64"), "shape"),
        (lambda f: with_first(f, shape=[1 << 40]), "shape"),
        (lambda f: with_first(f, data_offsets=[0, 1 << 40]), "not a safetensors file"),
        (lambda f: packed(*weights_of(f))[:-8], "not a safetensors file"),
    ],
)
def test_weights_that_are_none_are_refused_and_nothing_is_run(
    models: Path, tmp_path: Path, weights: Callable[[Path], bytes], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(models / "unet", tmp_path / "model"))
    reseal(folder, weights(folder))
    with pytest.raises(InputError, match=text):
        load_model(folder)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("network", TINY)
def test_another_network_s_weights_are_refused(models: Path, tmp_path: Path, network: str) -> None:
    folder = Path(shutil.copytree(models / network, tmp_path / "model"))
    (other,) = set(TINY) - {network}
    reseal(folder, (models / other / "weights.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"(?s)weights.safetensors.*as model.json describes the network"):
        load_model(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"spacing_mm": [1, 2]},
        {"spacing_mm": [0, 1, 1]},
        {"spacing_mm": "fine"},
        {"shape": [8, 8, -8]},
        {"shape": None},
        {"structures": {"GM": "1"}},
        {"structures": [1]},
        {"structures": {}},
        {"channels": 5},
        {"channels": "image"},
        {"training_settings": {}},
        {"training_settings": {"threads": 0, "position": True, "precision": "float32"}},
        {"training_settings": {"threads": 1, "position": True, "precision": "float64"}},
        {"training_settings": {"threads": 1, "position": True, "precision": "float32", "patch": [8, 0, 8]}},
        {"network": ["unet"]},
        {"network_settings": None},
        {"weights": 3},
    ],
)
def test_a_description_with_impossible_values_is_refused(
    models: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(models / "unet", tmp_path / "model"))
    edit(folder, **values)
    with pytest.raises(InputError, match="not a model's description"):
        load_model(folder)


def test_a_volume_beyond_memory_is_refused_before_it_is_made(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / "unet", tmp_path / "model"))
    edit(folder, shape=[1 << 20, 1 << 20, 1 << 20])
    with pytest.raises(InputError, match=r"(?s)1048576 x 1048576.*GiB.*mem_mb.*segmentation.unet.spacing_mm"):
        predict(folder, spindles(1)[0], None, "right")


def test_weights_that_are_no_numbers_are_told(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / "unet", tmp_path / "model"))
    header, body = weights_of(folder)
    reseal(folder, packed(header, np.full(len(body) // 4, np.nan, np.float32).tobytes()))
    with pytest.raises(InputError, match="not numbers"):
        predict(folder, spindles(1)[0], None, "right")


@pytest.mark.parametrize(
    ("network", "settings", "text"),
    [
        ("foo", {}, "network: 'foo', expected one of"),
        ("unet", {"depth": 3}, "settings of unet, depth: an unknown key"),
        ("unet", {"channels": 3}, "cannot be built"),
        ("unet", {"channels": [4, "8"], "strides": [2]}, "channels"),
        ("unet", {"channels": [4, 8], "strides": [0]}, "whole numbers from 1"),
        ("unet", {"channels": [4, 8], "strides": [[1, 2]]}, "cannot be built"),
        ("unet", {"residual_units": -1}, "residual_units"),
        ("unet", {"activation": ["prelu"]}, "cannot be built"),
        ("unet_s_r_clstm", {"widths": 5}, "cannot be built"),
        ("unet_s_r_clstm", {"dropout": "a"}, "cannot be built"),
        ("unet_s_r_clstm", {"memory_cells": 10**9}, "a number above"),
        ("ifssnet", {"dropout": 0.1}, "cannot be built"),
        ("daf3d", {"blocks": 3}, "cannot be built"),
        ("unetr", {"image_size": 96}, "cannot be built"),
        ("vnet", {"dropout": "x"}, "cannot be built"),
    ],
)
def test_a_network_that_cannot_be_built_is_told_of_its_model(
    models: Path, tmp_path: Path, network: str, settings: dict[str, Any], text: str
) -> None:
    folder = Path(shutil.copytree(models / "unet", tmp_path / "model"))
    edit(folder, network=network, network_settings=settings)
    with pytest.raises(InputError, match=text) as caught:
        load_model(folder)
    assert caught.value.where == str(folder / "model.json")
    assert "the release of myosweep" in caught.value.remedy
