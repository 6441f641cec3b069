"""One decode as its reader on the event loop sees it.

The decode thread hands over new text with one callback per step (`feed`); one coroutine takes it
(`read`). Two fields are shared between the threads, each set by one side only: `cancelled` by the
loop, `started` by the decode thread.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from engine.errors import BabelbrookError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy: a translation should repeat.

    Names and meanings are llama.cpp's: `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1
    switch the respective sampler off; `seed` None draws one.
    """

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        """True where one argmax decides; a repeat penalty needs the sampler chain."""
        return self.temperature <= 0 and self.repeat_penalty == 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """One segment to translate: what an engine is asked."""

    text: str
    source_lang: str | None
    target_lang: str
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None  # None: as many as the sequence holds
    ignore_eos: bool = False  # for measurements: go on to max_tokens
    ahead: bool = False  # decoded ahead of its reader: yields to everybody who waits


class Generation:
    """The text of one job as it comes, its usage and its times.

    Ends with `finish` "stop", "length" or "cancelled", or with an error that `read` raises.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cancelled = False  # set by the loop, read by the decode thread at each step
        self.finish: str | None = None
        self.error: BabelbrookError | None = None
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.submitted = time.monotonic()
        self.started: float | None = None  # taken from the queue (monotonic seconds)
        self._pieces: list[str] = []
        self._wake = asyncio.Event()

    def feed(self, piece: str, tokens: int, finish: str | None) -> None:
        """Take over what one decode step brought; called on the event loop."""
        self.output_tokens += tokens
        if piece:
            self._pieces.append(piece)
        if finish is not None:
            self.finish = finish
        self._wake.set()

    def fail(self, error: BabelbrookError) -> None:
        """End with an error; called on the event loop."""
        self.error = error
        self._wake.set()

    def cancel(self) -> None:
        """Ask the decode loop to free the sequence at its next step."""
        self.cancelled = True

    def poke(self) -> None:
        """Let a waiting `read` return, with nothing if there is nothing (used for heartbeats)."""
        self._wake.set()

    @property
    def ended(self) -> bool:
        """True when all text was taken and no more will come; an error still waits for `read`."""
        return not self._pieces and self.finish is not None

    async def read(self) -> list[str]:
        """New pieces, one for each token that completed text; empty after `poke` or at the end.

        Raises the error that ended the generation, after the text before it was taken.
        """
        if not self._pieces and self.finish is None and self.error is None:
            self._wake.clear()
            await self._wake.wait()
        pieces, self._pieces = self._pieces, []
        if not pieces and self.error is not None:
            raise self.error
        return pieces
