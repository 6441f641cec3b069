"""Each check sees the faults that it is for, and leaves good translations alone."""

from __future__ import annotations

import pytest

from engine.translation.checks import CHECKS, Pair, findings

GERMAN = "Das hier ist ein langer Satz, der ganz sicher auf Deutsch geschrieben ist."
FAULTS = [
    ("numbers", "It costs 350 euros.", "Es kostet 530 Euro.", "de"),
    ("numbers", "I had a great time visiting Tokyo.", "東京で20歳の日を過ごした。", "ja"),
    ("numbers", "In 1999 we met.", "Wir trafen uns.", "de"),
    ("dates", "Due on 2024-05-17.", "Fällig am 17.5.2025.", "de"),
    ("dates", "Due on 17.05.2024, please.", "Fällig im 2024, bitte.", "de"),
    ("placeholders", "Dear {name}, hi.", "Liebe {Name}, hallo.", "de"),
    ("placeholders", "%d of %d files", "%d Dateien", "de"),
    ("placeholders", "Run `ls`.", "Starte ls.", "de"),
    ("tags", "It is <b>big</b>.", "Es ist <b>groß.", "de"),
    ("urls", "See https://example.com/a.", "Siehe https://example.com/A.", "de"),
    ("urls", "Ask us.", "Fragen Sie me@example.com.", "de"),
    ("terms", "The engine is loud.", "Der Motor ist laut.", "de"),
    ("script", "Where is the station?", "Where is der Bahnhof?", "ja"),
    ("script", "Where is the station?", "Где вокзал?", "de"),
    ("script", "We have eaten at home today.", "我们今天在家里吃了饭就去学校看书", "ja"),
    ("script", "We have eaten at home.", "私たちは家で食べた", "zh"),
    ("language", "This is a long sentence that somebody wrote.", GERMAN, "fr"),
    ("length", "Where is the station?", "Der Bahnhof ist dort. " * 8, "de"),
    ("length", "Where is the station, and when does the next train leave?", "Wo?", "de"),
    ("copy", "Where is the next station?", "Where is the next station?", "de"),
    ("copy", "Where is the next station, please?", "Where is the next Bahnhof?", "de"),
    ("chatter", "Hello.", "Here is the translation: Hallo.", "de"),
    ("chatter", "Hello.", "Sure, here it is: Hallo.", "de"),
    ("chatter", "Hello.", "翻訳：こんにちは。", "ja"),
    ("chatter", "Hello.", "Hallo.\n\n(Note: this is informal.)", "de"),
    ("control_tokens", "Hello.", "Hallo.<|im_end|>", "de"),
    ("control_tokens", "Hello.", "Hallo\ufffd", "de"),
]
GOOD = [
    ("It costs 1,000.50 euros.", "Es kostet 1.000,50 Euro.", "de"),
    ("We meet at 20:15 on May 5.", "Nous nous voyons à 8 h 15 le 5 mai.", "fr"),
    ("I have two cats.", "私は猫を2匹飼っている。", "ja"),
    ("She is twenty years old.", "Sie ist 20 Jahre alt.", "de"),
    ("It is 3 million.", "这是三百万。", "zh"),
    ("Due on 2024-05-17.", "Fällig am 17. Mai 2024.", "de"),
    ("Dear {name}, see <b>{x}</b>.", "Sieh <b>{x}</b>, {name}.", "de"),
    ("New York", "New York", "de"),
    ("OK", "OK", "ja"),
    ("Tom Sawyer and Huckleberry Finn", "Tom Sawyer und Huckleberry Finn", "de"),
    ("Here is the book that you want.", "Hier ist das Buch, das du willst.", "de"),
    ("The note says that he left.", "Auf dem Zettel steht, dass er ging.", "de"),
    ("Write <|im_end|> there.", "Schreib dort <|im_end|>.", "de"),
    ("Yes.", "はい。", "ja"),
    ("The engine is loud.", "Die Maschine ist laut.", "de"),
]


def pair(source: str, translation: str, target: str) -> Pair:
    terms = (("engine", "Maschine"), ("absent", "nicht da"))
    detect = {GERMAN: "de"}.get
    return Pair(source, translation, "en", target, terms, detect)


@pytest.mark.parametrize(("check", "source", "translation", "target"), FAULTS)
def test_a_fault_is_seen_by_its_check(
    check: str, source: str, translation: str, target: str
) -> None:
    found = findings(pair(source, translation, target))
    assert check in [finding.check for finding in found]
    assert all(finding.message for finding in found)


@pytest.mark.parametrize(("source", "translation", "target"), GOOD)
def test_a_good_translation_is_left_alone(source: str, translation: str, target: str) -> None:
    assert findings(pair(source, translation, target)) == []


def test_every_check_is_shown_by_a_fault() -> None:
    assert {check for check, *_ in FAULTS} == CHECKS.keys()


def test_a_translation_into_the_same_language_may_be_a_copy() -> None:
    text = "This is a sentence like any other."
    assert findings(Pair(text, text, "en", "en")) == []


@pytest.mark.parametrize("text", ["", " ", "\0", "1" * 5000, "9" * 30 + "." + "9" * 30, "{" * 999])
def test_whatever_a_model_says_can_be_checked(text: str) -> None:
    for target in ("de", "ja", "zh-Hant", "ko", "sr", "sw", "yi"):
        findings(Pair("Hello.", text, None, target))
        findings(Pair(text, "Hello.", None, target))
