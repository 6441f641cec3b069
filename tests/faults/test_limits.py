"""Clients that take too much: of time, of connections, of bytes."""

from __future__ import annotations

import os
import re
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import (
    SENTENCE,
    Peer,
    accepted_socket,
    ask,
    baseline,
    gauge,
    request_bytes,
    wait_until,
)

Start = Callable[..., ServerProcess]
DRIBBLE = 0.1  # seconds between two bytes


@pytest.fixture(scope="module")
def strict() -> Iterator[ServerProcess]:
    """A server of short patience."""
    flags = {
        "engine.threads": "1",
        "limits.header_timeout": "1",
        "limits.body_timeout": "1.5",
        "limits.idle_timeout": "2",
        "limits.requests_per_connection": "3",
        "limits.header_bytes": "4096",
        "streams.dead_peer_timeout": "60",
        "streams.stall_timeout": "30",
        "streams.send_buffer": "32768",
    }
    server = ServerProcess(*(word for name in flags for word in (f"--{name}", flags[name])))
    yield server
    log = server.log()
    server.close()
    assert "Traceback" not in log, log


def cpu_seconds(server: ServerProcess) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def dribble(peer: Peer, data: bytes) -> float:
    """Send a byte now and then until the server answers; returns the seconds that it took."""
    begun = time.monotonic()
    peer.socket.settimeout(DRIBBLE)
    for index in range(len(data)):
        peer.send(data[index : index + 1])
        try:
            peer.read()
            break
        except TimeoutError:
            continue
    peer.socket.settimeout(30)
    return time.monotonic() - begun


def test_headers_that_dribble_in_are_a_408(strict: ServerProcess) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        seconds = dribble(peer, request_bytes("/health", headers="X-Filler: " + "x" * 1000))
        answer = peer.answer()
        assert (answer.status, answer.json["code"]) == (408, "request_timeout")
        assert "headers did not come within 1 s" in answer.json["error"]
        assert answer.header("connection") == "close"
        assert peer.read_to_end() == b""
        assert 1 <= seconds < 10


@pytest.mark.slow
def test_headers_that_dribble_in_on_a_kept_connection_are_a_408(strict: ServerProcess) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.request("/health")
        assert peer.answer().status == 200
        time.sleep(1.2)  # idle for longer than headers may take
        dribble(peer, request_bytes("/health", headers="X-Filler: " + "x" * 1000))
        assert peer.answer().status == 408


@pytest.mark.slow
def test_a_body_that_dribbles_in_is_a_408(strict: ServerProcess) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.send(request_bytes("/translate", b"x" * 1000)[:-1000])
        seconds = dribble(peer, b"x" * 1000)
        answer = peer.answer()
        assert (answer.status, answer.json["code"]) == (408, "request_timeout")
        assert "body did not come within 1.5 s" in answer.json["error"]
        assert seconds >= 1.4


def test_chunks_that_dribble_in_are_a_408(strict: ServerProcess) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.request("/translate", method="POST", headers="Transfer-Encoding: chunked\r\n")
        dribble(peer, b"1\r\nx\r\n" * 100)
        assert peer.answer().status == 408


@pytest.mark.parametrize("length", [4096, 5000, 1_000_000])
def test_headers_above_their_limit_are_a_431(strict: ServerProcess, length: int) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.request("/health", headers=f"X-Filler: {'x' * length}\r\n")
        answer = peer.answer()
        assert (answer.status, answer.json["code"]) == (431, "headers_too_large")
        assert "4,096 bytes" in answer.json["error"]
        assert peer.read_to_end() == b""


def test_a_long_path_is_a_431_too(strict: ServerProcess) -> None:
    answer = ask(strict.port, f"/{'x' * 5000}")
    assert answer.status == 431


def test_a_connection_is_closed_after_its_last_request(strict: ServerProcess) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        for _ in range(2):
            peer.request("/translate", SENTENCE)
            assert peer.answer().header("connection") is None
        peer.request("/translate", SENTENCE)
        answer = peer.answer()
        assert answer.status == 200
        assert answer.header("connection") == "close"
        assert peer.read_to_end() == b""


@pytest.mark.slow
def test_a_connection_without_a_further_request_is_closed_without_a_word(
    strict: ServerProcess,
) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.request("/health")
        peer.answer()
        begun = time.monotonic()
        assert peer.read_to_end() == b""
        assert time.monotonic() - begun >= 1.9


