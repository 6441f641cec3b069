"""Real upstreams: two Babelbrooks behind one, and llama-server where it has been built."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bench import peers
from tests.conftest import MODEL, ServerProcess
from tests.faults.conftest import LONG, SENTENCE, Peer, ask, baseline, gauge, wait_until
from tests.faults.test_stalled_readers import LARGE, SMALL, frames

TEXT = "Good morning.\n\n  Where is the station? I am tired.\r\n1, 2, 3\n\tThe dog sleeps.\n"
LLAMA_SERVER = peers.default_folder() / peers._this_build().key / "llama-server"


def upstream() -> ServerProcess:
    """A server with the embedded model and little room for unread text."""
    return ServerProcess(
        *("--engine.sequences", "4", "--engine.threads", "1"),
        *("--streams.unread_bytes", "64", "--streams.send_buffer", "4096"),
    )


def in_front_of(*urls: str, **more: str) -> ServerProcess:
    """A server that asks those."""
    flags = [f for name, value in more.items() for f in (f"--{name.replace('__', '.')}", value)]
    return ServerProcess(
        *("--engine", "remote", "--remote.upstreams", json.dumps(urls)),
        *("--remote.check_interval", "0.2", "--streams.unread_bytes", "64"),
        *("--streams.send_buffer", "4096", *flags),
    )


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """An upstream, and a server in front of it."""
    behind = upstream()
    front = in_front_of(behind.url, engine__lookahead="1")
    yield behind, front
    for process in (front, behind):
        assert process.stop() == 0
        log = process.log()
        process.close()
        assert "Traceback" not in log, log


def stream_of(server: ServerProcess, **more: object) -> str:
    """The joined frames of a stream."""
    body = {"text": TEXT, "target_lang": "de", "cache": False} | more
    answer = httpx.post(f"{server.url}/translate/stream", json=body, timeout=60)
    assert answer.text.endswith("data: [DONE]\n\n")
    return "".join(frames(answer.content))


def test_the_start_line_says_who_answers(pair: tuple[ServerProcess, ServerProcess]) -> None:
    behind, front = pair
    assert f"model tatoeba-mini at 127.0.0.1:{behind.port}, http://" in front.start_line


def test_answers_are_those_of_the_upstream_to_the_byte(
    pair: tuple[ServerProcess, ServerProcess], sentences: list[str]
) -> None:
    behind, front = pair
    body = {"text": [TEXT, *sentences[:20]], "target_lang": "de", "cache": False}
    direct, through = (ask(each.port, "/translate", body).json for each in (behind, front))
    assert through["translation"] == direct["translation"]
    assert stream_of(front) == stream_of(behind) == through["translation"][0]
    wild = {"temperature": 1.2, "seed": 4, "top_k": 0, "ignore_eos": True, "max_tokens": 20}
    assert stream_of(front, **wild) == stream_of(behind, **wild)
    assert through["usage"]["output_tokens"] == direct["usage"]["output_tokens"]
    languages = [ask(each.port, "/languages").json for each in (behind, front)]
    assert languages[0] == languages[1]


def test_an_unfinished_answer_is_told_as_by_the_upstream(
    pair: tuple[ServerProcess, ServerProcess],
) -> None:
    told = [ask(each.port, "/translate", SENTENCE | {"max_tokens": 2}) for each in pair]
    assert [answer.status for answer in told] == [422, 422]
    assert [answer.json["code"] for answer in told] == ["cut_short", "cut_short"]


@pytest.mark.parametrize("leave", [Peer.reset, Peer.close], ids=["RST", "FIN"])
def test_who_leaves_frees_the_upstreams_sequence(
    pair: tuple[ServerProcess, ServerProcess], leave: Callable[[Peer], None]
) -> None:
    behind, front = pair
    with baseline(behind), baseline(front), Peer(front.port) as peer:
        peer.request(body=LONG | {"text": "He is old. " * 20})
        peer.read_until(b'data: "', 3)
        assert gauge(behind, "sequences_used") >= 1
        leave(peer)
        wait_until(lambda: gauge(behind, "sequences_used") == 0)


@pytest.mark.slow
def test_a_reader_that_stops_pauses_the_upstreams_model(
    pair: tuple[ServerProcess, ServerProcess],
) -> None:
    behind, front = pair
    long = LARGE | {"text": "Where is the station? " * 40}  # more than sockets hold
    with baseline(behind), baseline(front):
        peer = Peer(front.port, receive_buffer=SMALL, timeout=60)
        peer.request(body=long)
        wait_until(lambda: gauge(front, "requests_paused") > 0)
        wait_until(lambda: stands_still(behind))
        assert gauge(behind, "requests_paused") > 0
        assert ask(front.port, "/translate", SENTENCE).status == 200
        assert stands_still(behind)
        peer.close()


def stands_still(server: ServerProcess) -> bool:
    """Whether its model decodes nothing for a while."""
    before = gauge(server, "tokens_total")
    time.sleep(0.5)
    return gauge(server, "tokens_total") == before


@pytest.mark.slow
def test_an_upstream_that_dies_ends_its_stream_and_no_other() -> None:
    first, second = upstream(), upstream()
    front = in_front_of(first.url, second.url)
    answer = ask(front.port, "/translate", SENTENCE).body
    peers_ = [Peer(front.port) for _ in range(2)]
    for peer in peers_:
        peer.request(body=LONG | {"text": "He is old. " * 4, "max_tokens": 200}, version="1.0")
        peer.read_until(b'data: "', 2)
    assert all(gauge(each, "sequences_used") for each in (first, second))
    first.process.kill()
    ends = sorted(peer.read_to_end().rpartition(b"data: ")[2] for peer in peers_)
    assert ends[0].startswith(b"[DONE]")
    assert b'"code":"upstream_failed"' in ends[1]
    for _ in range(6):  # at once, and not only after the next look
        assert ask(front.port, "/translate", SENTENCE).body == answer
    assert ask(front.port, "/ready").status == 200
    second.process.send_signal(signal.SIGTERM)
    second.process.wait(30)
    wait_until(lambda: ask(front.port, "/ready").status == 503)
    told = ask(front.port, "/translate", SENTENCE)
    assert (told.status, told.json["code"]) == (503, "not_ready")
    assert front.stop() == 0
    assert "Traceback" not in front.log()
    for peer in peers_:
        peer.close()
    for process in (front, first, second):
        process.close()


@pytest.mark.slow
def test_a_drain_of_an_upstream_or_of_the_front_loses_nothing() -> None:
    first, second = upstream(), upstream()
    front = in_front_of(first.url, second.url)
    answer = ask(front.port, "/translate", SENTENCE).body
    with Peer(front.port) as peer:
        peer.request(body=LONG, version="1.0")
        peer.read_until(b'data: "', 2)
        running = first if gauge(first, "sequences_used") else second
        running.process.send_signal(signal.SIGTERM)
        for _ in range(10):
            assert ask(front.port, "/translate", SENTENCE).body == answer
        assert b"data: [DONE]" in peer.read_to_end()
    with Peer(front.port) as peer:
        peer.request(body=LONG, version="1.0")
        peer.read_until(b'data: "', 2)
        front.process.send_signal(signal.SIGTERM)
        assert b"data: [DONE]" in peer.read_to_end()
    assert front.process.wait(30) == 0
    assert running.process.wait(30) == 0
    for process in (front, first, second):
        process.close()


@contextmanager
def llama_server(model: Path = MODEL) -> Iterator[str]:
    """The address of a llama-server with the embedded model or another one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(LLAMA_SERVER), "--model", str(model), "--port", str(port), "--threads", "1"]
    process = subprocess.Popen(
        [*command, "--ctx-size", "2048", "--parallel", "4"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


# Building it takes minutes: without it there is no such test, rather than one that is skipped.
if LLAMA_SERVER.exists():

    @pytest.mark.slow
    def test_llama_server_translates_streams_and_is_left(
        server: ServerProcess, sentences: list[str]
    ) -> None:
        with llama_server() as url:
            front = in_front_of(url)
            body = {"text": sentences[:12], "target_lang": "de", "cache": False}
            direct, through = (ask(each.port, "/translate", body).json for each in (server, front))
            same = [
                a == b for a, b in zip(*(x["translation"] for x in (direct, through)), strict=True)
            ]
            assert sum(same) >= 11  # its batches add up in another order
            assert through["usage"]["output_tokens"] > 12
            with Peer(front.port) as peer:
                peer.request(body=LONG)
                peer.read_until(b'data: "', 5)
            wait_until(lambda: not any(slot["is_processing"] for slot in slots(url)))
            with Peer(front.port) as peer:
                peer.request(body=LONG | {"max_tokens": 50})
                assert len(frames(peer.read_until(b"data: [DONE]"))) > 20
            assert "Traceback" not in front.log()
            front.close()

    def slots(url: str) -> list[dict[str, bool]]:
        return list(httpx.get(f"{url}/slots").json())
