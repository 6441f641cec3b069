"""The echo engine: gives the text back, one word a step. For tests of structure only."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from engine.chat.conversation import Message
from engine.errors import BadRequest, NotReady, ShuttingDown
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus, Reason
from engine.models.catalogue import ModelEntry, PromptSpec

_ENTRY = ModelEntry(
    name="echo",
    file=Path(os.devnull),
    parameters=0,
    prompt=PromptSpec(template="{text}"),
    segment="sentence",
)
_WORD = re.compile(r"\S+\s*|\s+")
_LONGEST = 1000  # characters of a segment; longer texts are cut here as with a model


class EchoEngine:
    """Translates every text into itself (see `engine.interface.Engine`)."""

    def __init__(self) -> None:
        self.entry = _ENTRY
        self._running: set[asyncio.Task[None]] = set()
        self._ready = False
        self._reason: Reason = ShuttingDown
        self._tokens = 0
        self._prompt_tokens = 0

    async def start(self) -> None:
        """Make ready; nothing is loaded."""
        self._ready = True

    def submit(self, job: Job) -> Generation:
        """Give the text back in a task of its own. Raises NotReady before `start`, after `stop`."""
        if not self._ready:
            raise NotReady("No model is ready to answer yet.")
        decoding = Decoding(job)
        decoding.room = job.max_tokens
        generation = decoding.join()
        task = asyncio.get_running_loop().create_task(self._echo(decoding))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return generation

    async def _echo(self, decoding: Decoding) -> None:
        """Feed one word after the other, as many as `max_tokens` allows: a word is a token here."""
        decoding.started = time.monotonic()
        job = decoding.job
        words = _WORD.findall(job.text)
        decoding.prompt_tokens = len(words)
        self._prompt_tokens += len(words)
        for number, word in enumerate(words, 1):
            if decoding.cancelled:
                decoding.feed("", 0, "cancelled")
                return
            if not self._ready:
                decoding.fail(self._reason())
                return
            self._tokens += 1
            if number == job.max_tokens:
                decoding.feed(word, 1, "length")
                return
            decoding.feed(word, 1, None)
            await asyncio.sleep(0)
        decoding.feed("", 0, "stop")

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """Raises BadRequest: an echo has no chat form."""
        raise BadRequest("The echo engine has no chat form.")

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether it is short enough for a segment."""
        return len(text) <= _LONGEST

    def status(self) -> EngineStatus:
        """The present reading."""
        return EngineStatus(
            ready=self._ready,
            running=len(self._running),
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
        )

    def describe(self) -> str:
        """What runs, for the start-up line."""
        return "echo engine (gives every text back)"

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """End what runs with that error, at its next word."""
        self._ready, self._reason = False, reason

    @property
    def stopped(self) -> bool:
        """True when no echo runs any more."""
        return not self._running
