"""`GET /languages`: what a model translates, in LibreTranslate's shape."""

from __future__ import annotations

from typing import Any

from engine.errors import UnknownModel
from engine.models.catalogue import Catalogue, ModelEntry
from engine.models.pool import Pool
from engine.translation.languages import english_name, native_name
from handlers.auth import ANY_KEY, Unauthorized, WrongKey
from handlers.base import GetHandler


class LanguagesHandler(GetHandler):
    """An array of source languages with their targets; `native_name` is our addition.

    They are those of the selected model, or of the one that `?model=` names.
    """

    access = ANY_KEY
    refusal: type[Unauthorized] = Unauthorized
    key_in_body = True  # where clients of LibreTranslate have it, though this is a GET

    def initialize(self, pool: Pool, catalogue: Catalogue) -> None:
        self.pool, self.catalogue = pool, catalogue

    async def get(self) -> None:
        if self.awaits_key:
            key = self.get_body_argument("api_key", None)
            self.refusal = Unauthorized if key is None else WrongKey  # theirs is a 403
            await self.gate.admit_by_body(self, key)
        entry = self._entry()
        self.write_json([_language(code, entry.targets(code)) for code in entry.source_langs])

    def _entry(self) -> ModelEntry:
        """Raises UnknownModel."""
        selected = self.pool.entry
        name = self.get_query_argument("model", selected.name)
        entry = selected if name == selected.name else self.catalogue.named(name)
        if entry is None:
            raise UnknownModel(f"There is no model '{name[:100]}' here; GET /models lists them.")
        return entry


def _language(code: str, targets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "code": code,
        "name": english_name(code),
        "native_name": native_name(code),
        "targets": [target for target in targets if target != code],
    }