def test_five_hundred_silent_connections_hinder_nobody_and_are_closed(
    strict: ServerProcess,
) -> None:
    with baseline(strict), ExitStack() as stack:
        silent = [stack.enter_context(Peer(strict.port)) for _ in range(500)]
        assert ask(strict.port, "/translate", SENTENCE).status == 200
        assert gauge(strict, "connections") >= 501
        assert [peer.read_to_end() for peer in silent] == [b""] * 500
        assert gauge(strict, "connections") < 501


def test_the_answer_to_a_body_far_above_the_limit_is_not_lost(strict: ServerProcess) -> None:
    """A close with unread bytes would send a reset, which throws the answer away."""
    with Peer(strict.port) as peer:
        head = request_bytes("/translate", b"", headers="X: y\r\n")
        peer.send(head.replace(b"Content-Length: 0", b"Content-Length: 400000000"))
        for _ in range(100):
            peer.send(b" " * 10_000)
        assert peer.read_to_end().startswith(b"HTTP/1.1 400 ")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_accepted_sockets_have_their_options_for_every_request(strict: ServerProcess) -> None:
    with Peer(strict.port) as peer:
        for _ in range(2):
            peer.request("/health")
            peer.answer()
            with accepted_socket(strict, peer) as end:
                tcp = {
                    name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"))
                    for name in ("NODELAY", "KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT")
                }
                assert tcp == {
                    "NODELAY": 1,
                    "KEEPIDLE": 30,
                    "KEEPINTVL": 10,
                    "KEEPCNT": 3,
                    "USER_TIMEOUT": 60_000,
                }
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 32_768


@pytest.mark.parametrize("keep_alive", [False, True])
def test_http_1_0_is_answered_and_kept_only_where_that_is_asked(
    strict: ServerProcess, keep_alive: bool
) -> None:
    headers = "Connection: keep-alive\r\n" if keep_alive else ""
    with baseline(strict), Peer(strict.port) as peer:
        for _ in range(2 if keep_alive else 1):
            peer.request("/translate", SENTENCE, version="1.0", headers=headers)
            answer = peer.answer()
            assert answer.status == 200
            assert answer.header("transfer-encoding") is None
        if not keep_alive:
            assert peer.read_to_end() == b""


@pytest.mark.parametrize("headers", ["", "Connection: keep-alive\r\n"])
def test_an_http_1_0_stream_ends_with_its_connection(strict: ServerProcess, headers: str) -> None:
    with baseline(strict), Peer(strict.port) as peer:
        peer.request(body=SENTENCE, version="1.0", headers=headers)
        assert peer.read_to_end().endswith(b"data: [DONE]\n\n")
        assert b"chunked" not in peer.received.lower()


def test_connections_above_their_number_get_a_503_and_room_again_later(start: Start) -> None:
    server = start("--limits.connections", "10")
    with baseline(server):
        with ExitStack() as stack:
            for _ in range(10):
                peer = stack.enter_context(Peer(server.port))
                peer.request("/health")
                assert peer.answer().status == 200
            for _ in range(3):
                with Peer(server.port) as refused:
                    refused.request("/translate", SENTENCE)
                    answer = refused.answer()
                    assert (answer.status, answer.json["code"]) == (503, "too_many_connections")
                    assert answer.header("retry-after")
                    assert refused.read_to_end() == b""
        wait_until(lambda: ask(server.port, "/health").status == 200)


def with_open_files(soft: int, hard: int) -> tuple[str, ...]:
    """The command that starts a server under these limits."""
    program = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
import server
sys.exit(server.main(sys.argv[1:]))
"""
    return (sys.executable, "-c", program)


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(start: Start) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = start("--engine", "echo", command=with_open_files(256, hard))
    assert f"raised from 256 to {hard}" in server.log()
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert re.search(rf"Max open files +{hard} +{hard} ", limits)


@pytest.mark.slow
def test_without_file_descriptors_the_server_waits_and_warns_once(start: Start) -> None:
    server = start("--limits.connections", "1000", command=with_open_files(64, 64))
    assert "leaves room for 32" in server.log()
    with baseline(server):
        with ExitStack() as stack:
            peers = [stack.enter_context(Peer(server.port)) for _ in range(100)]
            peers[0].request("/health")
            assert peers[0].answer().status == 200
            before = cpu_seconds(server)
            time.sleep(2.5)
            assert cpu_seconds(server) - before < 0.5
        wait_until(lambda: ask(server.port, "/health").status == 200)
    assert server.log().count("No connection can be accepted") == 1
