"""LibreTranslate's API: `POST /translate` with a `q`, and `GET /frontend/settings`.

`/languages` and `/detect` are our own paths already. https://docs.libretranslate.com/
"""

from __future__ import annotations

from typing import Any

from engine.errors import BadRequest
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation.files import FORMAT_OF
from engine.translation.languages import english_name
from engine.translation.origin import Origin
from handlers.auth import PUBLIC, Unauthorized, WrongKey
from handlers.base import GetHandler
from handlers.libretranslate_schemas import (
    LibreTranslateRequest,
    is_libretranslate,
    parse_libretranslate,
)
from handlers.presence import watched
from handlers.schemas import TranslateRequest
from handlers.translating import Translated, Translating

# Codes of theirs that mean something else, or nothing, in BCP 47.
_CODES = {"zt": "zh-Hant", "pb": "pt-BR"}


class LibreTranslating(Translating):
    """A handler that answers in LibreTranslate's shape to bodies with a `q`."""

    key_in_body = True
    refusal: type[Unauthorized] = Unauthorized

    async def take_key(self, fields: dict[str, Any]) -> None:
        if is_libretranslate(fields):
            self.refusal = WrongKey  # theirs is a 403
            self.key_form = "'api_key' in the body"
        await super().take_key(fields)

    async def answer_libretranslate(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None where the client has left."""
        request = parse_libretranslate(fields)
        self._check_their_size(request.texts)
        wanted = self.wanted(request, request.format)
        wanted = wanted.model_copy(update={"alternatives": request.alternatives})
        async with self.pool.lease(None) as self.engine:
            await self.check(wanted)
            with watched(self):
                results = await self.translate_all(wanted, request.texts)
        self.usage()
        return None if self.aborted else _answer(request, results)

    def wanted(self, request: LibreTranslateRequest, format: str) -> TranslateRequest:
        """The same in our own words."""
        return TranslateRequest.model_validate(
            {
                "text": "",
                "source_lang": _CODES.get(request.source, request.source),
                "target_lang": _CODES.get(request.target, request.target),
                "format": format,
            }
        )

    def _check_their_size(self, texts: list[str]) -> None:
        """Theirs answers 400 to what is too much."""
        limits = self.config.limits
        if len(texts) > limits.texts or sum(len(t.encode()) for t in texts) > limits.text_bytes:
            raise BadRequest(
                f"Invalid request: it exceeds the limit of {limits.texts:,} texts or"
                f" {limits.text_bytes:,} bytes.",
                "q",
            )


def _answer(request: LibreTranslateRequest, results: list[Translated]) -> dict[str, Any]:
    """A text gives an object, a list one whose values are lists."""
    fields: dict[str, list[Any]] = {"translatedText": [result.text for result in results]}
    if request.source == "auto":
        fields["detectedLanguage"] = [_detected(result.origin) for result in results]
    if request.alternatives:
        fields["alternatives"] = [list(result.alternatives or ()) for result in results]
    if isinstance(request.q, list):
        return dict(fields)
    return {name: values[0] for name, values in fields.items()}


def _detected(origin: Origin | None) -> dict[str, Any]:
    """In per cent; English at 0 where nothing tells."""
    guess = origin.guess if origin is not None else None
    if guess is None:
        return {"confidence": 0, "language": "en"}
    return {"confidence": round(100 * guess.confidence, 1), "language": guess.language}


class FrontendSettingsHandler(GetHandler):
    """`GET /frontend/settings`: what clients ask before they begin."""

    access = PUBLIC

    def initialize(self, pool: Pool, settings: Settings) -> None:
        self.pool, self.config = pool, settings

    def get(self) -> None:
        target = self.config.translation.target_lang
        self.write_json(
            {
                "apiKeys": self.gate.has_keys,
                "charLimit": self.config.limits.text_bytes,
                "filesTranslation": True,
                "frontendTimeout": 500,
                "keyRequired": self.gate.closed,
                "remote": self.config.engine.kind == "remote",  # our own: others see the texts
                "language": {
                    "source": {"code": "auto", "name": "Auto Detect"},
                    "target": {"code": target, "name": english_name(target)},
                },
                "suggestions": False,
                "supportedFilesFormat": [*FORMAT_OF],
            }
        )
