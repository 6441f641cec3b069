"""How training examples are drawn: from which language, how often, in what order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mixture:
    """How examples are drawn. Shares are of all examples, from 0 to 1."""

    chunk: int = 16_384
    # A language's share goes with its number of pairs to this power: small ones count for more.
    temper: float = 0.5
    into_english: float = 0.5
    templates: float = 0.08
    names: float = 0.5
    numbers: float = 0.6
    runs: float = 0.06
    max_tokens: int = 160
    batch_tokens: int = 4096


def shares(counts: Mapping[str, int], mixture: Mixture) -> dict[str, float]:
    """Return each language's share of the examples; they sum to 1.

    >>> shares({"de": 900, "zh": 100}, Mixture(temper=0.5))
    {'de': 0.75, 'zh': 0.25}
    """
    raw = {lang: count**mixture.temper for lang, count in counts.items() if count}
    total = sum(raw.values())
    return {lang: weight / total for lang, weight in raw.items()}


def cyclic(size: int, start: int, count: int, seed: str) -> Iterator[int]:
    """Yield `count` positions below `size` from `start` on, shuffled anew in every pass."""
    order: list[int] = []
    passed = -1
    for place in range(start, start + count):
        if place // size != passed:
            passed = place // size
            order = list(range(size))
            random.Random(f"{seed}/{passed}").shuffle(order)
        yield order[place % size]
