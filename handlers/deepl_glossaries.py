"""What requests for DeepL's glossaries hold (`/v2/glossaries`, `/v3/glossaries`), and answers.

https://developers.deepl.com/docs/api-reference/multilingual-glossaries
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BadRequest, TextTooLong
from engine.translation.multilingual import MOST_TERMS, Multilingual, Pair, Terms
from engine.translation.termfiles import LONGEST, is_term


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

    @cached_property
    def terms(self) -> Terms:
        """Raises BadRequest for what is no table of terms, and TextTooLong."""
        lines = self.entries.splitlines()
        try:
            # One too many of terms and of empty lines is enough to know.
            table = csv.reader(lines[: 2 * MOST_TERMS + 1], _DIALECTS[self.entries_format])
            rows = [row for row in table if row]
        except csv.Error as error:
            raise BadRequest(f"'entries' is no table: {error}.", "entries") from None
        if not rows:
            raise BadRequest("'entries' must not be empty.", "entries")
        if len(rows) > MOST_TERMS or len(lines) > 2 * MOST_TERMS:
            raise TextTooLong(f"A dictionary may hold {MOST_TERMS:,} terms.")
        # A csv may name the languages in a third and a fourth column.
        terms = [(row[0].strip(), row[1].strip()) for row in rows if len(row) in (2, 4)]
        if len(terms) < len(rows) or not all(map(is_term, terms)):
            raise BadRequest(
                "Each line of 'entries' must hold a term and its translation, each of up to"
                f" {LONGEST} printable characters."
            )
        return dict(terms)


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


def by_pair(dictionaries: Iterable[DictionaryRequest]) -> dict[Pair, Terms]:
    """The terms of each pair, also where it comes twice. Raises BadRequest and TextTooLong."""
    found: dict[Pair, Terms] = {}
    for each in dictionaries:
        found[each.pair] = found.get(each.pair, {}) | each.terms
    return found


def as_v2(glossary: Multilingual) -> dict[str, Any]:
    """The older API knows one pair of languages."""
    pair, count = next(iter(glossary.counts.items()))
    return {
        "glossary_id": glossary.id,
        "name": glossary.name,
        "ready": True,
        **summary(pair, count),
        "creation_time": glossary.created,
    }


def as_v3(glossary: Multilingual) -> dict[str, Any]:
    """The newer one knows several."""
    return {
        "glossary_id": glossary.id,
        "name": glossary.name,
        "dictionaries": [summary(pair, count) for pair, count in glossary.counts.items()],
        "creation_time": glossary.created,
    }


def summary(pair: Pair, count: int) -> dict[str, Any]:
    """What is told of a dictionary."""
    return {"source_lang": pair[0], "target_lang": pair[1], "entry_count": count}


def as_tsv(terms: Terms) -> str:
    """The terms as a table."""
    return "\n".join(f"{source}\t{target}" for source, target in terms.items())


def pair_of(source: str, target: str) -> Pair:
    """The pair without variants: 'EN', 'pt-BR' -> 'en', 'pt'."""
    return source.split("-")[0].lower(), target.split("-")[0].lower()
