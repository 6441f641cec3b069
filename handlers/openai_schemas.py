"""What requests to the OpenAI-compatible API may hold.

https://platform.openai.com/docs/api-reference/chat and /completions
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.errors import BadRequest
from handlers.schemas import SamplingFields, parse

_MOST_CHOICES = 16
_MOST_STOPS = 16
_LONGEST_STOP = 500  # characters

# What would change the answer, and nothing here can do. Empty, false and null are accepted.
_REFUSED = (
    *("tools", "functions", "function_call", "audio", "modalities", "logprobs", "top_logprobs"),
    *("logit_bias", "prediction", "web_search_options", "echo", "suffix", "best_of"),
)
_HARMLESS = {"modalities": ["text"], "best_of": 1, "function_call": "none"}

Stop = Annotated[str, Field(max_length=_LONGEST_STOP)]


class Unsupported(BadRequest):
    """A field that nothing here can do."""

    code = "unsupported_parameter"


class StreamOptions(BaseModel):
    """`include_usage` brings a last chunk with the usage."""

    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool = False


class TextPart(BaseModel):
    """A part of a message; there are no others here."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a conversation; parts of a text are joined."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str

    @field_validator("content", mode="before", json_schema_input_type=str | list[TextPart])
    @classmethod
    def _joined(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise ValueError("parts of a message must be of type text")
        texts = [part.get("text") for part in content]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("the text of a part must be a string")
        return "".join(texts)


class JsonSchema(BaseModel):
    """`strict` changes nothing: the answer always fits the schema."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    name: str | None = None
    schema_: dict[str, Any] = Field(default={}, alias="schema")


class ResponseFormat(BaseModel):
    """What the answer must look like."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class AnyCompletion(SamplingFields):
    """What both kinds of completions take; `cache` is our own (see `POST /translate`)."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    stop: Annotated[list[Stop], Field(max_length=_MOST_STOPS, fail_fast=True)] = Field(default=[])
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    n: int = Field(1, ge=1, le=_MOST_CHOICES)
    cache: bool = True

    @property
    def most_tokens(self) -> int | None:
        """The limit of an answer's length, if there is one."""
        return self.max_tokens

    @field_validator("stop", mode="before", json_schema_input_type=Stop | list[Stop])
    @classmethod
    def _listed_stop(cls, stop: Any) -> Any:
        return [stop] if isinstance(stop, str) else stop

    @field_validator("seed", mode="before", json_schema_input_type=int | None)
    @classmethod
    def _any_seed(cls, seed: Any) -> Any:
        """Theirs has 64 bits and a sign."""
        return seed & 0xFFFFFFFF if type(seed) is int and -(2**63) <= seed < 2**64 else seed

    @field_validator("top_p", mode="before", json_schema_input_type=float | None)
    @classmethod
    def _least_top_p(cls, top_p: Any) -> Any:
        """Theirs may be 0, which leaves the best token alone."""
        return 1e-6 if top_p == 0 and type(top_p) in (int, float) else top_p


class ChatRequest(AnyCompletion):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000, fail_fast=True)]
    max_completion_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    response_format: ResponseFormat = ResponseFormat(type="text")

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def last_user_text(self) -> str:
        """What is translated. Raises BadRequest where there is no message of a user."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.content
        raise BadRequest("'messages' must hold a message of role user.", "messages")


class CompletionRequest(AnyCompletion):
    """The body of `POST /v1/completions`."""

    prompt: Annotated[list[str], Field(min_length=1, fail_fast=True)]

    @field_validator("prompt", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _listed_prompt(cls, prompt: Any) -> Any:
        return [prompt] if isinstance(prompt, str) else prompt


Request = TypeVar("Request", bound=AnyCompletion)


def parse_completion(model: type[Request], body: dict[str, Any]) -> Request:
    """The request in a body; a null is as good as no field. Raises BadRequest and Unsupported."""
    for name in _REFUSED:
        if body.get(name) and body[name] != _HARMLESS.get(name):
            raise Unsupported(f"'{name}' is not supported here.", name)
    return parse(model, {name: value for name, value in body.items() if value is not None})
