"""How many threads decode fastest here.

Threads wait for each other at every operation. For a large model that is nothing beside the work;
for a small one, or where something else wants the cores, fewer threads are faster. So the number is
chosen when a model is loaded, and followed up while it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from engine.llama.batch import Batch
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model

_ROWS = 8  # sequences that decode together in the measurement
_STEPS = 12
_LONG_STEP = 0.05  # seconds; from here on all cores are best and nothing need be measured
_CLEAR_GAIN = 1.1  # more threads must be so much faster to be worth the cores they take
_PERIOD = 2.0  # seconds between two trials of another number, at least
_TRIAL = 7  # steps of a trial; their median counts
# How much faster a trial must be. On a crowded machine fewer threads are many times as fast; what
# is less is as often the event loop, which had a core for a moment.
_FOLLOWED_GAIN = 1.3
_CHANGED = 2.0  # times as long as before
_SHARE = 0.01  # of the time that slow trials may cost


def fastest(model: Model, size: ContextSize) -> int:
    """The number of decode threads up to `size.threads` to use; takes well below a second."""
    if size.threads == 1:
        return 1
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


class Crew:
    """The number of threads from step to step.

    Other work comes and goes on a machine, so now and then a few steps run with another
    number of threads, and it stays where these were clearly faster. A trial that was slow makes the
    next one wait, so that trials cost about a hundredth of the time.
    """

    def __init__(
        self,
        count: int,
        *,
        most: int | None = None,
        prompts: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with `count` threads, follow up to `most` of them; without `most` it stays there.

        `prompts` is the number of threads for prompts where it is not the same.
        """
        self.count = count
        self._most, self._prompts, self._clock = most or 1, prompts, clock
        self._base = count  # what a trial is compared with
        self._base_seconds, self._base_rows = 0.0, 0
        self._rows = 0
        self._seconds: list[float] = []  # of the last steps with this count and as many rows
        self._due = clock() + _PERIOD
        self._tried = 0  # trials so far

    @property
    def for_prompts(self) -> int:
        """Threads to read prompts with."""
        return self._prompts or self.count

    def note(self, rows: int, seconds: float) -> None:
        """Learn from a step of `rows` sequences."""
        if self._most == 1:
            return
        if rows != self._rows:  # cannot be compared: begin again
            self._rows, self.count = rows, self._base
            self._seconds.clear()
            return
        self._seconds.append(seconds)
        if len(self._seconds) < _TRIAL:
            return
        typical = sorted(self._seconds)[_TRIAL // 2]
        if self.count != self._base:
            self._decide(typical)
            self._seconds.clear()
        elif self._clock() >= self._due or self._has_changed(typical):
            self._base_seconds, self._base_rows = typical, rows
            self.count = self._other()
            self._seconds.clear()
        else:
            self._seconds.pop(0)

    def _has_changed(self, seconds: float) -> bool:
        """The same steps take much longer than at the last trial: do not wait for the next one."""
        return self._rows == self._base_rows and seconds > _CHANGED * self._base_seconds

    def _other(self) -> int:
        """The next of the other numbers: all cores, half of them, a quarter, ... one."""
        counts = [count for count in (self._most, *_fewer(self._most)) if count != self._base]
        self._tried += 1
        return counts[self._tried % len(counts)]

    def _decide(self, seconds: float) -> None:
        gain = self._base_seconds / seconds
        if gain > _FOLLOWED_GAIN:
            self._base = self.count
        self.count = self._base
        lost = max(0.0, seconds - self._base_seconds) * _TRIAL
        self._due = self._clock() + max(_PERIOD, lost / _SHARE)
