"""What the clients send: distinct texts of real sentences, and how many tokens they ask for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

SENTENCES = Path(__file__).resolve().parents[1] / "tests" / "data" / "sentences.txt"
_SEED = 3


def sentences() -> list[str]:
    """English sentences of our own."""
    return SENTENCES.read_text(encoding="utf-8").splitlines()


def short_texts(start: int = 0) -> Iterator[str]:
    """Endless texts of two or three sentences, from number `start` on.

    No two are equal within many thousands, and two that begin alike lie as many apart as there are
    sentences: no server can take one's prompt for another's.
    """
    known = sentences()
    shuffled = random.Random(_SEED).sample(known, len(known))
    for number in count(start):
        lap, place = divmod(number, len(shuffled))
        parts = [shuffled[place], known[(place * 7 + lap) % len(known)]]
        if number % 2:
            parts.append(known[(place * 11 + 3 * lap + 5) % len(known)])
        yield " ".join(parts)


def long_texts(start: int = 0) -> Iterator[str]:
    """Endless texts of about 2,000 tokens of the Qwen2 vocabulary in 1,160 characters.

    A text of so many tokens in English would be cut into segments, and then nobody would be asked
    for a long prompt. These are random words in the Cherokee script, whose letters take two tokens.
    """
    for number in count(start):
        letters = random.Random(_SEED + number)
        yield " ".join(
            "".join(chr(letters.randrange(0x13A0, 0x13F4)) for _ in range(5)) for _ in range(194)
        )


def token_counts(mean: int, spread: float, number: int, start: int = 0) -> list[int]:
    """Output tokens of `number` requests: `mean` on average, up to `spread` of it more or less.

    >>> token_counts(48, 0.0, 3)
    [48, 48, 48]
    """
    draws = random.Random(f"{_SEED} {mean} {spread} {start}")
    return [round(mean * (1 + spread * draws.uniform(-1, 1))) for _ in range(number)]
