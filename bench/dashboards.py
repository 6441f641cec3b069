"""Many idle dashboards in one process, for `bench.connections`; plain sockets and one selector.

    python -m bench.dashboards PORT COUNT SECONDS

It connects all and prints {"connect_seconds": ...}, reads for two seconds and prints {}, reads for
SECONDS and prints what came meanwhile.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import struct
import sys
import time

from bench.figures import quantile

INTERVAL = 1.0  # seconds between two snapshots of a feed
_SETTLE = 2.0  # seconds
_CONNECT = 90.0  # seconds, for all
_AT_A_TIME = 64  # connections that are being opened; a listening socket's queue is short
_OF_ONE_ADDRESS = 5000  # connections, well below the ports that a client address has
_REQUEST = (
    b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Cache-Control: no-cache\r\n\r\n"
)
_MADE = re.compile(rb'"time":([0-9.]+)')
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: leave with a reset, which leaves no port waiting


class Dashboards:
    """The connections of one process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._last: dict[int, float] = {}  # when the last snapshot came, by descriptor

    def connect(self, count: int) -> float:
        """Open so many, each with its first snapshot; returns the seconds it took.

        Raises TimeoutError where that is too long.
        """
        begun = time.perf_counter()
        while len(self._last) < count:
            if time.perf_counter() - begun > _CONNECT:
                raise TimeoutError(f"{len(self._last):,} are connected after {_CONNECT:g} s.")
            while len(self._sockets) < min(count, len(self._last) + _AT_A_TIME):
                self._open(len(self._sockets))
            self._read(timeout=1.0)
        return time.perf_counter() - begun

    def _open(self, number: int) -> None:
        # Other systems have to configure 127.0.0.2 and so on first.
        host = f"127.0.0.{2 + number // _OF_ONE_ADDRESS}" if sys.platform == "linux" else ""
        connection = socket.create_connection(
            ("127.0.0.1", self._port), source_address=(host, 0) if host else None
        )
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        connection.sendall(_REQUEST)
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ)
        self._sockets.append(connection)

    def _read(self, timeout: float) -> list[tuple[float, float]]:
        """Read what has come. For each snapshot but a connection's first: its age when it came, and
        how far the time since the one before was from the interval, both in seconds."""
        found = []
        for key, _ in self._selector.select(timeout):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("The server closed a connection.")
            if made := _MADE.search(data):
                now = time.perf_counter()
                if key.fd in self._last:
                    uneven = abs(now - self._last[key.fd] - INTERVAL)
                    found.append((time.time() - float(made[1]), uneven))
                self._last[key.fd] = now
        return found

    def listen(self, seconds: float) -> dict[str, float]:
        """Read for so long and say what came; `delivered` is the share of what was due."""
        found: list[tuple[float, float]] = []
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            found += self._read(left)
        ages, uneven = [age for age, _ in found], [gap for _, gap in found]
        return {
            "delivered": len(found) * INTERVAL / seconds / len(self._sockets),
            "age_p50": quantile(ages, 0.5),
            "age_p95": quantile(ages, 0.95),
            "uneven_p50": quantile(uneven, 0.5),
            "uneven_p95": quantile(uneven, 0.95),
        }

    def close(self) -> None:
        """Leave."""
        for connection in self._sockets:
            connection.close()


def raise_descriptor_limit() -> int:
    """Let this process and its children open as many files as they may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1_000_000


def main(port: int, count: int, seconds: float) -> None:
    """Tell `bench.connections` by lines of JSON what comes to pass."""
    dashboards = Dashboards(port)
    print(json.dumps({"connect_seconds": dashboards.connect(count)}), flush=True)
    dashboards.listen(_SETTLE)
    print(json.dumps({}), flush=True)
    print(json.dumps(dashboards.listen(seconds)), flush=True)
    dashboards.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
