"""Which language a text is in, by py3langid's table of byte sequences; nothing leaves the machine.

The table takes half a second and 77 MiB to load, so that is done once a process, on a thread.
docs/performance.md has the figures by which this library was chosen.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from engine.errors import UnknownLanguage
from engine.translation.languages import canonical, match

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LIKELY = 0.5
"""From here on a guess is good enough to name the language to a model: 999 of 1,000 are right."""

SURE = 0.9
"""From here on it is taken for known: no short sentence of the development set was wrong."""

SURE_ENOUGH = {"en": 0.7}
"""The same for texts that are to be given back, where figures allow less (docs/performance.md): of
29,000 sentences in other languages none was more than 0.46 likely to be English."""

_SAMPLE = 300  # characters; three samples take 1 ms at most
_REMEMBERED = 64  # samples whose languages are kept
_LETTER = re.compile(r"[^\W\d_]")
# Web addresses, e-mail addresses, tags and placeholders: no words of the text's language.
_NO_WORDS = re.compile(r"https?://\S+|[^\s@]{1,64}@\S+|<[^<>]{,200}>|[{%$][\w(){}.]*")
_loading = threading.Lock()
_codes: dict[tuple[str, ...], dict[str, str]] = {}  # by the languages that are asked about: few


@dataclass(frozen=True, slots=True)
class Guess:
    """A language and how likely it is, 0 to 1, among those that were asked about."""

    language: str
    confidence: float


async def load(among: tuple[str, ...]) -> None:
    """Have what `detect` needs for these languages in memory; later calls return at once."""
    if among not in _codes:
        await asyncio.to_thread(_labels, among)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _labels(among: tuple[str, ...]) -> dict[str, str]:
    """The code of `among` for each of py3langid's labels that stands for one."""
    with _loading:
        if among not in _codes:
            _codes[among] = dict(_matches(_identifier().labels, among))
        return _codes[among]


def _matches(labels: Iterable[str], among: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for label in labels:
        with suppress(UnknownLanguage):  # zxx: no language
            if (code := match(canonical(label), among)) is not None:
                yield label, code


def detect(text: str, among: tuple[str, ...]) -> list[Guess]:
    """The languages of `among` (BCP-47 codes) that a text may be in, the likeliest first.

    Empty where nothing tells: no letters, or none of a word that is known. Of a long text its
    beginning, its middle and its end are looked at. Loads the table where `load` did not.
    """
    words = _NO_WORDS.sub(" ", _sample(text))
    return _guesses(words, among) if _LETTER.search(words) else []


@lru_cache(maxsize=_REMEMBERED)
def _guesses(words: str, among: tuple[str, ...]) -> list[Guess]:
    """Most texts are one segment, and so are asked about twice; it takes 0.2 ms each time."""
    labels = _labels(among)
    shares: dict[str, float] = defaultdict(float)
    ranked = _identifier().rank(words)
    if ranked[1][1] <= ranked[-1][1]:  # all alike (but sr, which counts twice): nothing was known
        return []
    for label, share in ranked:
        if (code := labels.get(label)) is not None:
            shares[code] += share
    whole = sum(shares.values())
    if whole <= 0:
        return []
    guesses = [Guess(code, share / whole) for code, share in shares.items()]
    return sorted(guesses, key=lambda guess: guess.confidence, reverse=True)


def _sample(text: str) -> str:
    if len(text) <= 3 * _SAMPLE:
        return text
    middle = (len(text) - _SAMPLE) // 2
    return "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))
