"""What upstreams are asked, and how their frames are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.chat.conversation import Message
from engine.errors import BadRequest, ModelError, PromptTooLong
from engine.generation import Hints, Job, PromptPart, Sampling
from engine.models.catalogue import EMBEDDED, PLAIN_CHAT, PromptSpec
from engine.remote.dialects import (
    Babelbrook,
    Conversation,
    OpenAI,
    Piece,
    Refused,
    bad_request,
    refusal,
)
from engine.remote.upstream import _frames
from tests.clients.awkward import TEXTS


def frames_of(*chunks: bytes) -> list[tuple[str, str]]:
    async def read() -> list[tuple[str, str]]:
        async def stream() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        return [each async for each in _frames(httpx.Response(200, content=stream()))]

    return asyncio.run(read())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_texts_survive_wherever_the_network_cuts_them(text: str, size: int) -> None:
    if len(text) > 10_000 and size < 100:
        text = text[:10_000]
    raw = f": ping\r\n\r\ndata: {json.dumps(text, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    (_, first), last = frames_of(*chunks)
    assert json.loads(first) == text
    assert last == ("", "[DONE]")


def test_an_event_has_its_name_and_the_next_one_none() -> None:
    assert frames_of(b'event: usage\ndata: {"a":1}\n\ndata:2\n\n') == [
        ("usage", '{"a":1}'),
        ("", "2"),
    ]


def body(spec: PromptSpec, **job: Any) -> tuple[str, dict[str, Any]]:
    return OpenAI(spec).request("m", Job(**{"text": "Hi.", "source_lang": "en"} | job))


def test_a_prompt_of_ones_own_is_completed_and_a_message_is_answered() -> None:
    path, asked = body(EMBEDDED.prompt, target_lang="de")
    assert (path, asked["prompt"]) == ("/v1/completions", "<2de>Hi.<sep>")
    path, asked = body(PLAIN_CHAT, target_lang="de", source_lang=None)
    assert path == "/v1/chat/completions"
    assert "into German" in asked["messages"][0]["content"]
    with pytest.raises(BadRequest, match="source_lang"):
        body(PromptSpec(template="{source_lang}: {text}"), target_lang="de", source_lang=None)


def test_hints_go_into_the_prompt_or_to_a_babelbrook_as_they_are() -> None:
    hints = Hints("less", "a menu", "no jokes", (("bill", "Rechnung"),))
    _, asked = body(PLAIN_CHAT, target_lang="de", hints=hints)
    content = asked["messages"][0]["content"]
    assert all(hint in content for hint in ("a menu", "no jokes", "Rechnung"))
    _, asked = Babelbrook("auto").request("m", Job("Hi.", "en", "de", hints=hints))
    assert (asked["formality"], asked["context"]) == ("less", "a menu")
    assert (asked["instructions"], asked["glossary"]) == ("no jokes", {"bill": "Rechnung"})


def test_a_babelbrook_is_told_examples_behind_the_context() -> None:
    shown = (("The bill!", "Die Rechnung!"), ("The menu!", "Die Karte!"))
    for context, lines in (("", []), ("a menu", ["a menu"])):
        hints = Hints(context=context, examples=shown)
        _, asked = Babelbrook("auto").request("m", Job("Hi.", "en", "de", hints=hints))
        lines = [*lines, "The bill! -> Die Rechnung!", "The menu! -> Die Karte!"]
        assert asked["context"].split("\n") == lines


def test_an_answer_can_be_begun_where_the_whole_prompt_is_ours() -> None:
    _, asked = body(EMBEDDED.prompt, target_lang="de", answer="Hallo")
    assert asked["prompt"] == "<2de>Hi.<sep>Hallo"
    job = Job("Hi.", "en", "de", answer="Hallo")
    for dialect in (OpenAI(PLAIN_CHAT), Babelbrook("auto")):
        with pytest.raises(ModelError):
            dialect.request("m", job)


def test_braces_in_a_text_are_text() -> None:
    _, asked = body(PLAIN_CHAT, target_lang="de", text="{text} {target_lang}")
    assert asked["messages"][0]["content"].endswith("\n\n{text} {target_lang}")


def test_sampling_says_what_is_asked_for_and_no_more() -> None:
    _, asked = body(PLAIN_CHAT, target_lang="de", max_tokens=5, ignore_eos=True)
    assert asked.keys() == {
        *("model", "stream", "stream_options", "messages"),
        *("temperature", "max_tokens", "ignore_eos"),
    }
    sampling = Sampling(temperature=0.7, top_p=0.6, repeat_penalty=1.05, seed=3)
    _, asked = body(PLAIN_CHAT, target_lang="de", sampling=sampling)
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.7, 0.6, 3)
    assert asked["repeat_penalty"] == asked["repetition_penalty"] == 1.05


TURNS = (Message("system", "Be kind."), Message("user", "Hi."))


def test_a_conversation_goes_on_as_it_is() -> None:
    schema = '{"type": "object"}'
    job = Job("", None, "", messages=TURNS, schema=schema, stops=("END",), max_tokens=5)
    path, asked = Conversation(None).request("m", job)
    assert path == "/v1/chat/completions"
    assert asked["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi."},
    ]
    form = {"name": "answer", "strict": True, "schema": {"type": "object"}}
    assert asked["response_format"] == {"type": "json_schema", "json_schema": form}
    assert (asked["stop"], asked["max_tokens"], asked["model"]) == (["END"], 5, "m")
    plain = Conversation(None).request("m", Job("", None, "", messages=TURNS))[1]
    assert not plain.keys() & {"stop", "response_format", "max_tokens", "cache"}


def test_a_prompt_goes_on_as_it_is() -> None:
    job = Job("", None, "", prompt=(PromptPart("a"), PromptPart("b")))
    path, asked = Conversation(None).request("m", job)
    assert (path, asked["prompt"]) == ("/v1/completions", "ab")


def test_another_babelbrook_is_asked_for_a_conversation_by_its_own_names() -> None:
    job = Job("", None, "", messages=TURNS, shared=True)
    _, asked = Conversation(Babelbrook("auto")).request("m", job)
    assert (asked["model"], asked["cache"], asked["repeat_penalty"]) == (None, True, 1.0)
    _, asked = Conversation(Babelbrook("other")).request("m", job)
    assert asked["model"] == "other"


@pytest.mark.parametrize(
    ("frame", "piece"),
    [
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, Piece()),
        ({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}, Piece("a")),
        ({"choices": [{"delta": {"content": None}, "finish_reason": "stop"}]}, Piece("", "stop")),
        ({"choices": [{"text": "a", "finish_reason": "length"}]}, Piece("a", "length")),
        (
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            Piece(prompt_tokens=3, output_tokens=4),
        ),
        ({"choices": [{"delta": {"content": "a"}}], "usage": None}, Piece("a")),
    ],
)
def test_frames_of_openai(frame: dict[str, Any], piece: Piece) -> None:
    assert OpenAI(PLAIN_CHAT).piece("", json.dumps(frame)) == piece


def test_frames_of_another_babelbrook() -> None:
    read = Babelbrook("auto").piece
    assert read("", '"a\\n"') == Piece("a\n")
    assert read("usage", '{"prompt_tokens":3,"output_tokens":4}') == Piece("", None, 3, 4)
    assert read("", "[DONE]") == Piece(finish="stop")
    assert read("", '{"error":"too short","code":"cut_short"}') == Piece(finish="length")
    with pytest.raises(Refused, match="broken"):
        read("", '{"error":"broken","code":"decode_failed"}')


def test_refusals_are_understood_in_both_shapes_and_none() -> None:
    assert refusal(b'{"error":"no","code":"x"}') == "no"
    assert refusal(b'{"error":{"message":"no"}}') == "no"
    assert refusal(b"<html>") == "<html>"
    assert refusal(b"") == "no reason was given"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "no", "code": "context_length_exceeded"}, PromptTooLong),
        ({"message": "no", "code": 400, "type": "exceed_context_size_error"}, PromptTooLong),
        ({"message": "no", "code": None, "type": "invalid_request_error"}, BadRequest),
        ("no", BadRequest),
    ],
)
def test_a_prompt_that_is_too_long_is_told_as_such(error: Any, kind: type[BadRequest]) -> None:
    told = bad_request(json.dumps({"error": error}).encode())
    assert type(told) is kind
    assert told.sentence == "The upstream refused the request: no"
