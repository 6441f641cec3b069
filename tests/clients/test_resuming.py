"""An EventSource whose connection is cut comes back by itself, and has everything once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.clients.conftest import node, parsed, relaying
from tests.conftest import ServerProcess

pytestmark = pytest.mark.slow  # they wait 3 seconds before they come back

BODY = {
    "text": "Where is the station?",
    "target_lang": "ja",
    "cache": False,
    "ignore_eos": True,
    "max_tokens": 400,
    "stream_options": {"resume": True, "usage": True},
}
CUT_AFTER = 3001  # bytes, and within a frame as like as not

RESUMED = """([url, body]) => new Promise(async resolve => {
  const headers = {'Content-Type': 'application/json'}
  const answer = await fetch(url, {method: 'POST', headers, body: JSON.stringify(body)})
  await answer.body.cancel()
  const source = new EventSource(`${url}/${answer.headers.get('Stream-Id')}`)
  const events = []
  const take = event => events.push([event.type, event.data])
  source.addEventListener('message', take)
  source.addEventListener('usage', take)
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) resolve(events)
  })
})"""


class Proxy:
    """Passes bytes on, and cuts the first answer to a GET of a stream."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.gets: list[bytes] = []  # the heads of those requests

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        asked = asyncio.ensure_future(self._ask(reader, to_server))
        try:
            await self._answer(from_server, writer)
        finally:
            asked.cancel()
            writer.close()
            to_server.close()

    async def _answer(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sent = 0
        while data := await from_server.read(500):
            if self.gets and sent < CUT_AFTER <= sent + len(data) and len(self.gets) == 1:
                writer.write(data[: CUT_AFTER - sent])
                return
            sent += len(data)
            writer.write(data)
            await writer.drain()

    async def _ask(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if data.startswith(b"GET /translate/stream/"):
                self.gets.append(data)
            to_server.write(data)
        to_server.close()


@contextmanager
def proxied(server: ServerProcess) -> Iterator[tuple[Proxy, str]]:
    proxy = Proxy(server.port)
    with relaying(proxy.relay) as port:
        yield proxy, f"http://127.0.0.1:{port}/translate/stream"


def assert_whole(server: ServerProcess, proxy: Proxy, events: list[Any]) -> None:
    """The events of BODY are all there, once, after a cut, a return and a last look."""
    whole = httpx.post(f"{server.url}/translate", json=BODY).json()["translation"]
    usage = events.pop(-2)
    assert usage[0] == "usage"
    assert "".join(data for _, data in parsed(events)) == whole
    first, *others = [b"last-event-id: " in head.lower() for head in proxy.gets]
    assert not first
    assert others == [True, True]


def test_the_eventsource_of_node_resumes(server: ServerProcess) -> None:
    with proxied(server) as (proxy, url):
        (events,) = node("eventsource-resume", url, [BODY])
    assert_whole(server, proxy, events)


def test_chromium_resumes(server: ServerProcess, page: Page) -> None:
    with proxied(server) as (proxy, url):
        page.goto(url.replace("/translate/stream", "/health"))
        events = page.evaluate(RESUMED, [url, BODY])
    assert_whole(server, proxy, events)
