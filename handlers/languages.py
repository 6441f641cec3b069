"""`GET /languages`: what the present model translates, in LibreTranslate's shape."""

from __future__ import annotations

from typing import Any

from engine.interface import Engine
from engine.translation.languages import english_name, native_name
from handlers.base import GetHandler


class LanguagesHandler(GetHandler):
    """An array of source languages with their targets; `native_name` is our addition."""

    def initialize(self, engine: Engine) -> None:
        self.engine = engine

    def get(self) -> None:
        entry = self.engine.entry
        self.write_json([_language(code, entry.target_langs) for code in entry.source_langs])


def _language(code: str, targets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "code": code,
        "name": english_name(code),
        "native_name": native_name(code),
        "targets": [target for target in targets if target != code],
    }
