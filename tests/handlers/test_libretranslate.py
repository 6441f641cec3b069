"""LibreTranslate's paths: a body with `q`, as JSON or as a form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

TEXT = "Where is the station?"


def ask(client: httpx.Client, q: Any = TEXT, **more: Any) -> httpx.Response:
    return client.post("/translate", json={"q": q, "source": "en", "target": "de", **more})


@pytest.fixture(scope="module")
def german(client: httpx.Client) -> str:
    body = {"text": TEXT, "target_lang": "de"}
    text: str = client.post("/translate", json=body).json()["translation"]
    return text


def test_a_text_gives_a_text(client: httpx.Client, german: str) -> None:
    assert ask(client).json() == {"translatedText": german}


def test_a_form_is_as_good_as_json(client: httpx.Client, german: str) -> None:
    form = {"q": TEXT, "source": "en", "target": "de", "format": "text", "api_key": ""}
    assert client.post("/translate", data=form).json() == {"translatedText": german}
    multipart = {name: (None, value) for name, value in form.items()}
    assert client.post("/translate", files=multipart).json() == {"translatedText": german}
    two = client.post("/translate", data={**form, "q": [TEXT, "12"], "alternatives": "1"}).json()
    assert two["translatedText"] == [german, "12"]
    assert len(two["alternatives"]) == 2


def test_texts_of_a_list_stay_apart_whatever_is_in_them(client: httpx.Client, german: str) -> None:
    answer = ask(client, [TEXT, "1 | 2", "|", "", TEXT]).json()
    assert answer == {"translatedText": [german, "1 | 2", "|", "", german]}


def test_the_language_is_told_where_it_was_asked_for(client: httpx.Client) -> None:
    one = ask(client, source="auto").json()
    assert one["detectedLanguage"]["language"] == "en"
    assert 0 < one["detectedLanguage"]["confidence"] <= 100
    two = ask(client, [TEXT, "12"], source="auto").json()
    assert [each["language"] for each in two["detectedLanguage"]] == ["en", "en"]
    assert two["detectedLanguage"][1]["confidence"] == 0


def test_alternatives_differ_from_the_translation(client: httpx.Client, german: str) -> None:
    answer = ask(client, alternatives=3).json()
    assert answer["translatedText"] == german
    assert len(answer["alternatives"]) <= 3
    assert german not in answer["alternatives"]
    assert answer == ask(client, alternatives=3).json()


def test_html_keeps_its_markup(client: httpx.Client) -> None:
    answer = ask(client, f"<p>{TEXT}</p>", format="html").json()["translatedText"]
    assert answer.startswith("<p>")
    assert answer.endswith("</p>")


def test_text_wins_over_q(client: httpx.Client, german: str) -> None:
    body = {"text": TEXT, "q": "x", "target_lang": "de"}
    assert client.post("/translate", json=body).json()["translation"] == german
    form = client.post("/translate", data={"text": TEXT, "target_lang": "de"})
    assert form.json()["translation"] == german


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"q": "", "source": "en", "target": "de"}, "missing q parameter"),
        ({"q": TEXT, "source": "en"}, "missing target parameter"),
        ({"q": TEXT, "source": "en", "target": "tlh"}, "not a language"),
        ({"q": TEXT, "source": "xx", "target": "de"}, "not a language"),
        ({"q": TEXT, "target": "de", "format": "docx2"}, "'format' must be"),
        ({"q": [1], "target": "de"}, "'q"),
        ({"q": ["x"] * 1001, "target": "de"}, "exceeds the limit"),
        ({"q": TEXT, "target": "de", "alternatives": 99}, "'alternatives'"),
    ],
)
def test_errors_are_a_sentence(client: httpx.Client, body: dict[str, Any], words: str) -> None:
    answer = client.post("/translate", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_what_clients_ask_before_they_begin(client: httpx.Client) -> None:
    settings = client.get("/frontend/settings").json()
    assert settings["keyRequired"] is False
    assert settings["remote"] is False
    assert settings["language"]["target"] == {"code": "ja", "name": "Japanese"}
