"""What browser extensions send."""

from __future__ import annotations

import httpx

TEXT = "Where is the station?"


def german(client: httpx.Client) -> str:
    body = {"text": TEXT, "target_lang": "de"}
    text: str = client.post("/translate", json=body).json()["translation"]
    return text


def test_immersive_translates_custom_api(client: httpx.Client) -> None:
    body = {"source_lang": "auto", "target_lang": "de", "text_list": [TEXT, "12"]}
    assert client.post("/immersive", json=body).json() == {
        "translations": [
            {"detected_source_lang": "en", "text": german(client)},
            {"detected_source_lang": "en", "text": "12"},
        ]
    }
    assert client.post("/immersive", json={**body, "text_list": "x"}).status_code == 400
    assert client.post("/immersive", json={**body, "target_lang": "zh-CN"}).status_code == 200


def test_deeplx(client: httpx.Client) -> None:
    body = {"text": TEXT, "source_lang": "EN", "target_lang": "DE"}
    answer = client.post("/deeplx/translate", json=body).json()
    assert answer["data"] == german(client)
    assert (answer["code"], answer["source_lang"], answer["target_lang"]) == (200, "EN", "DE")
    wrong = client.post("/deeplx/translate", json={**body, "target_lang": "KO"})
    assert wrong.status_code == 400
    assert wrong.json()["code"] == 400
    assert "not a language" in wrong.json()["message"]
