"""Where torch computes, and how it keeps to the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from myosweep.training.bfloat16 import FaultyInFloat32

# Channels last: steps of a 3D U-Net take a fifth less on a CPU (torch 2.13).
LAYOUT = torch.channels_last_3d
# What torch computes by MKL's vector mathematics: the functions of it that are in the library (torch 2.13).
BY_MKL = (
    *("acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp"),
    *("log", "log10", "log2", "sin", "sqrt", "tan", "tanh", "trunc"),
)


def set_up_torch(threads: int) -> torch.device:
    """Fix the number of threads, ask for deterministic algorithms, and choose the GPU if there is one.

    Numbers below 1e-38 become 0 in the whole process. Where a network is sure of its masks, gradients get as
    small, and with them convolutions took up to 150 times as long (Xeon with AVX-512, torch 2.13).
    """
    # Before torch starts its other threads: they take this over from the thread that starts them.
    torch.set_flush_denormal(True)
    # cuBLAS is deterministic with a fixed workspace alone; read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    _choose_kernels()
    torch.use_deterministic_algorithms(True)
    # That also fills every new tensor, to show what is read before it is written: a twentieth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _choose_kernels() -> None:
    """Let MKL choose the kernel of each of its functions while one thread asks.

    It chooses at the first call. Of threads that call together one may compute by the coarsest kernel, once,
    with errors of 1e-4 (MKL 2024.2; told of in PyTorch #188792): on a busy machine one training in seven
    ended with other bytes.
    """
    for kind in (torch.float32, torch.float64):
        for name in BY_MKL:
            getattr(torch, name)(torch.full((1,), 0.5, dtype=kind))


def lay_out(network: nn.Module) -> nn.Module:
    """Its weights of 3D convolutions channels last; others have other dimensions and stay as they are."""
    for weight in network.parameters():
        if weight.dim() == 5:
            weight.data = weight.data.to(memory_format=LAYOUT)
    return network


def faster_precision(device: torch.device) -> str:
    """`bfloat16` where the device computes with it itself, `float32` where it would only imitate it."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if native else "float32"


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """The context of a forward pass at a precision (`float32` or `bfloat16`)."""
    if precision != "bfloat16":
        yield
        return
    repaired = FaultyInFloat32() if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, dtype=torch.bfloat16), repaired:
        yield
