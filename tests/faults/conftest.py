"""Clients that misbehave, and the state a server must be back in after them.

`Peer` is a client on a raw socket. `baseline(server)` surrounds a fault: when the block ends, the
server must come back to the sequences, threads, file descriptors and tasks that it had before, and
answer the same request with the same bytes.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest

from tests.conftest import ServerProcess

SETTLE_SECONDS = 30.0
_PIDFD_GETFD = 438  # the system call's number, the same on every processor
SENTENCE = {"text": "Where is the station?", "target_lang": "de", "cache": False}
LONG = {**SENTENCE, "ignore_eos": True, "max_tokens": 400}  # a stream of about a second


class Peer:
    """One connection to a server, with all that a client can do wrong."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        *,
        receive_buffer: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Connect. A small `receive_buffer` (bytes) makes the window close early."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.received = b""  # all that has been read
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(
        self,
        path: str = "/translate/stream",
        body: dict[str, Any] | bytes | None = None,
        *,
        method: str | None = None,
        version: str = "1.1",
        headers: str = "",
    ) -> None:
        """Send a request; without a body it is a GET. `headers` are whole lines with their CRLF."""
        self.send(request_bytes(path, body, method=method, version=version, headers=headers))

    def read(self, limit: int = 65536) -> bytes:
        """What comes next; empty at the end of the connection."""
        data = self.socket.recv(limit)
        self.received += data
        return data

    def read_until(self, marker: bytes, count: int = 1) -> bytes:
        """Read until `marker` has come `count` times; returns all that was received so far."""
        while self.received.count(marker) < count:
            assert self.read(), f"the connection ended before {marker!r}: {self.received[-500:]!r}"
        return self.received

    def read_to_end(self) -> bytes:
        """Read until the server closes; returns all that was received so far."""
        while self.read():
            pass
        return self.received

    def answer(self) -> Answer:
        """Read one answer that has a Content-Length and take it out of `received`."""
        self.read_until(b"\r\n\r\n")
        head, _, rest = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
        assert length, head
        while len(rest) < int(length[1]):
            assert self.read(), f"the answer was cut off: {self.received[-500:]!r}"
            rest = self.received.partition(b"\r\n\r\n")[2]
        self.received = rest[int(length[1]) :]
        return Answer(head, rest[: int(length[1])])

    def is_closed(self) -> bool:
        """Whether the server has closed or reset the connection, seen without waiting."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(30.0)

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Leave politely."""
        self.socket.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Answer:
    """An answer taken apart."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head.split(b" ", 2)[1])

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The value of a header, None where it is missing."""
        found = re.search(rf"\r\n{name}: ([^\r]*)", self.head.decode("latin-1"), re.IGNORECASE)
        return found[1] if found else None


def request_bytes(
    path: str,
    body: dict[str, Any] | bytes | None = None,
    *,
    method: str | None = None,
    version: str = "1.1",
    headers: str = "",
) -> bytes:
    """The bytes of a request with a Host, and a Content-Length where there is a body."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    head = f"{method or ('GET' if data is None else 'POST')} {path} HTTP/{version}\r\n"
    head += f"Host: localhost\r\n{headers}"
    if data is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return f"{head}\r\n".encode() + (data or b"")


def ask(port: int, path: str, body: dict[str, Any] | bytes | None = None) -> Answer:
    """One request on a connection of its own."""
    with Peer(port) as peer:
        peer.request(path, body, headers="Connection: close\r\n")
        return peer.answer()


def wait_until(condition: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> None:
    """Look every 20 ms until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass within {seconds} s"
        time.sleep(0.02)


def accepted_socket(server: ServerProcess, peer: Peer) -> socket.socket:
    """The server's own end of a connection, to read its options (Linux, pidfd_getfd(2))."""
    process = os.pidfd_open(server.process.pid)
    try:
        for name in os.listdir(f"/proc/{server.process.pid}/fd"):
            copy = ctypes.CDLL(None).syscall(_PIDFD_GETFD, process, int(name), 0)
            if copy < 0 or not stat.S_ISSOCK(os.fstat(copy).st_mode):
                if copy >= 0:
                    os.close(copy)
                continue
            end = socket.socket(fileno=copy)
            if _peer_name(end) == peer.socket.getsockname():
                return end
            end.close()
    finally:
        os.close(process)
    raise AssertionError("the server has no such connection")


def _peer_name(end: socket.socket) -> Any:
    try:
        return end.getpeername()
    except OSError:
        return None


@dataclass(frozen=True)
class State:
    """What a server holds on to."""

    threads: int
    descriptors: int
    tasks: float
    gauges: dict[str, float]


GAUGES = (
    *("requests_running", "requests_queued", "requests_paused"),
    *("sequences_used", "kv_used_ratio"),
)


def gauge(server: ServerProcess, name: str) -> float:
    """One number of `/metrics`, its name without `babelbrook_`."""
    text = ask(server.port, "/metrics").body.decode()
    found = re.search(rf"^babelbrook_{name} (\S+)$", text, re.MULTILINE)
    assert found, f"/metrics does not tell {name}"
    return float(found[1])


def state(server: ServerProcess) -> State:
    """The present state, without the connections that ask for the gauges."""
    gauges = {name: gauge(server, name) for name in GAUGES}
    process = f"/proc/{server.process.pid}"
    descriptors, tasks = [], []
    for _ in range(5):  # the server closes the last of those connections a moment after we did
        descriptors.append(len(os.listdir(f"{process}/fd")))
        tasks.append(gauge(server, "tasks"))
        time.sleep(0.02)
    return State(len(os.listdir(f"{process}/task")), min(descriptors), min(tasks), gauges)


def is_back(server: ServerProcess, before: State) -> bool:
    """Nothing runs, and there are no more threads, file descriptors and tasks than before."""
    now = state(server)
    return (
        not any(now.gauges.values())
        and now.threads <= before.threads
        and now.descriptors <= before.descriptors
        and now.tasks <= before.tasks
    )


@contextmanager
def baseline(
    server: ServerProcess, *, log: bool = True, question: dict[str, Any] = SENTENCE
) -> Iterator[None]:
    """Surrounds a fault. Afterwards the server is as before and answers with the same bytes.

    Its `log` must hold no traceback then.
    """
    first = ask(server.port, "/translate", question)  # also starts what starts only once
    assert first.status == 200, first
    wait_until(lambda: not any(state(server).gauges.values()))
    before = state(server)
    yield
    deadline = time.monotonic() + SETTLE_SECONDS
    while not is_back(server, before):
        assert time.monotonic() < deadline, f"{before} became {state(server)}"
        time.sleep(0.05)
    assert ask(server.port, "/translate", question).body == first.body
    assert not log or "Traceback" not in server.log(), server.log()


@pytest.fixture
def start() -> Iterator[Callable[..., ServerProcess]]:
    """`start(*flags, ...)` starts a server on the embedded model; it is ended after the test."""
    started: list[ServerProcess] = []

    def start_one(*flags: str, **more: Any) -> ServerProcess:
        defaults = ("--engine.threads", "1", "--engine.sequences", "4")
        started.append(ServerProcess(*defaults, *flags, **more))
        return started[-1]

    yield start_one
    for server in started:
        server.close()
