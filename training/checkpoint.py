"""Checkpoints: everything a run needs to go on, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.model import Shape


@dataclass
class Position:
    """Where a run is. `seconds` is the wall-clock time already trained, `batch` within `chunk`."""

    step: int = 0
    chunk: int = 0
    batch: int = 0
    seconds: float = 0.0
    tokens: int = 0


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside `path`, flush it to the disk, then put it in place."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as out:
        torch.save(content, out)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def content(
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    shape: Shape,
    position: Position,
) -> dict[str, Any]:
    """Gather what `save` writes."""
    return {
        "shape": asdict(shape),
        "position": asdict(position),
        "model": model.state_dict(),
        "optimizers": [each.state_dict() for each in optimizers],
    }


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; only tensors and plain values are accepted."""
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found
