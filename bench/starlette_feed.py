"""A feed like `/events` as one writes it with sse-starlette: the peer of `bench.connections`.

    python -m uvicorn bench.starlette_feed:app

Every client has a generator that makes and encodes its snapshots, of the same fields and size. With
NO_COLLECTOR=1 in the environment Python's garbage collector is off: with ten thousand clients it
walks over so many objects that everybody waits for it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import ujson
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

INTERVAL = 1.0  # seconds
_begun = time.monotonic()
_dashboards = 0
if os.environ.get("NO_COLLECTOR"):
    gc.disable()


def snapshot() -> dict[str, Any]:
    """What Babelbrook's own snapshots hold while nothing is translated."""
    return {
        "time": round(time.time(), 3),
        "uptime": round(time.monotonic() - _begun, 1),
        "version": "0.0.0",
        "model": {"name": "echo", "ready": True},
        "running": 0,
        "queued": 0,
        "sequences": {"used": 0, "total": 0},
        "kv_used_ratio": 0.0,
        "tokens_per_second": 0.0,
        "ttft": {"p50": None, "p95": None},
        "token_gap": {"p50": None, "p95": None},
        "totals": {"requests": 0, "errors": 0, "tokens": 0},
        "connections": {"requests": 0, "dashboards": _dashboards},
        "draining": False,
    }


async def snapshots() -> AsyncIterator[dict[str, str]]:
    """One client's snapshots."""
    global _dashboards
    _dashboards += 1
    try:
        for number in count(int(time.time() * 1000)):
            yield {"id": str(number), "data": ujson.dumps(snapshot())}
            await asyncio.sleep(INTERVAL)
    finally:
        _dashboards -= 1


async def events(request: Request) -> Response:
    """`GET /events`."""
    return EventSourceResponse(snapshots())


async def ready(request: Request) -> Response:
    """`GET /ready`."""
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/events", events), Route("/ready", ready)])
