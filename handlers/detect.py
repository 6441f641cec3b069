"""`POST /detect`: which language a text is in."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.errors import BadRequest, TextTooLong
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation import origin
from engine.translation.detect import Guess, detect
from engine.translation.languages import english_name
from handlers.activity import Activity
from handlers.auth import TRANSLATE, Unauthorized, WrongKey
from handlers.base import BodyHandler
from handlers.libretranslate_schemas import is_libretranslate

_SHOWN = 5  # candidates of one text


class DetectHandler(BodyHandler):
    """Answers in our shape to `text`, in LibreTranslate's to `q`; with both, `text` wins.

    The languages are those of the selected model and those that are widely spoken.
    """

    access = TRANSLATE
    refusal: type[Unauthorized] = Unauthorized
    key_in_body = True

    def initialize(self, pool: Pool, settings: Settings, activity: Activity) -> None:
        self.pool, self.config, self.activity = pool, settings, activity
        self.body_limit = settings.limits.body_bytes

    async def take_key(self, fields: dict[str, Any]) -> None:
        if is_libretranslate(fields):
            self.refusal = WrongKey  # theirs is a 403
            self.key_form = "'api_key' in the body"
        await super().take_key(fields)

    async def post(self) -> None:
        self.activity.check()
        body = self.json_or_form()
        await self.take_key(body)
        field = "text" if "text" in body else "q"
        texts = self._texts(body.get(field), field)
        among = await origin.prepare(self.pool.entry)
        guesses = []
        for text in texts:
            guesses.append(detect(text, among))
            await asyncio.sleep(0)  # a text takes up to a millisecond
        if field == "q":
            self.write_json(_like_libretranslate(guesses[0]))
        elif isinstance(body["text"], str):
            self.write_json(_detection(guesses[0]))
        else:
            self.write_json({"detections": [_detection(each) for each in guesses]})

    def _texts(self, value: Any, field: str) -> list[str]:
        """Raises BadRequest and TextTooLong."""
        texts = [value] if isinstance(value, str) else value if field == "text" else None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadRequest(f"'{field}' is required")
        limits = self.config.limits
        if len(texts) > limits.texts or sum(len(t.encode()) for t in texts) > limits.text_bytes:
            raise TextTooLong(
                f"At most {limits.texts:,} texts of {limits.text_bytes:,} bytes together."
            )
        return texts


def _detection(guesses: list[Guess]) -> dict[str, Any]:
    """Our shape; `language` is null where nothing tells."""
    candidates = [
        {"language": guess.language, "confidence": round(guess.confidence, 4)}
        for guess in guesses[:_SHOWN]
    ]
    if not candidates:
        return {"language": None, "name": None, "confidence": 0.0, "candidates": []}
    name = english_name(guesses[0].language)
    return {**candidates[0], "name": name, "candidates": candidates}


def _like_libretranslate(guesses: list[Guess]) -> list[dict[str, Any]]:
    """LibreTranslate's shape: per cent, and English at 0 where nothing tells."""
    known = guesses or [Guess("en", 0.0)]
    return [
        {"confidence": round(100 * guess.confidence, 1), "language": guess.language}
        for guess in known[:_SHOWN]
    ]
