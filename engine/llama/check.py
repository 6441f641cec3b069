"""Does this build of llama.cpp decode on this machine? Asked in a child process, which may crash.

A build for another CPU ends with SIGILL; one compiled by a GCC that loses the stores into the AMX
tile configuration ends with SIGSEGV in its first decode. So the parent never imports llama_cpp: it
starts this module, which loads the model, decodes and prints what it found as one line of JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import signal
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


async def run(
    entry: ModelEntry, settings: EngineSettings, command: Sequence[str] | None = None
) -> CheckResult:
    """Load the model and decode in a child process. `command` replaces the child in tests.

    When cancelled, it ends the child first.
    """
    if command is None:
        command = [sys.executable, "-m", "engine.llama.check"]
    given = json.dumps({"file": str(entry.file), "engine": settings.model_dump(mode="json")})
    root = Path(__file__).resolve().parents[2]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        # ggml would start a debugger, where there is one, to print a trace of an abort.
        *command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=root,
        env=os.environ | {"GGML_NO_BACKTRACE": "1"},
    )  # fmt: skip
    try:
        out, log = await asyncio.wait_for(child.communicate(given.encode()), _TIME_LIMIT)
    except TimeoutError:
        return CheckResult(False, (f"The check gave no answer within {_TIME_LIMIT:.0f} s.",))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode is not None and child.returncode < 0:
        return CheckResult(False, _crash(-child.returncode, entry.file))
    return _report(child.returncode, out.decode(), log.decode("utf-8", "replace"))


def _report(status: int | None, out: str, log: str) -> CheckResult:
    try:
        found = json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        tail = log.strip().splitlines()[-3:]
        lines = (f"The check ended with status {status} and said nothing.", *tail)
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


def _crash(number: int, model: Path) -> tuple[str, ...]:
    """The cause and the cure of a crashed child, in one paragraph."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGABRT:
        return (
            f"The check ended with {name}: llama.cpp gave up on {model}. The file is damaged, or of"
            " a kind that this version of llama.cpp does not support; take another one.",
        )
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


def was_checked(model: Path) -> bool:
    """Whether this build has passed the check on this CPU with this model file before."""
    try:
        return _mark(model).exists()
    except (OSError, RuntimeError):  # no home folder, or one that cannot be read
        return False


def remember(model: Path) -> None:
    """Note that this build passed; a cache folder that cannot be written is no error."""
    try:
        mark = _mark(model)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except (OSError, RuntimeError):
        pass


def _mark(model: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "babelbrook" / "checked" / _key(model)


def _key(model: Path) -> str:
    """Names the installed library files and the model file as they are now, and the CPU."""
    spec = importlib.util.find_spec("llama_cpp")
    folders = spec.submodule_search_locations if spec else None
    stats = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for folder in folders or ()
        for file in sorted(Path(folder, "lib").glob("*"))
    ]
    file = (str(model), model.stat().st_size, model.stat().st_mtime_ns)
    return hashlib.sha256(repr((stats, file, wheel.cpu_features())).encode()).hexdigest()[:32]


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
    from engine.llama.model import open_model

    model = open_model(file, settings)
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
