"""Many short streams whose clients leave as they like: `python -m bench.soak`, or `make soak`.

Starts the server with its embedded model and lets clients come and go: most read to the end, others
leave by RST, FIN or half-close, in the queue, in the middle of a text or of their own request; some
send lists, some read slowly. In the end nothing may be left of them: see `Verdict`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.servers import Server, ServerFailed
from bench.texts import sentences

HANGS_AFTER = 60.0  # seconds for one visit
SETTLE = 30.0  # seconds for the last traces of clients to go
GROWTH = 1.05  # resident size in the end, against after the first tenth
SHOWN = 5  # failures that are printed
_GAUGES = ("requests_running", "requests_queued", "sequences_used", "kv_used_ratio")
_UNREAD = "1 " * 60_000  # no letters: given back as it is, more than the kernel's buffers hold


class Failure(Exception):
    """The server did something that it must not; the text says what."""


@dataclass(frozen=True)
class Reading:
    """What the server holds on to. `resident` in bytes; `gauges` by their names in `/metrics`."""

    threads: int
    descriptors: int
    resident: int
    gauges: dict[str, float]


def read(server: Server) -> Reading:
    """The present reading; the connection that asks for the gauges is closed before the rest."""
    text = server.get("/metrics")
    found = {name: re.search(rf"^babelbrook_{name} (\S+)", text, re.M) for name in _GAUGES}
    gauges = {name: float(match[1]) if match else -1.0 for name, match in found.items()}
    process = Path(f"/proc/{server.pid}")
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Reading(
        len(os.listdir(process / "task")), len(os.listdir(process / "fd")), resident, gauges
    )


@dataclass
class Verdict:
    """Claims that must hold when all clients have gone: each a sentence, and whether it holds."""

    before: Reading
    first_tenth: int  # bytes resident when a tenth was done
    after: Reading
    same_bytes: bool
    traceback: bool
    failures: list[str]

    def claims(self) -> list[tuple[str, bool]]:
        """All of them."""
        after, before = self.after, self.before
        left = ", ".join(f"{name} {value:g}" for name, value in after.gauges.items())
        growth = after.resident / self.first_tenth
        return [
            (f"nothing runs, waits or is kept: {left}", not any(after.gauges.values())),
            (
                f"threads {after.threads}, {before.threads} before",
                after.threads <= before.threads,
            ),
            (
                f"descriptors {after.descriptors}, {before.descriptors} before",
                after.descriptors <= before.descriptors,
            ),
            (
                f"resident {_mib(after.resident)}, {_mib(self.first_tenth)} after the first tenth"
                f" ({growth - 1:+.1%})",
                growth <= GROWTH,
            ),
            ("the next answer has the same bytes", self.same_bytes),
            ("no traceback in the log", not self.traceback),
            (f"visits that failed: {len(self.failures)}", not self.failures),
        ]


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


class Visit:
    """One connection. `body` is what the server gave for `text` when it was first read whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, path: str, body: dict[str, Any], part: float = 1.0) -> None:
        """Send a request, or the first `part` of it."""
        data = json.dumps({**body, "target_lang": "ja", "cache": False}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        whole = head.encode() + data
        self.writer.write(whole[: int(len(whole) * part)])

    async def head(self) -> bytes:
        """Read the head of an answer. Raises Failure where it is no 200."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"answered {head[:100]!r}")
        return head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of a stream, as it comes."""
        await self.head()
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def frames(self, number: int) -> None:
        """Read until so many frames have come."""
        await self.head()
        for _ in range(number):
            await self.reader.readuntil(b"data: ")

    def leave(self, how: str) -> None:
        """By "reset", "close" or "half-close"."""
        if how == "half-close":
            self.writer.write_eof()
        elif how == "reset":
            linger_of_zero = struct.pack("ii", 1, 0)
            raw = self.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_of_zero)
            self.writer.transport.abort()
        else:
            self.writer.close()


