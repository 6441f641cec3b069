"""The streaming clients, against the real server and against answers that are as none should be."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.client import Group, Load, StreamFailed, run
from bench.dialects import DIALECTS
from tests.conftest import ServerProcess

BABELBROOK = DIALECTS["babelbrook"]
SHORT = json.dumps(BABELBROOK.body("Where is the station?", 6)).encode()
LONG = json.dumps(BABELBROOK.body("Shall we go for a walk?", 30)).encode()

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@contextmanager
def answering(*pieces: bytes) -> Iterator[int]:
    """A server that gives one request this answer, piece by piece; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                    threading.Event().wait(0.03)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def test_tokens_are_those_that_the_server_counted(server: ServerProcess) -> None:
    seen = run(Load("babelbrook", server.port, [Group(2, [SHORT, LONG, SHORT])]))
    streams = seen["groups"][0]
    assert streams["requests"] == 3
    assert streams["tokens"] == 6 + 30 + 6
    assert 0 < streams["frames"] <= streams["tokens"]
    assert 0 < streams["ttft_p50"] <= streams["ttft_p95"] < seen["seconds"]
    assert streams["prompt_tokens"] > 12


def test_an_endless_group_goes_on_until_the_others_have_ended(server: ServerProcess) -> None:
    groups = [Group(2, [SHORT], endless=True), Group(1, [LONG, LONG])]
    steady, counted = run(Load("babelbrook", server.port, groups))["groups"]
    assert counted["requests"] == 2
    assert steady["requests"] > 2


def test_a_refusal_is_an_error_with_the_servers_words(server: ServerProcess) -> None:
    with pytest.raises(StreamFailed, match="'text' is required"):
        run(Load("babelbrook", server.port, [Group(1, [b'{"text": ""}'])]))


def test_a_stream_without_its_end_is_an_error() -> None:
    with answering(HEAD, b'data: "a"\n\n') as port, pytest.raises(StreamFailed, match="ended with"):
        run(Load("babelbrook", port, [Group(1, [b"{}"])]))


def test_a_frame_that_arrives_in_two_pieces_counts_once() -> None:
    end = b'event: usage\ndata: {"prompt_tokens":4,"output_tokens":3}\n\ndata: [DONE]\n\n'
    pieces = (HEAD, b'data: "a"\n\nda', b'ta: "b"\n\ndata: "c"\n\n', end)
    with answering(*pieces) as port:
        streams = run(Load("babelbrook", port, [Group(1, [b"{}"])]))["groups"][0]
    assert streams["frames"] == 3
    # Two frames at once are one arrival, and share the gap before it.
    assert streams["gap_p50"] == pytest.approx(2 * streams["token_gap"])
    assert streams["gap_p50"] > 0.02


@pytest.mark.parametrize(
    ("server_name", "answer", "usage"),
    [
        (
            "llama-server",
            b'data: {"index":0,"content":"\\"stop\\":false","stop":false,"tokens_predicted":1}\n\n'
            b'data: {"index":0,"content":"b","stop":false,"tokens_predicted":2}\n\n'
            b'data: {"content":"","stop":true,"tokens_predicted":2,"tokens_evaluated":9}\n\n',
            (9, 2),
        ),
        (
            "llama_cpp.server",
            b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n\n'
            b'data: {"choices": [{"text": "b", "finish_reason": null}]}\n\n'
            b'data: {"choices": [{"text": "", "finish_reason": "length"}]}\n\ndata: [DONE]\n\n',
            (0, 2),
        ),
    ],
)
def test_the_peers_answers_are_read_too(
    server_name: str, answer: bytes, usage: tuple[int, int]
) -> None:
    with answering(HEAD, answer) as port:
        streams = run(Load(server_name, port, [Group(1, [b"{}"])]))["groups"][0]
    assert (streams["prompt_tokens"], streams["tokens"]) == usage
    assert streams["frames"] == 2


@pytest.mark.parametrize("server_name", DIALECTS)
def test_all_servers_are_asked_for_the_same(server_name: str) -> None:
    body = DIALECTS[server_name].body("Hello.", 7)
    assert "Hello." in body.values()
    assert 7 in body.values()
