"""From a request to translations: what all the APIs that translate share."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import (
    BabelbrookError,
    CutShort,
    NotReady,
    Overloaded,
    Repetitive,
    TextTooLong,
    UnknownLanguage,
)
from engine.generation import NO_HINTS, Sampling
from engine.interface import Engine
from engine.memory.memory import Memory
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation import formats, languages, origin
from engine.translation.formats import wrapped
from engine.translation.glossaries import Glossaries
from engine.translation.glossary import Glossary
from engine.translation.origin import Note, Origin
from engine.translation.parts import Part
from engine.translation.report import Done, Matched, Untranslated
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from handlers import sse
from handlers.activity import Activity
from handlers.auth import TRANSLATE
from handlers.base import BodyHandler
from handlers.metrics import Metrics
from handlers.schemas import SamplingFields, TranslateRequest

_ALTERNATIVE_TEMPERATURE = 0.7
_SAMPLED = 200  # parts of a document
_SAMPLING_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")

_LONG = 10_000  # characters; some formats take 0.05 s for as many tags
_LOGGED = 1000  # characters of a text, where `log.texts` wants them in the access log


class Source(Protocol):
    """Text that comes piece by piece, a `Translation` above all."""

    first_text: float | None

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...

    @property
    def queue_seconds(self) -> float | None: ...

    def pieces(self) -> AsyncIterator[list[str]]: ...

    def poke(self) -> None: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Translated:
    """A whole translation and what is known about it; an empty text has no origin."""

    text: str
    origin: Origin | None = None
    notes: Sequence[Note] = ()
    done: Sequence[Done] = ()
    untranslated: Sequence[Untranslated] = ()
    matches: Sequence[Matched] = ()
    alternatives: Sequence[str] | None = None  # None where nobody asked for any


class Translating(BodyHandler):
    """A handler that begins translations, and ends them when its client leaves."""

    access = TRANSLATE
    keeps_source = False  # where a request does not say what becomes of segments that fail
    engine: Engine  # of this request's model, whatever is selected meanwhile
    outlived = False  # the translations go on when the client leaves

    def initialize(
        self,
        pool: Pool,
        settings: Settings,
        activity: Activity,
        metrics: Metrics,
        memory: Memory | None,
        glossaries: Glossaries,
    ) -> None:
        self.pool, self.config = pool, settings
        self.activity, self.metrics, self._memory = activity, metrics, memory
        self._glossaries = glossaries
        self._glossary: Glossary | None = None
        self.body_limit = settings.limits.body_bytes
        self._sources: set[Source] = set()  # those under way
        self._prompt_tokens = self._output_tokens = 0  # of those that have ended
        self._characters = self._characters_done = 0  # of all texts, and of those that have ended
        self._lengths: dict[Translation, int] = {}  # characters of those under way
        self._target_lang: str | None = None  # once a translation has begun

    def on_connection_close(self) -> None:
        """The client has left: free its sequences at the next decode step."""
        super().on_connection_close()
        if not self.outlived:
            self.cancel()

    def cancel(self) -> None:
        """End the translations; the handler goes on behind them."""
        for source in list(self._sources):
            source.cancel()

    def check_size(self, texts: list[str]) -> None:
        """Raises TextTooLong for too many texts, or too long ones."""
        limits = self.config.limits
        if len(texts) > limits.texts:
            raise TextTooLong(
                f"The list holds more than {limits.texts:,} texts. Send fewer at a time."
            )
        if sum(len(text.encode()) for text in texts) > limits.text_bytes:
            raise TextTooLong(
                f"The text is longer than {limits.text_bytes:,} bytes. Send it in parts."
            )
        self._characters = sum(map(len, texts))

    async def check(self, request: TranslateRequest) -> None:
        """Before anything is begun. Raises what is wrong, NotReady and Overloaded."""
        source, target = self._languages(request)
        formats.named(request.format)
        self.check_room()
        if source is None:
            await origin.prepare(self.engine.entry)
        if isinstance(request.glossary, str):
            self._glossary = await asyncio.to_thread(
                self._glossaries.glossary, request.glossary, source, target
            )
        else:
            self._glossary = request.glossary

    def check_room(self) -> None:
        """Raises NotReady and Overloaded."""
        status = self.engine.status()
        if not status.ready:
            raise NotReady(status.failure or "No model is ready to answer yet.")
        if status.queued >= self.config.limits.queue:
            raise Overloaded("Too many requests wait already.", status.wait_seconds)

    async def take_apart(self, request: TranslateRequest, text: str) -> Iterable[Part]:
        """The parts of a document, a long one's found without holding others up.

        Raises BadRequest for what is not of the request's format.
        """
        if request.format == "text" or len(text) < _LONG:
            return _parts(request, text)
        return await asyncio.to_thread(_begun, request, text)

    def begin(
        self,
        request: TranslateRequest,
        text: str,
        unread: int | None = None,
        parts: Iterable[Part] | None = None,
    ) -> Translation:
        """Start on one text; it pauses while the reader is `unread` bytes behind.

        `parts` are those of the text where they are known already.

        Raises UnknownLanguage and what the prompt form refuses.
        """
        if self.config.log.texts:
            self.log_fields.setdefault("text", text[:_LOGGED])
        sample = text
        if parts is None:
            parts = _parts(request, text)
        if request.format != "text":
            sample, parts = _sampled(parts)
        source_lang, self._target_lang = self._languages(request)
        translation = Translation(
            self.engine,
            TranslationRequest(
                parts=parts,
                origin=self._origin(source_lang, self._target_lang, sample),
                target_lang=self._target_lang,
                unit="paragraph" if request.split_sentences == "0" else None,
                hints=request.hints if self.engine.entry.prompt.carries_hints else NO_HINTS,
                earlier=self.config.translation.earlier_segments,
                glossary=self._glossary,
                sampling=self.sampling(request),
                max_tokens=request.max_tokens,
                ignore_eos=request.ignore_eos,
                client=self.client,
                shared=request.cache,
                memory=self._memory if request.cache else None,
                matches=request.matches,
                matches_in_prompts=self.config.memory.in_prompts,
                unread=unread,
                keep_source=self._keeps_source(request),
                report=self.reports(request),
            ),
            self.config.engine.lookahead,
        )
        self.keep(translation)
        self._lengths[translation] = len(text)
        return translation

    def _keeps_source(self, request: TranslateRequest) -> bool:
        wish = request.on_failure
        return self.keeps_source if wish is None else wish == "keep_source"

    def reports(self, request: TranslateRequest) -> bool:
        """Whether the answer tells what seems wrong with it, and where its segments are."""
        return False

    def keep(self, source: Source) -> None:
        """From now on it is ended with the connection, and counts for the usage."""
        self._sources.add(source)

    def end(self, source: Source) -> None:
        """Stop a source where it still runs, and add up what it took."""
        source.cancel()
        if source not in self._sources:
            return
        self._sources.remove(source)
        if isinstance(source, Translation):
            self._characters_done += self._lengths.pop(source)
            if source.untranslated:
                kept = self.log_fields.get("untranslated", 0)
                self.log_fields["untranslated"] = kept + len(source.untranslated)
        if source.first_text is not None and "ttft_ms" not in self.log_fields:
            self.log_fields["ttft_ms"] = round((source.first_text - self.begun) * 1000, 1)
        self._prompt_tokens += source.prompt_tokens
        self._output_tokens += source.output_tokens
        self.charge(source.prompt_tokens + source.output_tokens)

    def end_all(self) -> None:
        """Stop what still runs."""
        for source in list(self._sources):
            self.end(source)

    def _origin(self, source: str | None, target: str, text: str) -> Origin:
        if source is None:
            return origin.detected(text, self.engine.entry, target)
        return origin.named(source, target)

    def _languages(self, request: TranslateRequest) -> tuple[str | None, str]:
        """The model's codes of both; None for a source that is to be detected."""
        entry, defaults = self.engine.entry, self.config.translation
        target = defaults.target_lang if request.target_lang is None else request.target_lang
        source = defaults.source_lang if request.source_lang is None else request.source_lang
        for name, value in (("target_lang", target), ("source_lang", source)):
            if not isinstance(value, str):
                known = entry.target_langs if name == "target_lang" else entry.source_langs
                raise UnknownLanguage(f"'{name}' must be a string, one of {', '.join(known)}.")
        detect = source.lower() == "auto"
        code = None if detect else languages.choose(source, entry.source_langs)
        target_code = self._target(request, target)
        if code is not None:
            entry.require_pair(code, target_code)
        return code, target_code

    def _target(self, request: TranslateRequest, target: str) -> str:
        entry = self.engine.entry
        try:
            return languages.choose(target, entry.target_langs)
        except UnknownLanguage:
            if request.target_lang is not None:
                raise
            raise UnknownLanguage(
                f"{entry.name} does not translate into {target}, the default: name a 'target_lang'"
                f" of {', '.join(entry.target_langs)}."
            ) from None

    def sampling(self, request: SamplingFields) -> Sampling:
        """The request's own fields before what the model's makers recommend."""
        recommended = self.engine.entry.sampling
        fields: dict[str, Any] = {}
        for name in _SAMPLING_FIELDS:
            own = getattr(request, name)
            fields[name] = getattr(recommended, name) if own is None else own
        return Sampling(seed=request.seed, **fields)

    def without_effect(self, request: TranslateRequest) -> list[str]:
        """Options that the model's prompt has no place for, or that the settings do not allow."""
        memory = self._memory if request.cache else None
        names = []
        if request.matches and (memory is None or memory.similar is None):
            names.append("matches")
        if self.engine.entry.prompt.carries_hints:
            return names
        names += [n for n in ("formality", "context", "instructions") if getattr(request.hints, n)]
        return names + (["glossary"] if request.glossary else [])

    def progress(self) -> dict[str, Any]:
        """How far it is, for the dashboard; nothing of the text itself."""
        live = self._sources
        done = self._characters_done + sum(each.position for each in self._lengths)
        return {
            "target_lang": self._target_lang,
            "characters": self._characters,
            "progress": round(min(1.0, done / self._characters), 3) if self._characters else 0.0,
            "tokens": self._output_tokens + sum(each.output_tokens for each in live),
        }

    def usage(self) -> dict[str, int]:
        """Tokens so far, also put into the access log."""
        live = self._sources
        usage = {
            "prompt_tokens": self._prompt_tokens + sum(each.prompt_tokens for each in live),
            "output_tokens": self._output_tokens + sum(each.output_tokens for each in live),
        }
        self.log_fields["prompt_tokens"] = usage["prompt_tokens"]
        self.log_fields["tokens"] = usage["output_tokens"]
        return usage

    async def translate_all(self, request: TranslateRequest, texts: list[str]) -> list[Translated]:
        """Texts of a list go side by side, as many at a time as segments of one text would."""
        results = [Translated("")] * len(texts)
        turns = iter(enumerate(texts))

        async def work() -> None:
            for index, text in turns:
                if text and not self.aborted:
                    results[index] = await self._translate_one(request, text)

        workers = min(self.config.engine.lookahead, len(texts))
        tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
        finally:  # one has failed: end the others
            for task in tasks:
                task.cancel()
            self.end_all()
        return results

    async def _translate_one(self, request: TranslateRequest, text: str) -> Translated:
        translation = self.begin(request, text, parts=await self.take_apart(request, text))
        try:
            whole = await translation.joined()
        finally:
            self.end(translation)
        others = await self._alternatives(request, text, whole) if request.alternatives else None
        return Translated(
            whole,
            translation.origin,
            translation.notes,
            translation.done,
            translation.untranslated,
            translation.matches,
            others,
        )

    async def _alternatives(self, request: TranslateRequest, text: str, first: str) -> list[str]:
        """Up to so many translations that differ from the first and each other."""
        warmth = max(_ALTERNATIVE_TEMPERATURE, self.sampling(request).temperature)
        own = {
            "alternatives": 0,
            "matches": 0,
            "temperature": warmth,
            "cache": False,
            "on_failure": "error",
        }
        wanted = [
            request.model_copy(update={**own, "seed": seed}) for seed in range(request.alternatives)
        ]
        found = await asyncio.gather(*(self._alternative(each, text) for each in wanted))
        return [other for other in dict.fromkeys(found) if other not in (None, first)]

    async def _alternative(self, request: TranslateRequest, text: str) -> str | None:
        try:
            return (await self._translate_one(request, text)).text
        except (CutShort, Repetitive):  # that is the risk of a temperature
            return None


