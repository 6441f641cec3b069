"""The local engine: a GGUF model in this process, decoded on one thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tornado.ioloop import IOLoop

from engine.chat.conversation import Message
from engine.errors import BabelbrookError, BadRequest, NotReady, ShuttingDown
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus, Reason
from engine.llama import sizing
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model, open_model
from engine.llama.scheduler import News, Scheduler
from engine.llama.threads import Crew, fastest
from engine.llama.tokens import PromptTokens
from engine.models.catalogue import ModelEntry
from engine.settings import Engine as EngineSettings
from engine.sharing import UnderWay

logger = logging.getLogger("babelbrook.engine")


@dataclass(slots=True)
class _Loaded:
    """A model with all that answers by it."""

    model: Model
    tokens: PromptTokens
    size: ContextSize
    scheduler: Scheduler
    under_way: UnderWay = field(default_factory=UnderWay)


class LocalEngine:
    """llama.cpp behind the engine interface (see `engine.interface.Engine`)."""

    def __init__(self, entry: ModelEntry, settings: EngineSettings) -> None:
        self.entry = entry
        if entry.context is not None and settings.context == "auto":
            settings = settings.model_copy(update={"context": entry.context})
        self._settings = settings
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._loop = IOLoop.current()
        self._loaded: _Loaded | None = None
        self._run: Future[None] | None = None
        self._stopping: Reason | None = None  # why, once it is so

    async def start(self) -> None:
        """Load the model on the decode thread and begin to decode. Raises ModelError."""
        loop = asyncio.get_running_loop()
        self._loaded = loaded = await loop.run_in_executor(self._executor, self._load)
        self._run = self._executor.submit(_decode, loaded)

    def _load(self) -> _Loaded:
        model = open_model(self.entry.file, self._settings)
        try:
            size = sizing.choose(model, self._settings)
            tokens = PromptTokens(model, self.entry.prompt, size.context)
            crew = self._crew(model, size)
            scheduler = Scheduler(model, lambda: Context(model, size), self._hand_over, crew)
        except BaseException:
            model.close()
            raise
        return _Loaded(model, tokens, size, scheduler)

    def _crew(self, model: Model, size: ContextSize) -> Crew:
        """Where the settings leave the threads to us, those that are fastest here and now."""
        own = self._settings.prompt_threads
        prompts = None if own == "auto" else own
        if self._settings.threads != "auto":
            return Crew(size.threads, prompts=prompts)
        return Crew(fastest(model, size), most=size.threads, prompts=prompts)

    def _hand_over(self, news: list[News]) -> None:
        # A closed loop drops callbacks in silence, so nothing ever waits for this one.
        self._loop.add_callback(_deliver, news)

    def _ready(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None or loaded.scheduler.ended:
            raise self._not_ready()
        return loaded

    def _not_ready(self) -> NotReady:
        """Why nothing can be answered. A text may be between two segments when a drain ends."""
        if self._stopping is not None:
            return self._stopping()
        failure = self._loaded.scheduler.failure if self._loaded is not None else ""
        return NotReady(failure or "No model is ready to answer yet.")

    def submit(self, job: Job) -> Generation:
        """Queue a job, or join the decoding of the same one where the job allows it.

        Raises NotReady, BadRequest where the prompt needs a source language or the grammar cannot
        be used, PromptTooLong, and ModelError for a segment that does not fit (see `fits`).
        """
        loaded = self._ready()
        if (joined := loaded.under_way.join(job)) is not None:
            return joined
        decoding, prompt = loaded.tokens.prepare(job)
        decoding.on_cancel = decoding.on_resume = loaded.scheduler.note_change
        generation = decoding.join(job.unread)
        loaded.under_way.add(decoding)
        loaded.scheduler.submit(decoding, prompt, job.max_tokens)
        if loaded.scheduler.ended:  # it may have ended since, and then nobody took the job
            decoding.fail(self._not_ready())
        return generation

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt for a conversation. Raises BadRequest where the model cannot have it."""
        chat = self._ready().tokens.chat
        if chat is None:
            raise BadRequest(f"The model {self.entry.name} has no chat form; it translates.")
        return await chat.prompt(messages)

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether the prompt for a segment leaves half of the sequence to its translation."""
        return self._ready().tokens.fits(text, (source_lang, target_lang, hints))

    def status(self) -> EngineStatus:
        """The present reading."""
        if self._loaded is None:
            return EngineStatus(ready=False)
        scheduler, size = self._loaded.scheduler, self._loaded.size
        running = scheduler.running
        return EngineStatus(
            ready=not scheduler.ended,
            failure=scheduler.failure,
            running=running,
            queued=scheduler.queued,
            paused=scheduler.paused,
            sequences_used=running,
            sequences=size.sequences,
            kv_used=scheduler.kv_used,
            kv_size=size.sequences * size.context,
            tokens=scheduler.tokens,
            prompt_tokens=scheduler.prompt_tokens,
            reused_tokens=scheduler.reused_tokens,
            steps=scheduler.steps,
            decode_seconds=scheduler.decode_seconds,
            step_seconds=scheduler.step_seconds,
            wait_seconds=scheduler.service_seconds * (1 + scheduler.queued / size.sequences),
        )

    def describe(self) -> str:
        """What runs and with what sizes."""
        if self._loaded is None:
            return f"model {self.entry.name} (not loaded)"
        size, millions = self._loaded.size, self._loaded.model.parameters / 1e6
        return (
            f"model {self.entry.name} ({millions:,.1f} M parameters), context {size.context},"
            f" sequences {size.sequences}, threads {self._loaded.scheduler.threads}"
        )

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """End what runs and free the model, on the decode thread; returns at once."""
        self._stopping = self._stopping or reason
        if self._loaded is not None:
            self._loaded.scheduler.stop(reason())
        self._executor.shutdown(wait=False)

    @property
    def stopped(self) -> bool:
        """True when the decode thread has come back (or was never started)."""
        return self._run is None or self._run.done()


def _decode(loaded: _Loaded) -> None:
    """What the executor's thread does from the start to the stop."""
    try:
        loaded.scheduler.run()
    finally:
        loaded.model.close()


def _deliver(news: list[News]) -> None:
    """Runs on the event loop. What goes wrong with one decoding harms no other."""
    for each in news:
        decoding = each[0]
        if decoding.error is not None:
            continue  # text behind a gap
        try:
            _feed(*each)
        except Exception:
            logger.exception("New text could not be handed over; its stream ends with an error.")
            decoding.cancelled = True
            decoding.fail(BabelbrookError("The translation failed. Please try again."))


def _feed(decoding: Decoding, text: str, tokens: int, finish: str | BabelbrookError | None) -> None:
    if isinstance(finish, BabelbrookError):
        decoding.fail(finish)
    else:
        decoding.feed(text, tokens, finish)
