"""The paths of DeepL's glossaries."""

from __future__ import annotations

from http import HTTPStatus

from engine.models.pool import Pool
from engine.settings import Settings
from handlers.auth import ANY_KEY, TRANSLATE
from handlers.base import BodyHandler, GetHandler, NotFound
from handlers.deepl import DeepLHandler
from handlers.deepl_glossaries import (
    DeepLGlossaries,
    DictionaryRequest,
    Glossary,
    GlossaryPatch,
    GlossaryV2Request,
    GlossaryV3Request,
    Pair,
    as_tsv,
    pair_of,
    summary,
)
from handlers.schemas import parse


class _Handler(DeepLHandler, BodyHandler):
    access = TRANSLATE

    def initialize(self, glossaries: DeepLGlossaries, settings: Settings) -> None:
        self.glossaries = glossaries
        self.body_limit = settings.limits.body_bytes

    @property
    def owner(self) -> str:
        """Whose glossaries these are: a key's, or everybody's where there are no keys."""
        return self.key.id if self.key is not None else ""

    def found(self, glossary_id: str) -> Glossary:
        """The glossary of the request. Raises NotFound."""
        return self.glossaries.find(glossary_id, self.owner)


class GlossariesV2Handler(_Handler):
    """`/v2/glossaries`: a glossary has one pair of languages."""

    def post(self) -> None:
        request = parse(GlossaryV2Request, self.json_or_form())
        made = self.glossaries.add(request.name, self.owner, [request])
        self.set_status(HTTPStatus.CREATED)
        self.write_json(made.as_v2())

    def get(self) -> None:
        self.write_json({"glossaries": [each.as_v2() for each in self.glossaries.of(self.owner)]})


class GlossariesV3Handler(_Handler):
    """`/v3/glossaries`: a glossary has several."""

    def post(self) -> None:
        request = parse(GlossaryV3Request, self.json_or_form())
        made = self.glossaries.add(request.name, self.owner, request.dictionaries)
        self.set_status(HTTPStatus.CREATED)
        self.write_json(made.as_v3())

    def get(self) -> None:
        self.write_json({"glossaries": [each.as_v3() for each in self.glossaries.of(self.owner)]})


class GlossaryV2Handler(_Handler):
    """`/v2/glossaries/{id}`."""

    route = "/v2/glossaries/{id}"

    def get(self, glossary_id: str) -> None:
        self.write_json(self.found(glossary_id).as_v2())

    def delete(self, glossary_id: str) -> None:
        self.glossaries.forget(self.found(glossary_id))
        self.set_status(HTTPStatus.NO_CONTENT)


class GlossaryV3Handler(_Handler):
    """`/v3/glossaries/{id}`."""

    route = "/v3/glossaries/{id}"

    def get(self, glossary_id: str) -> None:
        self.write_json(self.found(glossary_id).as_v3())

    def patch(self, glossary_id: str) -> None:
        glossary, request = self.found(glossary_id), parse(GlossaryPatch, self.json_or_form())
        glossary.add(request.dictionaries)
        glossary.name = request.name or glossary.name
        self.write_json(glossary.as_v3())

    def delete(self, glossary_id: str) -> None:
        self.glossaries.forget(self.found(glossary_id))
        self.set_status(HTTPStatus.NO_CONTENT)


class EntriesV2Handler(_Handler):
    """`/v2/glossaries/{id}/entries`."""

    route = "/v2/glossaries/{id}/entries"

    def get(self, glossary_id: str) -> None:
        terms = next(iter(self.found(glossary_id).dictionaries.values()))
        self.set_header("Content-Type", "text/tab-separated-values; charset=utf-8")
        self.write(as_tsv(terms))


class _PairHandler(_Handler):
    def pair(self, glossary: Glossary) -> Pair:
        """The pair of languages in the query. Raises NotFound."""
        names = ("source_lang", "target_lang")
        pair = pair_of(*(self.get_query_argument(name, "") for name in names))
        if pair not in glossary.dictionaries:
            raise NotFound("The glossary has no dictionary for these languages.")
        return pair


class EntriesV3Handler(_PairHandler):
    """`/v3/glossaries/{id}/entries`."""

    route = "/v3/glossaries/{id}/entries"

    def get(self, glossary_id: str) -> None:
        glossary = self.found(glossary_id)
        pair = self.pair(glossary)
        entries = {"entries": as_tsv(glossary.dictionaries[pair]), "entries_format": "tsv"}
        languages = {"source_lang": pair[0], "target_lang": pair[1]}
        self.write_json({"dictionaries": [languages | entries]})


class DictionariesV3Handler(_PairHandler):
    """`/v3/glossaries/{id}/dictionaries`."""

    route = "/v3/glossaries/{id}/dictionaries"

    def put(self, glossary_id: str) -> None:
        glossary, request = self.found(glossary_id), parse(DictionaryRequest, self.json_or_form())
        glossary.dictionaries[request.pair] = request.terms
        self.write_json(summary(request.pair, glossary.dictionaries[request.pair]))

    def delete(self, glossary_id: str) -> None:
        glossary = self.found(glossary_id)
        pair = self.pair(glossary)
        if len(glossary.dictionaries) == 1:
            self.glossaries.forget(glossary)
        del glossary.dictionaries[pair]
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
