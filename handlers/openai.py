"""The API of OpenAI: `/v1/chat/completions` and `/v1/completions`."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from typing import Any

from engine.chat.conversation import Message
from engine.chat.json_schema import grammar
from engine.chat.reply import Reply
from engine.errors import (
    BabelbrookError,
    BadRequest,
    TextTooLong,
    UnknownLanguage,
    UnknownModel,
)
from engine.generation import Job, PromptPart, Sampling
from handlers import openai_shapes as shapes
from handlers import sse
from handlers.choices import Choice, all_texts
from handlers.openai_models import OpenAIHandler, alias_language
from handlers.openai_schemas import (
    AnyCompletion,
    ChatRequest,
    CompletionRequest,
    Unsupported,
    parse_completion,
)
from handlers.presence import watched
from handlers.schemas import SamplingFields, TranslateRequest
from handlers.translating import TextStreaming

Prompt = tuple[PromptPart, ...]

_MOST_REPLIES = 64
_USUAL_TOKENS = 16  # of a plain completion that does not say; theirs
_ROLES = {"developer": "system"}


class _CompletionsHandler(OpenAIHandler, TextStreaming):
    """A request in, choices out, whole or as a stream of chunks."""

    shape: type[shapes.Shape]

    @abstractmethod
    def read_request(self) -> AnyCompletion:
        """The request. Raises BadRequest."""

    @abstractmethod
    def texts(self, request: Any) -> list[str]:
        """What is to be translated. Raises BadRequest."""

    @abstractmethod
    async def prompts(self, request: Any) -> list[Prompt]:
        """What a model with a chat form is to go on from. Raises BadRequest."""

    def most_tokens(self, request: Any) -> int | None:
        """The longest answer of such a model."""
        most: int | None = request.most_tokens
        return most

    def messages(self, request: Any) -> tuple[Message, ...]:
        """The conversation, where it is one."""
        return ()

    def schema(self, request: Any) -> dict[str, Any] | None:
        """What such an answer must look like. Raises BadRequest."""
        return None

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request = self.read_request()
            alias = alias_language(request.model)
            async with self.pool.lease(request.model if alias is None else None) as self.engine:
                name = request.model if alias is not None else None
                shape = self.shape(
                    name or self.engine.entry.name,
                    with_usage=request.stream and request.stream_options.include_usage,
                )
                try:
                    if alias is None and self.engine.entry.prompt.chat:
                        choices = await self._replies(request)
                    else:
                        choices = await self._translations(request, alias)
                    await self._answer(request, shape, choices)
                finally:
                    self.end_all()
                    self.usage()

    async def _replies(self, request: AnyCompletion) -> list[Choice]:
        """Answers to each prompt. Raises what is wrong with the request."""
        self.check_room()
        prompts = await self.prompts(request)
        if len(prompts) * request.n > _MOST_REPLIES:
            raise TextTooLong(f"That would be more than {_MOST_REPLIES} answers at once.")
        sampling, schema = self.sampling(request), self.schema(request)
        job = Job(
            text="",
            source_lang=None,
            target_lang="",
            max_tokens=self.most_tokens(request),
            client=self.client,
            shared=request.cache,
            unread=self.unread_bytes if request.stream else None,
            grammar=None if schema is None else grammar(schema),
            messages=self.messages(request),
            schema=None if schema is None else json.dumps(schema),
            stops=tuple(filter(None, request.stop)),
        )
        return [
            Choice(index, self._reply(replace(job, prompt=prompt, sampling=drawn)), request.stop)
            for index, (prompt, drawn) in enumerate(product(prompts, _seeds(sampling, request.n)))
        ]

    def _reply(self, job: Job) -> Reply:
        reply = Reply(self.engine.submit(job))
        self.keep(reply)
        return reply

    async def _translations(self, request: AnyCompletion, target: str | None) -> list[Choice]:
        """Translations of each text. Raises what is wrong with the request."""
        texts = self.texts(request)
        self.check_size(texts * request.n)
        wanted = await self._wanted(request, target)
        seeds = [each.seed for each in _seeds(self.sampling(wanted), request.n)]
        unread = self.unread_bytes if request.stream else None
        return [
            Choice(
                index,
                self.begin(wanted.model_copy(update={"seed": seed}), text, unread),
                request.stop,
                request.most_tokens,
            )
            for index, (text, seed) in enumerate(product(texts, seeds))
        ]

    async def _wanted(self, request: AnyCompletion, target: str | None) -> TranslateRequest:
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


def _seeds(sampling: Sampling, count: int) -> list[Sampling]:
    """For several answers: with one and the same seed they would be the same."""
    if sampling.seed is None:
        return [sampling] * count
    return [replace(sampling, seed=(sampling.seed + n) % 2**32) for n in range(count)]


class ChatHandler(_CompletionsHandler):
    """`POST /v1/chat/completions`."""

    shape = shapes.Shape

    def read_request(self) -> ChatRequest:
        return parse_completion(ChatRequest, self.json_object())

    def texts(self, request: ChatRequest) -> list[str]:
        if request.response_format.type != "text":
            raise Unsupported("A translation has no format.", "response_format")
        return [request.last_user_text]

    async def prompts(self, request: ChatRequest) -> list[Prompt]:
        self.check_size([message.content for message in request.messages])
        return [await self.engine.compose(self.messages(request))]

    def messages(self, request: ChatRequest) -> tuple[Message, ...]:
        return tuple(Message(_ROLES.get(m.role, m.role), m.content) for m in request.messages)

    def schema(self, request: ChatRequest) -> dict[str, Any] | None:
        wanted = request.response_format
        if wanted.type == "text":
            return None
        if wanted.type == "json_object":
            return {"type": "object"}
        if wanted.json_schema is None:
            raise BadRequest("'response_format.json_schema' is required.", "response_format")
        return wanted.json_schema.schema_


class CompletionHandler(_CompletionsHandler):
    """`POST /v1/completions`."""

    shape = shapes.PlainShape

    def read_request(self) -> CompletionRequest:
        return parse_completion(CompletionRequest, self.json_object())

    def texts(self, request: CompletionRequest) -> list[str]:
        return request.prompt

    async def prompts(self, request: CompletionRequest) -> list[Prompt]:
        self.check_size(request.prompt)
        if not all(request.prompt):
            raise BadRequest("A prompt must not be empty.", "prompt")
        return [(PromptPart(text),) for text in request.prompt]

    def most_tokens(self, request: CompletionRequest) -> int | None:
        return request.most_tokens or _USUAL_TOKENS
