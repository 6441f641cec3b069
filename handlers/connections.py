"""The server side of connections: how many there may be, and how long each may keep us waiting.

Tornado bounds the size of headers and bodies. What it lacks is here: an answer to headers that are
too large (it closes without a word), a time for the headers once they have begun, answers to those
that are late, a count of connections and of the requests on each, and a close that loses nothing.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError
from tornado.web import Application

from engine.errors import BabelbrookError, ShuttingDown
from engine.settings import Limits, Settings
from handlers.base import dump_json
from handlers.lingering import MOST as MOST_LINGERING
from handlers.lingering import Lingering
from handlers.listener import Listener

logger = logging.getLogger("babelbrook.http")

# A body above the limit is read and thrown away so far, to answer it with a sentence; a longer one
# gets Tornado's bare 400.
_READ_ANYWAY = 4
_RESERVED = MOST_LINGERING + 128  # file descriptors that are no connections
_MOST_BY_ITSELF = 20_000  # connections that `auto` allows; each takes some memory, idle or not


class TooManyConnections(BabelbrookError):
    """`limits.connections` are open."""

    status = 503
    code = "too_many_connections"
    retry_after = 5.0


class TooManyOfYours(TooManyConnections):
    """One address has `limits.connections_per_address` open."""

    status = 429


class RequestTimeout(BabelbrookError):
    """The headers or the body took too long."""

    status = 408
    code = "request_timeout"


class HeadersTooLarge(BabelbrookError):
    """Request line and headers are above `limits.header_bytes`."""

    status = 431
    code = "headers_too_large"


def most_connections(limits: Limits, descriptors: int) -> int:
    """How many connections may be open, with so many file descriptors."""
    room = max(descriptors // 2, descriptors - _RESERVED)
    if limits.connections == "auto":
        return min(room, _MOST_BY_ITSELF)
    if limits.connections > room:
        logger.warning(
            "limits.connections is %d, but the limit of open files leaves room for %d.",
            limits.connections,
            room,
        )
    return limits.connections


class Server(HTTPServer):
    """Serves an application on listening sockets."""

    def initialize(  # type: ignore[override]  # which Tornado calls in the place of __init__
        self,
        application: Application,
        settings: Settings,
        most_connections: int,
        certificate: ssl.SSLContext | None = None,
    ) -> None:
        """With a `certificate`, TLS is spoken; another one may take its place at any time."""
        limits = settings.limits
        super().initialize(
            application,
            max_header_size=limits.header_bytes,
            max_body_size=_READ_ANYWAY * limits.body_bytes,
        )
        self.conn_params.header_timeout = None  # ours tell idle from slow
        self._last_request = HTTP1ConnectionParameters(**vars(self.conn_params))
        self._last_request.no_keep_alive = True
        self._limits, self._send_buffer = limits, settings.streams.send_buffer
        self._most = most_connections
        self.certificate = certificate
        self._streams: set[_Stream] = set()
        self._by_address: Counter[str] = Counter()
        self._lingering = Lingering()
        self._listener: Listener | None = None

    def listen_on(self, sockets: list[socket.socket]) -> None:
        """Accept connections from now on."""
        self._listener = Listener(sockets, self._take)

    @property
    def open(self) -> int:
        """Connections that count in `limits.connections`."""
        return len(self._streams)

    def close_after_answers(self) -> None:
        """From now on every answer closes its connection."""
        self.conn_params.no_keep_alive = True

    def stop(self) -> None:
        """Accept no more connections."""
        if self._listener is not None:
            self._listener.stop()

    async def close_all_connections(self) -> None:
        """Close what is open; a request that has come in part is told why."""
        for stream in list(self._streams):
            if stream.receiving:
                stream.refuse(ShuttingDown("The server is shutting down."))
        await super().close_all_connections()
        self._lingering.close()

    def _take(self, connection: socket.socket, address: Any) -> None:
        """A connection was accepted."""
        connection.setblocking(False)
        counted = _counted_address(connection, address)
        per_address = self._limits.connections_per_address
        if len(self._streams) >= self._most:
            self._turn_away(connection, TooManyConnections("Too many connections are open."))
            return
        if counted and per_address and self._by_address[counted] >= per_address:
            self._turn_away(
                connection, TooManyOfYours(f"Your address has {per_address} connections open.")
            )
            return
        self._by_address[counted] += 1
        with suppress(OSError):  # macOS: the peer has gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
        stream = self._open(connection, counted)
        self._streams.add(stream)
        stream.set_nodelay(True)
        self.handle_stream(stream, address)

    def _open(self, connection: socket.socket, counted: str) -> _Stream:
        if self.certificate is None:
            return _Stream(connection, self._limits, counted, self._forget)
        wrapped = self.certificate.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return _TlsStream(wrapped, self._limits, counted, self._forget)

    def _turn_away(self, connection: socket.socket, error: BabelbrookError) -> None:
        _say(connection, error)
        self._lingering.add(connection)

    def _forget(self, stream: _Stream) -> None:
        """A stream is closed: its socket has yet to be."""
        self._streams.discard(stream)
        self._by_address[stream.counted] -= 1
        if not self._by_address[stream.counted]:
            del self._by_address[stream.counted]
        if stream.peer_has_left:
            stream.socket.close()
        else:
            self._lingering.add(stream.socket)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> _Request:
        """The next request of a connection is waited for."""
        connection = cast(HTTP1Connection, request_conn)
        stream = cast(_Stream, connection.stream)
        stream.expect_request()
        if stream.requests == self._limits.requests_per_connection:
            connection.params = self._last_request
        return _Request(super().start_request(server_conn, request_conn), stream)


class _Phase(enum.Enum):
    """What a connection waits for."""

    SILENT = enum.auto()  # the first byte of a request
    HEADERS = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()


class _Stream(IOStream):
    """One connection, which ends by itself when its client keeps it waiting."""

    # In the instance's dict they would cost a kilobyte for each dashboard: with more than 30 keys
    # it no longer shares them with the other instances.
    __slots__ = (
        "_limits",
        "_on_close",
        "_phase",
        "_timer",
        "counted",
        "peer_has_left",
        "requests",
    )

    def __init__(
        self,
        connection: socket.socket,
        limits: Limits,
        counted: str,
        on_close: Callable[[_Stream], None],
    ) -> None:
        """`counted` is the address that it counts for; `on_close` closes the socket."""
        super().__init__(connection)
        self._limits = limits
        self.counted = counted
        self._on_close = on_close
        self._phase = _Phase.SILENT
        self._timer: asyncio.TimerHandle | None = None
        self.requests = 0  # begun or waited for
        self.peer_has_left = False

    @property
    def receiving(self) -> bool:
        """A request has come in part."""
        return self._phase in (_Phase.HEADERS, _Phase.BODY)

    def expect_request(self) -> None:
        """A request is waited for: the first one for a shorter time than those that follow."""
        self.requests += 1
        limits = self._limits
        seconds = limits.header_timeout if self.requests == 1 else limits.idle_timeout
        self._enter(_Phase.SILENT, seconds, self.close)

    def expect_body(self) -> None:
        """The headers are in."""
        self._enter(_Phase.BODY, self._limits.body_timeout, self._late)

    def expect_nothing(self) -> None:
        """The request is in."""
        self._enter(_Phase.ANSWER)

    def _enter(
        self, phase: _Phase, seconds: float = math.inf, late: Callable[[], None] | None = None
    ) -> None:
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Tornado waits for another request on a connection that is closed already: a timer would
        # keep all of it in memory until it is due.
        if late is not None and not self.closed():
            self._timer = asyncio.get_running_loop().call_later(seconds, late)

    def _late(self) -> None:
        what = "headers" if self._phase is _Phase.HEADERS else "body"
        limits = self._limits
        seconds = limits.header_timeout if what == "headers" else limits.body_timeout
        self.refuse(RequestTimeout(f"The request's {what} did not come within {seconds:g} s."))

    def refuse(self, error: BabelbrookError) -> None:
        """Answer in the place of a handler, and close."""
        if not self.closed() and not self.writing():
            _say(self.socket, error)
        self.close()

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Tornado's hook for reading."""
        try:
            count = super().read_from_fd(buf)
        except OSError:
            self.peer_has_left = True
            raise
        if count == 0:
            self.peer_has_left = True
        elif count and self._phase is _Phase.SILENT:
            self._enter(_Phase.HEADERS, self._limits.header_timeout, self._late)
        return count

    def close(self, exc_info: Any = False) -> None:
        """Close; Tornado gives the reason where it is one."""
        if isinstance(exc_info, UnsatisfiableReadError) and self._phase is not _Phase.BODY:
            limit = self._limits.header_bytes
            self.refuse(HeadersTooLarge(f"The request's headers are longer than {limit:,} bytes."))
        self._enter(_Phase.ANSWER)
        super().close(exc_info)

    def close_fd(self) -> None:
        """Tornado's hook for closing, called once."""
        if isinstance(self.error, OSError):
            self.peer_has_left = True
        self._on_close(self)
        self.socket = None  # type: ignore[assignment]

    def set_nodelay(self, value: bool) -> None:
        """Never off, as Tornado would have it after each request: small frames would wait."""
        super().set_nodelay(True)


class _TlsStream(_Stream, SSLIOStream):
    """The same with TLS; the time for the first byte of a request holds for the handshake, too."""

    __slots__ = ()


class _Request(HTTPMessageDelegate):
    """Tells the stream how far a request has come."""

    def __init__(self, inner: HTTPMessageDelegate, stream: _Stream) -> None:
        self._inner, self._stream = inner, stream

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._stream.expect_body()
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._stream.expect_nothing()
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()


def _counted_address(connection: socket.socket, address: Any) -> str:
    """The address that a connection counts for; empty for loopback and what is not IP."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    ip = ip_address(address[0].partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return "" if ip.is_loopback else str(ip)


def _say(connection: socket.socket, error: BabelbrookError) -> None:
    """Send an error as an answer, as far as that is possible without waiting, and log it."""
    body = dump_json({"error": error.sentence, "code": error.code}).encode()
    head = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if error.retry_after is not None:
        head.append(f"Retry-After: {math.ceil(error.retry_after)}")
    remote = "-"
    with suppress(OSError):
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            remote = connection.getpeername()[0]
        connection.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    logger.info("Refused: remote=%s status=%d code=%s", remote, error.status, error.code)
