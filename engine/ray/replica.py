"""What Ray Serve runs: a local engine, and the calls by which a server in front uses it.

Serve's streams know no back-pressure: what a replica yields, the caller's process takes. So the
caller says when a reader is behind (`hold`), and then nothing is read from the engine, whose own
back-pressure pauses the sequence. Serve cannot send a call to a replica of one's choice, but can
send it to all of them, so `hold` reaches replicas that do not know the call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import BabelbrookError
from engine.generation import Generation, Job
from engine.models.catalogue import Catalogue, ModelEntry
from engine.models.loading import Loader
from engine.ray.messages import Failure, Item, Reading
from engine.settings import Engine as EngineSettings

_ITEMS = 500
"""Items a second of all streams of a replica. One costs the front 0.3 ms of a core (Ray 2.60 on an
AMD EPYC) and the replica no less, so with many streams several tokens go in one."""
_LOOK_EVERY = 0.02  # seconds between two looks whether jobs have left the engine's queue


class _Call:
    """A job that the engine has."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.told = False  # that it has left the queue
        self.reading = asyncio.Event()
        self.reading.set()
        self._serial = 0

    def hold(self, held: bool, serial: int) -> None:
        """Read no more, or go on. What overtook a later word is not heeded."""
        if serial < self._serial:
            return
        self._serial = serial
        if held:
            self.reading.clear()
            self.generation.limit(0)
        else:
            self.generation.limit(self.generation.job.unread)
            self.reading.set()


class Replica:
    """A local engine. Ray Serve makes it, asks for its health and ends it."""

    async def __init__(  # type: ignore[misc]
        self, entry: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        """Load the model of an entry. Raises ModelError; then Serve tries again, and gives up."""
        from ray import serve

        self._name = str(serve.get_replica_context().replica_id.unique_id)
        self._calls: dict[str, _Call] = {}
        self._watch: asyncio.Task[None] | None = None
        loader = Loader(Catalogue(Path()), EngineSettings.model_validate(settings))
        self._engine = await loader.make(ModelEntry.model_validate(entry))
        await self._engine.start()

    async def answer(self, number: str, job: Job) -> AsyncIterator[Item]:
        """The text of a job as it comes. A cancellation frees its sequence at the next step."""
        try:
            generation = self._engine.submit(job)
        except BabelbrookError as error:
            yield Item(self._name, [], 0, failure=Failure.of(error))
            return
        self._calls[number] = call = _Call(generation)
        self._look_for_starts()
        try:
            async for item in self._items(call):
                yield item
        finally:
            del self._calls[number]
            generation.cancel()

    async def _items(self, call: _Call) -> AsyncIterator[Item]:
        generation, counted, finish = call.generation, 0, None
        try:
            while finish is None:
                await call.reading.wait()
                pieces = [] if generation.ended else await generation.read()
                call.told = True
                tokens, counted = generation.output_tokens - counted, generation.output_tokens
                finish = generation.finish if generation.ended else None
                yield Item(self._name, pieces, tokens, finish)
                if pieces and finish is None:
                    await asyncio.sleep(len(self._calls) / _ITEMS)
        except BabelbrookError as error:
            yield Item(self._name, [], 0, failure=Failure.of(error))

    def _look_for_starts(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._tell_starts())

    async def _tell_starts(self) -> None:
        """Wake those whose job has left the queue: the decode thread tells nobody."""
        while waiting := [call for call in self._calls.values() if not call.told]:
            for call in waiting:
                if call.generation.started is not None:
                    call.told = True
                    call.generation.poke()
            await asyncio.sleep(_LOOK_EVERY)

    async def hold(self, number: str, held: bool, serial: int) -> None:
        """The reader of a call is behind, or no longer."""
        with suppress(KeyError):  # another replica's, or one that has ended
            self._calls[number].hold(held, serial)

    async def reading(self) -> Reading:
        """What it does at present."""
        status = self._engine.status()
        context = status.kv_size // max(1, status.sequences)
        return Reading(self._name, os.getpid(), self._engine.entry.name, context, status)

    async def check_health(self) -> None:
        """Raises RuntimeError where the engine has ended; then Serve replaces the replica."""
        if failure := self._engine.status().failure:
            raise RuntimeError(failure)

    def __del__(self) -> None:
        """Serve's way to say that it is to end."""
        if engine := getattr(self, "_engine", None):
            engine.stop()
