"""Cleaning: what a pair must be before a model learns from it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from training.corpus import Pair
from training.languages import UNSPACED

MAX_CHARS = 300
# Characters of the other side for each English one. Measured on the corpus: the middle 99.8 % of
# pairs lie inside; what lies outside is mostly a note or half a translation.
RATIOS = {"spaced": (0.4, 3.0), "unspaced": (0.08, 1.6)}
# Very short pairs ("Hi." / "Guten Tag!") have honest ratios of any size.
RATIO_FROM_CHARS = 12

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SPACES = re.compile(r"\s+")
_KANA = re.compile("[\u3040-\u30ff]")

Convert = Callable[[str], str]


def tidy(text: str) -> str:
    r"""Return `text` in NFC, with single plain spaces and without invisible characters.

    >>> tidy("C\u0327a va\u202f?  ")
    'Ça va ?'
    """
    return _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip()


def fullwidth_ends(text: str) -> str:
    """Give Japanese and Chinese text its own question and exclamation marks.

    >>> fullwidth_ends("元気?")
    '元気？'
    """
    return text.replace("?", "？").replace("!", "！")


def to_simplified() -> Convert:
    """Return a function from traditional to simplified Chinese (OpenCC's `t2s`)."""
    from opencc import OpenCC

    convert: Convert = OpenCC("t2s").convert
    return convert


def fault(pair: Pair) -> str | None:
    """Name what keeps `pair` from training, or return None when nothing does."""
    if not pair.english or not pair.other:
        return "empty"
    if max(len(pair.english), len(pair.other)) > MAX_CHARS:
        return "long"
    if pair.english == pair.other:
        return "copied"
    if pair.lang == "zh" and _KANA.search(pair.other):
        return "other language"
    low, high = RATIOS["unspaced" if pair.lang in UNSPACED else "spaced"]
    ratio = len(pair.other) / len(pair.english)
    if len(pair.english) >= RATIO_FROM_CHARS and not low <= ratio <= high:
        return "ratio"
    return None


def normalise(pair: Pair, simplify: Convert) -> Pair:
    """Return `pair` with both sides tidy, its punctuation and script those of its language."""
    other = tidy(pair.other)
    if pair.lang in UNSPACED:
        other = fullwidth_ends(other)
    if pair.lang == "zh":
        other = simplify(other)
    return Pair(pair.lang, tidy(pair.english), other)


def clean(
    pairs: Iterable[Pair], simplify: Convert, dropped: Counter[str] | None = None
) -> Iterator[Pair]:
    """Yield the normalised, faultless, distinct pairs; count the others in `dropped` by fault."""
    counts: Counter[str] = Counter() if dropped is None else dropped
    seen: set[Pair] = set()
    for raw in pairs:
        pair = normalise(raw, simplify)
        reason = "duplicate" if pair in seen else fault(pair)
        if reason:
            counts[reason] += 1
            continue
        seen.add(pair)
        yield pair
