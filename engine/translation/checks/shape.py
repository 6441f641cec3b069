"""How long a translation is, and how much of it is the source still."""

from __future__ import annotations

import regex

from engine.translation.checks.pair import Pair

_DENSE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")  # each says as much as ...
_WEIGHT = 2.5  # ... so many letters of an alphabet
_TIMES, _MORE = 3.0, 20.0  # longer than so many times the source and so much: too long
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_RUN = 4  # words in a row that are no name


def length(pair: Pair) -> str | None:
    """Far longer or far shorter than the source, by what letters of its script say."""
    ours, theirs = _length(pair.source), _length(pair.translation)
    if theirs > _TIMES * ours + _MORE:
        return "The translation is much longer than the source."
    if ours > _TIMES * theirs + _MORE:
        return "The translation is much shorter than the source."
    return None


def copy(pair: Pair) -> str | None:
    """The source itself, or half of it in one run, where the languages differ."""
    if pair.source_lang == pair.target_lang:
        return None
    ours, theirs = _words(pair.source), _words(pair.translation)
    if len(ours) < _RUN:
        dense = len(_DENSE.findall(pair.source))
        same = pair.source.strip() == pair.translation.strip()
        return "The source was not translated." if same and dense > 2 * _RUN else None
    run = _common(ours, theirs, max(_RUN, -(-len(ours) // 2)))
    if run and any(word.islower() for word in run[1:]):
        return f"Not translated: {' '.join(run)[:100]}"
    return None


def _length(text: str) -> float:
    return len(text) + (_WEIGHT - 1) * len(_DENSE.findall(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _common(ours: list[str], theirs: list[str], count: int) -> list[str]:
    """A run of `count` words that stands in both; empty where there is none."""
    runs = {tuple(theirs[at : at + count]) for at in range(len(theirs) - count + 1)}
    for at in range(len(ours) - count + 1):
        if tuple(ours[at : at + count]) in runs:
            return ours[at : at + count]
    return []
