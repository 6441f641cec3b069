"""The API of OpenAI: `/v1/chat/completions`, `/v1/completions` and `/v1/models`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from engine.errors import BabelbrookError, UnknownLanguage, UnknownModel
from engine.models.catalogue import ModelEntry
from engine.models.pool import Pool
from engine.translation import languages
from handlers import openai_shapes as shapes
from handlers import sse
from handlers.auth import ANY_KEY
from handlers.base import BaseHandler, GetHandler
from handlers.choices import Choice, all_texts
from handlers.openai_schemas import (
    AnyCompletion,
    ChatRequest,
    CompletionRequest,
    Unsupported,
    parse_completion,
)
from handlers.presence import watched
from handlers.schemas import SamplingFields, TranslateRequest
from handlers.translating import Source, TextStreaming

_ALIAS = "babelbrook/translate-"


def alias_language(model: str | None) -> str | None:
    """The language behind the alias of a model: 'babelbrook/translate-de' -> 'de'."""
    return model.removeprefix(_ALIAS) if model is not None and model.startswith(_ALIAS) else None


class _OpenAI(BaseHandler):
    """Errors in OpenAI's shape."""

    def error_value(self, error: BabelbrookError) -> Any:
        return shapes.error(error)


class _CompletionsHandler(_OpenAI, TextStreaming):
    """A request in, choices out, whole or as a stream of chunks."""

    shape: type[shapes.Shape]

    @abstractmethod
    def read_request(self) -> AnyCompletion:
        """The request. Raises BadRequest."""

    @abstractmethod
    def texts(self, request: Any) -> list[str]:
        """What is to be translated."""

    async def post(self) -> None:
        with self.activity.request(self.cancel):
            request = self.read_request()
            alias = alias_language(request.model)
            async with self.pool.lease(request.model if alias is None else None) as self.engine:
                name = request.model if alias is not None else None
                shape = self.shape(
                    name or self.engine.entry.name,
                    with_usage=request.stream and request.stream_options.include_usage,
                )
                choices = [
                    Choice(index, source, request.stop, request.most_tokens)
                    for index, source in enumerate(await self._sources_for(request, alias))
                ]
                try:
                    await self._answer(request, shape, choices)
                finally:
                    for choice in choices:
                        self.end(choice.source)
                    self.usage()

    async def _sources_for(self, request: AnyCompletion, target: str | None) -> list[Source]:
        """Each text `n` times, each time with another seed. Raises what is wrong with it."""
        texts = self.texts(request)
        self.check_size(texts * request.n)
        wanted = await self._translation(request, target)
        unread = self.unread_bytes if request.stream else None
        return [
            self.begin(_seeded(wanted, number), text, unread)
            for text in texts
            for number in range(request.n)
        ]

    async def _translation(self, request: AnyCompletion, target: str | None) -> TranslateRequest:
        fields = request.model_dump(include={*SamplingFields.model_fields, "cache"})
        wanted = TranslateRequest(text="", target_lang=target, **fields)
        try:
            await self.check(wanted)
        except UnknownLanguage as error:
            if target is None:
                raise
            raise UnknownModel(error.sentence) from None
        return wanted

    async def _answer(
        self, request: AnyCompletion, shape: shapes.Shape, choices: list[Choice]
    ) -> None:
        patience = self.config.streams.stall_timeout
        if request.stream:
            await self._stream(shape, choices, request.stream_options.include_usage)
            await self.end_stream(patience)
            return
        with watched(self):
            texts = await all_texts(choices, self.config.engine.lookahead)
        if self.aborted:
            return
        self.activity.go_on()
        self.write_json(shape.whole(texts, choices))
        await self.finish_within(patience)

    async def _stream(self, shape: shapes.Shape, choices: list[Choice], usage: bool) -> None:
        def poke() -> None:
            for choice in choices:
                choice.source.poke()

        stream = self.event_stream()
        stream.open()
        try:
            frames = self._frames(shape, choices, usage)
            await stream.run(frames, poke, lambda frames: None, encode=str)
        except sse.ReaderGone:
            self.aborted = True

    async def _frames(
        self, shape: shapes.Shape, choices: list[Choice], usage: bool
    ) -> AsyncIterator[list[str]]:
        """The chunks of one choice after the other, an empty list after a poke."""
        try:
            for choice in choices:
                if (first := shape.first()) is not None:
                    yield [sse.data(shape.chunk(choice, first))]
                async for texts in choice.texts():
                    if texts:
                        self.observe(choice.source)
                    yield [sse.data(shape.chunk(choice, shape.piece(text))) for text in texts]
                yield [sse.data(shape.chunk(choice, shape.last(), choice.finish))]
            self.activity.go_on()
            if usage:
                yield [sse.data(shape.usage_chunk(choices))]
            yield [sse.DONE]
        except Exception as failure:
            yield [self.failure_frame(self.told(failure))]

    def failure_frame(self, failure: BabelbrookError) -> str:
        return sse.data(shapes.error(failure))


def _seeded(wanted: TranslateRequest, number: int) -> TranslateRequest:
    """The request for one of several answers: the same seed would give the same one."""
    if wanted.seed is None or number == 0:
        return wanted
    return wanted.model_copy(update={"seed": (wanted.seed + number) % 2**32})


class ChatHandler(_CompletionsHandler):
    """`POST /v1/chat/completions`."""

    shape = shapes.Shape

    def read_request(self) -> ChatRequest:
        return parse_completion(ChatRequest, self.json_object())

    def texts(self, request: ChatRequest) -> list[str]:
        if request.response_format.type != "text":
            raise Unsupported("A translation has no format.", "response_format")
        return [request.last_user_text]


class CompletionHandler(_CompletionsHandler):
    """`POST /v1/completions`."""

    shape = shapes.PlainShape

    def read_request(self) -> CompletionRequest:
        return parse_completion(CompletionRequest, self.json_object())

    def texts(self, request: CompletionRequest) -> list[str]:
        return request.prompt


class ModelListHandler(_OpenAI, GetHandler):
    """`GET /v1/models`: what can answer now, the selected model first, and its aliases last."""

    access = ANY_KEY

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def get(self) -> None:
        models = [shapes.model(name, entry) for name, entry in _names(self.pool).items()]
        self.write_json({"object": "list", "data": models})


class ModelHandler(_OpenAI, GetHandler):
    """`GET /v1/models/{id}`."""

    access = ANY_KEY

    route = "/v1/models/{id}"

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def head(self, name: str) -> None:  # type: ignore[override]
        self.get(name)

    def get(self, name: str) -> None:
        names = _names(self.pool)
        entry = names.get(name)
        if entry is None and (language := alias_language(name)) is not None and names:
            entry = self._alias(language)
        if entry is None:
            raise UnknownModel(f"There is no model '{name[:100]}' that can answer now.")
        self.write_json(shapes.model(name, entry))

    def _alias(self, language: str) -> ModelEntry | None:
        try:
            languages.choose(language, self.pool.entry.target_langs)
        except UnknownLanguage:
            return None
        return self.pool.entry


def _names(pool: Pool) -> dict[str, ModelEntry]:
    """What a request may name as its model."""
    names = {entry.name: entry for entry in pool.answering}
    if pool.entry.name in names:
        names |= {f"{_ALIAS}{code}": pool.entry for code in pool.entry.target_langs}
    return names
