"""Clients that come by a timetable, whether or not those before them were answered.

A closed loop (`bench.client`) never asks more than the server can do; users do. One process, one
task a request: for a few hundred requests a second at most.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.client import StreamFailed
from bench.dialects import DIALECTS

_DIALECT = DIALECTS["babelbrook"]
_PATIENCE = 120.0  # seconds for an answer


@dataclass(frozen=True)
class Planned:
    """A request to come: when (seconds from the start), its text and its output tokens."""

    at: float
    text: str
    tokens: int


@dataclass(frozen=True)
class Seen:
    """What its client saw. Seconds from when it was due; its own lateness counts."""

    ttft: float
    total: float
    prompt_tokens: int
    tokens: int


def run(port: int, plan: Sequence[Planned]) -> list[Seen]:
    """Let them all come; returns what each saw. Raises StreamFailed and OSError."""

    async def main() -> list[Seen]:
        begun = time.perf_counter() + 0.1
        return await asyncio.gather(*(_ask(port, begun + each.at, each) for each in plan))

    return asyncio.run(main())


async def _ask(port: int, due: float, planned: Planned) -> Seen:
    body = json.dumps(_DIALECT.body(planned.text, planned.tokens)).encode()
    head = f"POST {_DIALECT.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    await asyncio.sleep(due - time.perf_counter())
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + body)
            answer, first = b"", None
            while data := await reader.read(65536):
                answer += data
                if first is None and _DIALECT.marker in answer:
                    first = time.perf_counter()
        finally:
            writer.close()
    try:
        prompt_tokens, tokens = _DIALECT.usage(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise StreamFailed(str(error)) from None
    end = time.perf_counter()
    return Seen((first or end) - due, end - due, prompt_tokens, tokens or 0)
