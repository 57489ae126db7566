from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from myosweep.errors import InputError, InputErrors
from myosweep.io.volumes import Volume, read_volume, write_volume
from myosweep.training import objectives
from myosweep.training.cases import TrainingCase
from myosweep.training.inference import predict
from myosweep.training.loop import train
from myosweep.training.model import check_model, check_models
from myosweep.training.run import Run, learning_rate
from myosweep.training.scoring import dice_of
from myosweep.training.settings import TrainingSettings
from spindles import QUICK, STRUCTURES, spindles, write_case

BOTH = ["image", "confidence"]
TINY = {
    "spacing_mm": 4.0,
    "channels": [4, 8],
    "strides": [2],
    "threads": 1,
    "checkpoint_seconds": 0,
    "epochs": 6,
}
FILES = ("weights.safetensors", "model.json", "history.csv", "last/weights.safetensors", "last/model.json")


def run(cases: list[TrainingCase], folder: Path, settings: dict[str, Any] = TINY, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "structures": STRUCTURES,
        "channels": BOTH,
        "seed": 1,
        "code": "of the tests",
    }
    arguments |= changes
    arguments.setdefault("learned", list(arguments["structures"]))
    train(
        cases,
        network="unet",
        settings=settings,
        checkpoint_dir=folder / "state",
        output_dir=folder / "model",
        **arguments,
    )


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / "model" / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    folder = tmp_path_factory.mktemp("cases")
    kinds = [
        ("train", "right"),
        ("train", "left"),
        ("train", "right"),
        ("validation", "left"),
        ("test", "left"),
    ]
    return [write_case(folder, seed, split, side) for seed, (split, side) in enumerate(kinds)]


