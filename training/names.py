"""Names: other people and places in place of the corpus's Tom, Mary, John and Boston.

Every fifth sentence of the corpus is about Tom, so a model trained on it alone calls everybody
Tom. Here a name that both sides of a pair hold is replaced by the same other name on both sides,
with what the language does around a name: German and English genitives, French elision.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.corpus import Pair
from training.languages import ENGLISH, UNSPACED

INVENTORY = Path(__file__).with_name("names.tsv")

Forms = Mapping[str, str]

# Latin pairs take an invented name this often: copying letter by letter is what they should learn.
INVENTED_SHARE = 0.35

# Kind of name, and its spellings in the corpus by language (regular expressions).
_IN_CORPUS: tuple[tuple[str, Forms], ...] = (
    (
        "male",
        {"en": "Tom", "de": "Tom", "fr": "Tom", "es": "Tom|Tomás", "ja": "トム", "zh": "汤姆"},
    ),
    (
        "female",
        {
            "en": "Mary",
            "de": "Mary|Maria",
            "fr": "Mary|Marie",
            "es": "Mary|María|Maria",
            "ja": "メアリー|メアリ|メリー",
            "zh": "玛丽亚|玛丽",
        },
    ),
    (
        "male",
        {
            "en": "John",
            "de": "John",
            "fr": "John|Jean",
            "es": "John|Juan",
            "ja": "ジョン",
            "zh": "约翰",
        },
    ),
    (
        "city",
        {
            "en": "Boston",
            "de": "Boston",
            "fr": "Boston",
            "es": "Boston",
            "ja": "ボストン",
            "zh": "波士顿",
        },
    ),
)

# Syllables of invented names.
_STARTS = (*"BCDFGHJKLMNPRSTVWYZAEIOU", "Br", "Fr", "Gr", "Kl", "Pr", "St", "Tr", "Sh")
_VOWELS = (*"aeiouaeo", "ie", "ai", "ou")
_MIDDLES = (*"lrnmdtvskbzg", "nd", "rt", "ll", "nn", "st", "rk", "lm", "nt", "ss")
_ENDS: tuple[str, ...] = ("", "", *"nrslmtx", "ck", "ng", "rt", "sky", "son", "ez", "ini")

_ELIDED = re.compile(r"\b(de|que|lorsque|puisque|jusque) $", re.IGNORECASE)
_VOWEL_START = re.compile("[aeiouâàéèêîôû]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A name of some kind (`male`, `female`, `city`) with its form in each language."""

    kind: str
    forms: Forms


@cache
def inventory(path: Path = INVENTORY) -> tuple[Name, ...]:
    """Read the known names: a table with kind and one column for each language."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    languages = header.split("\t")[1:]
    names = []
    for line in lines:
        kind, *forms = line.split("\t")
        names.append(Name(kind, dict(zip(languages, forms, strict=True))))
    return tuple(names)


@cache
def of_kind(kind: str) -> tuple[Name, ...]:
    """Return the known names of one kind."""
    return tuple(name for name in inventory() if name.kind == kind)


def invent(rng: random.Random) -> str:
    """Make up a name that can be said, such as "Brondast"."""
    parts = [rng.choice(_STARTS)]
    if parts[0] not in "AEIOU":
        parts.append(rng.choice(_VOWELS))
    for _ in range(rng.randint(1, 2)):
        parts += rng.choice(_MIDDLES), rng.choice(_VOWELS)
    return "".join(parts) + rng.choice(_ENDS)


def draw(kind: str, languages: frozenset[str], rng: random.Random) -> Name:
    """Draw a name of `kind`; an invented one now and then, where all `languages` share letters."""
    if not languages & UNSPACED and rng.random() < INVENTED_SHARE:
        name = invent(rng)
        return Name(kind, dict.fromkeys(languages, name))
    return rng.choice(of_kind(kind))


@cache
def _pattern(lang: str, spellings: str) -> re.Pattern[str]:
    if lang == "ja":
        return re.compile(f"(?<![ァ-ヺー])(?:{spellings})(?![ァ-ヺー])")
    if lang == "zh":
        return re.compile(f"(?:{spellings})")
    genitive = "(s?)" if lang == "de" else "()"
    return re.compile(rf"\b(?:{spellings}){genitive}\b")


def genitive(name: str) -> str:
    """Return the German genitive.

    >>> genitive("Anna"), genitive("Hans")
    ('Annas', "Hans'")
    """
    return name + ("'" if name[-1] in "sxzß" else "s")


def elide(before: str, name: str) -> str:
    """Return French text `before` a name with its last word elided where the name wants it.

    >>> elide("Je viens de ", "Oslo"), elide("Je viens de ", "Paris")
    ("Je viens d'", 'Je viens de ')
    """
    if not _VOWEL_START.match(name):
        return before
    return _ELIDED.sub(lambda word: f"{word[1][:-1]}'", before)


def put(text: str, lang: str, pattern: re.Pattern[str], name: str) -> str:
    """Replace what `pattern` finds by `name`, with the endings and elisions of `lang`."""
    pieces, end = [], 0
    for found in pattern.finditer(text):
        pieces.append(text[end : found.start()])
        if lang == "fr":
            pieces[-1] = elide(pieces[-1], name)
        pieces.append(genitive(name) if lang == "de" and found[1] else name)
        end = found.end()
    return "".join(pieces) + text[end:]


def swap_names(pair: Pair, rng: random.Random) -> Pair:
    """Replace every known name that both sides of `pair` hold by another of its kind."""
    english, other = pair.english, pair.other
    taken: set[str] = set()
    for kind, spellings in _IN_CORPUS:
        ours = _pattern(ENGLISH, spellings[ENGLISH])
        theirs = _pattern(pair.lang, spellings[pair.lang])
        if not (ours.search(english) and theirs.search(other)):
            continue
        name = draw(kind, frozenset({ENGLISH, pair.lang}), rng)
        if name.forms[ENGLISH] in taken:
            continue
        taken.add(name.forms[ENGLISH])
        english = put(english, ENGLISH, ours, name.forms[ENGLISH])
        other = put(other, pair.lang, theirs, name.forms[pair.lang])
    return Pair(pair.lang, english, other)
