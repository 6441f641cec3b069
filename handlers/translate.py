"""`POST /translate` and `POST /translate/stream`."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from engine.errors import (
    BabelbrookError,
    BadRequest,
    NotReady,
    Overloaded,
    TextTooLong,
    UnknownLanguage,
)
from engine.generation import Sampling
from engine.interface import Engine
from engine.settings import Settings
from engine.translation import languages
from engine.translation.translator import Translation, TranslationRequest
from handlers import sse
from handlers.activity import Activity
from handlers.base import BaseHandler
from handlers.metrics import Metrics
from handlers.schemas import TranslateRequest, parse_translate

_SAMPLING_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")


class UnknownModel(BabelbrookError):
    """The request names a model that is not the one that runs."""

    status = 404
    code = "unknown_model"


class _TranslateBase(BaseHandler):
    """From a body to translations; what both endpoints share."""

    def initialize(
        self, engine: Engine, settings: Settings, activity: Activity, metrics: Metrics
    ) -> None:
        self.engine, self.config = engine, settings
        self.activity, self.metrics = activity, metrics
        self._translations: list[Translation] = []

    def on_connection_close(self) -> None:
        """The client has left: free its sequences at the next decode step."""
        super().on_connection_close()
        for translation in self._translations:
            translation.cancel()

    def read_request(self) -> tuple[TranslateRequest, list[str]]:
        """Parse and check the body. Raises BadRequest, UnknownModel, TextTooLong, NotReady."""
        request, ignored = parse_translate(self.json_object())
        texts = [request.text] if isinstance(request.text, str) else request.text
        limit = self.config.limits.text_bytes
        if sum(len(text.encode()) for text in texts) > limit:
            raise TextTooLong(f"The text is longer than {limit:,} bytes. Send it in parts.")
        if request.model not in (None, self.engine.entry.name):
            raise UnknownModel(
                f"There is no model '{request.model[:100]}' here; it is"
                f" '{self.engine.entry.name}' that runs."
            )
        status = self.engine.status()
        if not status.ready:
            raise NotReady("No model is ready to answer yet.")
        if status.queued >= self.config.limits.queue:
            raise Overloaded("Too many requests wait already.", status.wait_seconds)
        return request, ignored

    def begin(self, request: TranslateRequest, text: str) -> Translation:
        """Start on one text. Raises UnknownLanguage and what the prompt form refuses."""
        source, target = self._languages(request)
        translation = Translation(
            self.engine,
            TranslationRequest(
                text=text,
                source_lang=source,
                target_lang=target,
                sampling=self._sampling(request),
                max_tokens=request.max_tokens,
                ignore_eos=request.ignore_eos,
                client=self.request.remote_ip or "",
                shared=request.cache,
            ),
            self.config.engine.lookahead,
        )
        self._translations.append(translation)
        return translation

    def _languages(self, request: TranslateRequest) -> tuple[str | None, str]:
        entry, defaults = self.engine.entry, self.config.translation
        target = defaults.target_lang if request.target_lang is None else request.target_lang
        source = defaults.source_lang if request.source_lang is None else request.source_lang
        for name, value in (("target_lang", target), ("source_lang", source)):
            if not isinstance(value, str):
                known = entry.target_langs if name == "target_lang" else entry.source_langs
                raise UnknownLanguage(f"'{name}' must be a string, one of {', '.join(known)}.")
        if source.lower() == "auto":
            known = entry.source_langs
            source_code = known[0] if len(known) == 1 else None
        else:
            source_code = languages.choose(source, entry.source_langs)
        return source_code, languages.choose(target, entry.target_langs)

    def _sampling(self, request: TranslateRequest) -> Sampling:
        """The request's own fields before what the model's makers recommend."""
        recommended = self.engine.entry.sampling
        fields: dict[str, Any] = {}
        for name in _SAMPLING_FIELDS:
            own = getattr(request, name)
            fields[name] = getattr(recommended, name) if own is None else own
        return Sampling(seed=request.seed, **fields)

    def note_usage(self, first_text: float | None, begun: float) -> dict[str, int]:
        """Put tokens and times into the access log; returns the usage."""
        usage = {
            "prompt_tokens": sum(t.prompt_tokens for t in self._translations),
            "output_tokens": sum(t.output_tokens for t in self._translations),
        }
        self.log_fields |= {
            "prompt_tokens": usage["prompt_tokens"],
            "tokens": usage["output_tokens"],
        }
        if first_text is not None:
            self.log_fields["ttft_ms"] = round((first_text - begun) * 1000, 1)
        return usage


class TranslateHandler(_TranslateBase):
    """The whole translation as JSON; a list of texts gives a list in the same order."""

    async def post(self) -> None:
        with self.activity.request():
            begun = time.monotonic()
            request, ignored = self.read_request()
            texts = [request.text] if isinstance(request.text, str) else request.text
            results = await self._translate_all(request, texts)
            if self.aborted:
                return
            answer: dict[str, Any] = {
                "translation": results[0] if isinstance(request.text, str) else results,
                "usage": self.note_usage(None, begun),
            }
            if ignored:
                answer["ignored"] = ignored
            self.write_json(answer)

    async def _translate_all(self, request: TranslateRequest, texts: list[str]) -> list[str]:
        """Texts of a list go side by side, as many at a time as segments of one text would."""
        slots = asyncio.Semaphore(self.config.engine.lookahead)

        async def one(text: str) -> str:
            async with slots:
                return "" if self.aborted else await self.begin(request, text).joined()

        tasks = [asyncio.ensure_future(one(text)) for text in texts]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            for translation in self._translations:
                translation.cancel()
            raise


class TranslateStreamHandler(_TranslateBase):
    """The translation token by token, in the reference wire format."""

    async def post(self) -> None:
        with self.activity.request():
            self._begun = time.monotonic()
            request, _ = self.read_request()
            if not isinstance(request.text, str):
                raise BadRequest("'text' must be one string here; POST /translate takes a list.")
            translation = self.begin(request, request.text)
            streams = self.config.streams
            stream = sse.EventStream(
                self, heartbeat=streams.heartbeat, stall_timeout=streams.stall_timeout
            )
            stream.open()
            try:
                await self._send(stream, translation, request)
            except sse.ReaderGone:
                self.aborted = True
            finally:
                translation.cancel()
                self.note_usage(self._first_text, self._begun)
        await self._end()

    _first_text: float | None = None
    _last_text = 0.0

    async def _send(
        self, stream: sse.EventStream, translation: Translation, request: TranslateRequest
    ) -> None:
        try:
            await stream.run(translation.pieces(), translation.poke, self._observe)
        except BabelbrookError as failure:
            await self._fail(stream, failure)
            return
        except sse.ReaderGone:
            raise
        except Exception:
            # The headers are out: an error event is the only answer left.
            self.log_exception(*sys.exc_info())
            await self._fail(stream, BabelbrookError("The translation failed. Please try again."))
            return
        frames = [sse.DONE]
        if request.stream_options and request.stream_options.usage:
            usage = self.note_usage(self._first_text, self._begun)
            frames.insert(0, sse.event("usage", usage))
        await stream.send(frames)

    async def _fail(self, stream: sse.EventStream, failure: BabelbrookError) -> None:
        self.log_fields["error"] = failure.code
        await stream.send([sse.error(failure)])

    def _observe(self, texts: list[str]) -> None:
        now = time.monotonic()
        if self._first_text is None:
            self._first_text = now
            self.metrics.ttft.observe(now - self._begun)
            if (waited := self._translations[0].queue_seconds) is not None:
                self.metrics.queue.observe(waited)
        else:
            self.metrics.token_gap.observe(now - self._last_text)
        self._last_text = now

    async def _end(self) -> None:
        """Finish; an HTTP/1.0 client learns the end of a stream from the end of the connection."""
        if self.aborted:
            return
        await self.finish()
        connection_stream = getattr(self.request.connection, "stream", None)
        if self.request.version == "HTTP/1.0" and connection_stream is not None:
            connection_stream.close()
