"""`/glossaries`: terms that are kept under a name, for requests to use."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from engine.errors import BadRequest
from engine.settings import Settings
from engine.translation import termfiles
from engine.translation.glossaries import MOST_TERMS, About, Glossaries
from engine.translation.glossary import Term
from engine.translation.languages import canonical
from handlers.auth import ADMIN, TRANSLATE, Need
from handlers.base import BodyHandler, GetHandler

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TABLES = {"text/csv": ",", "text/tab-separated-values": "\t"}
_TBX = {"application/x-tbx", "application/x-tbx+xml", "application/xml", "text/xml"}


class GlossariesHandler(GetHandler):
    """`GET /glossaries`: their names, languages and how many terms they have."""

    access = TRANSLATE

    def initialize(self, glossaries: Glossaries) -> None:
        self.glossaries = glossaries

    async def get(self) -> None:
        found = await asyncio.to_thread(self.glossaries.all)
        self.write_json({"glossaries": [_about(each) for each in found]})


class GlossaryHandler(BodyHandler):
    """`GET`, `PUT` and `DELETE /glossaries/{name}`."""

    def needs(self) -> Need:
        """Whoever translates may read; changes are for those who run the server."""
        return TRANSLATE if self.request.method in ("GET", "HEAD") else ADMIN

    def initialize(self, glossaries: Glossaries, settings: Settings) -> None:
        self.glossaries = glossaries
        self.body_limit = settings.limits.body_bytes

    async def get(self, name: str) -> None:
        about, terms = await asyncio.to_thread(self.glossaries.terms, name)
        self.write_json({**_about(about), "terms": terms})

    async def put(self, name: str) -> None:
        # Off the event loop: eight megabytes of them take seconds to read.
        source, target, terms = await asyncio.to_thread(self._body)
        about = About(name, source, target, len(terms))
        new = await asyncio.to_thread(self.glossaries.put, about, terms)
        self.set_status(HTTPStatus.CREATED if new else HTTPStatus.OK)
        self.write_json(_about(about))

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self.glossaries.remove, name)
        self.set_status(HTTPStatus.NO_CONTENT)

    def _body(self) -> tuple[str | None, str | None, list[Term]]:
        """Languages and terms. Raises BadRequest and UnknownLanguage."""
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        languages: dict[str, Any] = {
            name: self.get_query_argument(name, None) for name in ("source_lang", "target_lang")
        }
        if kind in _TABLES:
            terms: Any = termfiles.read_table(self.text_body(), _TABLES[kind], MOST_TERMS)
        elif kind in _TBX:
            if None in languages.values():
                raise BadRequest("Say which: ?source_lang=en&target_lang=de.")
            terms = termfiles.read_tbx(self.text_body(), **languages, most=MOST_TERMS)
        else:
            value = self.json_object()
            terms, languages = value.get("terms"), {name: value.get(name) for name in languages}
        try:
            checked = termfiles.checked(terms, MOST_TERMS)
        except ValueError as error:
            raise BadRequest(f"'terms' is wrong: {error}") from None
        if not checked:
            raise BadRequest("There are no terms in it.")
        return _code(languages["source_lang"]), _code(languages["target_lang"]), checked


def _code(language: Any) -> str | None:
    if language is None:
        return None
    if not isinstance(language, str):
        raise BadRequest("A language must be a string.")
    return canonical(language)


def _about(about: About) -> dict[str, Any]:
    return asdict(about)
