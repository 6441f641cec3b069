"""`POST /translate` and `POST /translate/stream`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from engine.errors import BadRequest
from engine.translation.translator import Translation
from handlers import answers, sse
from handlers.extras import Extras
from handlers.libretranslate import LibreTranslating
from handlers.libretranslate_schemas import is_libretranslate
from handlers.presence import watched
from handlers.resume import Following, ResumableStreams
from handlers.schemas import TranslateRequest, parse_translate
from handlers.translating import TextStreaming, Translating


class _OwnBody(Translating):
    """Both endpoints take the same body."""

    def read_request(self, body: dict[str, Any]) -> TranslateRequest:
        """Parse the body. Raises what is wrong with it."""
        request, self._unknown = parse_translate(body)
        self.check_size([request.text] if isinstance(request.text, str) else request.text)
        return request

    def ignored(self, request: TranslateRequest) -> dict[str, list[str]]:
        """Fields that nobody knows, and options that this model or this endpoint cannot have."""
        names = self._unknown + self.without_effect(request)
        return {"ignored": names} if names else {}


class TranslateHandler(_OwnBody, LibreTranslating):
    """The whole translation as JSON; a list of texts gives a list in the same order.

    A body with `q` in place of `text` is LibreTranslate's.
    """

    def reports(self, request: TranslateRequest) -> bool:
        return True

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            body = self.json_or_form()
            await self.take_key(body)
            if is_libretranslate(body):
                answer = await self.answer_libretranslate(body)
            else:
                answer = await self._answer(body)
            if answer is None:
                return
            self.activity.go_on()
            self.write_json(answer)
            await self.finish_within(self.config.streams.stall_timeout)

    async def _answer(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer in our own shape; None where the client has left."""
        request = self.read_request(body)
        texts = [request.text] if isinstance(request.text, str) else request.text
        async with self.pool.lease(request.model) as self.engine:
            await self.check(request)
            with watched(self):
                results = await self.translate_all(request, texts)
        if self.aborted:
            return None
        if isinstance(request.text, str):
            answer = answers.single(results[0])
        else:
            answer = answers.several(results)
        return answer | {"usage": self.usage(), **self.ignored(request)}


class TranslateStreamHandler(_OwnBody, TextStreaming, Following):
    """The translation token by token, in the reference wire format."""

    def without_effect(self, request: TranslateRequest) -> list[str]:
        """A stream has one translation."""
        alone = ["alternatives"] if request.alternatives else []
        return super().without_effect(request) + alone

    def initialize(self, streams: ResumableStreams, **shared: Any) -> None:  # type: ignore[override]
        super().initialize(**shared)
        self._streams = streams

    def reports(self, request: TranslateRequest) -> bool:
        options = request.stream_options
        return options is not None and (options.checks or options.segment)

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request = self.read_request(self.json_object())
            async with AsyncExitStack() as held:
                self.engine = await held.enter_async_context(self.pool.lease(request.model))
                await self.check(request)
                if not isinstance(request.text, str):
                    raise BadRequest("'text' must be one string here; POST /translate takes lists.")
                if request.stream_options and request.stream_options.resume:
                    await self._stream_resumable(request, request.text, held)
                else:
                    await self._stream(request, request.text)
            await self.end_stream(self.config.streams.stall_timeout)

    async def _stream(self, request: TranslateRequest, text: str) -> None:
        """A stream that ends with its connection."""
        parts = await self.take_apart(request, text)
        translation = self.begin(request, text, self.unread_bytes, parts)
        stream = self.event_stream()
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
            extras = Extras(translation, request.stream_options, request.matches > 0)
            await stream.run(
                extras.frames(), translation.poke, lambda _: self.observe(translation), encode=str
            )
            frames = [*extras.last(), *self._last_frames(translation, request)]
        except sse.ReaderGone:
            raise
        except Exception as failure:
            frames = [self.failure_frame(self.told(failure))]
        await stream.send(frames)

    async def _stream_resumable(
        self, request: TranslateRequest, text: str, held: AsyncExitStack
    ) -> None:
        """A stream that goes on without its connection; it takes over what is `held` for it."""
        parts = await self.take_apart(request, text)
        self._streams.make_room()
        translation = self.begin(request, text, self.unread_bytes, parts)
        self.outlived = True
        stream = self._streams.start(
            self.owner, self._frames(translation, request), translation.cancel, held.pop_all()
        )
        self.set_header("Stream-Id", stream.id)
        await self.follow(self._streams, stream, 0, self.config.streams)
        self.usage()

    async def _frames(
        self, translation: Translation, request: TranslateRequest
    ) -> AsyncIterator[list[str]]:
        """All frames of a translation, its end included."""
        try:
            extras = Extras(translation, request.stream_options, request.matches > 0)
            async for frames in extras.frames():
                if frames:
                    self.observe(translation)
                    yield frames
            frames = [*extras.last(), *self._last_frames(translation, request)]
        except Exception as failure:
            frames = [self.failure_frame(self.told(failure))]
        finally:
            self.end(translation)
        yield frames

    def _last_frames(self, translation: Translation, request: TranslateRequest) -> list[str]:
        """What ends a stream where all went well. Raises ShuttingDown."""
        self.activity.go_on()
        if request.stream_options and request.stream_options.usage:
            told = answers.told(translation) | self.ignored(request)
            return [sse.event("usage", {**self.usage(), **told}), sse.DONE]
        return [sse.DONE]
