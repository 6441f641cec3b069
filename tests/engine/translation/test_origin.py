"""What the model is told of a text's language, and what a user is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.catalogue import EMBEDDED, ModelEntry, PromptSpec
from engine.translation.origin import detected, named

LARGE = ModelEntry(name="large", file=Path("large.gguf"))
GERMAN = "Wo ist der Bahnhof? Ich habe meinen Zug verpasst."
ENGLISH = "The cherry blossoms were beautiful last spring."
JAPANESE = "桜の花がとてもきれいでした。"


def test_a_model_of_several_languages_is_told_the_likely_one() -> None:
    origin = detected(GERMAN, LARGE, "ja")
    assert origin.language == "de"
    assert origin.guess is not None
    assert origin.guess.language == "de"
    assert origin.note is None


def test_what_is_unlikely_is_not_told() -> None:
    origin = detected("OK", LARGE, "ja")
    assert (origin.language, origin.guess) == (None, None)


def test_a_prompt_that_names_the_source_gets_the_best_guess_there_is() -> None:
    prompt = PromptSpec(template="{source_lang} {target_lang} {text}")
    entry = LARGE.model_copy(update={"prompt": prompt})
    assert detected("Hotel garni", entry, "ja").language is not None
    assert detected("123", entry, "ja").language is None


def test_a_model_of_one_language_is_told_that_one_and_the_user_is_warned() -> None:
    origin = detected(GERMAN, EMBEDDED, "ja")
    assert origin.language == "en"
    assert origin.note is not None
    assert origin.note.code == "source_unsupported"
    assert origin.note.message.startswith("The text seems to be German, which tatoeba-mini")
    assert detected(ENGLISH, EMBEDDED, "ja").note is None


def test_languages_of_the_model_are_found_under_its_own_codes() -> None:
    entry = LARGE.model_copy(update={"source_langs": ("en", "pt-BR")})
    assert detected("Amanhã não vou trabalhar porque estou doente.", entry, "en").language == (
        "pt-BR"
    )


@pytest.mark.parametrize(
    ("segment", "spared"),
    [
        (JAPANESE, True),
        (ENGLISH, False),
        ("東京", False),
        (f"{JAPANESE}Where is the station? I missed my train.", False),
        (f"{JAPANESE}iPhoneで写真を撮りました。", True),
    ],
)
def test_segments_in_the_target_language_are_spared(segment: str, spared: bool) -> None:
    origin = detected(ENGLISH, EMBEDDED, "ja")
    assert origin.spares is not None
    assert origin.spares(segment) is spared


def test_a_source_that_is_named_holds() -> None:
    origin = named("en", "ja")
    assert (origin.language, origin.spares, origin.guess) == ("en", None, None)


@pytest.mark.parametrize(
    ("segment", "spared"),
    [
        ("Hello there.", True),
        ("I am tired.", True),
        ("Attention.", False),
        ("Hallo daar.", False),
        ("Tom will, was Maria hat.", False),
        ("Lo hice anteayer.", False),
        ("Sign in", False),
    ],
)
def test_short_english_is_spared_where_it_is_likely_enough(segment: str, spared: bool) -> None:
    spares = detected(segment, EMBEDDED, "en").spares
    assert spares is not None
    assert spares(segment) is spared


def test_with_the_same_language_on_both_sides_everything_is_spared() -> None:
    origin = named("de", "de")
    assert origin.spares is not None
    assert origin.spares(ENGLISH)
    assert origin.spared is not None
    assert origin.spared.code == "same_language"
