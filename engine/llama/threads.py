"""How many threads decode fastest here, found by a short measurement when a model is loaded.

Threads wait for each other at every operation. For a large model that is nothing beside the work;
for a small one, or where something else wants the cores, fewer threads are faster.
"""

from __future__ import annotations

import time
from dataclasses import replace

from engine.llama.batch import Batch
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model

_ROWS = 8  # sequences that decode together in the measurement
_STEPS = 12
_LONG_STEP = 0.05  # seconds; from here on all cores are best and nothing need be measured
_CLEAR_GAIN = 1.1  # more threads must be so much faster to be worth the cores they take


def fastest(model: Model, size: ContextSize) -> int:
    """The number of decode threads up to `size.threads` to use; takes well below a second."""
    rows = min(_ROWS, size.sequences)
    small = replace(size, sequences=rows, context=256, batch=max(32, rows))
    context = Context(model, small)
    try:
        best, best_seconds = size.threads, _step_seconds(context, rows, size.threads)
        if best_seconds >= _LONG_STEP:
            return best
        for count in _fewer(size.threads):
            seconds = _step_seconds(context, rows, count)
            if seconds < best_seconds * _CLEAR_GAIN:
                best, best_seconds = count, min(seconds, best_seconds)
        return best
    finally:
        context.close()


def _fewer(most: int) -> list[int]:
    """Half as many, a quarter, ... and one."""
    counts = []
    while most > 1:
        most //= 2
        counts.append(most)
    return counts


def _step_seconds(context: Context, rows: int, threads: int) -> float:
    """The median time of a step; a single one where that is long already."""
    context.use_threads(threads)
    batch, times = Batch(rows), []
    for position in range(_STEPS):
        batch.clear()
        for row in range(rows):
            batch.add_token(1, position, row)
        begun = time.perf_counter()
        context.decode(batch)
        times.append(time.perf_counter() - begun)
        if position and times[-1] >= _LONG_STEP:
            break
    for row in range(rows):
        context.clear(row)
    # The first step allocates; it counts only where there is no other.
    return sorted(times[1:])[len(times[1:]) // 2]
