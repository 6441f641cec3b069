"""DeepL's glossaries, `/v2/glossaries` and `/v3/glossaries`; they live as long as the server.

https://developers.deepl.com/docs/api-reference/multilingual-glossaries
"""

from __future__ import annotations

import csv
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BadRequest, TextTooLong
from handlers.base import NotFound

_MOST = 1000  # glossaries
_MOST_TERMS, _LONGEST_TERM = 1000, 200  # as `glossary` in a translation request

Pair = tuple[str, str]  # base codes of a source and a target: "en", "de"
Terms = dict[str, str]


class DictionaryRequest(BaseModel):
    """Terms of one pair of languages, a line each: the term, a tab or comma, its translation."""

    model_config = ConfigDict(extra="ignore", strict=True)

    source_lang: str = Field(min_length=2, max_length=20)
    target_lang: str = Field(min_length=2, max_length=20)
    entries: str
    entries_format: Literal["tsv", "csv"] = "tsv"

    @property
    def pair(self) -> Pair:
        """The pair without variants."""
        return pair_of(self.source_lang, self.target_lang)

    @property
    def terms(self) -> Terms:
        """Raises BadRequest for what is no table of terms, and TextTooLong."""
        rows = list(csv.reader(self.entries.splitlines(), _DIALECTS[self.entries_format]))
        rows = [row for row in rows if row]
        for row in rows:
            # A csv may name the languages in a third and a fourth column.
            if len(row) not in (2, 4) or not all(0 < len(c.strip()) <= _LONGEST_TERM for c in row):
                raise BadRequest("Each line of 'entries' must hold a term and its translation.")
        if not rows:
            raise BadRequest("'entries' must not be empty.", "entries")
        if len(rows) > _MOST_TERMS:
            raise TextTooLong(f"A dictionary may hold {_MOST_TERMS:,} terms.")
        return {row[0].strip(): row[1].strip() for row in rows}


class _Tabs(csv.excel_tab):
    quoting = csv.QUOTE_NONE


_DIALECTS: dict[str, type[csv.Dialect]] = {"tsv": _Tabs, "csv": csv.excel}


class GlossaryV2Request(DictionaryRequest):
    """`POST /v2/glossaries`: one pair of languages."""

    name: str = Field(min_length=1, max_length=1024)


class GlossaryV3Request(BaseModel):
    """`POST /v3/glossaries`: any number of pairs."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = Field(min_length=1, max_length=1024)
    dictionaries: list[DictionaryRequest] = Field(min_length=1, max_length=100)


class GlossaryPatch(BaseModel):
    """`PATCH /v3/glossaries/{id}`: another name, more terms."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str | None = Field(None, min_length=1, max_length=1024)
    dictionaries: list[DictionaryRequest] = Field(default=[], max_length=100)


@dataclass
class Glossary:
    """Terms by pairs of languages; `owner` alone may use it."""

    name: str
    owner: str
    dictionaries: dict[Pair, Terms]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def terms(self, source: str, target: str) -> Terms:
        """The terms for a translation. Raises BadRequest where there are none."""
        pair = pair_of(source, target)
        if pair not in self.dictionaries:
            raise BadRequest(f"The glossary has no dictionary from {pair[0]} to {pair[1]}.")
        return self.dictionaries[pair]

    def add(self, dictionaries: list[DictionaryRequest]) -> None:
        """More terms, or others for those that are there. Raises BadRequest and TextTooLong."""
        merged = {
            each.pair: {**self.dictionaries.get(each.pair, {}), **each.terms}
            for each in dictionaries
        }
        if any(len(terms) > _MOST_TERMS for terms in merged.values()):
            raise TextTooLong(f"A dictionary may hold {_MOST_TERMS:,} terms.")
        self.dictionaries |= merged

    def as_v2(self) -> dict[str, Any]:
        """The older API knows one pair of languages."""
        (source, target), terms = next(iter(self.dictionaries.items()))
        return {
            "glossary_id": self.id,
            "name": self.name,
            "ready": True,
            "source_lang": source,
            "target_lang": target,
            "creation_time": self.created,
            "entry_count": len(terms),
        }

    def as_v3(self) -> dict[str, Any]:
        """The newer one."""
        return {
            "glossary_id": self.id,
            "name": self.name,
            "dictionaries": [summary(pair, terms) for pair, terms in self.dictionaries.items()],
            "creation_time": self.created,
        }


class DeepLGlossaries:
    """All glossaries, by id."""

    def __init__(self) -> None:
        self._glossaries: dict[str, Glossary] = {}

    def add(self, name: str, owner: str, dictionaries: list[DictionaryRequest]) -> Glossary:
        """Raises BadRequest and TextTooLong."""
        made = Glossary(name, owner, {each.pair: each.terms for each in dictionaries})
        if len(self._glossaries) >= _MOST:
            raise TextTooLong(f"There are {_MOST:,} glossaries already. Delete one first.")
        self._glossaries[made.id] = made
        return made

    def find(self, glossary_id: str, owner: str) -> Glossary:
        """Raises NotFound, also for somebody else's."""
        found = self._glossaries.get(glossary_id)
        if found is None or found.owner != owner:
            raise NotFound("There is no such glossary.")
        return found

    def of(self, owner: str) -> list[Glossary]:
        """All of an owner."""
        return [each for each in self._glossaries.values() if each.owner == owner]

    def forget(self, glossary: Glossary) -> None:
        """Delete one."""
        self._glossaries.pop(glossary.id, None)


def summary(pair: Pair, terms: Terms) -> dict[str, Any]:
    """What is told of a dictionary."""
    return {"source_lang": pair[0], "target_lang": pair[1], "entry_count": len(terms)}


def as_tsv(terms: Terms) -> str:
    """The terms as a table."""
    return "\n".join(f"{source}\t{target}" for source, target in terms.items())


def pair_of(source: str, target: str) -> Pair:
    """The pair without variants: 'EN', 'pt-BR' -> 'en', 'pt'."""
    return source.split("-")[0].lower(), target.split("-")[0].lower()
