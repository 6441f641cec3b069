"""How long a decode of so many rows takes, and whether rows change each other's logits.

`python -m bench.rows MODEL.gguf`: one token for each of n sequences, and prompts of n tokens. What
engine/llama/pace.py fills up goes back to this.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.figures import median
from engine.llama import machine
from engine.llama.batch import Batch
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model

SEQUENCES, CONTEXT, CACHED = 32, 256, 48
ROWS = (*range(1, 17), 23, 24, 31, 32)
PROMPTS = (*range(24, 33), 48, 64)
LENGTH = 180
# A prompt of so many tokens in chunks; see engine/llama/prompts.py for why none has 64.
WAYS = ((1,) * 180, (60,) * 3, (58, 2) * 3, (2,) * 90, (45,) * 4, (16,) * 11 + (4,))


class Bench:
    """A model, a context and a batch."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = Model(path)
        self._context = Context(self._model, ContextSize(SEQUENCES, CONTEXT, 512, threads))
        self._batch = Batch(512)
        self._random = random.Random(1)

    def tokens(self, count: int) -> list[int]:
        """Random tokens, none of the control tokens that come first in most vocabularies."""
        return [self._random.randrange(300, self._model.vocab_size - 300) for _ in range(count)]

    def _decode(self, parts: Sequence[tuple[int, int, list[int]]]) -> float:
        """Decode tokens at a place of a sequence each, with the last one's logits; seconds."""
        self._batch.clear()
        for sequence, start, tokens in parts:
            self._batch.add_chunk(tokens, start, sequence, output=True)
        begun = time.perf_counter()
        self._context.decode(self._batch)
        self._context.logits(len(parts))
        return time.perf_counter() - begun

    def prompt(self, count: int) -> float:
        """Seconds for a prompt of so many tokens."""
        self._context.clear(0)
        return self._decode([(0, 0, self.tokens(count))])

    def fill(self) -> None:
        """Give every sequence some cached tokens."""
        for sequence in range(SEQUENCES):
            self._context.clear(sequence)
            self._decode([(sequence, 0, self.tokens(CACHED))])

    def rows(self, count: int) -> float:
        """Seconds for a token of each of so many sequences."""
        seconds = self._decode([(row, CACHED, self.tokens(1)) for row in range(count)])
        for row in range(count):
            self._context.truncate(row, CACHED)
        return seconds

    def logits(self, tokens: list[int], way: Sequence[int], others: int) -> NDArray[np.float32]:
        """The logits behind `tokens`, read in chunks of `way`, each beside a token of others."""
        for sequence in range(SEQUENCES):
            self._context.clear(sequence)
        start = 0
        for number, count in enumerate(way):
            parts = [(other, number, self.tokens(1)) for other in range(others)]
            self._decode([*parts, (others, start, tokens[start : start + count])])
            start += count
        return self._context.logits(others + 1)[-1].copy()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    bench = Bench(options.model, options.threads)
    bench.fill()
    for name, measure, counts in (("rows", bench.rows, ROWS), ("prompt", bench.prompt, PROMPTS)):
        times: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(options.rounds):
            for count in counts:
                times[count].append(measure(count) * 1000)
        for count, seen in times.items():
            print(f"{name} {count:3}  {median(seen):7.2f} ms ({min(seen):.2f}-{max(seen):.2f})")
    tokens = bench.tokens(LENGTH)
    first = bench.logits(tokens, WAYS[0], 0)
    worst = max(
        float(np.abs(bench.logits(tokens, way, others) - first).max())
        for way in WAYS
        for others in (0, 1, 3, 7)
    )
    print(f"largest difference of logits, read in any way beside others: {worst}")


if __name__ == "__main__":
    main()
