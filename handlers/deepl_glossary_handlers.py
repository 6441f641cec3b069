"""The paths of DeepL's glossaries."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation.multilingual import Multilingual, MultilingualGlossaries, Pair, Terms
from handlers.auth import ANY_KEY, TRANSLATE
from handlers.base import BodyHandler, GetHandler, NotFound
from handlers.deepl import DeepLHandler, owner_of
from handlers.deepl_glossaries import (
    DictionaryRequest,
    GlossaryPatch,
    GlossaryV2Request,
    GlossaryV3Request,
    as_tsv,
    as_v2,
    as_v3,
    by_pair,
    pair_of,
    summary,
)
from handlers.schemas import parse


class _Handler(DeepLHandler, BodyHandler):
    access = TRANSLATE

    def initialize(self, glossaries: MultilingualGlossaries, settings: Settings) -> None:
        self.glossaries = glossaries
        self.body_limit = settings.limits.body_bytes

    @property
    def owner(self) -> str:
        """Whose glossaries these are."""
        return owner_of(self)

    async def make(self, name: str, dictionaries: list[DictionaryRequest]) -> Multilingual:
        """A new one. Raises BadRequest and TextTooLong."""
        self.set_status(HTTPStatus.CREATED)
        terms = by_pair(dictionaries)
        return await asyncio.to_thread(self.glossaries.add, name, self.owner, terms)

    async def all(self) -> list[Multilingual]:
        """Those of the owner."""
        return await asyncio.to_thread(self.glossaries.of, self.owner)

    async def found(self, glossary_id: str) -> Multilingual:
        """The glossary of the request. Raises UnknownGlossary."""
        return await asyncio.to_thread(self.glossaries.find, glossary_id, self.owner)

    async def terms(self, glossary_id: str, pair: Pair) -> Terms:
        """Its terms for a pair that it has."""
        return await asyncio.to_thread(self.glossaries.terms, glossary_id, self.owner, pair)

    async def forget(self, glossary_id: str) -> None:
        """Delete it. Raises UnknownGlossary."""
        await asyncio.to_thread(self.glossaries.remove, glossary_id, self.owner)
        self.set_status(HTTPStatus.NO_CONTENT)


class GlossariesV2Handler(_Handler):
    """`/v2/glossaries`: a glossary has one pair of languages."""

    async def post(self) -> None:
        request = parse(GlossaryV2Request, self.json_or_form())
        self.write_json(as_v2(await self.make(request.name, [request])))

    async def get(self) -> None:
        self.write_json({"glossaries": [as_v2(each) for each in await self.all()]})


class GlossariesV3Handler(_Handler):
    """`/v3/glossaries`: a glossary has several."""

    async def post(self) -> None:
        request = parse(GlossaryV3Request, self.json_or_form())
        self.write_json(as_v3(await self.make(request.name, request.dictionaries)))

    async def get(self) -> None:
        self.write_json({"glossaries": [as_v3(each) for each in await self.all()]})


class GlossaryV2Handler(_Handler):
    """`/v2/glossaries/{id}`."""

    route = "/v2/glossaries/{id}"

    async def get(self, glossary_id: str) -> None:
        self.write_json(as_v2(await self.found(glossary_id)))

    async def delete(self, glossary_id: str) -> None:
        await self.forget(glossary_id)


class GlossaryV3Handler(_Handler):
    """`/v3/glossaries/{id}`."""

    route = "/v3/glossaries/{id}"

    async def get(self, glossary_id: str) -> None:
        self.write_json(as_v3(await self.found(glossary_id)))

    async def patch(self, glossary_id: str) -> None:
        request = parse(GlossaryPatch, self.json_or_form())
        more = by_pair(request.dictionaries)
        merged = await asyncio.to_thread(
            self.glossaries.merge, glossary_id, self.owner, request.name, more
        )
        self.write_json(as_v3(merged))

    async def delete(self, glossary_id: str) -> None:
        await self.forget(glossary_id)


class EntriesV2Handler(_Handler):
    """`/v2/glossaries/{id}/entries`."""

    route = "/v2/glossaries/{id}/entries"

    async def get(self, glossary_id: str) -> None:
        glossary = await self.found(glossary_id)
        terms = await self.terms(glossary_id, next(iter(glossary.counts)))
        self.set_header("Content-Type", "text/tab-separated-values; charset=utf-8")
        self.write(as_tsv(terms))


class _PairHandler(_Handler):
    async def pair(self, glossary_id: str) -> Pair:
        """The pair of languages in the query. Raises NotFound."""
        names = ("source_lang", "target_lang")
        pair = pair_of(*(self.get_query_argument(name, "") for name in names))
        if pair not in (await self.found(glossary_id)).counts:
            raise NotFound("The glossary has no dictionary for these languages.")
        return pair


class EntriesV3Handler(_PairHandler):
    """`/v3/glossaries/{id}/entries`."""

    route = "/v3/glossaries/{id}/entries"

    async def get(self, glossary_id: str) -> None:
        pair = await self.pair(glossary_id)
        terms = await self.terms(glossary_id, pair)
        entries = {"entries": as_tsv(terms), "entries_format": "tsv"}
        languages = {"source_lang": pair[0], "target_lang": pair[1]}
        self.write_json({"dictionaries": [languages | entries]})


class DictionariesV3Handler(_PairHandler):
    """`/v3/glossaries/{id}/dictionaries`."""

    route = "/v3/glossaries/{id}/dictionaries"

    async def put(self, glossary_id: str) -> None:
        request = parse(DictionaryRequest, self.json_or_form())
        pair, terms = request.pair, request.terms
        await asyncio.to_thread(self.glossaries.replace, glossary_id, self.owner, pair, terms)
        self.write_json(summary(pair, len(terms)))

    async def delete(self, glossary_id: str) -> None:
        pair = await self.pair(glossary_id)
        await asyncio.to_thread(self.glossaries.remove_pair, glossary_id, self.owner, pair)
        self.set_status(HTTPStatus.NO_CONTENT)


class GlossaryPairsHandler(DeepLHandler, GetHandler):
    """`/v2/glossary-language-pairs`: all of the model's."""

    access = ANY_KEY

    def initialize(self, pool: Pool) -> None:
        self.pool = pool

    def get(self) -> None:
        entry = self.pool.entry
        pairs = dict.fromkeys(
            pair_of(source, target)
            for source in entry.source_langs
            for target in entry.targets(source)
        )
        languages = [
            {"source_lang": source, "target_lang": target}
            for source, target in pairs
            if source != target
        ]
        self.write_json({"supported_languages": languages})