def _parts(request: TranslateRequest, text: str) -> Iterable[Part]:
    if request.format == "text" and request.split_sentences != "1":
        return wrapped.parts(text)
    return formats.parts(request.format, text, frozenset(request.ignore_tags or ()))


def _begun(request: TranslateRequest, text: str) -> Iterable[Part]:
    """The same, with as many of them found already as are looked at before anything else."""
    rest = iter(_parts(request, text))
    return itertools.chain(list(itertools.islice(rest, _SAMPLED)), rest)


def _sampled(parts: Iterable[Part]) -> tuple[str, Iterable[Part]]:
    """Some of the text that a reader sees, to tell its language by, and all the parts."""
    rest = iter(parts)
    head = list(itertools.islice(rest, _SAMPLED))
    return "\n".join(part.text for part in head if part.text), itertools.chain(head, rest)


class TextStreaming(Translating):
    """A handler that sends text as it comes."""

    def initialize(self, **shared: Any) -> None:  # type: ignore[override]
        super().initialize(**shared)
        self._first_text: float | None = None
        self._last_text = 0.0

    def event_stream(self) -> sse.EventStream:
        """The one writer of this answer."""
        streams = self.config.streams
        return sse.EventStream(
            self,
            heartbeat=streams.heartbeat,
            stall_timeout=streams.stall_timeout,
            unread_bytes=self.unread_bytes,
        )

    @property
    def unread_bytes(self) -> int:
        """Bytes that a reader may be behind in the engine, and as many in the kernel."""
        return self.config.streams.unread_bytes // 2

    def told(self, failure: Exception) -> BabelbrookError:
        """What a client is told of a failure, which is logged."""
        if not isinstance(failure, BabelbrookError):
            self.log_exception(type(failure), failure, failure.__traceback__)
            failure = BabelbrookError("The translation failed. Please try again.")
        self.log_fields["error"] = failure.code
        return failure

    def failure_frame(self, failure: BabelbrookError) -> str:
        """The event that ends a failed stream."""
        return sse.error(failure)

    def observe(self, source: Source) -> None:
        """New text is about to be sent: measure when it came."""
        now = time.monotonic()
        if self._first_text is None:
            self._first_text = now
            self.metrics.ttft.observe(now - self.begun)
            if (waited := source.queue_seconds) is not None:
                self.metrics.queue.observe(waited)
        else:
            self.metrics.token_gap.observe(now - self._last_text)
        self._last_text = now
