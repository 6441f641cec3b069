"""What we encode, the clients of Python and Node.js decode to the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.clients.awkward import TEXTS
from tests.clients.conftest import FRAMES, Streams, node, parsed


def httpx_sse_get(url: str) -> Streams:
    with httpx.Client(timeout=60) as client, httpx_sse.connect_sse(client, "GET", url) as source:
        return [[(event.event, event.data) for event in source.iter_sse()]]


def httpx_sse_post(url: str, bodies: list[dict[str, Any]]) -> Streams:
    streams = []
    with httpx.Client(timeout=60) as client:
        for body in bodies:
            with httpx_sse.connect_sse(client, "POST", url, json=body) as source:
                streams.append([(event.event, event.data) for event in source.iter_sse()])
    return streams


def lines_get(url: str) -> Streams:
    """No library at all: lines as httpx splits them, which is as `str.splitlines` does."""
    events, name = [], "message"
    with httpx.stream("GET", url, timeout=60) as answer:
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                events.append((name, value))
            elif field:
                raise AssertionError(f"a line that is no field: {line[:80]!r}")
            else:
                name = "message"
    return [events]


def eventsource_get(url: str) -> Streams:
    return node("eventsource", url)


def eventsource_parser_post(url: str, bodies: list[dict[str, Any]]) -> Streams:
    return node("eventsource-parser", url, bodies)


@pytest.mark.parametrize("read", [httpx_sse_get, eventsource_get, lines_get])
def test_a_frame_is_what_was_sent(read: Callable[[str], Streams], frames_url: str) -> None:
    (events,) = read(frames_url)
    for got, sent in zip(parsed(events), FRAMES, strict=True):
        assert got == sent


@pytest.mark.parametrize("read", [httpx_sse_post, eventsource_parser_post])
@pytest.mark.parametrize("url", ["echo_url", "dripping_url"])
def test_the_joined_frames_are_the_text(
    read: Callable[[str, list[dict[str, Any]]], Streams], url: str, request: pytest.FixtureRequest
) -> None:
    """Words for tokens, and segments of TCP that split characters and line breaks."""
    bodies = [{"text": text, "target_lang": "ja", "cache": False} for text in TEXTS.values()]
    streams = read(request.getfixturevalue(url), bodies)
    for text, events in zip(TEXTS.values(), streams, strict=True):
        assert "".join(data for _, data in parsed(events)) == text


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud83d \\ude00", "\\ude00\\ud83d"])
def test_half_a_character_is_refused_before_there_is_a_stream(echo_url: str, half: str) -> None:
    answer = httpx.post(echo_url, content=f'{{"text": "one {half}"}}')
    assert answer.status_code == 400
    assert "surrogate" in answer.json()["error"]


def test_two_halves_that_fit_are_a_character(echo_url: str) -> None:
    answer = httpx.post(echo_url, content='{"text": "\\ud83c\\udf38", "target_lang": "ja"}')
    assert answer.text.startswith('data: "🌸"\n\n')
