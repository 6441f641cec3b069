"""Templates: complete in every language, and filled alike on both sides."""

from __future__ import annotations

import random
import re

import pytest

from training.corpus import Pair
from training.fillers import FILLERS, clock_time, date, price
from training.languages import LANGUAGES, OTHERS
from training.templates import draw_pair, fill, templates

EVERYTHING = frozenset(LANGUAGES)
SLOT = re.compile(r"\{[^}]*\}")


def same_slots(forms: dict[str, str]) -> bool:
    return len({tuple(sorted(SLOT.findall(text))) for text in forms.values()}) == 1


def test_every_template_has_the_same_slots_in_six_languages() -> None:
    assert len(templates()) > 150
    for template in templates():
        assert set(template) == set(LANGUAGES)
        assert all(template.values())
        assert same_slots(dict(template)), template


@pytest.mark.parametrize("lang", OTHERS)
def test_no_slot_is_left_open(lang: str) -> None:
    rng = random.Random(lang)
    for template in templates():
        pair = fill(template, lang, rng)
        assert pair.lang == lang
        assert "{" not in pair.english + pair.other


def test_copied_things_are_equal_on_both_sides() -> None:
    template = {"en": "Write to {email}.", "de": "Schreib an {email}."}
    pair = fill(template, "de", random.Random(1))
    assert pair.english.removeprefix("Write to ") == pair.other.removeprefix("Schreib an ")
    assert "@" in pair.other


def test_two_slots_of_one_kind_are_drawn_apart() -> None:
    template = {"en": "{n} {n2}", "de": "{n2} {n}"}
    pairs = [fill(template, "de", random.Random(seed)) for seed in range(20)]
    assert all(pair.english.split() == pair.other.split()[::-1] for pair in pairs)
    assert any(len(set(pair.english.split())) == 2 for pair in pairs)


def test_french_elides_before_a_name() -> None:
    template = {"en": "From {city}.", "fr": "Je viens de {city}."}
    made = {fill(template, "fr", random.Random(seed)).other for seed in range(300)}
    assert "Je viens d'Oslo." in made
    assert "Je viens de Paris." in made


def test_times_of_day_agree() -> None:
    for seed in range(200):
        forms = clock_time(EVERYTHING, random.Random(seed))
        hour = int(re.findall(r"\d+", forms["ja"])[0])
        shown = int(re.findall(r"\d+", forms["en"])[0])
        if "p.m." in forms["en"]:
            shown = shown % 12 + 12
        assert shown == hour, forms


def test_dates_agree() -> None:
    forms = date(EVERYTHING, random.Random(4))
    numbers = [re.findall(r"\d+", forms[lang])[-1] for lang in LANGUAGES]
    assert len(set(numbers)) == 1


def test_prices_have_a_comma_where_the_language_has_one() -> None:
    made = [price(EVERYTHING, random.Random(seed)) for seed in range(100)]
    cents = [forms for forms in made if "." in forms["ja"]]
    assert cents
    assert all("," in forms["de"] and "." in forms["en"] for forms in cents)


@pytest.mark.parametrize("kind", FILLERS)
def test_every_filler_speaks_all_languages(kind: str) -> None:
    forms = FILLERS[kind](EVERYTHING, random.Random(1))
    assert all(forms[lang] for lang in LANGUAGES)


def test_drawing_gives_fixed_phrases_and_filled_ones() -> None:
    rng = random.Random(1)
    pairs = {draw_pair("de", rng) for _ in range(5000)}
    assert Pair("de", "Thank you.", "Danke.") in pairs
    assert len(pairs) > 2500
