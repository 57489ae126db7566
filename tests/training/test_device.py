from __future__ import annotations

from pathlib import Path

import pytest
import torch
from myosweep.training.cases import TrainingCase
from myosweep.training.device import faster_precision
from myosweep.training.model import check_model
from spindles import QUICK, train_network, write_case

CPU = torch.device("cpu")
PROCESSOR = Path("/proc/cpuinfo")


@pytest.mark.skipif(not PROCESSOR.exists(), reason=f"{PROCESSOR} says what the processor has; there is none")
def test_a_processor_that_has_bfloat16_is_asked_for_it() -> None:
    flags = next((line for line in PROCESSOR.read_text().splitlines() if line.startswith("flags")), "")
    assert faster_precision(CPU) == ("bfloat16" if "avx512_bf16" in flags.split() else "float32")


@pytest.mark.parametrize("native", [True, False])
def test_a_model_says_which_precision_automatic_was(
    tmp_path: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    cases: list[TrainingCase] = [write_case(tmp_path, 0, "train", "right")]
    train_network(cases, tmp_path, "unet", {**QUICK, "epochs": 1, "precision": "automatic"})
    used = check_model(tmp_path / "model", None, None).training_settings["precision"]
    assert used == ("bfloat16" if native else "float32")
