"""Does this build of llama.cpp decode on this machine? Asked in a child process, which may crash.

A build for another CPU ends with SIGILL; one compiled by a GCC that loses the stores into the AMX
tile configuration ends with SIGSEGV in its first decode. So the parent never imports llama_cpp: it
starts this module, which loads the model, decodes and prints what it found as one line of JSON.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.llama import wheel
from engine.models.catalogue import ModelEntry
from engine.settings import Engine as EngineSettings

_PROMPT_TOKENS = 48
_OUTPUT_TOKENS = 32
_TIME_LIMIT = 900.0  # seconds; a large model on a slow disk takes minutes to load


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the check found, in lines for a person; `ok` when tokens were decoded."""

    ok: bool
    lines: tuple[str, ...]


def run(
    entry: ModelEntry, settings: EngineSettings, command: Sequence[str] | None = None
) -> CheckResult:
    """Load the model and decode in a child process. `command` replaces the child in tests."""
    if command is None:
        command = [sys.executable, "-m", "engine.llama.check"]
    given = json.dumps({"file": str(entry.file), "engine": settings.model_dump(mode="json")})
    root = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_TIME_LIMIT, cwd=root
        )
    except subprocess.TimeoutExpired:
        return CheckResult(False, (f"The check gave no answer within {_TIME_LIMIT:.0f} s.",))
    if child.returncode < 0:
        return CheckResult(False, _crash(-child.returncode))
    return _report(child)


def _report(child: subprocess.CompletedProcess[str]) -> CheckResult:
    try:
        found = json.loads(child.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        tail = child.stderr.strip().splitlines()[-3:]
        lines = (f"The check ended with status {child.returncode} and said nothing.", *tail)
        return CheckResult(False, lines)
    if "error" in found:
        return CheckResult(False, (str(found["error"]),))
    return CheckResult(True, tuple(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    return [
        f"llama-cpp-python  {found['version']}",
        f"python            {found['python']}",
        f"model             {found['model']}",
        f"CPU features      {' '.join(found['features'])}",
        f"threads           {found['threads']}",
        f"prompt            {found['prefill']:,.0f} tokens/s ({_PROMPT_TOKENS} tokens)",
        f"one stream        {found['decode']:,.0f} tokens/s ({_OUTPUT_TOKENS} tokens)",
    ]


def _crash(number: int) -> tuple[str, ...]:
    """The cause and the cure of a crashed child, in one paragraph."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGILL:
        cause = (
            "This build of llama.cpp uses instructions that this CPU does not have: it was compiled"
            " on another machine."
        )
    elif any(name.startswith("amx") for name in wheel.cpu_features()):
        cause = (
            "This CPU has AMX, and a llama.cpp compiled by GCC older than 11.5, 12.4, 13.3 or 14"
            " without -fno-tree-dse -fno-dse crashes in its first decode there (GCC PR 114098)."
            " Most likely a default build of llama-cpp-python was taken, perhaps from pip's cache."
        )
    else:
        cause = "The build of llama.cpp does not fit this machine, or the model file is damaged."
    cure = (
        "Build it again for this machine with the right flags: python -m engine.llama.wheel"
        " (about 4 minutes), then run python server.py --check."
    )
    return (f"The check crashed with {name}. {cause} {cure}",)


# Which builds were checked -----------------------------------------------------------------------


def was_checked() -> bool:
    """Whether this build has passed the check on this CPU before."""
    return _mark().exists()


def remember() -> None:
    """Note that this build passed; a cache folder that cannot be written is no error."""
    try:
        _mark().parent.mkdir(parents=True, exist_ok=True)
        _mark().touch()
    except OSError:
        pass


def _mark() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "babelbrook" / "checked" / _build_key()


def _build_key() -> str:
    """Names the installed library files as they are now, and the CPU."""
    spec = importlib.util.find_spec("llama_cpp")
    folders = spec.submodule_search_locations if spec else None
    stats = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for folder in folders or ()
        for file in sorted(Path(folder, "lib").glob("*"))
    ]
    return hashlib.sha256(repr((stats, wheel.cpu_features())).encode()).hexdigest()[:32]


# The child ---------------------------------------------------------------------------------------


def _child() -> int:
    given = json.loads(sys.stdin.read())
    try:
        found = _decode_some(Path(given["file"]), EngineSettings.model_validate(given["engine"]))
    except ModelError as error:
        found = {"error": error.sentence}
    print(json.dumps(found), flush=True)
    return 1 if "error" in found else 0


def _decode_some(file: Path, settings: EngineSettings) -> dict[str, Any]:
    """Prefill and decode with the engine's own parts; speeds in tokens per second."""
    from engine.llama import library, sampling, sizing
    from engine.llama.batch import Batch
    from engine.llama.context import Context
    from engine.llama.model import Model

    model = Model(file, n_gpu_layers=settings.n_gpu_layers)
    size = sizing.choose(model, settings.model_copy(update={"sequences": 1}))
    context, batch = Context(model, size), Batch(size.batch)
    prompt = (model.tokenize("Hello. How are you today? ", special=False) * 16)[:_PROMPT_TOKENS]

    def step(tokens: list[int], start: int) -> int:
        batch.clear()
        batch.add_chunk(tokens, start, 0, output=True)
        context.decode(batch)
        return sampling.greedy(context.logits(1))[0]

    step(prompt, 0)  # the first decode allocates and warms up
    context.clear(0)
    begun = time.perf_counter()
    token = step(prompt, 0)
    prefilled = time.perf_counter()
    for position in range(len(prompt), len(prompt) + _OUTPUT_TOKENS):
        token = step([token], position)
    decoded = time.perf_counter()
    context.close()
    model.close()
    return {
        "version": importlib.metadata.version("llama-cpp-python"),
        "python": sys.version.split()[0],
        "model": str(file),
        "features": library.cpu_features(),
        "threads": size.threads,
        "prefill": len(prompt) / (prefilled - begun),
        "decode": _OUTPUT_TOKENS / (decoded - prefilled),
    }


if __name__ == "__main__":
    sys.exit(_child())
