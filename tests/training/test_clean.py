"""Cleaning: what stays, what goes, and in which form it stays."""

from __future__ import annotations

from collections import Counter

import pytest

from training.clean import clean, fault, normalise
from training.corpus import Pair


def simplify(text: str) -> str:
    """Stand in for OpenCC: one character is enough to see that it was asked."""
    return text.replace("湯", "汤")


def test_chinese_becomes_simplified_and_japanese_does_not() -> None:
    assert normalise(Pair("zh", "Soup!", "湯!"), simplify) == Pair("zh", "Soup!", "汤！")
    assert normalise(Pair("ja", "Soup!", "湯!"), simplify) == Pair("ja", "Soup!", "湯！")


def test_spaces_and_composition_are_made_uniform() -> None:
    pair = normalise(Pair("fr", "OK? ", "C\u0327a\u202fva\u00a0?\u200b"), simplify)
    assert pair == Pair("fr", "OK?", "Ça va ?")


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Pair("de", "Hello.", ""), "empty"),
        (Pair("de", "Word. " * 60, "Wort. " * 60), "long"),
        (Pair("de", "Tom!", "Tom!"), "copied"),
        (Pair("zh", "I see a cat.", "猫がいます。"), "other language"),
        (Pair("de", "This is a whole sentence.", "Dies"), "ratio"),
        (Pair("ja", "This is it.", "これはとても長くて、元の文とはまるで違う文です。"), None),
        (Pair("de", "This is a whole sentence.", "Dies ist ein ganzer Satz."), None),
        (Pair("ja", "This is a whole sentence.", "これは文です。"), None),
    ],
)
def test_faults_are_told_by_name(pair: Pair, reason: str | None) -> None:
    assert fault(pair) == reason


def test_duplicates_go_after_normalising_and_are_counted() -> None:
    dropped: Counter[str] = Counter()
    pairs = [Pair("fr", "OK?", "Ça va ?"), Pair("fr", "OK? ", "Ça\u00a0va ?"), Pair("fr", "", "x")]
    assert list(clean(pairs, simplify, dropped)) == pairs[:1]
    assert dropped == {"duplicate": 1, "empty": 1}


def test_several_translations_of_one_sentence_all_stay() -> None:
    pairs = [Pair("de", "Stop!", "Halt!"), Pair("de", "Stop!", "Stopp!")]
    assert list(clean(pairs, simplify)) == pairs
