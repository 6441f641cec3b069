"""Variation of what is typed, and runs of sentences."""

from __future__ import annotations

import random

import pytest

from training.example import Example
from training.vary import join, join_runs, vary_source

HELLO = Example("en", "de", "Hello, I'm here.", "Hallo, ich bin da.")


def varied(count: int) -> list[Example]:
    rng = random.Random(1)
    return [vary_source(HELLO, rng) for _ in range(count)]


def test_only_the_source_varies_and_mostly_not() -> None:
    made = varied(1000)
    assert {example.target for example in made} == {HELLO.target}
    assert sum(example == HELLO for example in made) > 700


@pytest.mark.parametrize(
    "source", ["hello, i'm here.", "HELLO, I'M HERE.", "Hello, I'm here", "Hello, I’m here."]
)
def test_every_habit_of_typing_turns_up(source: str) -> None:
    assert source in {example.source for example in varied(1000)}


def test_a_text_that_is_all_punctuation_stays() -> None:
    dots = Example("en", "de", "...", "...")
    rng = random.Random(1)
    assert {vary_source(dots, rng).source for _ in range(200)} == {"..."}


def test_runs_are_joined_as_the_language_does() -> None:
    run = join([Example("en", "ja", "Yes.", "はい。"), Example("en", "ja", "No.", "いいえ。")])
    assert run == Example("en", "ja", "Yes. No.", "はい。いいえ。")


def test_about_the_asked_share_is_joined_and_nothing_is_lost() -> None:
    many = [Example("en", "de", f"Number {n}.", f"Nummer {n}.") for n in range(3000)]
    made = join_runs(many, 0.1, random.Random(1))
    runs = [example for example in made if example.source.count(".") > 1]
    assert " ".join(example.source for example in made) == " ".join(e.source for e in many)
    assert 0.07 < len(runs) / len(made) < 0.13
    assert max(example.source.count(".") for example in runs) == 3


def test_what_does_not_end_as_a_sentence_is_not_joined() -> None:
    words = [Example("en", "de", "house", "Haus")] * 50
    assert join_runs(words, 1.0, random.Random(1)) == words
