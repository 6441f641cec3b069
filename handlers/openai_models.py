"""OpenAI's `/v1/models`: what can answer now."""

from __future__ import annotations

from typing import Any

from engine.errors import BabelbrookError, UnknownLanguage, UnknownModel
from engine.models.catalogue import ModelEntry
from engine.models.pool import Pool
from engine.translation import languages
from handlers import openai_shapes as shapes
from handlers.auth import ANY_KEY
from handlers.base import BaseHandler, GetHandler

_ALIAS = "babelbrook/translate-"


def alias_language(model: str | None) -> str | None:
    """The language behind the alias of a model: 'babelbrook/translate-de' -> 'de'."""
    return model.removeprefix(_ALIAS) if model is not None and model.startswith(_ALIAS) else None


class OpenAIHandler(BaseHandler):
    """Errors in OpenAI's shape."""

    def error_value(self, error: BabelbrookError) -> Any:
        return shapes.error(error)


class ModelListHandler(OpenAIHandler, GetHandler):
    """`GET /v1/models`: what can answer now, the selected model first, and its aliases last."""

    access = ANY_KEY

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def get(self) -> None:
        models = [shapes.model(name, entry) for name, entry in _names(self.pool).items()]
        self.write_json({"object": "list", "data": models})


class ModelHandler(OpenAIHandler, GetHandler):
    """`GET /v1/models/{id}`."""

    access = ANY_KEY

    route = "/v1/models/{id}"

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def head(self, name: str) -> None:  # type: ignore[override]
        self.get(name)

    def get(self, name: str) -> None:
        names = _names(self.pool)
        entry = names.get(name)
        if entry is None and (language := alias_language(name)) is not None and names:
            entry = self._alias(language)
        if entry is None:
            raise UnknownModel(f"There is no model '{name[:100]}' that can answer now.")
        self.write_json(shapes.model(name, entry))

    def _alias(self, language: str) -> ModelEntry | None:
        try:
            languages.choose(language, self.pool.entry.target_langs)
        except UnknownLanguage:
            return None
        return self.pool.entry


def _names(pool: Pool) -> dict[str, ModelEntry]:
    """What a request may name as its model."""
    names = {entry.name: entry for entry in pool.answering}
    if pool.entry.name in names:
        names |= {f"{_ALIAS}{code}": pool.entry for code in pool.entry.target_langs}
    return names
