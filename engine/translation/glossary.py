"""Terms and their translations: which of them a text holds, and which a translation lacks."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

Term = tuple[str, str]  # what stands in the source, and what is to stand in the translation

_WORD = re.compile(r"\w+")
# Scripts without blanks between words: any character may begin a term there.
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
_PROMPTED = 2_000  # characters of the terms that go into one prompt


class Glossary:
    """A table of terms.

    A term is found in any letter case, as whole words, or anywhere in a script that puts no blanks
    between words. Of two translations of one term the last counts.
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self._terms = {_plain(source): (source, target) for source, target in terms}
        self._by_beginning: dict[str, list[str]] = defaultdict(list)
        for plain in self._terms:
            self._by_beginning[_beginning(plain)].append(plain)

    def __bool__(self) -> bool:
        return bool(self._terms)

    @cached_property
    def version(self) -> str:
        """Differs where the terms do."""
        return hashlib.sha256(repr(sorted(self._terms.items())).encode()).hexdigest()[:16]

    def occurring(self, text: str) -> tuple[Term, ...]:
        """The terms that a text holds, in the glossary's order."""
        plain = _plain(text)
        beginnings = {*_WORD.findall(plain), *plain} & self._by_beginning.keys()
        candidates = {each for beginning in beginnings for each in self._by_beginning[beginning]}
        found = {each for each in candidates if _stands_in(each, plain)}
        return tuple(term for each, term in self._terms.items() if each in found) if found else ()


def missing(terms: Iterable[Term], translation: str) -> tuple[Term, ...]:
    """Those of the terms whose translations do not stand in a text, in whatever letter case."""
    plain = _plain(translation)
    return tuple(term for term in terms if _plain(term[1]) not in plain)


def prompted(terms: Iterable[Term]) -> tuple[Term, ...]:
    """As many of the terms as a prompt has room for."""
    taken, room = [], _PROMPTED
    for source, target in terms:
        room -= len(source) + len(target)
        if room < 0:
            break
        taken.append((source, target))
    return tuple(taken)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _beginning(plain: str) -> str:
    """A term's first word; its first character where words are not told by blanks."""
    word = _WORD.match(plain)
    return word[0] if word and not _WITHOUT_BLANKS.search(word[0]) else plain[:1]


def stands_in(term: str, text: str) -> bool:
    """Whether a text holds a term, in any letter case."""
    return _stands_in(_plain(term), _plain(text))


def _stands_in(term: str, text: str) -> bool:
    """The same of plain ones. Patterns for a thousand terms would take 0.2 s to compile."""
    start, length = text.find(term), len(term)
    while start >= 0:
        before, behind = text[start - 1 : start], text[start + length : start + length + 1]
        if (_stands_anywhere(term[0]) or not _in_word(before)) and (
            _stands_anywhere(term[-1]) or not _in_word(behind)
        ):
            return True
        start = text.find(term, start + 1)
    return False


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _stands_anywhere(character: str) -> bool:
    return not character.isalnum() or bool(_WITHOUT_BLANKS.match(character))
