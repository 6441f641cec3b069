"""Digits: the same new number on both sides, of the same kind."""

from __future__ import annotations

import random
import re

import pytest

from training.corpus import Pair
from training.numbers import similar, swap_numbers


def digits(text: str) -> list[str]:
    return re.findall(r"[0-9]+", text)


def test_both_sides_hold_the_same_new_numbers() -> None:
    pair = Pair("de", "I have 12 dogs and 40 cats.", "Ich habe 12 Hunde und 40 Katzen.")
    swapped = [swap_numbers(pair, random.Random(seed)) for seed in range(20)]
    assert all(digits(new.english) == digits(new.other) for new in swapped)
    assert len({new.english for new in swapped}) > 10


@pytest.mark.parametrize(
    ("english", "other"),
    [
        ("It is 2:30 p.m.", "Es ist 14:30 Uhr."),
        ("I have two dogs.", "Ich habe 2 Hunde."),
        ("He came 2nd.", "Er wurde 2ter."),
        ("I have 1 dog.", "Ich habe 1 Hund."),
    ],
)
def test_numbers_that_differ_inflect_or_are_singular_stay(english: str, other: str) -> None:
    pair = Pair("de", english, other)
    assert all(swap_numbers(pair, random.Random(seed)) == pair for seed in range(20))


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [("3", 2, 12), ("24", 13, 31), ("1984", 1900, 2030), ("45000", 10000, 99999)],
)
def test_a_new_number_keeps_to_its_kind(number: str, low: int, high: int) -> None:
    made = {int(similar(number, random.Random(seed))) for seed in range(200)}
    assert low <= min(made) < max(made) <= high


def test_leading_zeros_stay() -> None:
    assert similar("05", random.Random(1)) == "05"
