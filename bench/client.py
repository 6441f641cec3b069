"""A lean streaming client on raw sockets: a comfortable one would take the server's cores."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class StreamTimes:
    """What one stream took. Times in seconds; `tokens` as the server counted them."""

    ttft: float
    total: float
    tokens: int
    gaps: list[float] = field(default_factory=list)


class StreamFailed(Exception):
    """The stream ended with an error frame or without `[DONE]`."""


async def stream(url: str, body: dict[str, object]) -> StreamTimes:
    """`POST /translate/stream` with usage asked for. Raises StreamFailed, OSError."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        data = json.dumps(body | {"stream_options": {"usage": True}}).encode()
        begun = time.perf_counter()
        writer.write(
            b"POST /translate/stream HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data
        )
        return await _read(reader, begun)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, begun: float) -> StreamTimes:
    status = await reader.readline()
    if b" 200 " not in status:
        raise StreamFailed((status + await reader.read()).decode("utf-8", "replace"))
    arrivals, tokens, name, done = [], 0, b"", False
    async for line in reader:  # chunk sizes and headers are lines that no test below matches
        if line.startswith(b"event: "):
            name = line[7:].strip()
        elif line.startswith(b'data: "'):
            arrivals.append(time.perf_counter())
        elif line.startswith(b"data: {"):
            if name != b"usage":
                raise StreamFailed(line.decode())
            tokens = json.loads(line[6:])["output_tokens"]
        elif line.startswith(b"data: [DONE]"):
            done = True
    if not done or not arrivals:
        raise StreamFailed("the stream ended without [DONE]")
    return StreamTimes(
        ttft=arrivals[0] - begun,
        total=time.perf_counter() - begun,
        tokens=tokens,
        gaps=[b - a for a, b in itertools.pairwise(arrivals)],
    )
