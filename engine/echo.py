"""The echo engine: gives the text back, one word a step. For tests of structure only."""

from __future__ import annotations

import asyncio
import re

from engine.generation import Generation, Job
from engine.interface import EngineStatus
from engine.models.catalogue import ModelEntry, PromptSpec

_ENTRY = ModelEntry.model_construct(
    name="echo",
    file=None,
    parameters=0,
    licence=None,
    prompt=PromptSpec(template="{text}"),
    segment="sentence",
)


class EchoEngine:
    """Translates every text into itself (see `engine.interface.Engine`)."""

    def __init__(self) -> None:
        self.entry = _ENTRY
        self._running: set[asyncio.Task[None]] = set()
        self._ready = False
        self._tokens = 0

    async def start(self) -> None:
        """Make ready; nothing is loaded."""
        self._ready = True

    def submit(self, job: Job) -> Generation:
        """Give the text back in a task of its own."""
        generation = Generation(job)
        task = asyncio.get_running_loop().create_task(self._echo(generation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return generation

    async def _echo(self, generation: Generation) -> None:
        words = re.findall(r"\S+\s*|\s+", generation.job.text)
        limit = generation.job.max_tokens
        for number, word in enumerate(words):
            if generation.cancelled:
                return generation.feed("", 0, "cancelled")
            if number == limit:
                return generation.feed("", 0, "length")
            self._tokens += 1
            generation.feed(word, 1, None)
            await asyncio.sleep(0)
        generation.feed("", 0, "stop")

    def fits(self, text: str, source_lang: str | None, target_lang: str) -> bool:
        """Short enough to be a segment: longer texts are cut here as with a model."""
        return len(text) <= 1000

    def status(self) -> EngineStatus:
        """The present reading."""
        return EngineStatus(ready=self._ready, running=len(self._running), tokens=self._tokens)

    def describe(self) -> str:
        """What runs, for the start-up line."""
        return "echo engine (gives every text back)"

    def stop(self) -> None:
        """Nothing is loaded; running echoes end by themselves."""
        self._ready = False

    @property
    def stopped(self) -> bool:
        """True when no echo runs any more."""
        return not self._running
