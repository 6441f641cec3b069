"""The local engine: a GGUF model in this process, decoded on one thread of its own."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor

from tornado.ioloop import IOLoop

from engine.errors import BabelbrookError, ModelError, NotReady
from engine.generation import Generation, Job
from engine.interface import EngineStatus
from engine.llama import sizing
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model
from engine.llama.scheduler import News, Scheduler
from engine.models.catalogue import ModelEntry
from engine.settings import Engine as EngineSettings
from engine.translation.prompts import ChatTemplate, PromptForm

logger = logging.getLogger("babelbrook.engine")


class LocalEngine:
    """llama.cpp behind the engine interface (see `engine.interface.Engine`)."""

    def __init__(self, entry: ModelEntry, settings: EngineSettings) -> None:
        self.entry = entry
        self._settings = settings
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._model: Model | None = None
        self._size: ContextSize | None = None
        self._form: PromptForm | None = None
        self._scheduler: Scheduler | None = None
        self._run: Future[None] | None = None
        self._around: dict[tuple[str | None, str], tuple[list[int], list[int]]] = {}
        self._loop: IOLoop | None = None

    async def start(self) -> None:
        """Load the model on the decode thread and begin to decode. Raises ModelError."""
        self._loop = IOLoop.current()
        await asyncio.get_running_loop().run_in_executor(self._executor, self._load)
        self._run = self._executor.submit(self._decode)

    def _load(self) -> None:
        model = Model(self.entry.file, n_gpu_layers=self._settings.n_gpu_layers)
        try:
            template = model.chat_template
            chat = ChatTemplate(template, model.bos_text, model.eos_text) if template else None
            self._form = PromptForm(self.entry.prompt, chat)
            self._size = size = sizing.choose(model, self._settings)
            self._scheduler = Scheduler(model, lambda: Context(model, size), self._hand_over)
        except ModelError:
            model.close()
            raise
        self._model = model

    def _decode(self) -> None:
        """What the executor's thread does from the start to the stop."""
        assert self._scheduler is not None and self._model is not None
        try:
            self._scheduler.run()
        finally:
            self._model.close()

    def _hand_over(self, news: list[News]) -> None:
        # A closed loop drops callbacks in silence, so nothing ever waits for this one.
        assert self._loop is not None
        self._loop.add_callback(_feed, news)

    def submit(self, job: Job) -> Generation:
        """Queue a job. Raises NotReady, BadRequest for the prompt, ModelError for a broken form."""
        scheduler = self._scheduler
        if scheduler is None or scheduler.ended or self._run is None:
            raise NotReady("No model is ready to answer yet.")
        before, after = self._tokens_around(job.source_lang, job.target_lang)
        prompt = [*before, *self._tokens(job.text), *after]
        assert self._size is not None
        if len(prompt) >= self._size.context:
            raise ModelError(
                f"A segment of {len(prompt)} tokens does not fit a sequence of {self._size.context}."
            )
        generation = Generation(job)
        generation.prompt_tokens = len(prompt)
        scheduler.submit(generation, prompt, job.max_tokens)
        return generation

    def _tokens(self, text: str) -> list[int]:
        assert self._model is not None
        return self._model.tokenize(text, special=False)

    def _tokens_around(self, source: str | None, target: str) -> tuple[list[int], list[int]]:
        """The prompt's tokens before and after the text; the same for every text of a pair."""
        key = (source, target)
        if key not in self._around:
            assert self._model is not None and self._form is not None
            before, after = self._form.around(source, target)
            bos, model = self._model.bos, self._model
            # Some chat templates spell the BOS token themselves; it must not come twice.
            add_bos = bos is not None and not before.startswith(model.bos_text or "\0")
            head = ([bos] if add_bos and bos is not None else []) + model.tokenize(before, special=True)
            self._around[key] = head, model.tokenize(after, special=True)
        return self._around[key]

    def fits(self, text: str, source_lang: str | None, target_lang: str) -> bool:
        """Whether the prompt for a segment leaves half of the sequence to its translation."""
        if self._size is None:
            raise NotReady("No model is ready to answer yet.")
        half = self._size.context // 2
        if len(text) > half * 16:  # no need to tokenise what cannot fit: no piece is longer
            return False
        before, after = self._tokens_around(source_lang, target_lang)
        return len(before) + len(self._tokens(text)) + len(after) <= half

    def status(self) -> EngineStatus:
        """The present reading."""
        scheduler, size = self._scheduler, self._size
        if scheduler is None or size is None:
            return EngineStatus(ready=False)
        running = scheduler.running
        return EngineStatus(
            ready=self._run is not None and not scheduler.ended,
            running=running,
            queued=scheduler.queued,
            sequences_used=running,
            sequences=size.sequences,
            kv_used=scheduler.kv_used,
            kv_size=size.sequences * size.context,
            tokens=scheduler.tokens,
            prompt_tokens=scheduler.prompt_tokens,
            steps=scheduler.steps,
        )

    def describe(self) -> str:
        """What runs and with what sizes."""
        if self._size is None or self._model is None:
            return f"model {self.entry.name} (not loaded)"
        size, millions = self._size, self._model.parameters / 1e6
        return (
            f"model {self.entry.name} ({millions:,.1f} M parameters), context {size.context},"
            f" sequences {size.sequences}, threads {size.threads}"
        )

    def stop(self) -> None:
        """End what runs and free the model, on the decode thread; returns at once."""
        if self._scheduler is not None:
            self._scheduler.stop()
        self._executor.shutdown(wait=False)

    @property
    def stopped(self) -> bool:
        """True when the decode thread has come back (or was never started)."""
        return self._run is None or self._run.done()


def _feed(news: list[News]) -> None:
    for generation, text, tokens, finish in news:
        if isinstance(finish, BabelbrookError):
            generation.fail(finish)
        else:
            generation.feed(text, tokens, finish)
