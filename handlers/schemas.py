"""What requests may hold, declared once: validation now, the OpenAPI document later."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.errors import BadRequest
from engine.generation import Hints
from engine.translation.glossary import Glossary
from engine.translation.termfiles import checked

Request = TypeVar("Request", bound=BaseModel)


class StreamOptions(BaseModel):
    """Extras on a stream, each only when asked for."""

    model_config = ConfigDict(extra="ignore", strict=True)

    usage: bool = False
    resume: bool = False
    checks: bool = False
    segment: bool = False


class SamplingFields(BaseModel):
    """How tokens are chosen, with llama.cpp's names; None is the model's own recommendation."""

    model_config = ConfigDict(extra="ignore", strict=True)

    temperature: float | None = Field(None, ge=0, le=100)
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    top_p: float | None = Field(None, gt=0, le=1)
    min_p: float | None = Field(None, ge=0, le=1)
    repeat_penalty: float | None = Field(None, gt=0, le=100)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)


# DeepL's words, and plain ones. Whether a model keeps to it nobody knows beforehand, so "prefer"
# makes no difference.
_FORMALITIES: dict[str, Literal["more", "less"] | None] = {
    "default": None,
    "more": "more",
    "less": "less",
    "prefer_more": "more",
    "prefer_less": "less",
    "formal": "more",
    "informal": "less",
}
Formality = Literal["default", "more", "less", "prefer_more", "prefer_less", "formal", "informal"]


# DeepL's words: "0" for not at all, "nonewlines" for sentences that go over lines.
SplitSentences = Annotated[
    Literal["0", "1", "nonewlines"],
    BeforeValidator(str, json_schema_input_type=Literal["0", "1", "nonewlines", 0, 1]),
]

_MOST_TERMS = 1_000  # in a request

# Fails at the first wrong one: an error for each of a million takes seconds.
Names = Annotated[
    list[Annotated[str, Field(max_length=200)]], Field(max_length=1_000, fail_fast=True)
]


def _glossary(value: Any) -> Any:
    """The name of one that is kept here, or its terms."""
    if value is None or isinstance(value, str):
        return value
    return Glossary(checked(value, _MOST_TERMS))


class TranslateRequest(SamplingFields):
    """The body of `POST /translate` and `POST /translate/stream`.

    Unknown fields are accepted and named in the answer's `ignored`.
    """

    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True)

    text: str | list[str]
    target_lang: Any = None  # a language in any spelling; checked against the model's
    source_lang: Any = None
    format: str = "text"  # one of engine.translation.formats
    ignore_tags: Names | None = None  # names of elements that stay as they are
    split_sentences: SplitSentences = "1"
    model: str | None = None
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    formality: Formality | None = None
    context: str = Field("", max_length=4000)  # characters: they take room in the sequence
    instructions: str = Field("", max_length=4000)
    glossary: Annotated[str | Glossary | None, BeforeValidator(_glossary)] = None
    alternatives: int = Field(0, ge=0, le=10)
    matches: int = Field(0, ge=0, le=10)  # for each segment, out of the translation memory
    # What becomes of a segment that cannot be translated; None is what the path does by itself.
    on_failure: Literal["error", "keep_source"] | None = None
    ignore_eos: bool = False
    cache: bool = True
    stream_options: StreamOptions | None = None

    @property
    def hints(self) -> Hints:
        """What the model is to be told beside the text."""
        formality = _FORMALITIES[self.formality] if self.formality else None
        return Hints(formality, self.context.strip(), self.instructions.strip())


def parse_translate(body: dict[str, Any]) -> tuple[TranslateRequest, list[str]]:
    """The request in a JSON object and the names of fields that nobody here knows.

    Raises BadRequest with a sentence that names the first wrong field.
    """
    text = body.get("text")
    # By hand: pydantic would build an error for each of a million wrong items.
    wrong = not isinstance(text, list) or not all(isinstance(item, str) for item in text)
    if not text or (wrong and not isinstance(text, str)):
        raise BadRequest("'text' is required")
    request = parse(TranslateRequest, body)
    known = TranslateRequest.model_fields
    return request, [name for name in body if name not in known]


def parse(model: type[Request], body: dict[str, Any], strict: bool | None = None) -> Request:
    """The request in a JSON object. Raises BadRequest with the first wrong field.

    Without `strict` a number or a truth value may be written as text, as it is in a form; None
    leaves it to the model.
    """
    try:
        return model.model_validate(body, strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    raise BadRequest(f"'{field}' is wrong: {message[0].lower()}{message[1:]}", field)
