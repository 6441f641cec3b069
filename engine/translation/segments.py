"""Cutting a text into segments that a model can translate, and keeping what lies between them.

Concatenating `gap + text` of all segments gives the input back, character for character. Segments
come lazily, so that a book's first sentence is ready as soon as a single one's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import regex
import sentencex

Unit = Literal["sentence", "paragraph"]

_LINE = re.compile(r"[^\r\n]+")
_PARAGRAPH = re.compile(r"[^\r\n]+(?:(?:\r\n|\r|\n)[^\S\r\n]*[^\s][^\r\n]*)*")
_SPACE = re.compile(r"\s")
_GRAPHEME = regex.compile(r"\X")
_WINDOW = 4000  # characters of one line that are looked at together; bounds the work of a step
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text without surrounding white space and the white space before it.

    `start` is the text's offset in characters. The last segment's text may be empty: then its gap
    is what trails the input.
    """

    gap: str
    text: str
    start: int

    @property
    def translatable(self) -> bool:
        """False where there is no letter: numbers, punctuation and emoji are given back as they are."""
        return _LETTER.search(self.text) is not None


def segments(
    text: str, language: str | None, unit: Unit, fits: Callable[[str], bool]
) -> Iterator[Segment]:
    """Cut `text` into segments of a unit, none longer than what `fits` accepts."""
    done = 0
    for start, end in _pieces(text, language or "en", unit, fits):
        body = text[start:end]
        inner = body.strip()
        if not inner:
            continue
        at = start + body.index(inner)
        yield Segment(text[done:at], inner, at)
        done = at + len(inner)
    if done < len(text):
        yield Segment(text[done:], "", len(text))


def _pieces(
    text: str, language: str, unit: Unit, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Spans of the units, in order; what they leave out is white space."""
    for block in (_LINE if unit == "sentence" else _PARAGRAPH).finditer(text):
        if unit == "paragraph" and fits(block.group()):
            yield block.span()
            continue
        for start, end in _sentences(text, *block.span(), language):
            yield from _halves(text, start, end, fits)


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    """Spans of the sentences in text[start:end], looked for in one window after the other.

    The last sentence of a window may go on behind it, so the next window begins with it; a window
    that is all one sentence is cut at its last white space.
    """
    while start < end:
        stop = min(start + _WINDOW, end)
        spans = [
            (start + found["start_index"], start + found["end_index"])
            for found in sentencex.get_sentence_boundaries(language, text[start:stop])
        ]
        if stop < end:
            if len(spans) > 1:
                spans.pop()
            else:
                spans = [(start, _last_space(text, start, stop))]
        yield from spans
        start = spans[-1][1] if spans else stop


def _last_space(text: str, start: int, stop: int) -> int:
    """Where to cut text[start:stop] that holds no sentence border: after its last white space."""
    cut = max((found.end() for found in _SPACE.finditer(text, start + 1, stop)), default=0)
    return cut or _between_characters(text, start, stop)


def _halves(
    text: str, start: int, end: int, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """The span itself where it fits, else its halves, cut at the white space nearest the middle."""
    if end - start <= 1 or fits(text[start:end].strip()):
        yield start, end
        return
    middle = (start + end) // 2
    after = _SPACE.search(text, middle, end - 1)
    before = max((found.end() for found in _SPACE.finditer(text, start + 1, middle)), default=start)
    cuts = [cut for cut in (after.end() if after else end, before) if start < cut < end]
    cut = min(cuts, key=lambda place: abs(place - middle), default=0)
    cut = cut or _between_characters(text, start, middle)
    if cut >= end:  # one character as people see it: it cannot be cut further
        yield start, end
        return
    yield from _halves(text, start, cut, fits)
    yield from _halves(text, cut, end, fits)


def _between_characters(text: str, start: int, near: int) -> int:
    """The first border at or behind `near` that parts no grapheme (flags, accents, joined emoji)."""
    ends = (found.end() for found in _GRAPHEME.finditer(text, start))
    return next((end for end in ends if end >= near), len(text))
