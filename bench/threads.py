"""What the number of decode threads and their spinning cost, on an idle machine and beside others.

    python -m bench.threads

Each cell decodes eight sequences of the embedded model in a process of its own, with libgomp's own
spin at its barriers and with a short one (GOMP_SPINCOUNT), alone and beside one busy process for
each core. Cells are interleaved over the rounds; the table shows medians and ranges of tokens per
second.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "tatoeba-mini-q8_0.gguf"
ROUNDS, STEPS, SEQUENCES = 3, 40, 8
_SPIN = "5000"
_BUSY = "x = 0\nwhile True: x += 1"


def measure(threads: int) -> float:
    """Tokens per second of `SEQUENCES` sequences, in this process."""
    from engine.llama import sampling
    from engine.llama.batch import Batch
    from engine.llama.context import Context, ContextSize
    from engine.llama.model import Model

    model = Model(MODEL)
    size = ContextSize(SEQUENCES, 512, 512, threads=threads)
    context, batch, tokens = Context(model, size), Batch(512), [5] * SEQUENCES
    begun = time.perf_counter()
    for position in range(STEPS + 1):
        if position == 1:  # the first step allocates
            begun = time.perf_counter()
        batch.clear()
        for sequence in range(SEQUENCES):
            batch.add_token(tokens[sequence], position, sequence)
        context.decode(batch)
        tokens = sampling.greedy(context.logits(SEQUENCES))
    return SEQUENCES * STEPS / (time.perf_counter() - begun)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run so many processes meanwhile that want a core each."""
    children = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def cell(threads: int, spin: str | None, beside: int) -> float:
    """Measure in a child, because libgomp reads its settings when it is loaded."""
    environ = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    if spin:
        environ["GOMP_SPINCOUNT"] = spin
    with busy(beside):
        command = [sys.executable, "-m", "bench.threads", str(threads)]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def main() -> None:
    """Print the table, with progress on stderr."""
    cores = os.cpu_count() or 1
    cells = list(itertools.product((1, cores), (None, _SPIN), (0, cores)))
    rates: dict[tuple[int, str | None, int], list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for done, key in enumerate(cells):
            print(
                f"\rround {number + 1}/{ROUNDS}, {done + 1}/{len(cells)}", end="", file=sys.stderr
            )
            rates[key].append(cell(*key))
    print("\n| threads | spin | alone | beside others |\n|---|---|---|---|")
    for threads, spin in itertools.product((1, cores), (None, _SPIN)):
        columns = [rates[threads, spin, beside] for beside in (0, cores)]
        shown = [f"{statistics.median(c):,.0f} ({min(c):,.0f}-{max(c):,.0f})" for c in columns]
        print(f"| {threads} | {spin or 'default'} | {shown[0]} | {shown[1]} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
