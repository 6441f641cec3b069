"""Files of terms: CSV, TSV and TBX (ISO 30042, https://www.tbxinfo.net)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from engine import defused
from engine.errors import BadRequest, UnknownLanguage
from engine.translation.glossary import Term
from engine.translation.languages import canonical, generic

LONGEST = 200  # characters of a term
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ENTRIES = {"termEntry", "conceptEntry"}  # TBX-Basic's name, and that of version 3
_LANGUAGES = {"langSet", "langSec"}


def checked(pairs: Any, most: int) -> list[Term]:
    """Terms as a request gives them: an object, or a list of pairs. Raises ValueError."""
    found = list(pairs.items()) if isinstance(pairs, dict) else pairs
    if isinstance(found, list) and len(found) > most:
        raise ValueError(f"there may be {most:,} terms")
    if not isinstance(found, list) or not all(map(is_term, found)):
        raise ValueError(
            "give an object of terms with their translations, or a list of such pairs, each term"
            f" of 1 to {LONGEST} characters in one line"
        )
    return [(source, target) for source, target in found]


def is_term(pair: Any) -> bool:
    """Whether something is a term and its translation."""
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(text, str) and text.strip() for text in pair)
        and all(len(text) <= LONGEST and text.isprintable() for text in pair)
    )


def read_table(text: str, delimiter: str, most: int) -> list[Term]:
    """The first two columns of CSV or TSV; empty lines are passed over.

    Of more than `most` terms one too many is read. Raises BadRequest for a line that has only one
    column.
    """
    terms: list[Term] = []
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1):
            if not any(map(str.strip, row)):
                continue
            if len(row) < 2:
                raise BadRequest(f"Line {number} has no second column.")
            terms.append((row[0].strip(), row[1].strip()))
            if len(terms) > most:
                break
    except csv.Error as error:
        raise BadRequest(f"This is no table: {error}.") from None
    return terms


def read_tbx(text: str, source_lang: str, target_lang: str, most: int) -> list[Term]:
    """The terms of a TBX file in two languages; the first of several translations is taken.

    Of more than `most` terms not many more are read. Raises BadRequest for what is no XML, or
    declares entities.
    """
    try:
        root = defused.read(text)
    except (ParseError, ValueError) as error:  # what is dangerous
        raise BadRequest(f"This is no TBX that can be read: {error}.") from None
    terms: list[Term] = []
    for entry in _named(root.iter(), _ENTRIES):
        by_language = {_language(each): _terms(each) for each in _named(entry, _LANGUAGES)}
        targets = by_language.get(generic(canonical(target_lang)))
        for source in by_language.get(generic(canonical(source_lang)), ()):
            terms += [(source, target) for target in (targets or [])[:1]]
        if len(terms) > most:
            break
    return terms


def _named(elements: Iterable[Element], names: set[str]) -> Iterator[Element]:
    """Version 3 has a namespace, older ones have none."""
    return (each for each in elements if each.tag.rpartition("}")[2] in names)


def _language(element: Element) -> str | None:
    try:
        return generic(canonical(element.get(_LANG) or element.get("lang") or ""))
    except UnknownLanguage:
        return None


def _terms(element: Element) -> list[str]:
    texts = ("".join(term.itertext()).strip() for term in _named(element.iter(), {"term"}))
    return [text for text in texts if text]
