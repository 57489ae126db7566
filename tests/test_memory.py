from __future__ import annotations

import numpy as np
import pytest
import torch
from myosweep import memory
from myosweep.errors import InputError
from myosweep.memory import check_memory, exhaustion_explained, machine_memory


def test_the_machine_has_some_memory() -> None:
    assert machine_memory() > 1 << 28


def test_what_cannot_fit_is_told_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_memory", lambda: 3 << 29)
    check_memory(3 << 29, "leg.mha", "a volume", "make it coarser")
    with pytest.raises(InputError, match=r"(?s)leg.mha.*2.0 GiB.*at most 1.5 GiB.*make it coarser"):
        check_memory(1 << 31, "leg.mha", "a volume", "make it coarser")


# An exabyte: no machine gives it.
@pytest.mark.parametrize(
    "ask",
    [
        lambda: np.empty((1 << 20, 1 << 20, 1 << 17), np.float64),
        lambda: torch.empty((1 << 20, 1 << 20, 1 << 17), dtype=torch.float64),
    ],
)
def test_numpy_s_and_torch_s_ends_of_memory_are_explained(ask: object) -> None:
    with (
        pytest.raises(InputError, match=r"(?s)training of unet.*1073741824.0 GiB were asked.*GiB") as caught,
        exhaustion_explained("training of unet", "raise spacing_mm"),
    ):
        ask()  # type: ignore[operator]
    assert caught.value.remedy == "raise spacing_mm"


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (MemoryError(), "more"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has"), "20 MiB"),
    ],
)
def test_words_of_others_are_understood(error: Exception, size: str) -> None:
    with pytest.raises(InputError, match=f"{size} were asked for"), exhaustion_explained("x", "y"):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), exhaustion_explained("x", "y"):
        raise RuntimeError("shapes differ")
