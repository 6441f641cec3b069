"""DeepL's API: `/v2/translate`, `/v2/languages` and `/v2/usage`.

https://developers.deepl.com/docs
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from engine.errors import BabelbrookError, BadRequest
from engine.models.pool import Pool
from engine.translation.languages import english_name
from engine.translation.multilingual import MultilingualGlossaries
from engine.translation.origin import Origin
from handlers import answers
from handlers.auth import ANY_KEY, QuotaUsed, WrongKey
from handlers.base import BaseHandler, GetHandler
from handlers.deepl_glossaries import pair_of
from handlers.deepl_schemas import DeepLRequest, parse_deepl, source_code, target_codes
from handlers.presence import watched
from handlers.schemas import TranslateRequest
from handlers.translating import Translated, Translating

_QUOTA_EXCEEDED = 456
_UNLIMITED = 1_000_000_000_000  # what theirs tells where there is no limit
_MOST_CLIENTS = 10_000  # whose characters are counted


class DeepLHandler(BaseHandler):
    """Errors in DeepL's shape and with its codes."""

    refusal = WrongKey
    key_form = "'Authorization: DeepL-Auth-Key KEY'"

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, QuotaUsed):
            error.status = _QUOTA_EXCEEDED
        super().send_error(status_code, **kwargs)

    def error_value(self, error: BabelbrookError) -> Any:
        return {"message": error.sentence}


def owner_of(handler: BaseHandler) -> str:
    """Whose glossaries a request may use: a key's, or everybody's where there are no keys."""
    return handler.key.id if handler.key is not None else ""


class Usage:
    """Characters that each client has had translated since the server started."""

    def __init__(self) -> None:
        self._characters: Counter[str] = Counter()

    def add(self, client: str, characters: int) -> None:
        """Count some."""
        if len(self._characters) >= _MOST_CLIENTS and client not in self._characters:
            self._characters.clear()
        self._characters[client] += characters

    def of(self, client: str) -> int:
        """All of a client."""
        return self._characters[client]


class DeepLTranslating(DeepLHandler, Translating):
    """What texts and documents share."""

    def initialize(  # type: ignore[override]
        self, usage: Usage, multilingual: MultilingualGlossaries, **shared: Any
    ) -> None:
        super().initialize(**shared)
        self.characters, self.multilingual = usage, multilingual

    async def wanted(self, request: Any, **more: Any) -> TranslateRequest:
        """The same in our own words. Raises BadRequest for an unknown glossary."""
        glossary = None
        if request.glossary_id is not None:
            if request.source_lang == "auto":
                raise BadRequest("Use of a glossary requires the source_lang parameter.")
            glossary = await asyncio.to_thread(
                self.multilingual.terms,
                request.glossary_id,
                owner_of(self),
                pair_of(request.source_lang, request.target_lang),
            )
        return TranslateRequest.model_validate(
            {
                "text": "",
                "source_lang": request.source_lang,
                "target_lang": request.target_lang,
                "formality": request.formality,
                "glossary": glossary,
                **more,
            }
        )


class DeepLTranslateHandler(DeepLTranslating):
    """`POST /v2/translate`."""

    def reports(self, request: TranslateRequest) -> bool:
        return request.glossary is not None

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request = parse_deepl(DeepLRequest, self.json_or_form())
            self.check_size(request.text)
            wanted = await self.wanted(
                request,
                context=request.context,
                format=request.tag_handling or "text",
                ignore_tags=request.ignore_tags,
                split_sentences=request.split_sentences,
            )
            async with self.pool.lease(None) as self.engine:
                await self.check(wanted)
                with watched(self):
                    results = await self.translate_all(wanted, request.text)
            self.usage()
            if self.aborted:
                return
            self.activity.go_on()
            self.characters.add(self.client, sum(map(len, request.text)))
            self.write_json({"translations": _translations(request, results)})
            await self.finish_within(self.config.streams.stall_timeout)


def _translations(request: DeepLRequest, results: list[Translated]) -> list[dict[str, Any]]:
    extras: dict[str, Any] = {}
    if request.model_type is not None:
        extras["model_type_used"] = "quality_optimized"
    translations = []
    for text, result in zip(request.text, results, strict=True):
        billed = {"billed_characters": len(text)} if request.show_billed_characters else {}
        # Theirs has nothing like it, but a glossary that was not kept to must be told somewhere.
        missing = [each for each in answers.checks(result.done) if each["check"] == "terms"]
        translations.append(
            {
                "detected_source_language": _source(request, result.origin),
                "text": result.text,
                **billed,
                **extras,
                **({"checks": missing} if missing else {}),
            }
        )
    return translations


def _source(request: DeepLRequest, origin: Origin | None) -> str:
    """The language of the request or of the text; English where nothing tells."""
    if request.source_lang != "auto":
        return source_code(request.source_lang)
    guess = origin.guess if origin is not None else None
    language = guess.language if guess is not None else origin.language if origin else None
    return source_code(language or "en")


class DeepLLanguagesHandler(DeepLHandler, GetHandler):
    """`GET /v2/languages?type=source|target`."""

    access = ANY_KEY

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def get(self) -> None:
        # Their clients put it into the body of a GET.
        kind, entry = self.get_argument("type", "source"), self.pool.entry
        if kind not in ("source", "target"):
            raise BadRequest("Value for 'type' not supported.", "type")
        if kind == "source":
            names = {source_code(code): english_name(code) for code in entry.source_langs}
            self.write_json([{"language": c, "name": n} for c, n in names.items()])
            return
        self.write_json(
            [
                {
                    "language": code,
                    "name": english_name(code),
                    "supports_formality": entry.prompt.chat,
                }
                for target in entry.target_langs
                for code in target_codes(target)
            ]
        )


class DeepLUsageHandler(DeepLHandler, GetHandler):
    """`GET /v2/usage`."""

    access = ANY_KEY

    def initialize(self, usage: Usage) -> None:
        self.characters = usage

    def get(self) -> None:
        count = self.characters.of(self.client)
        self.write_json({"character_count": count, "character_limit": _UNLIMITED})
