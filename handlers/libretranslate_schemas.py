"""What requests in LibreTranslate's form may hold.

https://docs.libretranslate.com/
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.errors import BadRequest
from handlers.schemas import parse

_MOST_ALTERNATIVES = 10


class LibreTranslateRequest(BaseModel):
    """`POST /translate` with a `q`; as a form, numbers come as texts."""

    model_config = ConfigDict(extra="ignore", strict=True)

    q: str | Annotated[list[str], Field(fail_fast=True)]
    source: str = "auto"
    target: str
    format: str = "text"
    alternatives: int = Field(0, ge=0, le=_MOST_ALTERNATIVES)
    api_key: str | None = None

    @field_validator("alternatives", mode="before", json_schema_input_type=int | str)
    @classmethod
    def _number(cls, value: Any) -> Any:
        return (
            int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        )

    @property
    def texts(self) -> list[str]:
        """All texts."""
        return [self.q] if isinstance(self.q, str) else self.q


def is_libretranslate(fields: dict[str, Any]) -> bool:
    """Whether a body is in this form; with a `text` it is in ours."""
    return "q" in fields and "text" not in fields


def parse_libretranslate(fields: dict[str, Any]) -> LibreTranslateRequest:
    """Raises BadRequest, for what is missing in LibreTranslate's words."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    for name in ("q", "target"):
        if name not in given:
            raise BadRequest(f"Invalid request: missing {name} parameter", name)
    return parse(LibreTranslateRequest, given)
