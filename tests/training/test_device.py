from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from myosweep.training.cases import TrainingCase
from myosweep.training.device import BY_MKL, faster_precision, set_up_torch
from myosweep.training.model import check_model
from spindles import QUICK, train_network, write_case
from torch.utils._python_dispatch import TorchDispatchMode

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
    used = check_model(tmp_path / "model").training_settings["precision"]
    assert used == ("bfloat16" if native else "float32")


class Calls(TorchDispatchMode):
    """Notes which functions torch calls, of what, on how many numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, torch.dtype, int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], torch.Tensor):
            self.found.add((func.overloadpacket.__name__, args[0].dtype, args[0].numel()))
        return func(*args, **(kwargs or {}))


def test_numbers_too_small_for_their_precision_are_zero_in_every_thread() -> None:
    """In a process of its own: torch starts its threads once."""
    program = (
        "import torch\n"
        "from myosweep.training.device import set_up_torch\n"
        "set_up_torch(2)\n"
        "print(float((torch.full((2, 1_000_000), 1e-38) * 0.1).max()))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "0.0\n"


def test_one_thread_alone_asks_first_for_each_function_of_mkl() -> None:
    with Calls() as calls:
        set_up_torch(2)
    wanted = {(name, kind, 1) for name in BY_MKL for kind in (torch.float32, torch.float64)}
    assert wanted <= calls.found


def test_no_function_of_mkl_is_forgotten() -> None:
    """The library exports one symbol for each function that was linked into it."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not library.exists():
        pytest.skip(f"{library} is not there")
    try:
        found = subprocess.run(
            ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.skip(f"the symbols of {library} cannot be listed: {problem}")
    symbols = [line.split()[-1] for line in found.stdout.splitlines() if line]
    linked = {name[3:-1].lower() for name in symbols if name.startswith("VMS") and name.count("_") == 1}
    assert {"log" if name == "ln" else name for name in linked} <= set(BY_MKL)
