"""The application on a real socket inside the test's own event loop, beside its engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from engine.interface import Engine
from engine.settings import Settings
from handlers import make_application
from handlers.activity import Activity


@dataclass
class Served:
    """A running application."""

    port: int
    activity: Activity

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A plain connection to it."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        while self.activity.running:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(engine: Engine, **sections: dict[str, Any]) -> AsyncIterator[Served]:
    """Serve `engine`, with settings by section."""
    settings = Settings.model_validate(sections)
    activity = Activity()
    http = HTTPServer(make_application(engine, settings, activity))
    socket, port = bind_unused_port()
    http.add_socket(socket)
    try:
        yield Served(port, activity)
    finally:
        http.stop()
        await http.close_all_connections()


def stream_request(body: dict[str, Any], version: str = "1.1", headers: str = "") -> bytes:
    """The bytes of a `POST /translate/stream`."""
    data = json.dumps(body).encode()
    head = (
        f"POST /translate/stream HTTP/{version}\r\nHost: test\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def read_frames(reader: asyncio.StreamReader, count: int) -> None:
    """Read until `count` text frames have come."""
    for _ in range(count):
        await reader.readuntil(b'data: "')
