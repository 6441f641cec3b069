"""The local engine: a GGUF model in this process, decoded on one thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tornado.ioloop import IOLoop

from engine.chat.conversation import ChatForm, Message
from engine.errors import (
    BabelbrookError,
    BadRequest,
    ModelError,
    NotReady,
    PromptTooLong,
    ShuttingDown,
)
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job, PromptPart
from engine.interface import EngineStatus, Reason
from engine.llama import sizing
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model, open_model
from engine.llama.scheduler import News, Scheduler
from engine.llama.threads import Crew, fastest
from engine.models.catalogue import ModelEntry
from engine.settings import Engine as EngineSettings
from engine.sharing import UnderWay
from engine.translation.prompts import ChatTemplate, PromptForm

logger = logging.getLogger("babelbrook.engine")


_Asked = tuple[str | None, str, Hints]  # languages and hints
_MOST_ASKED = 128  # prompts whose tokens are kept; without hints there is one for a pair


@dataclass(slots=True)
class _Loaded:
    """A model with all that answers by it."""

    model: Model
    form: PromptForm
    chat: ChatForm | None
    size: ContextSize
    scheduler: Scheduler
    measured: tuple[tuple[str, _Asked], list[int]] | None = None  # see `measure`
    around: dict[_Asked, tuple[list[int], list[int]]] = field(default_factory=dict)
    under_way: UnderWay = field(default_factory=UnderWay)

    def tokens_around(self, asked: _Asked) -> tuple[list[int], list[int]]:
        """The prompt's tokens before and after the text; the same for every text that is asked so.

        What a user gave (hints) is tokenised as the text is, without control tokens.
        """
        if asked not in self.around:
            if len(self.around) >= _MOST_ASKED:
                self.around.clear()
            before, after = self.form.parts(*asked)
            head = self._opened(self._tokenize(before))
            self.around[asked] = head, self.model.tokenize(after, special=True)
        return self.around[asked]

    def _opened(self, tokens: list[int]) -> list[int]:
        """With BOS, which some chat templates spell themselves; it must not come twice."""
        bos = self.model.bos
        return tokens if bos is None or tokens[:1] == [bos] else [bos, *tokens]

    def _tokenize(self, parts: Sequence[PromptPart]) -> list[int]:
        tokens: list[int] = []
        for part in parts:
            tokens += self.model.tokenize(part.text, special=part.trusted)
        return tokens

    def tokens_of(self, parts: Sequence[PromptPart]) -> list[int]:
        """The tokens of a prompt as it is. Raises PromptTooLong."""
        context = self.size.context
        # Spares the work: hardly any token is longer.
        if sum(len(part.text) for part in parts) <= context * 16:
            tokens = self._opened(self._tokenize(parts))
            if len(tokens) < context:
                return tokens
        raise PromptTooLong(f"The prompt is longer than the {context} tokens of a sequence.")

    def prompt(self, text: str, asked: _Asked) -> list[int]:
        """The tokens of the whole prompt for a text."""
        before, after = self.tokens_around(asked)
        inner = self.model.tokenize(text, special=False) if text else []
        return [*before, *inner, *after]

    def measure(self, text: str, asked: _Asked) -> int:
        """How many tokens the prompt has; it is kept for `take`, since most are submitted next."""
        tokens = self.prompt(text, asked)
        self.measured = (text, asked), tokens
        return len(tokens)

    def take(self, job: Job) -> list[int]:
        """The tokens of a job's prompt, for the caller to keep. Raises PromptTooLong."""
        if job.prompt:
            return self.tokens_of(job.prompt)
        key = job.text, (job.source_lang, job.target_lang, job.hints)
        measured = self.measured
        if measured is not None and measured[0] == key:
            self.measured = None
            return measured[1]
        return self.prompt(*key)

    def beginning(self, job: Job) -> list[int]:
        """The tokens of what a job's answer begins with."""
        return self.model.tokenize(job.answer, special=False) if job.answer else []


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
            template = model.chat_template
            chat = ChatTemplate(template, model.bos_text, model.eos_text) if template else None
            form = PromptForm(self.entry.prompt, chat)
            chat_form = ChatForm(chat) if chat and self.entry.prompt.chat else None
            size = sizing.choose(model, self._settings)
            crew = self._crew(model, size)
            scheduler = Scheduler(model, lambda: Context(model, size), self._hand_over, crew)
        except BaseException:
            model.close()
            raise
        return _Loaded(model, form, chat_form, size, scheduler)

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
        beginning = loaded.beginning(job)
        prompt, context = loaded.take(job) + beginning, loaded.size.context
        if len(prompt) >= context:
            raise ModelError(f"{len(prompt)} tokens do not fit a sequence of {context}.")
        decoding = Decoding(job)
        decoding.prompt_tokens, decoding.answer_tokens = len(prompt), len(beginning)
        room = context - len(prompt)
        decoding.room = room if job.max_tokens is None else min(room, job.max_tokens)
        decoding.on_cancel = decoding.on_resume = loaded.scheduler.note_change
        generation = decoding.join(job.unread)
        loaded.under_way.add(decoding)
        loaded.scheduler.submit(decoding, prompt, job.max_tokens)
        if loaded.scheduler.ended:  # it may have ended since, and then nobody took the job
            decoding.fail(self._not_ready())
        return generation

    async def compose(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt for a conversation. Raises BadRequest where the model cannot have it."""
        chat = self._ready().chat
        if chat is None:
            raise BadRequest(f"The model {self.entry.name} has no chat form; it translates.")
        return await chat.prompt(messages)

    def fits(
        self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
    ) -> bool:
        """Whether the prompt for a segment leaves half of the sequence to its translation."""
        loaded = self._ready()
        half = loaded.size.context // 2
        if len(text) > half * 16:  # spares the work: hardly any token is longer
            return False
        return loaded.measure(text, (source_lang, target_lang, hints)) <= half

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
