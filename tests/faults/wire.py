"""Bytes on a socket, and the answers that come back taken apart."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.conftest import Peer

# Ends every exchange that is answered to the end: the server closes behind its answer.
LAST = b"GET /health HTTP/1.1\r\nHost: last.localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Reply:
    """One answer of a connection."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class _Received(io.BytesIO):
    """What came back, in the shape of a socket that `http.client` reads from."""

    def makefile(self, *_: object) -> _Received:
        return self

    def close(self) -> None:
        """Stays open: the next answer follows."""


def exchange(port: int, *parts: bytes, seconds: float = 20.0) -> bytes:
    """Send `parts`, each in a segment of its own, and give back all that came until the close.

    Raises TimeoutError where the server does not close.
    """
    with Peer(port, timeout=seconds) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                peer.send(part)
            return peer.read_to_end()
        except (ConnectionResetError, BrokenPipeError):
            return peer.received  # the server closed with bytes of ours unread


def answers(received: bytes, methods: Iterable[str] = ()) -> list[Reply]:
    """All answers in what came back, one after the other; `methods` of their requests, or GET.

    `http.client` skips 100 (Continue). Raises where something is no answer.
    """
    source = _Received(received)
    asked = iter(methods)
    found = []
    while source.tell() < len(received):
        response = http.client.HTTPResponse(source, method=next(asked, "GET"))  # type: ignore[arg-type]
        response.begin()
        found.append(Reply(response.status, response.msg, response.read()))
    return found
