"""What bad input gets: a clear error, no traceback, and the next request works."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess

GOOD = {"text": "Where is the station?", "target_lang": "de"}
PATHS = ("/translate", "/translate/stream")


@pytest.fixture(autouse=True)
def _the_next_request_works(server: ServerProcess, client: httpx.Client) -> Iterator[None]:
    before = client.post("/translate", json=GOOD)
    yield
    after = client.post("/translate", json=GOOD)
    assert after.status_code == 200
    assert after.json() == before.json()
    assert "Traceback" not in server.log()
    assert "babelbrook_sequences_used 0.0" in client.get("/metrics").text


BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Invalid JSON"),
    "not UTF-8": (b'{"text": "\xff\xfe"}', "Invalid JSON"),
    "raw surrogate bytes": (b'{"text": "\xed\xa0\x80"}', "Invalid JSON"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "Invalid JSON"),
    "not JSON": (b"text=Hello", "Invalid JSON"),
    "cut off": (b'{"text": "Hel', "Invalid JSON"),
    "rubbish behind": (b'{"text": "Hello."} x', "Invalid JSON"),
    "a list": (b"[1]", "JSON object"),
    "a number": (b"5", "JSON object"),
    "null": (b"null", "JSON object"),
    "deep nesting": (b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Invalid JSON"),
    "deep enough to parse": (b'{"text":' + b"[" * 500 + b"]" * 500 + b"}", "'text' is required"),
    "huge number": (b'{"text": "a", "max_tokens": 1' + b"0" * 400 + b"}", "max_tokens"),
    "infinite number": (b'{"text": "a", "temperature": 1e999}', "finite"),
    "NaN": (b'{"text": "a", "temperature": NaN}', "Invalid JSON"),
    "infinite in an unknown field": (b'{"text": "a", "x": [{"y": 1e999}]}', "finite"),
    "lone surrogate": (b'{"text": "\\ud800"}', "surrogate"),
    "lone surrogate in a name": (b'{"text": "a", "\\udfff": 1}', "surrogate"),
    "no text": (b'{"target_lang": "ja"}', "'text' is required"),
    "empty text": (b'{"text": ""}', "'text' is required"),
    "text is a number": (b'{"text": 5}', "'text' is required"),
    "text is null": (b'{"text": null}', "'text' is required"),
    "text is an object": (b'{"text": {"a": 1}}', "'text' is required"),
    "text is an empty list": (b'{"text": []}', "'text' is required"),
    "text is a list of numbers": (b'{"text": [1]}', "'text' is required"),
    "unknown language": (b'{"text": "a", "target_lang": "xx"}', "ja, de, fr, es, zh"),
    "language the model lacks": (b'{"text": "a", "target_lang": "sv"}', "ja, de, fr, es, zh"),
    "language of an empty text": (b'{"text": [""], "target_lang": "xx"}', "ja, de, fr, es, zh"),
    "language is a number": (b'{"text": "a", "target_lang": 7}', "ja, de, fr, es, zh"),
    "language is a list": (b'{"text": "a", "target_lang": ["ja"]}', "ja, de, fr, es, zh"),
    "language is empty": (b'{"text": "a", "target_lang": ""}', "ja, de, fr, es, zh"),
    "language is long": (b'{"text": "a", "target_lang": "%s"}' % (b"x" * 10_000), "ja, de, fr"),
    "language is control characters": (b'{"text": "a", "target_lang": "\\u0000"}', "ja, de, fr"),
    "source is unknown": (b'{"text": "a", "source_lang": "it"}', "it has en, ja, de"),
    "no such pair": (b'{"text": "a", "source_lang": "de"}', "one of the two must be en"),
    "unknown format": (b'{"text": "a", "format": "docx"}', "'format' must be one of text"),
    "format is a number": (b'{"text": "a", "format": 1}', "format"),
    "source is a number": (b'{"text": "a", "source_lang": 1}', "source_lang"),
    "temperature is a string": (b'{"text": "a", "temperature": "hot"}', "temperature"),
    "temperature below zero": (b'{"text": "a", "temperature": -1}', "temperature"),
    "top_p above one": (b'{"text": "a", "top_p": 1.5}', "top_p"),
    "top_k is a fraction": (b'{"text": "a", "top_k": 1.5}', "top_k"),
    "min_p is a list": (b'{"text": "a", "min_p": []}', "min_p"),
    "repeat_penalty of zero": (b'{"text": "a", "repeat_penalty": 0}', "repeat_penalty"),
    "seed below zero": (b'{"text": "a", "seed": -5}', "seed"),
    "seed too large": (b'{"text": "a", "seed": 99999999999}', "seed"),
    "max_tokens of zero": (b'{"text": "a", "max_tokens": 0}', "max_tokens"),
    "ignore_eos is a string": (b'{"text": "a", "ignore_eos": "yes"}', "ignore_eos"),
    "stream_options is a string": (b'{"text": "a", "stream_options": "all"}', "stream_options"),
    "model is a number": (b'{"text": "a", "model": 3}', "model"),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_a_400_with_a_sentence(client: httpx.Client, path: str, name: str) -> None:
    body, sentence = BODIES[name]
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert sentence in error["error"]
    assert error["code"] in ("bad_request", "unknown_language")
    assert len(error["error"]) < 400


@pytest.mark.parametrize("path", PATHS)
def test_three_megabytes_of_text_are_a_413(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={"text": "Hello. " * 450_000})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_long"
    assert "2,097,152" in answer.json()["error"]


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_model_is_a_404(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={**GOOD, "model": "gpt-9"})
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_model"


@pytest.mark.parametrize(
    "text",
    [
        "\x00 Hello \x00",
        "\x01\x02\x1b[31m Hello.\x7f",
        "\ufeffHello.",
        "\u2028Hello.\u2029 You.\x85",
        "e\u0301" * 50,
        "👩‍👩‍👧‍👦 Hello. 🇯🇵",
        "مرحبا Hello. שלום",
        "!" * 2000,
        "</s><sep><2de>",
        "a" * 3000,
    ],
)
def test_strange_text_is_answered(client: httpx.Client, text: str) -> None:
    answer = client.post("/translate", json={"text": text})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["code"] in ("cut_short", "repetition")


def test_a_byte_order_mark_before_the_json_is_no_error(client: httpx.Client) -> None:
    body = b'\xef\xbb\xbf{"text": "Hello.", "target_lang": "de"}'
    assert client.post("/translate", content=body).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/translate", "POST"),
        ("GET", "/translate/stream", "POST"),
        ("DELETE", "/translate", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/languages", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
        ("BREW", "/translate", "POST"),
    ],
)
def test_a_wrong_method_is_a_405_with_allow(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/translate/", "/nope", "/translate/stream/x", "/%00", "/x//"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_404(client: httpx.Client, method: str, path: str) -> None:
    answer: Any = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("path", PATHS)
def test_a_body_above_the_limit_is_a_413(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=b" " * (9 * 2**20))
    assert answer.status_code == 413
    assert "8,388,608" in answer.json()["error"]


def test_a_body_far_above_the_limit_is_refused_and_the_server_goes_on(client: httpx.Client) -> None:
    try:
        status = client.post("/translate", content=b" " * (40 * 2**20)).status_code
    except httpx.TransportError:  # the server closes while we still send
        status = 400
    assert status == 400


@pytest.mark.parametrize("texts", [[""] * 1001, ["1"] * 100_000])
def test_a_list_of_too_many_texts_is_a_413(client: httpx.Client, texts: list[str]) -> None:
    answer = client.post("/translate", json={"text": texts})
    assert answer.status_code == 413
    assert "1,000 texts" in answer.json()["error"]


def test_the_longest_list_is_answered(client: httpx.Client) -> None:
    texts = ["", "1"] * 500
    assert client.post("/translate", json={"text": texts}).json()["translation"] == texts


def test_a_long_list_of_wrong_types_gets_one_short_sentence(client: httpx.Client) -> None:
    answer = client.post("/translate", json={"text": [1] * 200_000})
    assert answer.json() == {"error": "'text' is required", "code": "bad_request"}


def test_json_is_json_whatever_content_type_curl_gives_it(client: httpx.Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = '{"text": "%s"}' % ("&" * 3000)
    answer = client.post("/translate", content=body, headers=form)
    assert answer.json()["translation"] == "&" * 3000


def test_a_path_cannot_write_into_the_log(server: ServerProcess, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall("GET /x\x85INJECTED\xa0status=200\x9b31m HTTP/1.0\r\n\r\n".encode())
        assert b"404" in raw.makefile("rb").readline()
    client.get("/" + "y" * 30_000)
    log = server.log()
    assert not {"\x85", "\x9b", "\xa0"} & set(log)
    assert "y" * 300 not in log


def test_errors_before_a_handler_carry_a_request_id(client: httpx.Client) -> None:
    answer = client.request("BREW", "/translate", headers={"X-Request-Id": "tea-1"})
    assert answer.headers["x-request-id"] == "tea-1"