@pytest.fixture(scope="module")
def reference(cases: list[TrainingCase], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    run(cases, folder)
    return folder


@pytest.fixture(scope="module")
def trained(cases: list[TrainingCase], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(cases, folder, {**QUICK, "channels": [16, 32, 64, 64], "strides": [2, 2, 2], "epochs": 50})
    return folder / "model"


def test_a_short_training_finds_three_muscles(trained: Path) -> None:
    image, confidence, labels = spindles(20)
    found = predict(trained, image, confidence, "right")
    # Voxels of 2 mm on muscles of 12 mm: half a voxel of border alone costs .08.
    assert min(dice_of(found.array, labels.array, 4)) > 0.85
    assert np.mean(dice_of(found.array, labels.array, 4)) > 0.88


def test_a_left_limb_gets_the_mirrored_labels(trained: Path) -> None:
    right = predict(trained, *spindles(21, "right")[:2], "right").array
    left = predict(trained, *spindles(21, "left")[:2], "left").array
    # Means are summed in another order: a tie may fall the other way.
    assert (left != right[..., ::-1]).mean() < 1e-4
    unmirrored = predict(trained, *spindles(21, "left")[:2], "right").array
    assert (unmirrored != left).mean() > 0.01


def test_prediction_lies_on_the_image_s_grid(trained: Path) -> None:
    image, confidence, _ = spindles(22)
    cut = np.s_[3:60, 1:, :45]
    grid = replace(image.grid, size=(45, 31, 57), spacing=(1.1, 0.9, 1.0), origin=np.array([4.0, -3, 9]))
    found = predict(trained, Volume(image.array[cut], grid), Volume(confidence.array[cut], grid), "")
    assert found.grid == grid
    assert found.array.shape == (57, 31, 45)
    assert found.array.dtype == np.uint8
    assert set(np.unique(found.array)) <= {0, 1, 2, 3}


def test_each_structure_is_one_piece_and_nothing_is_far_from_the_image(trained: Path) -> None:
    from scipy import ndimage

    image, confidence, _ = spindles(23)
    dark = image.array.copy()
    dark[40:] = 0
    found = predict(trained, Volume(dark, image.grid), confidence, "right", reach_mm=6).array
    assert not found[50:].any()
    whole = predict(trained, image, confidence, "right").array
    for value in STRUCTURES.values():
        pieces, count = ndimage.label(whole == value, np.ones((3, 3, 3)))
        assert count >= 1
        assert np.bincount(pieces.ravel())[1:].max() > 0.98 * (whole == value).sum()


def test_a_model_says_what_it_is(reference: Path, cases: list[TrainingCase]) -> None:
    description = json.loads((reference / "model" / "model.json").read_text())
    assert description["structures"] == STRUCTURES
    assert description["channels"] == BOTH
    assert description["spacing_mm"] == [4.0, 4.0, 4.0]
    assert description["participants"] == {"train": ["ps00", "ps01", "ps02"], "validation": ["ps03"]}
    assert description["training_settings"]["epochs"] == 6
    assert description["code"] == "of the tests"
    history = pd.read_csv(reference / "model" / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    best = history["validation_dice"].idxmax()
    assert description["training"]["kept_epoch"] == best + 1
    assert description["training"]["validation_dice"]["SOL"] == history.loc[best, "validation_dice_SOL"]


def test_the_same_seed_gives_the_same_bytes(
    reference: Path, cases: list[TrainingCase], tmp_path: Path
) -> None:
    run(cases, tmp_path / "same")
    assert bytes_of(tmp_path / "same") == bytes_of(reference)
    run(cases, tmp_path / "other", seed=2)
    assert bytes_of(tmp_path / "other")[0] != bytes_of(reference)[0]


_CHILD = """
import os, pickle, signal, sys
sys.path.insert(0, sys.argv[1])
from test_train import run
from myosweep.training.run import Run
save, last = Run.save, int(sys.argv[4])
def save_and_die(self, finished):
    save(self, finished)
    if len(self.history) >= last:
        os.kill(os.getpid(), signal.SIGKILL)
Run.save = save_and_die
from pathlib import Path
with open(sys.argv[2], "rb") as stream:
    run(pickle.load(stream), Path(sys.argv[3]))
"""


def test_a_killed_training_goes_on_to_the_same_bytes(
    reference: Path, cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import pickle

    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    here = str(Path(__file__).parent)
    for last in ("2", "5"):
        child = [sys.executable, "-c", _CHILD, here, str(tmp_path / "cases"), str(tmp_path), last]
        assert subprocess.run(child, check=False, capture_output=True).returncode == -signal.SIGKILL
        assert not (tmp_path / "model").exists()
    run(cases, tmp_path)
    assert "goes on after epoch 5" in capfd.readouterr().err
    assert bytes_of(tmp_path) == bytes_of(reference)


def test_a_finished_training_writes_lost_outputs_again(
    reference: Path, cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cases, tmp_path)
    (tmp_path / "model" / "model.json").unlink()
    monkeypatch.setattr(Run, "_step", lambda *_: pytest.fail("it trained again"))
    run(cases, tmp_path)
    assert bytes_of(tmp_path) == bytes_of(reference)


def test_other_settings_or_a_broken_checkpoint_start_anew(
    reference: Path, cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(cases, tmp_path, {**TINY, "epochs": 2})
    run(cases, tmp_path)
    assert "other settings or cases" in capfd.readouterr().err
    assert bytes_of(tmp_path) == bytes_of(reference)
    (tmp_path / "state" / "checkpoint.pt").write_bytes(b"PK\x03\x04 not really")
    run(cases, tmp_path)
    assert "cannot be read" in capfd.readouterr().err
    assert bytes_of(tmp_path) == bytes_of(reference)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, cases: list[TrainingCase]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    (tmp_path / "state").mkdir()
    torch.save({"fingerprint": Trap()}, tmp_path / "state" / "checkpoint.pt")
    run(cases, tmp_path, {**TINY, "epochs": 1})
    assert not (tmp_path / "trapped").exists()
    assert (tmp_path / "model" / "model.json").exists()


def test_a_second_process_waits_for_the_first(cases: list[TrainingCase], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "cases").write_bytes(__import__("pickle").dumps(cases))
    with (tmp_path / "state" / "lock").open("w") as lock:
        lock.write("123456")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _CHILD,
                str(Path(__file__).parent),
                str(tmp_path / "cases"),
                str(tmp_path),
                "99",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        assert "process 123456 trains the same" in child.stderr.readline()
        time.sleep(0.3)
        assert child.poll() is None
        assert not (tmp_path / "state" / "checkpoint.pt").exists()
    assert child.wait(300) == 0
    assert (tmp_path / "model" / "model.json").exists()


def test_training_ends_early_without_progress(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "_score", lambda *_: [0.5, 0.5, 0.5])
    run(cases, tmp_path, {**TINY, "epochs": 30, "patience": 3})
    assert len(pd.read_csv(tmp_path / "model" / "history.csv")) == 4
    assert json.loads((tmp_path / "model" / "model.json").read_text())["training"]["kept_epoch"] == 1


def test_validation_every_third_epoch_chooses_among_those(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "_score", lambda self, _: [0.5 + (len(self.history) == 5) / 4] * 3)
    run(cases, tmp_path, {**TINY, "epochs": 8, "patience": 2, "validation_interval": 3})
    history = pd.read_csv(tmp_path / "model" / "history.csv")
    # The third epoch is the first that counts, the sixth better; the last is validated whatever its number.
    assert list(history["validation_dice"].dropna()) == [0.5, 0.75, 0.5]
    assert list(history["epoch"][history["validation_dice"].notna()]) == [3, 6, 8]
    assert json.loads((tmp_path / "model" / "model.json").read_text())["training"]["kept_epoch"] == 6


def test_the_last_weights_are_kept_where_asked_for(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "_score", lambda self, _: [0.5 + (len(self.history) == 1) / 4] * 3)
    told = {}
    for keep, epochs in [("last", 5), ("last", 2), ("best", 5), ("last", 4)]:
        folder = tmp_path / f"{keep}{epochs}"
        run(
            cases,
            folder,
            {
                **TINY,
                "schedule": "constant",
                "warmup_epochs": 0,
                "epochs": epochs,
                "patience": 2,
                "keep": keep,
            },
        )
        description = json.loads((folder / "model" / "model.json").read_text())
        told[keep, epochs] = description["training"] | {"weights": description["weights"]["sha256"]}
    # The second epoch is the best; patience ends the training that looks for it.
    assert [each["epochs"] for each in told.values()] == [5, 2, 4, 4]
    assert [each["kept_epoch"] for each in told.values()] == [5, 2, 2, 4]
    assert [each["validation_dice"]["SOL"] for each in told.values()] == [0.5, 0.75, 0.75, 0.5]
    assert told["last", 2]["weights"] == told["best", 5]["weights"] != told["last", 5]["weights"]
    # Where the best are kept, those of the last epoch lie beside them, as a model of their own.
    ended = check_model(tmp_path / "best5" / "model" / "last")
    assert (ended.training["epochs"], ended.training["kept_epoch"]) == (4, 4)
    beside = json.loads((tmp_path / "best5" / "model" / "last" / "model.json").read_text())
    assert beside["weights"]["sha256"] == told["last", 4]["weights"] != told["best", 5]["weights"]


def test_without_validation_all_epochs_are_run_and_it_is_said(
    cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(cases[:2], tmp_path, {**TINY, "epochs": 3, "patience": 1})
    assert "no case to validate on" in capfd.readouterr().err
    history = pd.read_csv(tmp_path / "model" / "history.csv")
    assert len(history) == 3
    assert history["validation_dice"].isna().all()
    assert json.loads((tmp_path / "model" / "model.json").read_text())["training"]["kept_epoch"] == 3


def test_a_loss_that_is_no_number_names_its_case(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectives, "segmentation_loss", lambda logits, *_, **__: logits.sum() * float("nan"))
    with pytest.raises(InputError, match=r"case s0\d, epoch 1"):
        run(cases, tmp_path)
    assert not (tmp_path / "model").exists()


def test_the_log_tells_loss_accuracy_and_time_left(
    cases: list[TrainingCase], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(cases, tmp_path, {**TINY, "epochs": 3})
    form = r"epoch (\d) of 3: loss ([\d.]+), validation Dice ([\d.]+) \(best [\d.]+\), at most (\d+) s left"
    told = re.findall(form, capfd.readouterr().err)
    history = pd.read_csv(tmp_path / "model" / "history.csv")
    assert [int(line[0]) for line in told] == [1, 2, 3]
    assert [float(line[1]) for line in told] == pytest.approx(history["loss"].tolist(), abs=1e-4)
    assert [float(line[2]) for line in told] == pytest.approx(history["validation_dice"].tolist(), abs=1e-4)
    assert int(told[-1][3]) == 0


@pytest.mark.parametrize("settings", [{}, {"patch": [6, 4, 6], "patches": 4}], ids=["whole", "patches"])
def test_training_stops_with_the_very_step_whose_loss_is_no_number(
    cases: list[TrainingCase], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    steps: list[tuple[int, str, int]] = []
    step, loss = Run._step, objectives.segmentation_loss

    def counted(self: Run, epoch: int, sample: Any, number: int) -> float:
        steps.append((epoch, sample.case, number))
        return step(self, epoch, sample, number)

    def broken_once(*given: Any, **options: Any) -> torch.Tensor:
        found = loss(*given, **options)
        return found * float("inf") if len(steps) == 5 else found

    monkeypatch.setattr(Run, "_step", counted)
    monkeypatch.setattr(objectives, "segmentation_loss", broken_once)
    with pytest.raises(InputError) as caught:
        run(cases, tmp_path, {**TINY, **settings})
    assert len(steps) == 5
    epoch, case, number = steps[-1]
    which = f", time {number + 1}" if settings else ""
    assert caught.value.where == f"case {case}, epoch {epoch + 1}{which}"


def test_confidence_in_the_loss_alone_changes_the_weights_and_is_no_channel(
    cases: list[TrainingCase], tmp_path: Path
) -> None:
    for loss in ("DiceCE", "DiceCEconf"):
        run(cases, tmp_path / loss, {**TINY, "epochs": 2, "loss": loss}, channels=["image"])
    (description,) = check_models([tmp_path / "DiceCEconf" / "model"], STRUCTURES, ["image"])
    assert description.training_settings["loss"] == "DiceCEconf"
    assert bytes_of(tmp_path / "DiceCE")[0] != bytes_of(tmp_path / "DiceCEconf")[0]
    image = spindles(20)[0]
    assert predict(tmp_path / "DiceCEconf" / "model", image, None, "right").array.shape == image.array.shape
    with pytest.raises(InputErrors, match="as the network or its loss needs it"):
        run(
            [replace(case, confidence=None) for case in cases],
            tmp_path,
            {**TINY, "loss": "CEconf"},
            channels=["image"],
        )


def test_a_structure_that_nobody_has_is_refused(cases: list[TrainingCase], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="structures, TA"):
        run(cases, tmp_path, structures={**STRUCTURES, "TA": 4})


def test_a_structure_known_in_validation_only_is_refused(cases: list[TrainingCase], tmp_path: Path) -> None:
    labels = read_volume(cases[0].labels)
    write_volume(
        tmp_path / "l.mha", Volume(np.where(labels.array == 2, 0, labels.array).astype(np.uint8), labels.grid)
    )
    with pytest.raises(InputError, match="structures, GL"):
        run([replace(cases[0], labels=tmp_path / "l.mha"), cases[3]], tmp_path)


def test_a_participant_in_two_splits_is_refused(cases: list[TrainingCase], tmp_path: Path) -> None:
    with pytest.raises(InputErrors, match="one split for all cases of a participant"):
        run([*cases, replace(cases[0], case="again", split="test")], tmp_path)


def test_the_learning_rate_rises_and_falls() -> None:
    settings = TrainingSettings(epochs=20, warmup_epochs=4, learning_rate=1.0)
    rates = [learning_rate(epoch, settings) for epoch in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(low < high for high, low in itertools.pairwise(rates[4:]))
    assert 0 < rates[-1] < 0.02
    assert learning_rate(19, replace(settings, schedule="constant")) == 1.0
    halved = replace(settings, warmup_epochs=0, schedule="step", step_epochs=10, step_factor=0.5)
    assert [learning_rate(epoch, halved) for epoch in (0, 9, 10, 19, 20)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    dropped = replace(settings, warmup_epochs=0, schedule="drop", step_epochs=2, step_factor=0.1)
    assert [learning_rate(epoch, dropped) for epoch in (0, 17, 18, 19)] == [1.0, 1.0, 0.1, 0.1]


def test_dice_counts_known_voxels_only() -> None:
    prediction, target = np.array([1, 1, 1, 0, 2]), np.array([1, 0, 255, 1, 0])
    assert dice_of(prediction, target, 4)[:2] == [0.5, 0.0]
    assert np.isnan(dice_of(prediction, target, 4)[2])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda f: (f / "model.json").unlink(), "no model.json"),
        (lambda f: (f / "model.json").write_text("{"), "not a model's description"),
        (lambda f: _edit(f, format="other"), "not a model's description"),
        (lambda f: _edit(f, format_version=99), "format version 99"),
        (lambda f: (f / "weights.safetensors").unlink(), "no such file"),
        (lambda f: os.truncate(f / "weights.safetensors", 1000), "1000 bytes"),
        (lambda f: _flip(f / "weights.safetensors"), "a checksum that differs"),
        (lambda f: _edit(f, network_settings={"channels": [4, 16], "strides": [2]}), "shape"),
        (lambda f: _edit(f, network="none"), "one of"),
    ],
)
def test_a_damaged_model_is_refused(reference: Path, tmp_path: Path, damage: Any, text: str) -> None:
    import shutil

    folder = Path(shutil.copytree(reference / "model", tmp_path / "model"))
    check_model(folder)
    damage(folder)
    with pytest.raises(InputError, match=text):
        check_model(folder)


def _edit(folder: Path, **values: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_model_that_does_not_fit_is_refused(reference: Path) -> None:
    with pytest.raises(InputError, match="structures"):
        check_models([reference / "model"], {"GM": 1, "GL": 2, "SOL": 4}, BOTH)
    with pytest.raises(InputError, match="channels"):
        check_models([reference / "model"], STRUCTURES, ["image"])
    image, confidence, _ = spindles(1)
    with pytest.raises(InputError, match="no confidence map"):
        predict(reference / "model", image, None, "right")
    elsewhere = Volume(confidence.array, replace(confidence.grid, origin=np.ones(3)))
    with pytest.raises(InputError, match="another grid"):
        predict(reference / "model", image, elsewhere, "right")
    with pytest.raises(InputError, match="side"):
        predict(reference / "model", image, confidence, "middle")
