"""Clients that leave in every way, at every moment of a stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import LONG, SENTENCE, Peer, baseline, gauge, wait_until

WAYS: dict[str, Callable[[Peer], None]] = {
    "RST": Peer.reset,
    "FIN": Peer.close,
    "half-close": Peer.half_close,
}


@pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())
def test_leaving_mid_token_frees_the_sequence(
    server: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with baseline(server), Peer(server.port) as peer:
        peer.request(body=LONG)
        peer.read_until(b'data: "', 3)
        leave(peer)
        wait_until(lambda: gauge(server, "sequences_used") == 0)


@pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())
def test_leaving_before_the_first_token_frees_the_sequence(
    server: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with baseline(server), Peer(server.port) as peer:
        peer.request(body=LONG)
        peer.read_until(b"\r\n\r\n")
        leave(peer)
        wait_until(lambda: gauge(server, "sequences_used") == 0)


@pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())
def test_leaving_at_the_last_frame_leaves_nothing_behind(
    server: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with baseline(server), Peer(server.port) as peer:
        peer.request(body=SENTENCE)
        peer.read_until(b"data: [DONE]")
        leave(peer)


@pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())
def test_leaving_in_the_queue_leaves_nothing_behind(
    server: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with baseline(server):
        running = [Peer(server.port) for _ in range(8)]
        for peer in running:
            peer.request(body=LONG)
        with Peer(server.port) as waiting:
            waiting.request(body=LONG)
            waiting.read_until(b"\r\n\r\n")
            leave(waiting)
        for peer in running:
            peer.close()


@pytest.mark.parametrize("leave", [Peer.reset, Peer.close], ids=["RST", "FIN"])
def test_leaving_the_queue_behind_a_stray_byte_is_noticed_by_the_heartbeat(
    start: Callable[..., ServerProcess], leave: Callable[[Peer], None]
) -> None:
    """Tornado reads no further, and so does not see the end, while bytes of a next request wait."""
    server = start("--engine.sequences", "1", "--streams.heartbeat", "0.1")
    with baseline(server), Peer(server.port) as running, Peer(server.port) as waiting:
        running.request(body={**LONG, "text": "He is old. " * 20})
        running.read_until(b'data: "')
        waiting.request(body=LONG)
        waiting.send(b"G")
        waiting.read_until(b": ping")
        leave(waiting)
        wait_until(lambda: gauge(server, "requests_queued") == 0)
        assert gauge(server, "requests_running") == 1
