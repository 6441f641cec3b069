"""Names: the same new one on both sides, with what the language does around it."""

from __future__ import annotations

import random

import pytest

from training import names
from training.corpus import Pair
from training.languages import LANGUAGES
from training.names import Name, invent, inventory, swap_names


def swap_to(monkeypatch: pytest.MonkeyPatch, pair: Pair, **forms: str) -> Pair:
    """Swap names in `pair` where every draw gives the name with these forms."""
    monkeypatch.setattr(names, "draw", lambda kind, languages, rng: Name(kind, forms))
    return swap_names(pair, random.Random(1))


@pytest.mark.parametrize(
    ("pair", "name", "expected"),
    [
        (("de", "Tom sleeps.", "Tom schläft."), "Anna", ("Anna sleeps.", "Anna schläft.")),
        (("de", "Tom's dog.", "Toms Hund."), "Anna", ("Anna's dog.", "Annas Hund.")),
        (("de", "Tom's dog.", "Toms Hund."), "Hans", ("Hans's dog.", "Hans' Hund.")),
        (("fr", "Tom's dog.", "Le chien de Tom."), "Eva", ("Eva's dog.", "Le chien d'Eva.")),
        (("fr", "Tom's dog.", "Le chien de Tom."), "Max", ("Max's dog.", "Le chien de Max.")),
        (("de", "Mary eats.", "Maria isst."), "Eva", ("Eva eats.", "Eva isst.")),
        (("es", "Boston!", "¡Boston!"), "Roma", ("Roma!", "¡Roma!")),
    ],
)
def test_both_sides_get_the_new_name(
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[str, str, str],
    name: str,
    expected: tuple[str, str],
) -> None:
    swapped = swap_to(monkeypatch, Pair(*pair), **dict.fromkeys(LANGUAGES, name))
    assert (swapped.english, swapped.other) == expected


def test_japanese_and_chinese_names_are_written_in_their_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forms = {"en": "Anna", "ja": "アンナ", "zh": "安娜"}
    ja = swap_to(monkeypatch, Pair("ja", "Tom left.", "トムは去った。"), **forms)
    zh = swap_to(monkeypatch, Pair("zh", "Tom left.", "汤姆走了。"), **forms)
    assert (ja.english, ja.other) == ("Anna left.", "アンナは去った。")
    assert (zh.english, zh.other) == ("Anna left.", "安娜走了。")


@pytest.mark.parametrize(
    "pair",
    [
        Pair("ja", "Tom's guitar is custom made.", "ギターはカスタムだ。"),
        Pair("de", "Tom left.", "Er ging."),
        Pair("de", "He left.", "Tom ging."),
        Pair("de", "Tomorrow!", "Tomaten!"),
    ],
)
def test_a_name_on_one_side_only_or_within_a_word_stays(pair: Pair) -> None:
    assert swap_names(pair, random.Random(1)) == pair


def test_two_people_get_two_names() -> None:
    pair = Pair("de", "Tom loves Mary.", "Tom liebt Maria.")
    for seed in range(50):
        swapped = swap_names(pair, random.Random(seed))
        first, _, second = swapped.english.rstrip(".").split(" ")
        assert first != second
        assert swapped.other.startswith(first)


def test_invented_names_look_like_names() -> None:
    rng = random.Random(1)
    made = {invent(rng) for _ in range(300)}
    assert len(made) > 250
    assert all(name.isalpha() and name.istitle() and 3 <= len(name) <= 14 for name in made)


def test_every_known_name_has_a_form_in_every_language() -> None:
    known = inventory()
    assert {name.kind for name in known} == {"male", "female", "surname", "city"}
    assert all(name.forms.get(lang) for name in known for lang in LANGUAGES)
