"""Detection of languages: right about sentences, silent about what tells nothing."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.translation import detect as module
from engine.translation.detect import LIKELY, detect, load
from engine.translation.languages import WIDELY_SPOKEN

SENTENCES = {
    "en": "The cherry blossoms were beautiful last spring.",
    "de": "Wo ist der Bahnhof? Ich habe meinen Zug verpasst.",
    "fr": "Nous avons visité le musée pendant les vacances.",
    "es": "Mañana iremos a la playa con nuestros amigos.",
    "pt": "Amanhã não vou trabalhar porque estou doente.",
    "ja": "桜の花がとてもきれいでした。",
    "zh": "昨天我去图书馆借了三本书。",
    "ko": "어제 도서관에서 책을 세 권 빌렸어요.",
    "ru": "Вчера я взял в библиотеке три книги.",
    "uk": "Учора я взяв у бібліотеці три книжки.",
    "ar": "استعرت أمس ثلاثة كتب من المكتبة.",
    "fil": "Humiram ako kahapon ng tatlong aklat sa aklatan.",
    "no": "Jeg lånte tre bøker på biblioteket i går.",
}


@pytest.mark.parametrize(("language", "sentence"), SENTENCES.items())
def test_a_sentence_is_likely_enough_to_be_told(language: str, sentence: str) -> None:
    best = detect(sentence, WIDELY_SPOKEN)[0]
    assert (best.language, best.confidence > LIKELY) == (language, True)


@pytest.mark.parametrize(
    "text",
    ["", " \n", "123", "?!", "🎉", "https://de.example.com/die/der/das", "{name} %(das)s", "\0"],
)
def test_what_tells_nothing_gives_no_guess(text: str) -> None:
    assert detect(text, WIDELY_SPOKEN) == []


def test_a_single_word_is_never_sure() -> None:
    for word in ("Tom", "Restaurant", "OK", "Hotel", "Internet"):
        assert all(guess.confidence < 0.5 for guess in detect(word, WIDELY_SPOKEN))


def test_only_the_languages_that_are_asked_about_are_found() -> None:
    guesses = detect(SENTENCES["pt"], ("en", "de", "pt-BR"))
    assert guesses[0].language == "pt-BR"
    assert {guess.language for guess in guesses} == {"en", "de", "pt-BR"}
    assert sum(guess.confidence for guess in guesses) == pytest.approx(1)


def test_markup_and_addresses_do_not_count() -> None:
    text = 'Siehe <a href="https://example.com/the-best-of-the-world">hier</a>, bitte: {{ name }}.'
    assert detect(text, WIDELY_SPOKEN)[0].language == "de"


def test_of_a_long_text_three_places_are_looked_at() -> None:
    english, german = SENTENCES["en"] + " ", SENTENCES["de"] + " "
    text = english * 2 + german * 50_000
    begun = time.thread_time()
    assert detect(text, WIDELY_SPOKEN)[0].language == "de"
    assert time.thread_time() - begun < 0.2  # 0.001 as measured; all of it would take seconds


@settings(deadline=None)
@given(st.text())
def test_no_text_whatever_fails_and_likelihoods_make_sense(text: str) -> None:
    guesses = detect(text, WIDELY_SPOKEN)
    confidences = [guess.confidence for guess in guesses]
    assert confidences == sorted(confidences, reverse=True)
    assert not guesses or sum(confidences) == pytest.approx(1)


def test_the_table_is_loaded_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    module._identifier.cache_clear()
    monkeypatch.setattr(module, "_codes", {})
    among = ("en", "de")

    async def load_and_count() -> int:
        turns, loading = 0, asyncio.ensure_future(load(among))
        while not loading.done():
            turns += 1
            await asyncio.sleep(0.001)
        return turns

    assert asyncio.run(load_and_count()) > 10
    assert module._identifier.cache_info().currsize == 1
    assert detect(SENTENCES["de"], among)[0].language == "de"
