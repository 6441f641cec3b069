"""Options of a translation: those that the model cannot have are named, alternatives differ."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

TEXT = "Where is the station?"
VAGUE = "I would like to see the old town tomorrow."  # the model is less sure of it
OPTIONS = {"formality": "formal", "context": "At the airport.", "instructions": "Be brief."}


def test_options_that_the_prompt_has_no_place_for_are_named(
    client: httpx.Client, post: Any
) -> None:
    plain = client.post("/translate", json={"text": TEXT}).json()
    answer = client.post("/translate", json={"text": TEXT, **OPTIONS}).json()
    assert answer["translation"] == plain["translation"]
    assert answer["ignored"] == ["formality", "context", "instructions"]
    stream = post(text=TEXT, alternatives=2, **OPTIONS, stream_options={"usage": True})
    [(_, usage)] = stream.events
    assert usage["ignored"] == ["formality", "context", "instructions", "alternatives"]


def test_terms_that_a_model_cannot_be_told_are_checked(client: httpx.Client) -> None:
    body = {"text": TEXT, "target_lang": "de", "glossary": {"station": "Haltepunkt"}}
    answer = client.post("/translate", json=body).json()
    assert answer["ignored"] == ["glossary"]
    found = [check for check in answer["checks"] if check["check"] == "terms"]
    assert [check["message"] for check in found] == ["The glossary has 'Haltepunkt' for 'station'."]
    body["glossary"] = [["station", "Bahnhof"], ["train", "Zug"]]
    assert client.post("/translate", json=body).json()["checks"] == []


def test_options_that_say_nothing_are_not_named(client: httpx.Client) -> None:
    body = {"text": TEXT, "formality": "default", "context": " ", "alternatives": 0}
    assert "ignored" not in client.post("/translate", json=body).json()


def test_alternatives_differ_and_repeat(client: httpx.Client) -> None:
    body = {"text": VAGUE, "alternatives": 3, "target_lang": "de"}
    answer = client.post("/translate", json=body).json()
    texts = [answer["translation"], *answer["alternatives"]]
    assert 1 < len(texts) <= 4
    assert len(set(texts)) == len(texts)
    assert client.post("/translate", json=body).json()["alternatives"] == answer["alternatives"]


def test_a_list_has_a_list_of_alternatives_for_each(client: httpx.Client) -> None:
    texts = [VAGUE, "12:30"]
    body = {"text": texts, "alternatives": 2, "target_lang": "de"}
    first, second = client.post("/translate", json=body).json()["alternatives"]
    assert first
    assert second == []


def test_who_asks_for_alternatives_is_told_that_there_are_none(client: httpx.Client) -> None:
    body: dict[str, Any] = {"text": "12:30", "target_lang": "de"}
    assert client.post("/translate", json=body | {"alternatives": 2}).json()["alternatives"] == []
    assert "alternatives" not in client.post("/translate", json=body).json()
    answer = client.post("/translate", json=body | {"text": ["12:30"], "alternatives": 2}).json()
    assert answer["alternatives"] == [[]]


@pytest.mark.parametrize(
    "field",
    [
        {"formality": "very"},
        {"formality": 1},
        {"context": 1},
        {"context": "a" * 4001},
        {"alternatives": 11},
        {"alternatives": -1},
        {"glossary": 1},
        {"glossary": {"bill": 1}},
        {"glossary": [["bill"]]},
        {"glossary": {"": "x"}},
        {"glossary": {"a\nb": "x"}},
        {"glossary": {"bill": "x" * 201}},
        {"glossary": [["bill", "x"]] * 1001},
    ],
)
def test_wrong_options_are_refused_by_name(client: httpx.Client, field: dict[str, Any]) -> None:
    answer = client.post("/translate", json={"text": TEXT, **field})
    assert answer.status_code == 400
    assert next(iter(field)) in answer.json()["error"]
