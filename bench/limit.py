"""What llama.cpp itself can do: llama-batched-bench's rates of the same build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import median
from bench.flags import Flags

_LIMIT_SECONDS = 600.0
_LEAST_STEPS = 96  # decode steps that are timed, in several runs within one process where needed


class LimitFailed(Exception):
    """llama-batched-bench gave no figures."""


@dataclass(frozen=True)
class Rates:
    """Output tokens per second: while all decode, and with the reading of their prompts."""

    decode: float
    whole: float


def rates(
    folder: Path,
    model: Path,
    flags: Flags,
    *,
    sequences: int,
    context: int,
    prompt: int,
    tokens: int,
) -> Rates:
    """What `sequences` in step reach that read `prompt` tokens each and write `tokens` each.

    All prompts are read in one batch, which no server can do whose clients come one by one. The
    cache is split, which is its fastest form here; threads and environment are those of `flags`.
    Raises LimitFailed.
    """
    times = max(1, -(-_LEAST_STEPS // tokens))
    command = [str(folder / "llama-batched-bench"), "-m", str(model)]
    command += ["-npp", str(prompt), "-ntg", str(tokens)]
    command += ["-npl", ",".join([str(sequences)] * times)]
    command += ["-c", str(sequences * context), "-t", str(flags.threads)]
    command += ["--output-format", "jsonl"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=flags.whole_environ, timeout=_LIMIT_SECONDS
    )
    rows = parse(done.stdout.splitlines())
    if not rows:
        raise LimitFailed(f"llama-batched-bench failed: {done.stderr.strip()[-1000:]}")
    return Rates(
        decode=median([row["speed_tg"] for row in rows]),
        whole=median([sequences * tokens / row["t"] for row in rows]),
    )


def parse(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The measurements among the lines that llama-batched-bench prints.

    >>> parse(["llama_init: ...", '{"pl": 8, "speed_tg": 177.5}'])
    [{'pl': 8, 'speed_tg': 177.5}]
    """
    return [json.loads(line) for line in lines if line.startswith("{") and "speed_tg" in line]
