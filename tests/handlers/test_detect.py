"""`POST /detect`, and what translations tell of the language they found."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

GERMAN = "Wo ist der Bahnhof? Ich habe meinen Zug verpasst."
JAPANESE = "桜の花がとてもきれいでした。"


def test_a_text_gets_its_language_with_a_likelihood(client: httpx.Client) -> None:
    answer = client.post("/detect", json={"text": GERMAN}).json()
    assert (answer["language"], answer["name"]) == ("de", "German")
    assert 0.9 < answer["confidence"] <= 1
    assert answer["candidates"][0] == {"language": "de", "confidence": answer["confidence"]}


def test_a_list_gets_a_list(client: httpx.Client) -> None:
    answer = client.post("/detect", json={"text": [GERMAN, JAPANESE, "12:30"]}).json()
    assert [each["language"] for each in answer["detections"]] == ["de", "ja", None]


def test_q_is_answered_as_libretranslate_does(client: httpx.Client) -> None:
    first, *_ = client.post("/detect", json={"q": GERMAN}).json()
    assert first["language"] == "de"
    assert 90 < first["confidence"] <= 100
    assert client.post("/detect", json={"q": "12:30"}).json() == [
        {"confidence": 0.0, "language": "en"}
    ]


def test_with_both_text_wins(client: httpx.Client) -> None:
    assert client.post("/detect", json={"text": GERMAN, "q": JAPANESE}).json()["language"] == "de"


def test_forms_are_understood(client: httpx.Client) -> None:
    for form in ({"data": {"q": GERMAN}}, {"data": {"q": GERMAN}, "files": {"x": b""}}):
        assert client.post("/detect", **form).json()[0]["language"] == "de"  # type: ignore[arg-type]
    several = client.post("/detect", data={"text": [GERMAN, JAPANESE]}).json()
    assert [each["language"] for each in several["detections"]] == ["de", "ja"]


def test_what_curl_calls_a_form_may_be_json(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/detect", content='{"text": "Wo ist der Bahnhof?"}', headers=headers)
    assert answer.json()["language"] == "de"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("application/json", b'{"text": 1}'),
        ("application/json", b'{"text": ["a", 1]}'),
        ("application/json", b'{"q": ["a"]}'),
        ("application/json", b"q=a"),
        ("application/x-www-form-urlencoded", b"q=%ff"),
        ("application/x-www-form-urlencoded", b"x=1"),
        ("multipart/form-data; boundary=x", b"--y"),
        ("multipart/form-data", b"--y"),
    ],
)
def test_bad_input_gets_a_sentence(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post("/detect", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"


def test_texts_above_the_limits_are_refused(client: httpx.Client) -> None:
    for text in (["a"] * 1001, "a" * (2 * 1024 * 1024 + 1)):
        answer = client.post("/detect", json={"text": text})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_long")


def test_a_translation_tells_the_language_it_found(client: httpx.Client) -> None:
    def found(**body: Any) -> Any:
        return client.post("/translate", json=body).json().get("detected_source_lang", "absent")

    english = "The cherry blossoms were beautiful last spring."
    assert found(text=english) == "en"
    assert found(text=[english, "OK", "12"], source_lang="auto") == ["en", None, None]
    assert found(text=english, source_lang="en") == "absent"


def test_of_a_document_only_what_is_translated_tells_its_language(client: httpx.Client) -> None:
    document = '{"the title of the page": "Wetter", "the text of this page": "Es regnet heute."}'
    assert client.post("/detect", json={"text": document}).json()["language"] == "en"
    answer = client.post("/translate", json={"text": document, "format": "json"}).json()
    assert answer["detected_source_lang"] == "de"


def test_a_language_that_the_model_does_not_know_is_noted(client: httpx.Client) -> None:
    answer = client.post("/translate", json={"text": GERMAN}).json()
    assert answer["detected_source_lang"] == "de"
    [note] = answer["notes"]
    assert note["code"] == "source_unsupported"
    assert "German" in note["message"]


def test_text_in_the_target_language_comes_back_with_a_note(
    client: httpx.Client, post: Any
) -> None:
    text = f"  {JAPANESE}\n{JAPANESE}\n"
    answer = client.post("/translate", json={"text": text}).json()
    assert answer["translation"] == text
    assert "same_language" in [note["code"] for note in answer["notes"]]
    stream = post(text=text, stream_options={"usage": True})
    assert stream.joined == text
    [(name, usage)] = stream.events
    assert (name, usage["detected_source_lang"], usage["output_tokens"]) == ("usage", "ja", 0)
    assert usage["notes"] == answer["notes"]


def test_of_mixed_lines_only_those_in_other_languages_are_translated(client: httpx.Client) -> None:
    english = "Where is the station?"
    alone = client.post("/translate", json={"text": english}).json()["translation"]
    answer = client.post("/translate", json={"text": f"{english}\n{JAPANESE}"}).json()
    assert answer["translation"] == f"{alone}\n{JAPANESE}"


def test_languages_of_any_model_are_told(client: httpx.Client) -> None:
    large = client.get("/languages", params={"model": "gemma-2-2b-it"}).json()
    [brazil] = [language for language in large if language["code"] == "pt-BR"]
    assert (brazil["name"], brazil["native_name"]) == ("Portuguese (Brazil)", "português (Brasil)")
    assert "ja" in brazil["targets"]
    answer = client.get("/languages", params={"model": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
