"""Template pairs: sentences written for this project, with slots that fillers fill."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

from training.corpus import Pair
from training.fillers import FILLERS
from training.languages import ENGLISH
from training.names import Forms, elide

TEMPLATES = Path(__file__).with_name("templates.tsv")

# A digit tells two slots of one kind apart: {name} and {name2}.
_SLOT = re.compile(r"\{([a-z]+)([0-9]?)\}")
# Fixed phrases have one form each, templates many: these draw that share of the time.
FIXED_SHARE = 0.3


@cache
def templates(path: Path = TEMPLATES) -> tuple[Forms, ...]:
    """Read the table: one column for each language, one template a line."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    languages = header.split("\t")
    return tuple(dict(zip(languages, line.split("\t"), strict=True)) for line in lines if line)


@cache
def _split() -> tuple[tuple[Forms, ...], tuple[Forms, ...]]:
    fixed = tuple(forms for forms in templates() if not _SLOT.search(forms[ENGLISH]))
    return fixed, tuple(forms for forms in templates() if _SLOT.search(forms[ENGLISH]))


def insert(text: str, lang: str, slot: str, form: str) -> str:
    """Put `form` into `slot`, with French elision before it."""
    before, _, after = text.partition(slot)
    return (elide(before, form) if lang == "fr" else before) + form + after


def fill(template: Forms, lang: str, rng: random.Random) -> Pair:
    """Fill a template's slots alike in English and `lang`. Raises KeyError for an unknown slot."""
    english, other = template[ENGLISH], template[lang]
    for slot in sorted({found[0] for found in _SLOT.finditer(english)}):
        kind = slot.strip("{}0123456789")
        forms = FILLERS[kind](frozenset({ENGLISH, lang}), rng)
        english = insert(english, ENGLISH, slot, forms[ENGLISH])
        other = insert(other, lang, slot, forms[lang])
    return Pair(lang, english, other)


def draw_pair(lang: str, rng: random.Random) -> Pair:
    """Draw a template or a fixed phrase and fill it."""
    fixed, slotted = _split()
    return fill(rng.choice(fixed if rng.random() < FIXED_SHARE else slotted), lang, rng)
