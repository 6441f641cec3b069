"""Signals while streams run."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import LONG, Peer, wait_until

Start = Callable[..., ServerProcess]


def streams(server: ServerProcess, count: int) -> list[Peer]:
    """As many streams, each with its first text."""
    peers = [Peer(server.port) for _ in range(count)]
    for peer in peers:
        peer.request(body=LONG)
    for peer in peers:
        peer.read_until(b'data: "')
    return peers


@pytest.mark.slow
def test_sixteen_streams_end_with_their_last_frame_after_sigterm(start: Start) -> None:
    server = start("--engine.sequences", "16", "--drain.deadline", "120")
    peers = streams(server, 16)
    server.process.send_signal(signal.SIGTERM)
    for peer in peers:
        assert peer.read_to_end().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        peer.close()
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.log()


def test_a_second_sigint_ends_sixteen_streams_at_once(start: Start) -> None:
    server = start("--engine.sequences", "16")
    peers = streams(server, 16)
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: "may finish" in server.log())
    assert server.stop(signal.SIGINT, timeout=2) == 128 + signal.SIGINT
    assert not any(peer.received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") for peer in peers)
    for peer in peers:
        peer.close()
