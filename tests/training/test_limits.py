"""What a training or a prediction may be given that is small, large, or numbered oddly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myosweep import memory
from myosweep.errors import InputError
from myosweep.io.volumes import Volume, read_volume, write_volume
from myosweep.training import checks, loop
from myosweep.training.cases import TrainingCase
from myosweep.training.inference import predict
from myosweep.training.run import Run
from myosweep.training.settings import TrainingSettings
from spindles import train_network, write_case

QUICK: dict[str, Any] = {"epochs": 1, "spacing_mm": 4.0, "threads": 1}
CLSTM = {"widths": [4, 8, 8, 8], "memory_cells": 1, "dropout": 0.0}


def run(cases: list[TrainingCase], folder: Path, **changes: Any) -> Path:
    chosen = {"network": "unet_s_r_clstm", "settings": {**QUICK, **CLSTM}, **changes}
    train_network(cases, folder, **chosen)
    return folder / "model"


def cut(case: TrainingCase, folder: Path, shape: tuple[int, int, int]) -> TrainingCase:
    """The middle of a case, written anew."""
    paths = {}
    for kind in ("image", "labels"):
        volume = read_volume(getattr(case, kind))
        starts = [(big - small) // 2 for big, small in zip(volume.array.shape, shape, strict=True)]
        part = tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))
        paths[kind] = folder / f"cut_{kind}.mha"
        grid = replace(volume.grid, size=shape[::-1])
        write_volume(paths[kind], Volume(np.ascontiguousarray(volume.array[part]), grid))
    return replace(case, **paths)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("unet", (20, 20, 20)),
        ("attention_unet", (20, 20, 20)),
        # Three slices of the network: windows of two, and one that is left over.
        ("unet_s_r_clstm", (12, 20, 20)),
    ],
)
def test_the_deepest_maps_are_never_a_single_voxel(
    tmp_path: Path, network: str, shape: tuple[int, int, int]
) -> None:
    settings = {**QUICK, **({**CLSTM, "window": 2} if network == "unet_s_r_clstm" else {})}
    small = cut(write_case(tmp_path, 0, "train"), tmp_path, shape)
    model = run([small], tmp_path, network=network, settings=settings)
    image = read_volume(small.image)
    assert predict(model, image, None, "right").array.shape == shape


@pytest.mark.parametrize("network", ["unet", "unet_s_r_clstm"])
def test_a_volume_smaller_than_the_receptive_field_is_padded(tmp_path: Path, network: str) -> None:
    settings = {**QUICK, **(CLSTM if network == "unet_s_r_clstm" else {})}
    small = cut(write_case(tmp_path, 0, "train"), tmp_path, (20, 32, 48))
    model = run([small], tmp_path, network=network, settings=settings)
    for shape in ((20, 32, 48), (1, 1, 1), (3, 2, 5)):
        image = read_volume(cut(small, tmp_path, shape).image)
        found = predict(model, image, None, "right")
        assert found.grid == image.grid
        assert found.array.shape == shape


def test_labels_need_not_be_consecutive(tmp_path: Path) -> None:
    case = write_case(tmp_path, 0, "train")
    labels = read_volume(case.labels)
    values = np.array([0, 150, 200, 100], np.uint8)
    write_volume(case.labels, Volume(values[labels.array], labels.grid))
    settings = {**QUICK, **CLSTM, "epochs": 30, "learning_rate": 0.01}
    model = run(
        [case],
        tmp_path,
        structures={"GM": 150, "GL": 200, "SOL": 100},
        learned=["GM", "GL", "SOL"],
        settings=settings,
    )
    found = set(np.unique(predict(model, read_volume(case.image), None, "right").array).tolist())
    assert 100 in found
    assert found <= {0, 100, 150, 200}


def test_training_beyond_memory_is_refused_before_volumes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = write_case(tmp_path, 0, "train")
    monkeypatch.setattr(memory, "machine_memory", lambda: 1 << 20)
    monkeypatch.setattr(checks, "machine_memory", lambda: 1 << 20)
    monkeypatch.setattr(loop, "load_sample", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"(?s)1 million voxels of 0.5 x 0.5 x 0.5 mm") as caught:
        run([case], tmp_path, settings={**QUICK, **CLSTM, "spacing_mm": 0.5})
    edge = float(caught.value.remedy.split("[")[1].split(",")[0])
    assert "segmentation.unet_s_r_clstm.spacing_mm" in caught.value.remedy
    assert 1.5 < edge < 3
    # What is advised is accepted.
    checks.check_training_memory([case], "unet_s_r_clstm", 1, 4, TrainingSettings(spacing_mm=edge))


def test_a_step_beyond_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: 300_000)
    monkeypatch.setattr(Run, "_step", lambda *_: pytest.fail("a step was made"))
    with pytest.raises(InputError, match=r"(?s)a step on .* voxels needs at least .* MiB") as caught:
        run([write_case(tmp_path, 0, "train")], tmp_path)
    assert "training of unet_s_r_clstm" in str(caught.value)
    assert "spacing_mm (now [4.0, 4.0, 4.0]" in caught.value.remedy
    assert not (tmp_path / "model").exists()


def test_memory_that_ends_in_a_step_names_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object) -> float:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."
        )

    monkeypatch.setattr(Run, "_step", greedy)
    with pytest.raises(InputError, match=r"(?s)training of unet_s_r_clstm.*8.0 GiB were asked") as caught:
        run([write_case(tmp_path, 0, "train")], tmp_path)
    assert "spacing_mm (now [4.0, 4.0, 4.0]" in caught.value.remedy
    assert "lower window" in caught.value.remedy
    assert not (tmp_path / "model").exists()