@dataclass
class Soak:
    """The clients, and what they saw."""

    port: int
    streams: int
    seconds: float
    chance: random.Random
    visits: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    first_tenth: int = 0
    _texts: list[str] = field(default_factory=sentences)
    _answers: dict[str, bytes] = field(default_factory=dict)
    _started: int = 0
    _begun: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the first client came."""
        return time.monotonic() - self._begun

    @property
    def progress(self) -> float:
        """From 0 to 1, by streams or by time, whichever is further."""
        return max(self.visits.total() / self.streams, self.elapsed / self.seconds)

    async def client(self) -> None:
        """One visit after the other, until there were enough or the time is up."""
        kinds, weights = zip(*((kind, weight) for kind, weight in _KINDS.items()), strict=True)
        while self._started < self.streams and self.elapsed < self.seconds:
            self._started += 1
            (kind,) = self.chance.choices(kinds, weights)
            try:
                async with asyncio.timeout(HANGS_AFTER):
                    await self._visit(kind)
            except (Failure, TimeoutError, ValueError, OSError, EOFError) as error:
                self.failures.append(f"{kind.__name__}: {type(error).__name__} {error}")
            self.visits[kind.__name__] += 1

    async def _visit(self, kind: Kind) -> None:
        raw = socket.socket()
        raw.setblocking(False)
        if kind is Soak.reads_slowly:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=raw)
        try:
            await kind(self, Visit(reader, writer))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _request(self) -> dict[str, Any]:
        number = self.chance.randrange(len(self._texts))
        return {"text": self._texts[number], "ignore_eos": True, "max_tokens": 4 + number % 21}

    async def _read_whole(self, visit: Visit) -> None:
        request = self._request()
        visit.send("/translate/stream", request)
        body = b"".join([chunk async for chunk in visit.chunks()])
        if not body.endswith(b"data: [DONE]\n\n"):
            raise Failure(f"a stream ended with {body[-100:]!r}")
        body = body.replace(b": ping\n\n", b"")
        if self._answers.setdefault(request["text"], body) != body:
            raise Failure(f"{request['text']!r} was translated in two ways")

    async def reads_to_the_end(self, visit: Visit) -> None:
        """One stream, or several on the connection."""
        for _ in range(self.chance.choice((1, 1, 2))):
            await self._read_whole(visit)

    async def leaves_mid_token(self, visit: Visit) -> None:
        """After some frames."""
        visit.send("/translate/stream", self._request())
        await visit.frames(self.chance.randint(1, 3))
        visit.leave(self.chance.choice(("reset", "close", "half-close")))

    async def leaves_at_once(self, visit: Visit) -> None:
        """In the queue, or while its prompt is read."""
        visit.send("/translate/stream", self._request())
        if self.chance.random() < 0.5:
            await visit.head()
        visit.leave(self.chance.choice(("reset", "close", "half-close")))

    async def leaves_in_its_request(self, visit: Visit) -> None:
        """With half a request sent."""
        visit.send("/translate/stream", self._request(), part=self.chance.random())
        visit.leave(self.chance.choice(("reset", "close")))

    async def sends_a_list(self, visit: Visit) -> None:
        """And reads the answer, or not."""
        texts = [self._request()["text"] for _ in range(self.chance.randint(2, 5))]
        visit.send("/translate", {"text": texts, "ignore_eos": True, "max_tokens": 8})
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.random() / 20)
            visit.leave(self.chance.choice(("reset", "close", "half-close")))
            return
        length = re.search(rb"\r\nContent-Length: (\d+)", await visit.head())
        if length is None:
            raise Failure("a list came without its length")
        answer = json.loads(await visit.reader.readexactly(int(length[1])))
        if len(answer["translation"]) != len(texts):
            raise Failure("a list came back shorter or longer")

    async def reads_slowly(self, visit: Visit) -> None:
        """More than the kernel holds for it, at some kilobytes a second, and goes."""
        request = self._request()
        visit.send("/translate/stream", {**request, "text": f"{_UNREAD}\n{request['text']}"})
        for _ in range(self.chance.randint(5, 20)):
            if not await visit.reader.read(512):
                raise Failure("a slow reader was dropped")
            await asyncio.sleep(0.05)
        visit.leave(self.chance.choice(("reset", "close")))


Kind = Callable[[Soak, Visit], Awaitable[None]]
_KINDS: dict[Kind, int] = {
    Soak.reads_to_the_end: 45,
    Soak.leaves_mid_token: 25,
    Soak.leaves_at_once: 15,
    Soak.leaves_in_its_request: 7,
    Soak.sends_a_list: 5,
    Soak.reads_slowly: 3,
}


async def _tell(soak: Soak, server: Server, every: float) -> None:
    """Print how far it is, and note the resident size after the first tenth."""
    told = 0.0
    while True:
        await asyncio.sleep(0.2)
        if soak.progress >= 0.1 and not soak.first_tenth:
            soak.first_tenth = (await asyncio.to_thread(read, server)).resident
        if soak.elapsed - told >= every:
            told = soak.elapsed
            resident = (await asyncio.to_thread(read, server)).resident
            done = soak.visits.total()
            print(
                f"{done:7,} visits, {done / soak.elapsed:,.0f} a second, {_mib(resident)},"
                f" {len(soak.failures)} failed, about"
                f" {soak.elapsed * (1 / soak.progress - 1) / 60:.1f} min left",
                flush=True,
            )


async def _come_and_go(soak: Soak, server: Server, clients: int, every: float) -> None:
    telling = asyncio.ensure_future(_tell(soak, server, every))
    await asyncio.gather(*(soak.client() for _ in range(clients)))
    telling.cancel()


def _reference(port: int) -> bytes:
    """The bytes of an answer that must be the same before and after."""
    request = {"text": "Where is the station?", "target_lang": "de", "cache": False}
    data = json.dumps(request).encode()
    head = f"POST /translate/stream HTTP/1.0\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=HANGS_AFTER) as connection:
        connection.sendall(head.encode() + data)
        return connection.makefile("rb").read().partition(b"\r\n\r\n")[2]


def _settle(server: Server, before: Reading) -> Reading:
    """The last reading, as soon as nothing is left of the clients."""
    deadline = time.monotonic() + SETTLE
    while True:
        now = read(server)
        clean = not any(now.gauges.values()) and now.descriptors <= before.descriptors
        if clean or time.monotonic() > deadline:
            return now
        time.sleep(0.2)


def run(server: Server, options: argparse.Namespace) -> Verdict:
    """Soak a server that runs; prints progress."""
    reference = _reference(server.port)
    before = _settle(server, read(server))
    soak = Soak(server.port, options.streams, options.seconds, random.Random(options.seed))
    asyncio.run(_come_and_go(soak, server, options.clients, options.every))
    after = _settle(server, before)
    shown = ", ".join(f"{kind} {number:,}" for kind, number in soak.visits.most_common())
    print(f"{soak.visits.total():,} visits in {soak.elapsed:.0f} s: {shown.replace('_', ' ')}")
    return Verdict(
        before=before,
        first_tenth=soak.first_tenth,
        after=after,
        same_bytes=_reference(server.port) == reference,
        traceback="Traceback" in server.log(),
        failures=soak.failures,
    )


def main(argv: list[str]) -> int:
    """The command line; returns the exit status, 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--streams", type=int, default=20_000, help="most visits")
    parser.add_argument("--seconds", type=float, default=600.0, help="most time for them")
    parser.add_argument("--clients", type=int, default=16, help="at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between progress lines")
    parser.add_argument("flags", nargs="*", help="behind --: flags of the server")
    options = parser.parse_args(argv)
    command = [sys.executable, "server.py", "--port", "{port}", "--engine.sequences", "8"]
    try:
        with Server("babelbrook", [*command, *options.flags], "/ready") as server:
            verdict = run(server, options)
    except ServerFailed as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    for failure in verdict.failures[:SHOWN]:
        print(f"  {failure}")
    for claim, holds in verdict.claims():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(holds for _, holds in verdict.claims()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
