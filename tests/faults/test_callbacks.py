"""An exception in every callback on the way of a stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import (
    LONG,
    SENTENCE,
    SETTLE_SECONDS,
    Peer,
    ask,
    is_back,
    state,
    wait_until,
)
from tests.faults.failing import FAILING, texts

BODY: dict[str, Any] = {**LONG, "max_tokens": 150}
LEAVING = "handlers.translating:Translating.on_connection_close"
PLACES = {  # how many streams may be harmed
    "engine.llama.engine:_feed": {1},
    "engine.generation:Decoding.feed": {1},
    "engine.generation:Generation.poke": {0, 1},  # a heartbeat calls it, too
    "engine.translation.translator:Translation.poke": {0},
    "handlers.translate:TranslateStreamHandler.observe": {1},
    "handlers.metrics:Timing.observe": {1},
    "handlers.resume:ResumableStream._add": {1},
    "handlers.resume:Reader.poke": {0, 1},
    LEAVING: {0},
    "handlers:log_access": {0},
    "handlers.metrics:Metrics.count": {0},
    "handlers.feed:Feed._show": {0},
    "handlers.readings:Readings.take": {0},
}


@pytest.fixture(scope="module")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that arms a fault."""
    return tmp_path_factory.mktemp("faults") / "fault"


@pytest.fixture(scope="module")
def failing(fault: Path) -> Iterator[ServerProcess]:
    """A server with faults to come; of three streams one waits in the queue at first."""
    server = ServerProcess(
        *("--engine.sequences", "2", "--engine.threads", "1", "--streams.resume_grace", "0.2"),
        *("--streams.heartbeat", "0.05", "--events.interval", "0.1"),
        command=(sys.executable, "-c", FAILING, " ".join(PLACES)),
        environ={"FAULT": str(fault)},
    )
    yield server
    server.close()


def begin(
    server: ServerProcess, *, text: str = BODY["text"], resume: bool = False, version: str = "1.0"
) -> Peer:
    """A stream whose headers have come."""
    peer = Peer(server.port)
    body = {**BODY, "text": text, "stream_options": {"resume": resume}}
    peer.request(body=body, version=version)
    peer.read_until(b"\r\n\r\n")
    return peer


@pytest.mark.parametrize("place", PLACES)
def test_an_exception_harms_one_stream_at_most(
    failing: ServerProcess, fault: Path, place: str
) -> None:
    server = failing
    with begin(server) as peer:
        whole = texts(peer.read_to_end())
    answer = ask(server.port, "/translate", SENTENCE)
    wait_until(lambda: not any(state(server).gauges.values()))
    before, logged = state(server), len(server.log())

    with Peer(server.port) as dashboard:
        dashboard.request("/events")
        dashboard.read_until(b"\nid: ")
        leaver = begin(server, text="He is old. " * 50) if place == LEAVING else None
        peers = [begin(server, version="1.1"), begin(server, resume=True), begin(server)]
        (leaver or peers[0]).read_until(b'data: "')
        fault.write_text(place)
        if leaver is not None:
            leaver.reset()
        ends = [texts(peers[0].read_until(b"\r\n0\r\n\r\n"))]
        ends += [texts(peer.read_to_end()) for peer in peers[1:]]
        wait_until(lambda: not fault.exists())
        seen = dashboard.received.count(b"\nid: ")
        dashboard.read_until(b"\nid: ", seen + 3)
    peers[0].received = b""
    peers[0].request("/translate", SENTENCE)  # its connection has nothing left on it
    assert peers[0].answer().body == answer.body
    for peer in peers:
        peer.close()

    harmed = [end for end in ends if end != whole]
    assert len(harmed) in PLACES[place]
    for end in harmed:
        assert b'"code":"internal"' in end[-1]
        assert end[:-1] == whole[: len(end) - 1]
    deadline = time.monotonic() + SETTLE_SECONDS
    while not is_back(server, before):
        assert time.monotonic() < deadline, f"{before} became {state(server)}"
    assert ask(server.port, "/translate", SENTENCE).body == answer.body
    log = server.log()[logged:]
    assert log.count("ZeroDivisionError: injected") == 1, log
    assert log.count("Traceback") == 1, log
