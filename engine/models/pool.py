"""The models that are loaded, and how one takes another's place while requests are answered.

A request holds the engine it began with (`lease`), so a switch only moves where new requests go.
The old engine is stopped when the last of its requests has ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from engine.chat.conversation import Message
from engine.errors import ModelUnloaded, NotReady, ShuttingDown, UnknownModel
from engine.generation import NO_HINTS, Generation, Hints, Job, PromptPart
from engine.interface import Engine, EngineStatus, Reason, counters, together
from engine.models.catalogue import ModelEntry
from engine.models.download import Report
from engine.models.loading import Loader

logger = logging.getLogger("babelbrook.models")
T = TypeVar("T")

_LOOK_EVERY = 0.02  # seconds between two looks whether an engine has come to its end


class _Member:
    """A loaded engine and how many requests hold it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.leases = 0
        self.used = 0.0  # loop time of the last lease or return
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def name(self) -> str:
        return self.engine.entry.name

    def take(self) -> None:
        self.leases += 1
        self._idle.clear()
        self.used = asyncio.get_running_loop().time()

    def give_back(self) -> None:
        self.leases -= 1
        self.used = asyncio.get_running_loop().time()
        if not self.leases:
            self._idle.set()

    async def idle(self, seconds: float | None = None) -> None:
        """Wait until nobody holds it, at most so long."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            logger.warning("%d requests still hold %s.", self.leases, self.name)

    async def end(self) -> None:
        """Stop the engine and wait until its memory is free."""
        self.engine.stop(ModelUnloaded)
        while not self.engine.stopped:
            await asyncio.sleep(_LOOK_EVERY)


class Pool:
    """Engines by model, one of them selected; itself an engine, namely that one.

    Without a `loader` it holds `first` for ever. `most` is how many may be loaded at once;
    `patience` is how long (seconds) requests may go on where their model must go to make room.
    """

    def __init__(
        self, first: Engine, loader: Loader | None = None, most: int = 1, patience: float = 30.0
    ) -> None:
        self._loader, self._most, self._patience = loader, most, patience
        self._entry = first.entry
        self._selected: _Member | None = _Member(first)
        self._members = {first.entry.name: self._selected}
        self._leaving: dict[_Member, asyncio.Task[None]] = {}
        self._past = EngineStatus(ready=False)  # the counters of engines that are gone
        self._turn = asyncio.Lock()  # one loads at a time
        self._switches: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.loading: str | None = None
        """The model that is being loaded, if one is."""

    # Who answers --------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, name: str | None) -> AsyncIterator[Engine]:
        """The engine of a model, the selected one by default, to be held for one request.

        Where several may be loaded, one that is here is loaded now. Raises UnknownModel, NotReady
        while there is none, and ModelError for one that cannot be loaded.
        """
        member = await self._member(name)
        member.take()
        try:
            yield member.engine
        finally:
            member.give_back()

    async def _member(self, name: str | None) -> _Member:
        if name is not None and name != self._entry.name:
            if name in self._members:
                return self._members[name]
            return await self._unless_closing(self._loaded(name))
        if self._selected is None:
            raise NotReady(f"The model {self.loading or ''} is being loaded.")
        return self._selected

    async def _loaded(self, name: str) -> _Member:
        if self._loader is None or self._most == 1:
            raise UnknownModel(
                f"The model '{name[:100]}' does not run here; it is '{self._entry.name}' that does."
            )
        entry = self._loader.find(name)
        if not entry.downloaded:
            raise UnknownModel(f"The model {entry.name} is not here yet; select it to get it.")
        async with self._turn:
            if name not in self._members:
                await self._make_room(entry)
                await self._load(entry)
            return self._members[name]

    # Switching ----------------------------------------------------------------------------------

    def find(self, name: str) -> ModelEntry:
        """The entry that `select` would take. Raises UnknownModel."""
        if name == self._entry.name:
            return self._entry
        if self._loader is None:
            raise UnknownModel(f"There is no model '{name[:100]}' here, only {self._entry.name}.")
        return self._loader.find(name)

    async def select(self, name: str, report: Report, loading: Callable[[], None]) -> None:
        """Let new requests go to a model; returns when it can answer.

        `report` is called with the bytes of a download, `loading` when it is there. Several wait
        for each other. Cancelling stops the download; the load goes on. Where that fails, what
        answered before does so still. Raises UnknownModel, DownloadError and ModelError.
        """
        entry = self.find(name)
        if entry.name not in self._members and self._loader is not None:
            await self._unless_closing(self._loader.download(entry, report))
        loading()
        switch = asyncio.ensure_future(self._switch(entry))
        self._switches.add(switch)
        switch.add_done_callback(self._forget)
        await self._unless_closing(asyncio.shield(switch))

    async def _unless_closing(self, work: Awaitable[T]) -> T:
        """Wait for `work`; when the pool is stopped it is cancelled. Raises ShuttingDown then."""
        task, closing = asyncio.ensure_future(work), asyncio.ensure_future(self._closing.wait())
        either: set[asyncio.Future[Any]] = {task, closing}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ShuttingDown
            return task.result()
        finally:
            task.cancel()
            closing.cancel()

    def _forget(self, switch: asyncio.Task[None]) -> None:
        self._switches.discard(switch)
        if not switch.cancelled() and (error := switch.exception()) is not None:
            logger.warning("The switch failed: %s", error)

    async def _switch(self, entry: ModelEntry) -> None:
        async with self._turn:
            if self._loader is not None:
                self._dismiss_failed()
            if entry.name not in self._members:
                await self._bring(entry)
            self._selected, self._entry = self._members[entry.name], entry
            self._trim(self._most)
        logger.info("New requests go to %s.", entry.name)

    async def _bring(self, entry: ModelEntry) -> None:
        """Load a model beside the others, or else in their place."""
        if not self._fits(entry) and self._leaving:
            await asyncio.wait(self._leaving.values(), timeout=self._patience)
        if self._fits(entry):
            await self._load(entry)
            return
        before = self._entry
        self._selected, self.loading = None, entry.name
        for member in list(self._members.values()):
            self._dismiss(member, self._patience)
        await asyncio.wait(self._leaving.values())
        try:
            await self._load(entry)
        except Exception:
            if self._closing.is_set():
                raise
            await self._load(before)
            self._selected = self._members[before.name]
            raise

    def _fits(self, entry: ModelEntry) -> bool:
        assert self._loader is not None  # or there would be no entry but the one that is loaded
        here = (*self._members.values(), *self._leaving)
        return self._loader.fits_beside(entry, [member.engine.entry for member in here])

    async def _make_room(self, entry: ModelEntry) -> None:
        """Let the least recently used models go until one more may be loaded and fits."""
        self._trim(self._most - 1)
        while not self._fits(entry):
            self._trim(len(self._members) - 1)
            if not self._leaving:
                raise NotReady(f"There is no memory for {entry.name} beside {self._entry.name}.")
            await asyncio.wait(self._leaving.values(), return_when=asyncio.FIRST_COMPLETED)

    def _trim(self, most: int) -> None:
        """Let the least recently used models go, the selected one never."""
        spare = [member for member in self._members.values() if member is not self._selected]
        spare.sort(key=lambda member: member.used)
        for member in spare[: max(0, len(self._members) - most)]:
            self._dismiss(member, None)

    def _dismiss_failed(self) -> None:
        """Engines that have ended by themselves make room, so that their models can be loaded."""
        for member in list(self._members.values()):
            if member.engine.status().failure:
                self._dismiss(member, 0.0)

    def _dismiss(self, member: _Member, patience: float | None) -> None:
        """No new requests for it; it ends with the last that holds it, or after `patience`."""
        del self._members[member.name]
        self._leaving[member] = asyncio.ensure_future(self._leave(member, patience))

    async def _leave(self, member: _Member, patience: float | None) -> None:
        await member.idle(patience)
        await member.end()
        del self._leaving[member]
        self._past = together([self._past, counters(member.engine.status())])
        logger.info("%s is unloaded.", member.name)

    async def _load(self, entry: ModelEntry) -> None:
        assert self._loader is not None
        self.loading = entry.name
        try:
            engine = await self._loader.make(entry)
            try:
                await engine.start()
            except BaseException:
                engine.stop()
                raise
        finally:
            self.loading = None
        if self._closing.is_set():
            engine.stop()
            raise ShuttingDown
        self._members[entry.name] = _Member(engine)

    # As an engine -------------------------------------------------------------------------------

    @property
    def entry(self) -> ModelEntry:
        """The selected model."""
        return self._entry

    @property
    def answering(self) -> list[ModelEntry]:
        """The models that can answer now, the selected one first."""
        members = sorted(self._members.values(), key=lambda each: each is not self._selected)
        return [each.engine.entry for each in members if each.engine.status().ready]

    def loaded(self, name: str) -> bool:
        """Whether a model can answer without being loaded first."""
        return name in self._members

    async def start(self) -> None:
        """Make the first engine ready. Raises ModelError."""
        await self._current().start()

    def _current(self) -> Engine:
        if self._selected is None:
            raise NotReady("A model is being loaded.")
        return self._selected.engine

    def submit(self, job: Job) -> Generation:
        """Queue a job with the selected engine."""
        return self._current().submit(job)

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt for a conversation with the selected engine."""
        return await self._current().compose(messages)

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether a segment fits a sequence of the selected engine."""
        return self._current().fits(text, source_lang, target_lang, hints)

    def status(self) -> EngineStatus:
        """All engines together; ready when the selected one is."""
        engines = [m.engine.status() for m in (*self._members.values(), *self._leaving)]
        chosen = self._selected.engine.status() if self._selected else EngineStatus(ready=False)
        return dataclasses.replace(
            together([self._past, *engines]), ready=chosen.ready, failure=chosen.failure
        )

    def describe(self) -> str:
        """The selected engine's words."""
        return self._current().describe()

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """Stop every engine; returns at once."""
        self._closing.set()
        for member in (*self._members.values(), *self._leaving):
            member.engine.stop(reason)

    @property
    def stopped(self) -> bool:
        """True when no engine runs any more."""
        return all(m.engine.stopped for m in (*self._members.values(), *self._leaving))
