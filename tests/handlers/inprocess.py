"""The application on a real socket inside the test's own event loop, beside its engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.testing import bind_unused_port

from engine.interface import Engine
from engine.settings import Settings
from handlers import make_application
from handlers.activity import Activity
from handlers.connections import Server
from handlers.feed import Feed
from handlers.resume import ResumableStreams


@dataclass
class Served:
    """A running application."""

    port: int
    activity: Activity
    feed: Feed
    streams: ResumableStreams
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A plain connection to it, closed with the application at the latest."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        self._writers.append(writer)
        return reader, writer

    def drain(self) -> None:
        """Begin to drain, as the server does."""
        self.activity.draining = True
        self.feed.end()
        self.streams.drain()

    def disconnect(self) -> None:
        """Close all connections that `connect` made."""
        for writer in self._writers:
            writer.close()

    async def idle(self) -> None:
        """Wait until no request is being answered."""
        while self.activity.running:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(engine: Engine, **sections: dict[str, Any]) -> AsyncIterator[Served]:
    """Serve `engine`, with settings by section."""
    settings = Settings.model_validate(sections)
    activity = Activity()
    application = make_application(engine, settings, activity)
    http = Server(application, settings, 1000)
    socket, port = bind_unused_port()
    http.listen_on([socket])
    served = Served(port, activity, application.feed, application.streams)
    try:
        yield served
    finally:
        served.disconnect()
        served.drain()
        http.stop()
        await http.close_all_connections()


def stream_request(body: dict[str, Any], version: str = "1.1", headers: str = "") -> bytes:
    """The bytes of a `POST /translate/stream`."""
    data = json.dumps(body).encode()
    head = (
        f"POST /translate/stream HTTP/{version}\r\nHost: localhost\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def read_frames(reader: asyncio.StreamReader, count: int) -> None:
    """Read until `count` text frames have come."""
    for _ in range(count):
        await reader.readuntil(b'data: "')
