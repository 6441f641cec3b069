"""Prompt templates: what one may hold and what is made of it."""

from __future__ import annotations

import pytest

from engine.translation.templates import Template

NAMES = {"source_lang": "English", "target_lang": "Japanese"}


@pytest.mark.parametrize(
    ("source", "around"),
    [
        ("{text}", ("", "")),
        ("<2{target_lang}>{text}<sep>", ("<2Japanese>", "<sep>")),
        ("{source_lang}: {text}\n{target_lang}:", ("English: ", "\nJapanese:")),
        ("{target_lang}{target_lang}{text}", ("JapaneseJapanese", "")),
        ("{{text}} {text} {{", ("{text} ", " {")),
        ("{text}{{}}{{{target_lang}}}", ("", "{}{Japanese}")),
    ],
)
def test_names_are_filled_in_around_the_text(source: str, around: tuple[str, str]) -> None:
    assert Template.parse(source).around(NAMES) == around


def test_the_name_of_a_language_is_no_template() -> None:
    names = {"target_lang": "{text}"}
    assert Template.parse("{target_lang}: {text}").around(names) == ("{text}: ", "")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "Translate.",
        "{text} {text}",
        "{{text}}",
        "{text",
        "text}",
        "{}{text}",
        "{0}{text}",
        "{lang}{text}",
        "{text!r}",
        "{text:>9999999999}",
        "{target_lang.__class__}{text}",
        "{target_lang[0]}{text}",
        "{target_lang:{text}}",
        "{ text }",
    ],
)
def test_what_is_no_template_with_the_text_once_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Template.parse(source)
