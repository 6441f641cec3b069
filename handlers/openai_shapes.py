"""The answers of the OpenAI-compatible API.

https://platform.openai.com/docs/api-reference/chat/object, /chat/streaming and /completions/object
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import engine
from engine.errors import BabelbrookError
from engine.models.catalogue import ModelEntry
from handlers.choices import Choice

Value = dict[str, Any]
_FINGERPRINT = f"babelbrook-{engine.__version__}"


class Shape:
    """The frame of one answer: whole, or in chunks of one id."""

    prefix, object, chunk_object = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, model: str, with_usage: bool) -> None:
        """`with_usage`: the chunks have a field `usage`, which only the last one fills."""
        self._id, self._created = self.prefix + secrets.token_hex(12), int(time.time())
        self._model = model
        self._extra: Value = {"usage": None} if with_usage else {}

    def whole(self, texts: Sequence[str], choices: Sequence[Choice]) -> Value:
        """The answer as one object."""
        made = [
            self._choice(choice, choice.finish, **self.text(text))
            for text, choice in zip(texts, choices, strict=True)
        ]
        return self._object(self.object, made) | {"usage": usage(choices)}

    def chunk(self, choice: Choice, fields: Value, finish: str | None = None) -> Value:
        """A part of one choice."""
        return self._object(self.chunk_object, [self._choice(choice, finish, **fields)])

    def usage_chunk(self, choices: Sequence[Choice]) -> Value:
        """The last chunk, where it is asked for."""
        return self._object(self.chunk_object, []) | {"usage": usage(choices)}

    def _object(self, kind: str, choices: list[Value]) -> Value:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": _FINGERPRINT,
            "choices": choices,
            **self._extra,
        }

    def _choice(self, choice: Choice, finish: str | None, **fields: Any) -> Value:
        return {"index": choice.index, **fields, "logprobs": None, "finish_reason": finish}

    def text(self, text: str) -> Value:
        """The text of a whole answer."""
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def first(self) -> Value | None:
        """What a stream begins with."""
        return {"delta": {"role": "assistant", "content": ""}}

    def piece(self, text: str) -> Value:
        """The text of a chunk."""
        return {"delta": {"content": text}}

    def last(self) -> Value:
        """What the chunk with the finish reason holds."""
        return {"delta": {}}


class PlainShape(Shape):
    """The same of `/v1/completions`."""

    prefix, object, chunk_object = "cmpl-", "text_completion", "text_completion"

    def text(self, text: str) -> Value:
        return {"text": text}

    def first(self) -> Value | None:
        return None

    def piece(self, text: str) -> Value:
        return {"text": text}

    def last(self) -> Value:
        return {"text": ""}


def usage(choices: Sequence[Choice]) -> Value:
    """Tokens of all choices; each of them has read its prompt."""
    prompt = sum(choice.source.prompt_tokens for choice in choices)
    answer = sum(choice.source.output_tokens for choice in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def model(name: str, entry: ModelEntry) -> Value:
    """A model, or an alias for one; `created` is when its file was written.

    `chat` is our own: whether it answers conversations rather than translate.
    """
    try:
        created = int(entry.file.stat().st_mtime)
    except OSError:
        created = 0
    chat = entry.prompt.chat and name == entry.name
    about = {"id": name, "object": "model", "created": created, "owned_by": "babelbrook"}
    return about | {"chat": chat}


def error(failure: BabelbrookError) -> Value:
    """https://platform.openai.com/docs/guides/error-codes"""
    kinds = {
        HTTPStatus.UNAUTHORIZED: "authentication_error",
        HTTPStatus.FORBIDDEN: "permission_error",
        HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    }
    usual = "invalid_request_error" if failure.status < 500 else "server_error"
    code = {"unknown_model": "model_not_found"}.get(failure.code, failure.code)
    return {
        "error": {
            "message": failure.sentence,
            "type": kinds.get(HTTPStatus(failure.status), usual),
            "param": getattr(failure, "field", None),
            "code": code,
        }
    }
