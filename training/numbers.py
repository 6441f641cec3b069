"""Digits: the same random numbers on both sides of a pair, so that numbers survive.

Only runs of digits that both sides hold are replaced; each new number stays in the range of the
old one (an hour stays an hour, a day a day, a year a year), so that the sentence stays true.
"""

from __future__ import annotations

import random
import re

from training.corpus import Pair

_DIGITS = re.compile(r"[0-9]+")
# "2nd" and "3." as an ordinal inflect with the number; such pairs are left alone.
_ORDINAL = re.compile(r"[0-9](?:st|nd|rd|th|er|re|e|º|ª)\b")
_RANGES = ((2, 12), (13, 31), (32, 59), (60, 99), (100, 999), (1900, 2030))


def similar(number: str, rng: random.Random) -> str:
    """Return a random number of the kind of `number`; 0, 1 and leading zeros stay as they are.

    One is left alone because the words around it are singular.
    """
    value = int(number)
    if value < 2 or number[0] == "0":
        return number
    for low, high in _RANGES:
        if low <= value <= high:
            return str(rng.randint(low, high))
    return str(rng.randint(10 ** (len(number) - 1), 10 ** len(number) - 1))


def swap_numbers(pair: Pair, rng: random.Random) -> Pair:
    """Replace each number by one random number on both sides, where both sides hold the same."""
    runs = _DIGITS.findall(pair.english)
    if not runs or sorted(runs) != sorted(_DIGITS.findall(pair.other)):
        return pair
    if _ORDINAL.search(pair.english) or _ORDINAL.search(pair.other):
        return pair
    new = {run: similar(run, rng) for run in sorted(set(runs))}

    def put(match: re.Match[str]) -> str:
        return new[match[0]]

    return Pair(pair.lang, _DIGITS.sub(put, pair.english), _DIGITS.sub(put, pair.other))
