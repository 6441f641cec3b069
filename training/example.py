"""What the model learns from: a source text, a target text and the languages of both."""

from __future__ import annotations

from dataclasses import dataclass

from training.corpus import Pair
from training.languages import ENGLISH


@dataclass(frozen=True, slots=True)
class Example:
    """One translation to learn, in one direction."""

    source_lang: str
    target_lang: str
    source: str
    target: str


def directed(pair: Pair, into_english: bool) -> Example:
    """Read `pair` in one of its two directions."""
    if into_english:
        return Example(pair.lang, ENGLISH, pair.other, pair.english)
    return Example(ENGLISH, pair.lang, pair.english, pair.other)
