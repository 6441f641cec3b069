"""The Ray engine: jobs go to replicas of the local engine, as many of them as the load asks for.

The vocabulary of the model is here too, so texts are cut, conversations are composed and requests
are refused just as by an engine that has the weights. A job that fails before its first token goes
to another replica; afterwards it cannot be continued.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from engine.chat.conversation import Message
from engine.errors import BadRequest, ModelError, NotReady, UpstreamFailed
from engine.generation import NO_HINTS, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus, UpstreamStatus, together
from engine.llama.grammar import GrammarSampler
from engine.llama.model import Model
from engine.llama.tokens import PromptTokens
from engine.models.catalogue import Catalogue, ModelEntry
from engine.models.loading import Loader
from engine.ray.cluster import Cluster, new_number, require_ray
from engine.ray.deployment import application
from engine.ray.messages import Item, Reading
from engine.relaying import Call, Relay
from engine.settings import Settings

logger = logging.getLogger("babelbrook.ray")

_TRIES = 3
_NONE_ANSWERS = "None of the replicas answers."


def _none_answers() -> NotReady:
    return NotReady(_NONE_ANSWERS)


@dataclass(slots=True)
class _Replicas:
    """All replicas as one place: which of them gets a job, `engine.ray.routing` decides."""

    streams: int  # jobs for each
    count: int = 0
    active: int = 0

    @property
    def full(self) -> bool:
        return self.active >= self.streams * self.count


@dataclass(slots=True)
class _Tally:
    """What one replica was given and made of it."""

    outstanding: int = 0
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    first_texts: int = 0
    first_text_seconds: float = 0.0


async def connect(entry: ModelEntry, known: Catalogue, settings: Settings) -> RayEngine:
    """An engine that is not connected yet. Raises ModelError, without Ray or the model's file."""
    require_ray(settings.ray)
    if not entry.downloaded:
        raise ModelError(f"The model file {entry.file} is missing; its vocabulary is needed here.")
    await Loader(known, settings.engine).check_what_is_new(entry)
    return RayEngine(entry, settings)


