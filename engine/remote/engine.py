"""The remote engine: jobs go to upstreams, the least busy first, and their text comes back.

A job that fails before its first text is tried at each other upstream once. Afterwards it cannot
be: half a translation by one model is not continued by another.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import httpx

from engine.chat.conversation import Message
from engine.errors import BabelbrookError, ModelError, NotReady, ShuttingDown
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus, Reason
from engine.models.catalogue import Catalogue, ModelEntry, PromptSpec
from engine.remote.dialects import Dialect, OpenAI
from engine.remote.upstream import Upstream, UpstreamBusy, UpstreamFailed, make_client, names
from engine.settings import Remote
from engine.sharing import UnderWay
from engine.waiting import Waiting

logger = logging.getLogger("babelbrook.remote")

_PATIENCE = 30.0  # seconds for the first upstream to answer at the start
_TRY_AGAIN = 0.2  # seconds between two looks for it
_LONGEST = 16_384  # bytes of a segment for an upstream that cuts texts by itself
_TOKENS = 4096  # of a sequence, where neither the entry nor a setting tells
_TOKEN_BYTES = 2  # of text; a real tokenizer needs fewer tokens in nearly every language
_WEIGHT = 0.1  # of the newest measurement in the mean service time
_NONE_ANSWERS = "None of the upstreams answers."


class _Call:
    """A job on its way."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.task: asyncio.Task[None] | None = None  # None while it waits
        self.going_on = asyncio.Event()  # after a pause
        self._upstream: Upstream | None = None

    def take(self, upstream: Upstream) -> None:
        """From now on it counts among what an upstream has to do."""
        self._upstream = upstream
        upstream.active += 1

    def leave(self) -> None:
        """And no longer."""
        if self._upstream is not None:
            self._upstream.active -= 1
            self._upstream = None


async def connect(entry: ModelEntry, known: Catalogue, settings: Remote) -> RemoteEngine:
    """An engine whose first upstream has answered. Raises ModelError where none does."""
    if not settings.upstreams:
        raise ModelError("engine.kind is remote, but remote.upstreams names none.")
    client = make_client(settings)
    upstreams = [
        Upstream(name, url, settings, client)
        for name, url in zip(names(settings.upstreams), settings.upstreams, strict=True)
    ]
    try:
        first = await _first(upstreams)
        if first.dialect is not None:
            entry = await _described_by(first, known, client)
    except BaseException:
        await client.aclose()
        raise
    return RemoteEngine(entry, settings, client, upstreams)


async def _first(upstreams: list[Upstream]) -> Upstream:
    """The first one that answers. Raises ModelError where none does for too long."""
    end = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        await asyncio.gather(*(each.check() for each in upstreams))
        for each in upstreams:
            if each.available:
                return each
        if asyncio.get_running_loop().time() > end:
            tried = ", ".join(each.name for each in upstreams)
            raise ModelError(f"{_NONE_ANSWERS} Tried: {tried}.")
        await asyncio.sleep(_TRY_AGAIN)


async def _described_by(
    upstream: Upstream, known: Catalogue, client: httpx.AsyncClient
) -> ModelEntry:
    """The model of another Babelbrook as it tells its languages. Raises ModelError."""
    try:
        answer = await client.get(f"{upstream.url}/languages")
        answer.raise_for_status()
        rows = answer.json()
        targets = dict.fromkeys(target for row in rows for target in row["targets"])
        sources = [row["code"] for row in rows]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{upstream.name} does not tell its languages: {error}") from None
    entry = known.named(upstream.model) or ModelEntry(name=upstream.model, file=Path(os.devnull))
    template = "{hints}{text}" if entry.prompt.carries_hints else "{text}"
    return entry.model_copy(
        update={
            "source_langs": tuple(sources),
            "target_langs": tuple(targets),
            "prompt": PromptSpec(template=template, chat=upstream.chats),
            "segment": "paragraph",
        }
    )


