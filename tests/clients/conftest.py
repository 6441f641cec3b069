"""Servers whose streams the clients read."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from engine.settings import Settings
from handlers import sse
from handlers.auth import PUBLIC, Gate
from handlers.base import BaseHandler
from tests.clients.awkward import TEXTS
from tests.conftest import ServerProcess

NODE = Path(__file__).parent / "node"
Streams = list[list[tuple[str, str]]]  # event names and data of each
PIECES = 3000  # at most so many segments for one piece of a stream


class FramesHandler(BaseHandler):
    """`GET /frames`: every awkward text as a frame of its own and within a named event."""

    access = PUBLIC

    async def get(self) -> None:
        stream = sse.EventStream(self, heartbeat=60, stall_timeout=60)
        stream.open()
        for text in TEXTS.values():
            await stream.send([sse.data(text)])
            await stream.send([": ping\n\n", sse.event("usage", {text: [text]})])
        await stream.send([sse.DONE])


# What a client must make of that: event names and data, the data as JSON parsed.
FRAMES = [
    pair for text in TEXTS.values() for pair in (("message", text), ("usage", {text: [text]}))
]


def parsed(events: list[tuple[str, str]]) -> list[tuple[str, Any]]:
    """Events as a client gave them, their data parsed; the last must be the end of the stream."""
    *events, end = events
    assert tuple(end) == ("message", "[DONE]")
    return [(name, json.loads(data)) for name, data in events]


def needs_node() -> None:
    """Skip where Node.js or its packages are missing."""
    if shutil.which("node") is None or not (NODE / "node_modules").exists():
        pytest.skip("needs Node.js, npm and `make test`")


def node(client: str, url: str, bodies: list[dict[str, Any]] | None = None) -> Streams:
    needs_node()
    done = subprocess.run(
        ["node", "read.mjs", client, url],
        cwd=NODE,
        input=json.dumps(bodies),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    streams: Streams = json.loads(done.stdout)
    return streams


@contextmanager
def in_a_loop(start: Callable[[], Coroutine[Any, Any, Callable[[], None]]]) -> Iterator[None]:
    """Run `start` in an event loop on a thread of its own; what it returns ends what it began."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield
    loop.call_soon_threadsafe(stop)
    asyncio.run_coroutine_threadsafe(_end_all(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@contextmanager
def relaying(
    relay: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> Iterator[int]:
    """Call `relay` for each connection to a port, which is given."""
    ports: list[int] = []

    async def start() -> Callable[[], None]:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        return server.close

    with in_a_loop(start):
        yield ports[0]


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium, which needs no sandbox in a container."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # Our answers allow a page nothing; here it is a place to start a client from.
        yield browser.new_page(bypass_csp=True)
        browser.close()


@pytest.fixture(scope="package")
def frames_url() -> Iterator[str]:
    """Where `FramesHandler` answers, beside a page at `/` for a browser to start from."""

    class Page(BaseHandler):
        access = PUBLIC

        def get(self) -> None:
            self.finish("<!doctype html><title>page</title>")

    socket, port = bind_unused_port()

    async def start() -> Callable[[], None]:
        application: Any = Application([("/", Page), ("/frames", FramesHandler)])
        application.gate = Gate(Settings())
        server = HTTPServer(application)
        server.add_socket(socket)
        return server.stop

    with in_a_loop(start):
        yield f"http://127.0.0.1:{port}/frames"


@pytest.fixture(scope="package")
def echo_url() -> Iterator[str]:
    """The real server's stream of the echo engine: a frame for each word."""
    server = ServerProcess("--engine", "echo")
    yield f"{server.url}/translate/stream"
    log = server.log()
    server.close()
    assert "Traceback" not in log, log


@pytest.fixture(scope="package")
def dripping_url(echo_url: str) -> Iterator[str]:
    """The same stream behind a relay that sends it on byte by byte (long ones piece by piece)."""
    upstream = int(echo_url.split(":")[2].split("/")[0])

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: int
    ) -> None:
        while data := await reader.read(2**20):
            step = 1 + len(data) // pieces
            for start in range(0, len(data), step):
                writer.write(data[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", upstream)
        try:
            await asyncio.gather(
                pass_on(reader, to_server, 1), pass_on(from_server, writer, PIECES)
            )
        finally:
            to_server.close()
            writer.close()

    with relaying(relay) as port:
        yield f"http://127.0.0.1:{port}/translate/stream"
