"""OpenAI's paths, translating with the embedded model, which has no chat form."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

TEXT = "Where is the station?"
TWO = "Where is the station? She sings."


def chat(client: httpx.Client, text: Any = TEXT, **more: Any) -> httpx.Response:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
    body = {"model": "babelbrook/translate-de", "messages": messages, "cache": False, **more}
    return client.post("/v1/chat/completions", json=body)


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    """All chunks of a stream, which must have come to its end."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    *frames, done, empty = answer.text.split("\n\n")
    assert (done, empty) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def joined(parts: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for part in parts for choice in part["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content", "") for choice in choices)


@pytest.fixture(scope="module")
def german(client: httpx.Client) -> str:
    body = {"text": TWO, "target_lang": "de", "cache": False}
    text: str = client.post("/translate", json=body).json()["translation"]
    return text


def test_the_last_user_message_is_translated(client: httpx.Client, german: str) -> None:
    answer = chat(client, TWO)
    assert content(answer) == german
    whole = answer.json()
    assert whole["object"] == "chat.completion"
    assert whole["model"] == "babelbrook/translate-de"
    assert whole["choices"][0]["finish_reason"] == "stop"
    usage = whole["usage"]
    assert 0 < usage["prompt_tokens"] < usage["total_tokens"]
    assert usage["completion_tokens"] + usage["prompt_tokens"] == usage["total_tokens"]


def test_parts_of_a_message_are_joined(client: httpx.Client, german: str) -> None:
    one, two = TWO[:10], TWO[10:]
    parts = [{"type": "text", "text": one}, {"type": "text", "text": two}]
    assert content(chat(client, parts)) == german


def test_without_an_alias_the_default_language_is_meant(client: httpx.Client) -> None:
    into_default = client.post("/translate", json={"text": TEXT}).json()["translation"]
    assert content(chat(client, model="tatoeba-mini")) == into_default
    assert content(chat(client, model=None)) == into_default


def test_the_joined_chunks_are_the_whole_answer(client: httpx.Client, german: str) -> None:
    parts = chunks(chat(client, TWO, stream=True))
    assert joined(parts) == german
    assert len(parts) > 6, "token by token"
    assert len({part["id"] for part in parts}) == 1
    assert all(part["object"] == "chat.completion.chunk" for part in parts)
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [part["choices"][0]["finish_reason"] for part in parts[-2:]] == [None, "stop"]
    assert not any("usage" in part for part in parts)


def test_usage_is_a_last_chunk_where_it_is_asked_for(client: httpx.Client) -> None:
    whole = chat(client).json()["usage"]
    *parts, last = chunks(chat(client, stream=True, stream_options={"include_usage": True}))
    assert all(part["usage"] is None for part in parts)
    assert last["choices"] == []
    assert last["usage"] == whole


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_text_before_it(
    client: httpx.Client, german: str, stream: bool
) -> None:
    stop = german[9:14]
    answer = chat(client, TWO, stop=["nowhere", stop], stream=stream)
    text = joined(chunks(answer)) if stream else content(answer)
    assert text == german[: german.index(stop)]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_is_told_as_the_finish_reason(
    client: httpx.Client, german: str, name: str
) -> None:
    parts = chunks(chat(client, TWO, stream=True, **{name: 3}))
    assert sum("content" in part["choices"][0]["delta"] for part in parts) == 1 + 3
    assert german.startswith(joined(parts))
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    assert chat(client, TWO, **{name: 3}).json()["choices"][0]["finish_reason"] == "length"


def test_several_answers_differ_by_their_seeds_alone(client: httpx.Client) -> None:
    options = {"n": 3, "temperature": 2.0, "top_p": 1, "top_k": 0, "min_p": 0, "max_tokens": 20}
    twice = [chat(client, TWO, seed=7, **options).json()["choices"] for _ in range(2)]
    assert twice[0] == twice[1]
    assert [choice["index"] for choice in twice[0]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in twice[0]}) == 3
    parts = chunks(chat(client, TWO, seed=7, stream=True, **options))
    for choice in twice[0]:
        assert joined(parts, choice["index"]) == choice["message"]["content"]


def test_completions_translate_each_prompt(client: httpx.Client, german: str) -> None:
    body = {"model": "babelbrook/translate-de", "prompt": [TWO, TWO], "cache": False}
    whole = client.post("/v1/completions", json=body).json()
    assert whole["object"] == "text_completion"
    assert [choice["text"] for choice in whole["choices"]] == [german, german]
    assert whole["usage"]["completion_tokens"] > 0
    parts = chunks(client.post("/v1/completions", json={**body, "prompt": TWO, "stream": True}))
    assert "".join(part["choices"][0]["text"] for part in parts) == german


def test_the_selected_model_comes_first_and_its_aliases_after_it(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    names = [model["id"] for model in models["data"]]
    languages = ("ja", "de", "fr", "es", "zh", "en")
    assert names == ["tatoeba-mini", *(f"babelbrook/translate-{code}" for code in languages)]
    for model in models["data"]:
        assert client.get(f"/v1/models/{model['id']}").json() == model
    assert client.get("/v1/models/babelbrook/translate-German").status_code == 200


@pytest.mark.parametrize(
    ("more", "status", "param", "code"),
    [
        ({"model": "gpt-4o"}, 404, None, "model_not_found"),
        ({"model": "babelbrook/translate-xx"}, 404, None, "model_not_found"),
        ({"messages": []}, 400, "messages", "bad_request"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages", "bad_request"),
        ({"temperature": "hot"}, 400, "temperature", "bad_request"),
        ({"n": 0}, 400, "n", "bad_request"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
        ({"logprobs": True}, 400, "logprobs", "unsupported_parameter"),
        (
            {"response_format": {"type": "json_object"}},
            *(400, "response_format", "unsupported_parameter"),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            *(400, "messages.0.content", "bad_request"),
        ),
    ],
)
def test_errors_have_their_shape(
    client: httpx.Client, more: dict[str, Any], status: int, param: str | None, code: str
) -> None:
    for stream in (False, True):
        answer = chat(client, stream=stream, **more)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        assert (error["param"], error["code"]) == (param, code)


def test_other_errors_have_their_shape_too(client: httpx.Client) -> None:
    answers = [
        client.post("/v1/chat/completions", content="{"),
        client.get("/v1/chat/completions"),
        client.get("/v1/models/nothing"),
    ]
    assert [answer.status_code for answer in answers] == [400, 405, 404]
    for answer in answers:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answers[1].headers["allow"] == "POST"


def test_fields_that_say_nothing_change_nothing(client: httpx.Client, german: str) -> None:
    nulls = dict.fromkeys(["temperature", "top_p", "n", "stop", "seed", "tools", "stream"])
    more = {"user": "me", "store": False, "logprobs": False, "tools": [], "logit_bias": {}}
    assert content(chat(client, TWO, **{**nulls, **more})) == german


def test_any_credential_is_welcome_where_there_are_no_keys(client: httpx.Client) -> None:
    answer = client.get("/v1/models", headers={"Authorization": "Bearer sk-anything"})
    assert answer.status_code == 200
