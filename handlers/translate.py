"""`POST /translate` and `POST /translate/stream`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation import languages
from engine.translation.translator import Translation, TranslationRequest
from handlers import sse
from handlers.activity import Activity
from handlers.base import BodyHandler
from handlers.metrics import Metrics
from handlers.presence import watched
from handlers.resume import Following, ResumableStreams
from handlers.schemas import TranslateRequest, parse_translate

_SAMPLING_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")


class _TranslateBase(BodyHandler):
    """From a body to translations; what both endpoints share."""

    engine: Engine  # of this request's model, whatever is selected meanwhile
    outlived = False  # the translations go on when the client leaves

    def initialize(
        self, pool: Pool, settings: Settings, activity: Activity, metrics: Metrics
    ) -> None:
        self.pool, self.config = pool, settings
        self.activity, self.metrics = activity, metrics
        self.body_limit = settings.limits.body_bytes
        self._translations: set[Translation] = set()  # those under way
        self._prompt_tokens = self._output_tokens = 0  # of those that have ended

    def on_connection_close(self) -> None:
        """The client has left: free its sequences at the next decode step."""
        super().on_connection_close()
        if not self.outlived:
            self.cancel()

    def cancel(self) -> None:
        """End the translations; the handler goes on behind them."""
        for translation in list(self._translations):
            translation.cancel()

    def read_request(self) -> tuple[TranslateRequest, list[str]]:
        """Parse the body. Raises what is wrong with it."""
        request, ignored = parse_translate(self.json_object())
        texts = [request.text] if isinstance(request.text, str) else request.text
        limits = self.config.limits
        if len(texts) > limits.texts:
            raise TextTooLong(
                f"The list holds more than {limits.texts:,} texts. Send fewer at a time."
            )
        if sum(len(text.encode()) for text in texts) > limits.text_bytes:
            raise TextTooLong(
                f"The text is longer than {limits.text_bytes:,} bytes. Send it in parts."
            )
        return request, ignored

    def check(self, request: TranslateRequest) -> None:
        """Before anything is begun. Raises UnknownLanguage, NotReady and Overloaded."""
        self._languages(request)
        status = self.engine.status()
        if not status.ready:
            raise NotReady("No model is ready to answer yet.")
        if status.queued >= self.config.limits.queue:
            raise Overloaded("Too many requests wait already.", status.wait_seconds)

    def begin(self, request: TranslateRequest, text: str, unread: int | None = None) -> Translation:
        """Start on one text; it pauses while the reader is `unread` bytes behind.

        Raises UnknownLanguage and what the prompt form refuses.
        """
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
                unread=unread,
            ),
            self.config.engine.lookahead,
        )
        self._translations.add(translation)
        return translation

    def end(self, translation: Translation) -> None:
        """Stop a translation where it still runs, and add up what it took."""
        translation.cancel()
        if translation not in self._translations:
            return
        self._translations.remove(translation)
        if translation.first_text is not None and "ttft_ms" not in self.log_fields:
            self.log_fields["ttft_ms"] = round((translation.first_text - self.begun) * 1000, 1)
        self._prompt_tokens += translation.prompt_tokens
        self._output_tokens += translation.output_tokens

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

    def usage(self) -> dict[str, int]:
        """Tokens so far, also put into the access log."""
        live = self._translations
        usage = {
            "prompt_tokens": self._prompt_tokens + sum(t.prompt_tokens for t in live),
            "output_tokens": self._output_tokens + sum(t.output_tokens for t in live),
        }
        self.log_fields["prompt_tokens"] = usage["prompt_tokens"]
        self.log_fields["tokens"] = usage["output_tokens"]
        return usage


class TranslateHandler(_TranslateBase):
    """The whole translation as JSON; a list of texts gives a list in the same order."""

    async def post(self) -> None:
        with self.activity.request(self.cancel):
            request, ignored = self.read_request()
            texts = [request.text] if isinstance(request.text, str) else request.text
            async with self.pool.lease(request.model) as self.engine:
                self.check(request)
                with watched(self):
                    results = await self._translate_all(request, texts)
            if self.aborted:
                return
            self.activity.go_on()
            answer: dict[str, Any] = {
                "translation": results[0] if isinstance(request.text, str) else results,
                "usage": self.usage(),
            }
            if ignored:
                answer["ignored"] = ignored
            self.write_json(answer)
            await self.finish_within(self.config.streams.stall_timeout)

    async def _translate_all(self, request: TranslateRequest, texts: list[str]) -> list[str]:
        """Texts of a list go side by side, as many at a time as segments of one text would."""
        results = [""] * len(texts)
        turns = iter(enumerate(texts))

        async def work() -> None:
            for index, text in turns:
                if text and not self.aborted:
                    results[index] = await self._translate(request, text)

        workers = min(self.config.engine.lookahead, len(texts))
        tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
        finally:  # one has failed: end the others
            for task in tasks:
                task.cancel()
            for translation in list(self._translations):
                self.end(translation)
        return results

    async def _translate(self, request: TranslateRequest, text: str) -> str:
        translation = self.begin(request, text)
        try:
            return await translation.joined()
        finally:
            self.end(translation)


class TranslateStreamHandler(_TranslateBase, Following):
    """The translation token by token, in the reference wire format."""

    def initialize(self, streams: ResumableStreams, **shared: Any) -> None:  # type: ignore[override]
        super().initialize(**shared)
        self._streams = streams
        self._first_text: float | None = None
        self._last_text = 0.0

    async def post(self) -> None:
        with self.activity.request(self.cancel):
            request, _ = self.read_request()
            async with AsyncExitStack() as held:
                self.engine = await held.enter_async_context(self.pool.lease(request.model))
                self.check(request)
                if not isinstance(request.text, str):
                    raise BadRequest("'text' must be one string here; POST /translate takes lists.")
                if request.stream_options and request.stream_options.resume:
                    await self._stream_resumable(request, request.text, held)
                else:
                    await self._stream(request, request.text)
            await self.end_stream(self.config.streams.stall_timeout)

    async def _stream(self, request: TranslateRequest, text: str) -> None:
        """A stream that ends with its connection."""
        streams = self.config.streams
        unread = streams.unread_bytes // 2
        translation = self.begin(request, text, unread)
        stream = sse.EventStream(
            self,
            heartbeat=streams.heartbeat,
            stall_timeout=streams.stall_timeout,
            unread_bytes=unread,
        )
        stream.open()
        try:
            await self._send(stream, translation, request)
        except sse.ReaderGone:
            self.aborted = True
        finally:
            self.end(translation)
            self.usage()

    async def _send(
        self, stream: sse.EventStream, translation: Translation, request: TranslateRequest
    ) -> None:
        try:
            await stream.run(
                translation.pieces(),
                translation.poke,
                lambda texts: self._observe(translation),
            )
            frames = self._last_frames(request)
        except sse.ReaderGone:
            raise
        except Exception as failure:
            frames = [self._failed(failure)]
        await stream.send(frames)

    async def _stream_resumable(
        self, request: TranslateRequest, text: str, held: AsyncExitStack
    ) -> None:
        """A stream that goes on without its connection; it takes over what is `held` for it."""
        self._streams.make_room()
        translation = self.begin(request, text, self.config.streams.unread_bytes // 2)
        self.outlived = True
        stream = self._streams.start(
            self._frames(translation, request), translation.cancel, held.pop_all()
        )
        self.set_header("Stream-Id", stream.id)
        await self.follow(self._streams, stream, 0, self.config.streams)
        self.usage()

    async def _frames(
        self, translation: Translation, request: TranslateRequest
    ) -> AsyncIterator[list[str]]:
        """All frames of a translation, its end included."""
        try:
            async for texts in translation.pieces():
                if texts:
                    self._observe(translation)
                    yield list(map(sse.data, texts))
            frames = self._last_frames(request)
        except Exception as failure:
            frames = [self._failed(failure)]
        finally:
            self.end(translation)
        yield frames

    def _last_frames(self, request: TranslateRequest) -> list[str]:
        """What ends a stream where all went well. Raises ShuttingDown."""
        self.activity.go_on()
        if request.stream_options and request.stream_options.usage:
            return [sse.event("usage", self.usage()), sse.DONE]
        return [sse.DONE]

    def _failed(self, failure: Exception) -> str:
        """The event that ends a failed stream: its headers are out, there is no other answer."""
        if not isinstance(failure, BabelbrookError):
            self.log_exception(type(failure), failure, failure.__traceback__)
            failure = BabelbrookError("The translation failed. Please try again.")
        self.log_fields["error"] = failure.code
        return sse.error(failure)

    def _observe(self, translation: Translation) -> None:
        now = time.monotonic()
        if self._first_text is None:
            self._first_text = now
            self.metrics.ttft.observe(now - self.begun)
            if (waited := translation.queue_seconds) is not None:
                self.metrics.queue.observe(waited)
        else:
            self.metrics.token_gap.observe(now - self._last_text)
        self._last_text = now