class RemoteEngine:
    """Upstreams behind the engine interface (see `engine.interface.Engine`)."""

    def __init__(
        self,
        entry: ModelEntry,
        settings: Remote,
        client: httpx.AsyncClient,
        upstreams: Iterable[Upstream],
    ) -> None:
        self.entry = entry
        self._settings = settings
        self._client = client
        self._upstreams = list(upstreams)
        self._openai = OpenAI(entry.prompt)
        self._waiting: Waiting[_Call] = Waiting()
        self._calls: set[_Call] = set()  # those that an upstream works on
        self._under_way = UnderWay()
        self._watch: asyncio.Task[None] | None = None
        self._stopping: Reason | None = None
        self._closed: asyncio.Task[None] | None = None
        self._tokens = self._prompt_tokens = 0
        self._service_seconds = 0.0  # running mean of a job's time with an upstream, unpaused

    async def start(self) -> None:
        """Look after the upstreams from now on."""
        self._watch = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._settings.check_interval)
            await asyncio.gather(*(each.check() for each in self._upstreams))
            self._give_out()
            if not self._ready:
                for call in self._waiting.pop_all():
                    call.decoding.fail(NotReady(_NONE_ANSWERS))

    @property
    def _ready(self) -> bool:
        return self._stopping is None and any(each.available for each in self._upstreams)

    def submit(self, job: Job) -> Generation:
        """Queue a job, or join the same one where it allows that.

        Raises NotReady, and what the upstreams' dialect refuses.
        """
        if self._stopping is not None:
            raise self._stopping()
        if not self._ready:
            raise NotReady(_NONE_ANSWERS)
        if (joined := self._under_way.join(job)) is not None:
            return joined
        first = next(each for each in self._upstreams if each.available)
        self._dialect(first, job).request("", job)  # for what it refuses
        call = _Call(Decoding(job))
        call.decoding.room = job.max_tokens
        decoding = call.decoding
        generation = decoding.join(job.unread)
        self._under_way.add(decoding)
        decoding.on_cancel = lambda: self._cancel(call)
        decoding.on_resume = call.going_on.set
        self._waiting.append(call)
        self._give_out()
        return generation

    def _dialect(self, upstream: Upstream, job: Job) -> Dialect:
        return upstream.conversation if job.own_prompt else upstream.dialect or self._openai

    def _cancel(self, call: _Call) -> None:
        """Nobody reads it any more."""
        if call.task is not None:
            call.task.cancel()
            return
        for each in self._waiting.drop_cancelled():
            each.decoding.feed("", 0, "cancelled")

    def _give_out(self) -> None:
        """Let upstreams with room begin what waits."""
        while self._waiting and (upstream := self._least_busy(self._settings.streams)) is not None:
            call = self._waiting.pop()
            call.take(upstream)
            call.decoding.started = time.monotonic()
            call.task = asyncio.create_task(self._serve(call, upstream))
            call.task.add_done_callback(functools.partial(self._after, call, call.decoding.clock()))
            self._calls.add(call)

    def _least_busy(
        self, room: float = float("inf"), tried: Iterable[Upstream] = ()
    ) -> Upstream | None:
        """Of those that answer and have less than `room` to do."""
        able = [
            each
            for each in self._upstreams
            if each.available and each.active < room and each not in tried
        ]
        return min(able, key=lambda each: each.active, default=None)

    async def _serve(self, call: _Call, upstream: Upstream) -> None:
        """See a job to its end, whatever that is."""
        try:
            await self._try_all(call, upstream)
        except BabelbrookError as error:
            call.decoding.fail(error)
        except Exception:
            logger.exception("A job failed.")
            call.decoding.fail(BabelbrookError("The translation failed. Please try again."))

    def _after(self, call: _Call, begun: float, task: asyncio.Task[None]) -> None:
        """A job has ended, or was cancelled, maybe before its task could begin."""
        decoding = call.decoding
        self._calls.discard(call)
        call.leave()
        if task.cancelled():
            if self._stopping is not None:
                decoding.fail(self._stopping())
            else:
                decoding.feed("", 0, "cancelled")
        seconds, mean = decoding.clock() - begun, self._service_seconds
        self._service_seconds = mean + _WEIGHT * (seconds - mean) if mean else seconds
        if self._stopping is None:
            self._give_out()

    async def _try_all(self, call: _Call, upstream: Upstream) -> None:
        """Raises the last one's error where none could begin, or one broke off."""
        tried = [upstream]
        while True:
            try:
                await self._relay(call, upstream)
                return
            except UpstreamFailed as error:
                other = self._least_busy(tried=tried)
                if other is None and len(tried) == 1 and not isinstance(error, UpstreamBusy):
                    other = self._least_busy()  # a connection that was kept may just have ended
                if call.decoding.pieces or other is None:
                    raise
            upstream = other
            tried.append(upstream)
            call.leave()
            call.take(upstream)

    async def _relay(self, call: _Call, upstream: Upstream) -> None:
        """Hand an upstream's text on, no faster than it is read."""
        decoding, counted, finish = call.decoding, 0, "stop"
        dialect = self._dialect(upstream, decoding.job)
        async with upstream.stream(dialect, decoding.job) as pieces:
            async for piece in pieces:
                finish = piece.finish or finish
                tokens = 1 if piece.text else 0
                if piece.output_tokens is not None:  # the upstream's own count, in the end
                    tokens = max(0, piece.output_tokens - counted)
                    decoding.prompt_tokens = piece.prompt_tokens or 0
                    self._prompt_tokens += decoding.prompt_tokens
                counted += tokens
                self._tokens += tokens
                decoding.feed(piece.text, tokens, None)
                if decoding.paused:
                    await self._pause(call, upstream)
        decoding.feed("", 0, finish)

    async def _pause(self, call: _Call, upstream: Upstream) -> None:
        """Read nothing until a reader wants more; others may have its place meanwhile."""
        call.leave()
        self._give_out()
        while call.decoding.paused:
            call.going_on.clear()
            await call.going_on.wait()
        call.take(upstream)

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """Nothing: upstreams make the prompt, each in the form of its own model."""
        return ()

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether a segment is short enough, by a careful guess: only upstreams have tokenizers."""
        size = len(text.encode())
        if all(each.dialect is not None for each in self._upstreams if each.available):
            return size <= _LONGEST
        return size <= (self.entry.context or _TOKENS) // 2 * _TOKEN_BYTES

    def status(self) -> EngineStatus:
        """The present reading."""
        available = [each for each in self._upstreams if each.available]
        paused = sum(call.decoding.paused for call in self._calls)
        places = self._settings.streams * len(available)
        queued = self._waiting.urgent
        return EngineStatus(
            ready=self._ready,
            failure="" if available else _NONE_ANSWERS,
            running=len(self._calls),
            queued=queued,
            paused=paused,
            sequences_used=len(self._calls) - paused,
            sequences=places,
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
            wait_seconds=self._service_seconds * (1 + queued / max(1, places)),
            upstreams=tuple(each.status() for each in self._upstreams),
        )

    def describe(self) -> str:
        """What answers, for the start-up line."""
        names = ", ".join(each.name for each in self._upstreams)
        return f"model {self.entry.name} at {names}"

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """End what runs with that error; returns at once."""
        if self._stopping is not None:
            return
        self._stopping = reason
        for call in self._waiting.pop_all():
            call.decoding.fail(reason())
        for call in self._calls:
            if call.task is not None:
                call.task.cancel()
        self._closed = asyncio.create_task(self._close())

    async def _close(self) -> None:
        tasks = [call.task for call in self._calls if call.task is not None]
        if self._watch is not None:
            self._watch.cancel()
            tasks.append(self._watch)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    @property
    def stopped(self) -> bool:
        """True when nothing runs any more."""
        return self._closed is not None and self._closed.done()
