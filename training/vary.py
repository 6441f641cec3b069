"""Variation: what people really type, and more than one sentence at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.example import Example
from training.languages import TERMINALS, is_sentence, joiner

# Shares of examples whose source is changed in each way; the target stays as it should be.
LOWERED, SHOUTED, UNENDED, CURLY = 0.06, 0.01, 0.08, 0.03


def without_end(text: str) -> str:
    """Drop the final punctuation; a text that is nothing else stays.

    >>> without_end("How are you?")
    'How are you'
    """
    return text.rstrip(TERMINALS + " ") or text


def vary_source(example: Example, rng: random.Random) -> Example:
    """Change case, final punctuation or apostrophes of the source now and then."""
    source = example.source
    if rng.random() < UNENDED:
        source = without_end(source)
    if rng.random() < LOWERED:
        source = source.lower()
    elif rng.random() < SHOUTED:
        source = source.upper()
    if rng.random() < CURLY:
        source = source.replace("'", "’") if "'" in source else source.replace("’", "'")
    return Example(example.source_lang, example.target_lang, source, example.target)


def can_join(example: Example) -> bool:
    """Tell whether both sides end as sentences do, so that another can follow."""
    return is_sentence(example.source) and is_sentence(example.target)


def join(examples: Sequence[Example]) -> Example:
    """Join examples of one direction into a run of sentences."""
    first = examples[0]
    return Example(
        first.source_lang,
        first.target_lang,
        joiner(first.source_lang).join(example.source for example in examples),
        joiner(first.target_lang).join(example.target for example in examples),
    )


def join_runs(examples: Sequence[Example], share: float, rng: random.Random) -> list[Example]:
    """Join neighbours, all of one direction, into runs of two or three, about `share` of them."""
    result: list[Example] = []
    start = 0
    while start < len(examples):
        size = rng.randint(2, 3) if rng.random() < share else 1
        run = examples[start : start + size]
        result += [join(run)] if size > 1 and all(map(can_join, run)) else run
        start += size
    return result
