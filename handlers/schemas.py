"""What requests may hold, declared once: validation now, the OpenAPI document later."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import BadRequest


class StreamOptions(BaseModel):
    """Extras on a stream, each only when asked for."""

    model_config = ConfigDict(extra="ignore", strict=True)

    usage: bool = False
    resume: bool = False


class TranslateRequest(BaseModel):
    """The body of `POST /translate` and `POST /translate/stream`.

    Unknown fields are accepted and named in the answer's `ignored`.
    """

    model_config = ConfigDict(extra="ignore", strict=True)

    text: str | list[str]
    target_lang: Any = None  # a language in any spelling; checked against the model's
    source_lang: Any = None
    format: str = "text"  # one of engine.translation.formats
    model: str | None = None
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    temperature: float | None = Field(None, ge=0, le=100)
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    top_p: float | None = Field(None, gt=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    repeat_penalty: float | None = Field(None, gt=0, le=100)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    ignore_eos: bool = False
    cache: bool = True
    stream_options: StreamOptions | None = None


def parse_translate(body: dict[str, Any]) -> tuple[TranslateRequest, list[str]]:
    """The request in a JSON object and the names of fields that nobody here knows.

    Raises BadRequest with a sentence that names the first wrong field.
    """
    text = body.get("text")
    # By hand: pydantic would build an error for each of a million wrong items.
    wrong = not isinstance(text, list) or not all(isinstance(item, str) for item in text)
    if not text or (wrong and not isinstance(text, str)):
        raise BadRequest("'text' is required")
    try:
        request = TranslateRequest.model_validate(body)
    except ValidationError as error:
        raise BadRequest(_sentence(error)) from None
    known = TranslateRequest.model_fields
    return request, [name for name in body if name not in known]


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]]
    message = first["msg"]
    return f"'{'.'.join(place)}' is wrong: {message[0].lower()}{message[1:]}"
