"""The remote engine: jobs go to upstreams, the least busy first, and their text comes back.

A job that fails before its first text is tried at each other upstream once. Afterwards it cannot
be: half a translation by one model is not continued by another.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import sample

import httpx

from engine.chat.conversation import Message
from engine.errors import ModelError, NotReady, UpstreamFailed
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus
from engine.models.catalogue import Catalogue, ModelEntry, PromptSpec
from engine.relaying import Call, Relay
from engine.remote.dialects import Dialect, OpenAI
from engine.remote.upstream import Upstream, UpstreamBusy, make_client, names
from engine.settings import Remote

_PATIENCE = 30.0  # seconds for the first upstream to answer at the start
_TRY_AGAIN = 0.2  # seconds between two looks for it
_LONGEST = 16_384  # bytes of a segment for an upstream that cuts texts by itself
_TOKENS = 4096  # of a sequence, where neither the entry nor a setting tells
_TOKEN_BYTES = 2  # of text; a real tokenizer needs fewer tokens in nearly every language
_NONE_ANSWERS = "None of the upstreams answers."


def _none_answers() -> NotReady:
    return NotReady(_NONE_ANSWERS)


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
        entry = entry.model_copy(update={"file": Path(os.devnull)})  # what lies here counts nothing
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


class RemoteEngine(Relay[Upstream]):
    """Upstreams behind the engine interface (see `engine.interface.Engine`)."""

    def __init__(
        self,
        entry: ModelEntry,
        settings: Remote,
        client: httpx.AsyncClient,
        upstreams: Iterable[Upstream],
    ) -> None:
        super().__init__()
        self.entry = entry
        self._settings = settings
        self._client = client
        self._upstreams = list(upstreams)
        self._turns = sample(self._upstreams, len(self._upstreams))
        self._openai = OpenAI(entry.prompt)
        self._watch: asyncio.Task[None] | None = None
        self._tokens = self._prompt_tokens = 0

    async def start(self) -> None:
        """Look after the upstreams from now on."""
        self._watch = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self._settings.check_interval)
            await asyncio.gather(*(each.check() for each in self._upstreams))
            self._give_out()
            if not self._ready:
                self._fail_waiting(_none_answers)

    @property
    def _ready(self) -> bool:
        return self._stopping is None and any(each.available for each in self._upstreams)

    def submit(self, job: Job) -> Generation:
        """Queue a job, or join the same one where it allows that.

        Raises NotReady, and what the upstreams' dialect refuses.
        """
        if (joined := self._join(job)) is not None:
            return joined
        if not self._ready:
            raise _none_answers()
        first = next(each for each in self._upstreams if each.available)
        self._dialect(first, job).request("", job)  # for what it refuses
        decoding = Decoding(job)
        decoding.room = job.max_tokens
        return self._queue(decoding)

    def _dialect(self, upstream: Upstream, job: Job) -> Dialect:
        return upstream.conversation if job.own_prompt else upstream.dialect or self._openai

    def _free_place(self) -> Upstream | None:
        """The least busy upstream, where it has room."""
        return self._least_busy(self._settings.streams)

    def _least_busy(
        self, room: float = float("inf"), tried: Iterable[Upstream] = ()
    ) -> Upstream | None:
        """Of those that answer and have less than `room` to do; of equals the longest unasked.

        Always the first of equals would get several newcomers at once, whose prompts wait for each
        other there (bench/simulation.py). So would it where several fronts were in step, so that
        the turns are in another order in each.
        """
        able = [
            each
            for each in self._turns
            if each.available and each.active < room and each not in tried
        ]
        return min(able, key=lambda each: (each.active, each.asked), default=None)

    async def _see_through(self, call: Call[Upstream], upstream: Upstream) -> None:
        """Raises the last one's error where none could begin, or one broke off."""
        call.decoding.started = time.monotonic()
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

    async def _relay(self, call: Call[Upstream], upstream: Upstream) -> None:
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

    async def _close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._client.aclose()
