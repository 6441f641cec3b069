"""Streams that can be resumed, when nobody comes or the server ends."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import baseline, gauge, wait_until
from tests.handlers.cutting import BODY, LONG, Client


@pytest.mark.slow
def test_after_the_grace_a_stream_without_a_reader_is_cancelled_and_forgotten(
    start: Callable[..., ServerProcess],
) -> None:
    server = start("--streams.resume_grace", "0.5", "--engine.lookahead", "1")
    body = {**LONG, "text": "Where is the station? " * 200}
    with baseline(server):
        client = Client(server.port, body)
        client.read_frames(3)
        client.cut()
        assert gauge(server, "sequences_used") == 1
        wait_until(lambda: gauge(server, "sequences_used") == 0)
        assert client.ask().status == 404
        ended = Client(server.port, BODY)
        ended.finish()
        wait_until(lambda: ended.ask("HEAD").status == 404)


def test_a_drain_waits_for_readers_and_for_nobody_else(
    start: Callable[..., ServerProcess],
) -> None:
    server = start("--drain.deadline", "60")
    alone = Client(server.port, {**LONG, "text": "Where is the station? " * 200})
    alone.read_frames(1)
    alone.cut()
    client = Client(server.port, LONG)
    client.read_frames(1)
    client.cut()
    client.resume()
    server.process.send_signal(signal.SIGTERM)
    assert client.finish()[-1].endswith(b"data: [DONE]")
    assert server.process.wait(20) == 0
    assert "Traceback" not in server.log()


def test_what_outlasts_a_drain_ends_with_an_error_that_has_an_id(
    start: Callable[..., ServerProcess],
) -> None:
    server = start("--drain.deadline", "0.2")
    client = Client(server.port, {**LONG, "text": "Where is the station? " * 200})
    client.read_frames(1)
    client.cut()
    client.resume()
    server.process.send_signal(signal.SIGTERM)
    frames = client.finish()
    assert frames[-1].startswith(b"id: ID:%d\n" % len(frames))
    assert frames[-1].endswith(b'"code":"shutting_down"}')
    assert server.process.wait(20) == 0
    assert "Traceback" not in server.log()