class RayEngine(Relay[_Replicas]):
    """Replicas behind the engine interface (see `engine.interface.Engine`)."""

    def __init__(self, entry: ModelEntry, settings: Settings) -> None:
        super().__init__()
        self.entry = entry
        self._settings = settings.ray
        self._cluster = Cluster(settings.ray, lambda: application(entry, settings))
        self._replicas = _Replicas(settings.ray.streams)
        self._readings: list[Reading] = []
        self._tallies: dict[str, _Tally] = {}
        self._model: Model | None = None
        self._tokens: PromptTokens | None = None
        self._watch: asyncio.Task[None] | None = None
        self._look = asyncio.Event()  # at the replicas, before it is time
        self._output_tokens = self._prompt_tokens = 0

    async def start(self) -> None:
        """Connect to the cluster, and wait for replicas that answer. Raises ModelError."""
        self._model = await asyncio.to_thread(
            Model, self.entry.file, n_gpu_layers=0, vocab_only=True
        )
        await self._cluster.start()
        await self._read()
        if not self._readings:
            raise ModelError("The application runs in the cluster, but no replica of it answers.")
        other = next((r.model for r in self._readings if r.model != self.entry.name), None)
        if other is not None:
            raise ModelError(f"The replicas in the cluster run {other}, not {self.entry.name}.")
        context = min(reading.context for reading in self._readings)
        self._tokens = PromptTokens(self._model, self.entry.prompt, context)
        self._watch = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._settings.check_interval)
            self._look.clear()
            await self._read()
            self._give_out()
            if not self._ready:
                self._fail_waiting(_none_answers)

    async def _read(self) -> None:
        """Ask the replicas what they do."""
        before, readings = self._replicas.count, await self._cluster.readings()
        if readings is None:
            return
        self._readings = readings
        self._replicas.count = len(self._readings)
        here = {reading.replica for reading in self._readings}
        for name in [*self._tallies]:
            if name not in here and not self._tallies[name].outstanding:
                del self._tallies[name]
        if self._tokens is not None and self._readings:
            self._tokens.context = min(reading.context for reading in self._readings)
        if self._replicas.count != before:
            logger.info("%d replicas answer.", self._replicas.count)

    @property
    def _ready(self) -> bool:
        return self._stopping is None and self._tokens is not None and self._replicas.count > 0

    def _here(self) -> PromptTokens:
        """Raises NotReady, where nobody would answer."""
        if self._stopping is not None:
            raise self._stopping()
        if self._tokens is None or not self._ready:
            raise _none_answers()
        return self._tokens

    def submit(self, job: Job) -> Generation:
        """Queue a job, or join the same one where it allows that.

        Raises what the local engine raises.
        """
        tokens = self._here()
        if (joined := self._join(job)) is not None:
            return joined
        decoding, _ = tokens.prepare(job)
        if job.grammar is not None and self._model is not None:
            GrammarSampler(job.sampling, job.grammar, self._model).close()  # for what it refuses
        return self._queue(decoding)

    def _free_place(self) -> _Replicas | None:
        return None if self._replicas.full else self._replicas

    async def _see_through(self, call: Call[_Replicas], place: _Replicas) -> None:
        """Raises the last replica's error where none could begin, or one broke off."""
        for attempt in range(_TRIES):
            try:
                await self._relay(call, place)
                return
            except UpstreamFailed:
                self._look.set()
                if call.decoding.output_tokens or attempt == _TRIES - 1:
                    raise

    async def _relay(self, call: Call[_Replicas], place: _Replicas) -> None:
        """Hand a replica's text on, no faster than it is read."""
        decoding, number, begun = call.decoding, new_number(), time.monotonic()
        tally: _Tally | None = None
        try:
            async with aclosing(self._cluster.answer(number, decoding.job)) as items:
                async for item in items:
                    if tally is None:
                        tally = self._begin(call, item)
                    if item.pieces and not decoding.pieces:
                        tally.first_texts += 1
                        tally.first_text_seconds += time.monotonic() - begun
                    self._take(call, item)
                    if decoding.paused and item.finish is None:
                        self._cluster.hold(number, True)
                        await self._pause(call, place)
                        self._cluster.hold(number, False)
        except UpstreamFailed:
            if tally is not None:
                tally.failures["failed"] += 1
            raise
        finally:
            if tally is not None:
                tally.outstanding -= 1

    def _begin(self, call: Call[_Replicas], item: Item) -> _Tally:
        """A job has left a replica's queue."""
        decoding = call.decoding
        if decoding.started is None:
            decoding.started = time.monotonic()
            call.begun = decoding.clock()
            self._prompt_tokens += decoding.prompt_tokens
        tally = self._tallies.setdefault(item.replica, _Tally())
        tally.outstanding += 1
        tally.requests += 1
        return tally

    def _take(self, call: Call[_Replicas], item: Item) -> None:
        """Raises the error that a replica tells."""
        if item.failure is not None:
            raise item.failure.error()
        for piece in item.pieces:
            call.decoding.feed(piece, 0, None)
        self._output_tokens += item.tokens
        call.decoding.feed("", item.tokens, item.finish)

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt for a conversation. Raises BadRequest where the model cannot have it."""
        chat = self._here().chat
        if chat is None:
            raise BadRequest(f"The model {self.entry.name} has no chat form; it translates.")
        return await chat.prompt(messages)

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether the prompt for a segment leaves half of the sequence to its translation."""
        return self._here().fits(text, (source_lang, target_lang, hints))

    def status(self) -> EngineStatus:
        """The present reading; the cells of the cache and the sequences are as of the last look."""
        theirs = together(reading.status for reading in self._readings)
        paused = sum(call.decoding.paused for call in self._calls)
        begun = sum(call.decoding.started is not None for call in self._calls)
        queued = self._waiting.urgent + sum(
            call.decoding.started is None and not call.decoding.job.ahead for call in self._calls
        )
        return EngineStatus(
            ready=self._ready,
            failure="" if self._replicas.count or self._tokens is None else _NONE_ANSWERS,
            running=begun,
            queued=queued,
            paused=paused,
            sequences_used=begun - paused,
            sequences=theirs.sequences,
            kv_used=theirs.kv_used,
            kv_size=theirs.kv_size,
            tokens=self._output_tokens,
            prompt_tokens=self._prompt_tokens,
            wait_seconds=self._service_seconds * (1 + queued / max(1, theirs.sequences)),
            upstreams=tuple(self._statuses(self._readings)),
        )

    def _statuses(self, readings: Iterable[Reading]) -> Iterable[UpstreamStatus]:
        for reading in readings:
            tally = self._tallies.setdefault(reading.replica, _Tally())
            yield UpstreamStatus(
                name=reading.replica,
                ready=reading.status.ready,
                resting=False,
                outstanding=tally.outstanding,
                requests=tally.requests,
                failures=dict(tally.failures),
                first_texts=tally.first_texts,
                first_text_seconds=tally.first_text_seconds,
            )

    def describe(self) -> str:
        """What answers, for the start-up line."""
        size = together(reading.status for reading in self._readings).sequences
        return (
            f"model {self.entry.name} on {self._replicas.count} replicas in the Ray cluster at"
            f" {self._settings.address}, {size} sequences"
        )

    async def _close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._cluster.close()
        if self._model is not None:
            self._model.close()
