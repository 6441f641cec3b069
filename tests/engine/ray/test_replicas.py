"""Two replicas on a real cluster: the same answers, slow readers, cancellation, and a death."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.engine.ray.conftest import answering, cells, replicas
from tests.faults.conftest import GAUGES, LONG, SENTENCE, Peer, ask, gauge, wait_until
from tests.faults.test_stalled_readers import LARGE, SMALL, frames

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")

TEXT = "Good morning.\n\n  Where is the station? I am tired.\r\n1, 2, 3\n\tThe dog sleeps.\n"
WILD = {"temperature": 1.2, "seed": 4, "top_k": 0, "ignore_eos": True, "max_tokens": 20}


@contextmanager
def at_rest_again(server: ServerProcess) -> Iterator[None]:
    """Surrounds a fault. Afterwards nothing is left of it, and the answers have the same bytes.

    Threads and descriptors are not counted: Ray has its own, and begins some when it likes.
    """
    first = ask(server.port, "/translate", SENTENCE)
    tasks = gauge(server, "tasks")
    yield
    wait_until(lambda: not any(gauge(server, name) for name in GAUGES))
    wait_until(lambda: gauge(server, "tasks") <= tasks)
    assert ask(server.port, "/translate", SENTENCE).body == first.body


def stream_of(server: ServerProcess, **more: object) -> bytes:
    """The frames of a stream."""
    body = {"text": TEXT, "target_lang": "de", "cache": False} | more
    return httpx.post(f"{server.url}/translate/stream", json=body, timeout=60).content


def test_the_start_line_says_who_answers(pair: ServerProcess) -> None:
    expected = "model tatoeba-mini on 2 replicas in the Ray cluster at local, 8 sequences, http://"
    assert expected in pair.start_line
    assert ask(pair.port, "/ready").json["upstreams"] == {"ready": 2, "total": 2}
    selected = [m["name"] for m in ask(pair.port, "/models").json["models"] if m["selected"]]
    assert selected == ["tatoeba-mini"]


def test_answers_are_those_of_a_local_engine_to_the_byte(
    pair: ServerProcess, server: ServerProcess, sentences: list[str]
) -> None:
    body = {"text": [TEXT, *sentences[:40]], "target_lang": "de", "cache": False}
    local, here = (ask(each.port, "/translate", body).json for each in (server, pair))
    assert here["translation"] == local["translation"]
    assert here["usage"] == local["usage"]
    for more in ({}, WILD, WILD | {"temperature": 0, "max_tokens": 40}):
        assert stream_of(pair, **more) == stream_of(server, **more)
    assert "".join(frames(stream_of(pair))) == here["translation"][0]
    asked = gauge(pair, 'upstream_requests_total{upstream="[^"]*"}')
    assert asked > 0


def test_what_cannot_be_done_is_told_as_by_a_local_engine(
    pair: ServerProcess, server: ServerProcess
) -> None:
    for more in ({"max_tokens": 2}, {"source_lang": "xx"}, {"model": "another"}):
        told = [ask(each.port, "/translate", SENTENCE | more) for each in (server, pair)]
        assert told[0].status == told[1].status != 200
        assert told[0].json == told[1].json


@pytest.mark.parametrize("leave", [Peer.reset, Peer.close], ids=["RST", "FIN"])
def test_who_leaves_frees_the_sequence_of_the_replica(
    pair: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with at_rest_again(pair), Peer(pair.port) as peer:
        peer.request(body=LONG)
        peer.read_until(b'data: "', 3)
        wait_until(lambda: cells(pair) > 0)
        leave(peer)
        wait_until(lambda: cells(pair) == 0, 2)
        assert gauge(pair, "sequences_used") == 0


def test_a_reader_that_stops_pauses_the_model_of_the_replica(pair: ServerProcess) -> None:
    whole = ask(pair.port, "/translate", LARGE).json["translation"]
    with at_rest_again(pair), Peer(pair.port, receive_buffer=SMALL, timeout=60) as peer:
        peer.request(body=LARGE)
        wait_until(lambda: gauge(pair, "requests_paused") == 1)
        wait_until(lambda: stands_still(pair))
        assert ask(pair.port, "/translate", SENTENCE).status == 200
        wait_until(lambda: stands_still(pair))
        assert 0 < cells(pair) * 8 * 512 < 400
        assert "".join(frames(peer.read_until(b"data: [DONE]"))) == whole


def stands_still(server: ServerProcess) -> bool:
    """Whether the replicas decode nothing for a while."""
    before = cells(server), gauge(server, "tokens_total")
    time.sleep(0.4)
    return (cells(server), gauge(server, "tokens_total")) == before


def test_a_replica_that_is_killed_ends_what_it_had_begun_and_nothing_else(
    pair: ServerProcess,
) -> None:
    answer = ask(pair.port, "/translate", SENTENCE).body
    peers = [Peer(pair.port) for _ in range(14)]  # for eight sequences
    for number, peer in enumerate(peers):
        body = LONG | {"text": f"He is {number} years old.", "target_lang": "de"}
        peer.request(body=body | {"max_tokens": 300}, version="1.0")
    wait_until(lambda: gauge(pair, "requests_running") == 8 and gauge(pair, "requests_queued") == 6)
    first, second = replicas(pair)
    os.kill(first, signal.SIGKILL)
    assert ask(pair.port, "/translate", SENTENCE).body == answer  # at once
    ends = [peer.read_to_end().rpartition(b"data: ")[2].strip() for peer in peers]
    failed = [end for end in ends if end != b"[DONE]"]
    assert 1 <= len(failed) <= 4
    assert all(b'"code":"upstream_failed"' in end for end in failed)
    for peer in peers:
        peer.close()
    wait_until(lambda: answering(pair) == 2)  # Serve has replaced it
    assert second in replicas(pair)
    assert first not in replicas(pair)
    assert ask(pair.port, "/translate", SENTENCE).body == answer
