"""What requests to DeepL's API may hold, and its codes of languages.

https://developers.deepl.com/docs/api-reference/translate
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.errors import BadRequest
from handlers.schemas import Names, SplitSentences, parse

_YES, _NO = ("1", "true"), ("0", "false")

# Of a language that comes in variants: DeepL's names for the targets.
_VARIANTS = {"en": ("EN-GB", "EN-US"), "pt": ("PT-BR", "PT-PT"), "zh": ("ZH", "ZH-HANS")}


def _flag(value: Any) -> Any:
    """Forms have no booleans."""
    text = str(value).lower()
    return text in _YES if text in _YES + _NO else value


def _listed(value: Any) -> Any:
    """A form with one text, or one with a list of names between commas."""
    return [value] if isinstance(value, str) else value


def _names(value: Any) -> Any:
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Flag = Annotated[bool, BeforeValidator(_flag, json_schema_input_type=bool | str)]
Texts = Annotated[
    list[str],
    Field(min_length=1, fail_fast=True),
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]
TagNames = Annotated[Names, BeforeValidator(_names, json_schema_input_type=str | list[str])]


class _Common(BaseModel):
    """What texts and documents have in common."""

    model_config = ConfigDict(extra="ignore", strict=True)

    target_lang: str
    source_lang: str = "auto"
    formality: Literal["default", "more", "less", "prefer_more", "prefer_less"] = "default"
    glossary_id: str | None = None


class DeepLRequest(_Common):
    """The body of `POST /v2/translate`."""

    text: Texts
    context: str = Field("", max_length=4000)
    tag_handling: Literal["xml", "html"] | None = None
    ignore_tags: TagNames = Field(default=[])
    split_sentences: SplitSentences = "1"
    preserve_formatting: Flag = False
    show_billed_characters: Flag = False
    model_type: str | None = None


class DocumentRequest(_Common):
    """The fields beside the file in `POST /v2/document`."""

    filename: str | None = Field(None, max_length=500)


def parse_deepl(model: type[Any], fields: dict[str, Any]) -> Any:
    """The request in a body. Raises BadRequest, for what is missing in DeepL's words."""
    given = {name: value for name, value in fields.items() if value is not None}
    if "text" in model.model_fields and "text" not in given:
        raise BadRequest("Parameter 'text' not specified.", "text")
    if not given.get("target_lang"):
        raise BadRequest("Value for 'target_lang' not supported.", "target_lang")
    return parse(model, given)


def source_code(code: str) -> str:
    """'pt-BR' -> 'PT': sources have no variants."""
    return code.split("-")[0].upper()


def target_codes(code: str) -> tuple[str, ...]:
    """DeepL's names for a model's target: 'en' -> 'EN-GB', 'EN-US'."""
    return _VARIANTS.get(code, (code.upper(),))
