"""Where the arithmetic runs, and in which number format."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import torch


def pick_device() -> torch.device:
    """Return the GPU where PyTorch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _seconds(dtype: torch.dtype) -> float:
    """Return the processor time of one product; unlike wall-clock, neighbours hardly bend it."""
    left, right = torch.ones(4096, 320, dtype=dtype), torch.ones(320, 896, dtype=dtype)
    times = []
    for _ in range(12):
        start = time.process_time()
        left @ right
        times.append(time.process_time() - start)
    return min(times)


def pick_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 on a GPU; on a CPU whichever of bfloat16 and float32 multiplies faster.

    It is measured because it depends on more than the processor's name: the same model with AMX
    hidden by its host had 250 GFLOPS in float32 and 160 in bfloat16, on two cores.
    """
    if device.type == "cuda" or _seconds(torch.bfloat16) < _seconds(torch.float32):
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which matrices are multiplied in `precision`."""
    half = precision == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
