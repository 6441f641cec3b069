"""Browser extensions' APIs: Immersive Translate's custom one, and DeepLX.

https://immersivetranslate.com/en/docs/services/custom/ and https://deeplx.owo.network/endpoints/free.html
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BabelbrookError
from engine.translation.origin import Origin
from handlers.presence import watched
from handlers.schemas import TranslateRequest, parse
from handlers.translating import Translated, Translating


class ImmersiveRequest(BaseModel):
    """A list of texts; `auto` or nothing for a source that is not known."""

    model_config = ConfigDict(extra="ignore", strict=True)

    source_lang: str = "auto"
    target_lang: str
    text_list: Annotated[list[str], Field(fail_fast=True)]


class DeepLXRequest(BaseModel):
    """One text."""

    model_config = ConfigDict(extra="ignore", strict=True)

    text: str = Field(min_length=1)
    source_lang: str = "auto"
    target_lang: str
    tag_handling: Literal["html", "xml", ""] = ""


class _Simple(Translating):
    async def results(self, texts: list[str], **fields: Any) -> list[Translated] | None:
        """The translations, None where the client has left."""
        self.check_size(texts)
        fields["source_lang"] = fields["source_lang"] or "auto"
        wanted = TranslateRequest.model_validate({"text": "", **fields})
        async with self.pool.lease(None) as self.engine:
            await self.check(wanted)
            with watched(self):
                results = await self.translate_all(wanted, texts)
        self.usage()
        self.activity.go_on()
        return None if self.aborted else results


class ImmersiveHandler(_Simple):
    """`POST /immersive`."""

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request = parse(ImmersiveRequest, self.json_object())
            results = await self.results(
                request.text_list,
                source_lang=request.source_lang,
                target_lang=request.target_lang,
            )
            if results is not None:
                translations = [
                    {
                        "detected_source_lang": _source(request.source_lang, result.origin),
                        "text": result.text,
                    }
                    for result in results
                ]
                self.write_json({"translations": translations})


class DeepLXHandler(_Simple):
    """`POST /deeplx/translate`."""

    def error_value(self, error: BabelbrookError) -> Any:
        return {"code": error.status, "message": error.sentence}

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request = parse(DeepLXRequest, self.json_object())
            results = await self.results(
                [request.text],
                source_lang=request.source_lang,
                target_lang=request.target_lang,
                format=request.tag_handling or "text",
            )
            if results is not None:
                [result] = results
                self.write_json(
                    {
                        "code": HTTPStatus.OK,
                        "id": secrets.randbelow(2**31),
                        "data": result.text,
                        "alternatives": [],
                        "source_lang": _source(request.source_lang, result.origin).upper(),
                        "target_lang": request.target_lang.upper(),
                        "method": "Free",
                    }
                )


def _source(given: str, origin: Origin | None) -> str:
    """The language that the request or the text tells; English where neither does."""
    if given and given.lower() != "auto":
        return given
    guess = origin.guess if origin is not None else None
    return guess.language if guess is not None else "en"
