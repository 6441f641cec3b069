"""Closed-loop streaming clients in a process of their own: `python -m bench.client < load.json`.

The clients share the machine's cores with the server they measure, so this is plain sockets and one
selector: about 5 microseconds for a frame, where a comfortable HTTP client takes a hundred. Frames
are counted, not parsed; only the last one is read, for the server's own count of tokens.

Each request has a connection of its own, because llama-server closes them after a stream.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.dialects import DIALECTS, Dialect
from bench.figures import quantile

SILENCE = 120.0  # seconds without a byte from any stream after which a load has failed


class StreamFailed(Exception):
    """A stream ended with an error, or without its proper end."""


@dataclass
class Group:
    """Clients that work through one list of requests together.

    An endless group starts its list again and ends when all other groups have.
    """

    clients: int
    bodies: list[bytes]
    endless: bool = False


@dataclass
class Load:
    """What is asked of one server."""

    server: str
    port: int
    groups: list[Group]


@dataclass
class Seen:
    """What a group saw. Times in seconds; one entry per stream in `ttfts` and `totals`."""

    tokens: int = 0
    prompt_tokens: int = 0
    frames: int = 0
    ttfts: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    """Between two arrivals of text; frames that were read at once are one arrival."""
    frame_gaps: list[float] = field(default_factory=list)
    """One entry per frame: an arrival of several shares its gap among them."""

    def figures(self) -> dict[str, Any]:
        """The figures of a cell. `token_gap` counts tokens that brought no frame as well."""
        frames_per_token = min(1.0, self.frames / self.tokens) if self.tokens else 1.0
        return {
            "requests": len(self.totals),
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "frames": self.frames,
            "ttft_p50": quantile(self.ttfts, 0.5),
            "ttft_p95": quantile(self.ttfts, 0.95),
            "gap_p50": quantile(self.gaps, 0.5),
            "gap_p95": quantile(self.gaps, 0.95),
            "token_gap": quantile(self.frame_gaps, 0.5) * frames_per_token,
        }


class _Client:
    """One client and the stream that it reads."""

    def __init__(
        self, port: int, dialect: Dialect, endless: bool, bodies: Iterator[bytes], seen: Seen
    ) -> None:
        self._port, self._dialect, self._seen = port, dialect, seen
        self.endless, self.bodies = endless, bodies

    def ask(self, body: bytes) -> socket.socket:
        """Send a request; `receive` then says when its answer is complete."""
        self._chunks: list[bytes] = []
        self._rest = b""
        self._frames = 0
        self._last = 0.0
        head = f"POST {self._dialect.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._begun = time.perf_counter()
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=SILENCE)
        self._socket.sendall(head.encode() + body)
        return self._socket

    def receive(self) -> bool:
        """Take what has arrived; True when the stream is complete. Raises StreamFailed."""
        data = self._socket.recv(262144)
        now = time.perf_counter()
        if not data:
            self._complete(now)
            return True
        self._chunks.append(data)
        # A frame's marker may be split between two arrivals.
        marker, text = self._dialect.marker, self._rest + data
        if count := text.count(marker):
            self._note(now, count)
        self._rest = text[1 - len(marker) :]
        return False

    def close(self) -> None:
        """Leave, also within a stream."""
        self._socket.close()

    def _note(self, now: float, count: int) -> None:
        seen = self._seen
        if self._frames:
            gap = now - self._last
            seen.gaps.append(gap)
            seen.frame_gaps += [gap / count] * count
        else:
            seen.ttfts.append(now - self._begun)
        self._frames += count
        self._last = now

    def _complete(self, now: float) -> None:
        answer = b"".join(self._chunks)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise StreamFailed(answer[:1000].decode(errors="replace") or "nothing was answered")
        try:
            prompt_tokens, tokens = self._dialect.usage(answer)
        except (ValueError, KeyError) as error:
            raise StreamFailed(str(error)) from None
        seen = self._seen
        seen.prompt_tokens += prompt_tokens
        seen.tokens += self._frames if tokens is None else tokens
        seen.frames += self._frames
        seen.totals.append(now - self._begun)


def run(load: Load) -> dict[str, Any]:
    """Run a load to its end; returns `seconds` and the figures of each group.

    Raises StreamFailed and OSError.
    """
    dialect = DIALECTS[load.server]
    groups = [(group, Seen()) for group in load.groups]
    begun = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for group, seen in groups:
            bodies = itertools.cycle(group.bodies) if group.endless else iter(group.bodies)
            for _ in range(group.clients):
                _ask_next(selector, _Client(load.port, dialect, group.endless, bodies, seen))
        try:
            _work(selector)
        finally:
            for key in list(selector.get_map().values()):
                key.data.close()
    return {
        "seconds": time.perf_counter() - begun,
        "groups": [seen.figures() for _, seen in groups],
    }


def _work(selector: selectors.BaseSelector) -> None:
    """Read streams and send the next requests until only endless clients are left."""
    while any(not key.data.endless for key in selector.get_map().values()):
        ready = selector.select(SILENCE)
        if not ready:
            raise StreamFailed(f"nothing came for {SILENCE:.0f} s")
        for key, _ in ready:
            if key.data.receive():
                selector.unregister(key.fileobj)
                key.data.close()
                _ask_next(selector, key.data)


def _ask_next(selector: selectors.BaseSelector, client: _Client) -> None:
    """Let a client send its next request; without one it is done."""
    body = next(client.bodies, None)
    if body is not None:
        selector.register(client.ask(body), selectors.EVENT_READ, client)


def main() -> int:
    """Read a load from standard input, write what came of it; returns the exit status."""
    fields = json.load(sys.stdin)
    groups = [
        Group(group["clients"], [body.encode() for body in group["bodies"]], group["endless"])
        for group in fields["groups"]
    ]
    try:
        json.dump(run(Load(fields["server"], fields["port"], groups)), sys.stdout)
    except (StreamFailed, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
