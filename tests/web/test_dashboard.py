"""The dashboard: what it shows, for how long, and through what."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.clients.conftest import relaying
from tests.conftest import ServerProcess
from tests.web.conftest import Open, shoot, violations, width_needed

pytestmark = pytest.mark.slow

# Snapshots, twice so many; a week's 604,800 take half a minute: DASHBOARD_SNAPSHOTS=302400
FAST = int(os.environ.get("DASHBOARD_SNAPSHOTS", "50000"))

# Keeps a snapshot of the server's own.
KEEP = """async () => {
  const src = document.querySelector('script[type=module]').src
  window.feed = (await import(new URL('feed.js', src))).feed
  window.kept = await new Promise(resolve =>
    feed.addEventListener('snapshot', event => resolve(event.detail), { once: true }))
}"""

# Lets so many like it, one a second, pass through the page as if they came from the server.
FEED = """async count => {
  const request = { target_lang: 'de', characters: 10, tokens: 5, progress: 0.5 }
  for (let second = 1; second <= count; second++) {
    const detail = structuredClone(kept)
    Object.assign(detail, {
      time: kept.time + second,
      tokens_per_second: 500 + second % 700,
      running: second % 9,
      requests: Array.from({ length: second % 9 }, (_, seconds) => ({ seconds, ...request })),
      errors: { overloaded: second },
    })
    feed.dispatchEvent(new CustomEvent('snapshot', { detail }))
    if (second % 500 === 0) await new Promise(requestAnimationFrame)
  }
  kept.time += count
}"""


@contextmanager
def busy(server: ServerProcess) -> Iterator[None]:
    """A long translation is under way."""

    def read() -> None:
        body = {"text": "Where is the station? " * 4000, "target_lang": "de", "cache": False}
        with httpx.stream("POST", f"{server.url}/translate/stream", json=body) as answer:
            for _ in answer.iter_lines():
                if done:
                    return

    done: list[bool] = []
    reader = Thread(target=read)
    reader.start()
    yield
    done.append(True)
    reader.join(10)


def opened(open_page: Open, server: ServerProcess, **options: object) -> Page:
    page = open_page(f"{server.url}/dashboard", **options)
    expect(page.locator("#live")).to_have_text("Live")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_what_the_server_does(open_page: Open, server: ServerProcess, scheme: str) -> None:
    httpx.post(f"{server.url}/translate", json={"text": 1})
    page = opened(open_page, server, color_scheme=scheme)
    expect(page.locator("#model")).to_have_text("tatoeba-mini")
    expect(page.locator("#errors")).to_contain_text("bad request")
    expect(page.get_by_role("img", name="Tokens per second")).to_be_visible()
    with busy(server):
        row = page.locator("#requests tr").first
        expect(row).to_contain_text("de")
        expect(row).to_contain_text("88K")
        expect(page.locator(".chart").first.locator("b")).to_have_text(re.compile("[1-9]"))
        assert violations(page) == []
        shoot(page, f"dashboard-{scheme}")
    expect(page.locator("#no-requests")).to_be_visible()
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator(".chart .plot canvas").first).to_have_css("width", re.compile(r"2\d\d"))
    assert width_needed(page) == 320
    assert violations(page) == []


def test_history_is_there_from_the_start(open_page: Open, server: ServerProcess) -> None:
    page = opened(open_page, server)
    label = page.get_by_role("img", name="Connections").get_attribute("aria-label")
    assert label is not None
    assert "in the last twenty minutes: open now" in label


def test_tabs_share_one_connection(open_page: Open, server: ServerProcess) -> None:
    first = opened(open_page, server)
    second = first.context.new_page()
    second.goto(f"{server.url}/dashboard")
    expect(second.locator("#live")).to_have_text("Live")
    expect(second.locator("#dashboards")).to_have_text("1")
    first.close()
    second.locator("#uptime").wait_for()
    before = second.locator("#total-requests").inner_text()
    httpx.post(f"{server.url}/translate", json={"text": "Hello."})
    expect(second.locator("#total-requests")).not_to_have_text(before)


def test_a_browser_without_shared_workers_has_a_connection_of_its_own(
    open_page: Open, server: ServerProcess
) -> None:
    page = open_page(f"{server.url}/login")
    page.context.add_init_script("delete globalThis.SharedWorker")
    page.goto(f"{server.url}/dashboard")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#model")).to_have_text("tatoeba-mini")


def test_it_outlives_a_restart_of_the_server(open_page: Open) -> None:
    flags = ("--engine", "echo", "--events.interval", "0.2")
    server = ServerProcess(*flags)
    try:
        page = opened(open_page, server)
        httpx.post(f"{server.url}/translate", json={"text": "one two"})
        expect(page.locator("#total-requests")).to_have_text("1")
        assert server.stop() == 0
        expect(page.locator("#live")).to_have_text("Not connected; trying again")
        port = server.port
        server.close()
        server = ServerProcess(*flags, "--server.port", str(port))
        expect(page.locator("#live")).to_have_text("Live")
        expect(page.locator("#total-requests")).to_have_text("0")
    finally:
        server.close()


class Network:
    """What lies between the page and the server: `forget` loses all connections without a word."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lost = 0  # connections up to this number are dead
        self._made = 0
        self.dead = False  # and so are those that are made

    def forget(self, *, dead: bool) -> None:
        self._lost, self.dead = self._made, dead

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._made += 1
        number = self._made
        if self.dead:
            self._lost = number
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(2**16):
                if number > self._lost:
                    sink.write(data)

        both = [
            asyncio.ensure_future(pass_on(reader, to_server)),
            asyncio.ensure_future(pass_on(from_server, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            to_server.close()
            writer.close()


@pytest.fixture
def network(server: ServerProcess) -> Iterator[tuple[Network, str]]:
    """A network, and the server's address behind it."""
    between = Network(server.port)
    with relaying(between.relay) as port:
        yield between, f"http://127.0.0.1:{port}"


def test_it_wakes_from_an_hours_sleep(
    open_page: Open, server: ServerProcess, network: tuple[Network, str]
) -> None:
    between, url = network
    page = open_page("about:blank")
    page.add_init_script("delete globalThis.SharedWorker")  # whose clock nobody can set
    page.clock.install()
    page.goto(f"{url}/dashboard")
    expect(page.locator("#live")).to_have_text("Live")
    before = total(page)
    # Asleep: every connection is lost, and nobody is told.
    between.forget(dead=False)
    httpx.post(f"{server.url}/translate", json={"text": "Hello."})
    page.clock.fast_forward("01:00:00")
    until(page, "Live")
    assert total(page) > before
    # Now connections that are made find nobody either, which nobody is told.
    between.forget(dead=True)
    page.clock.fast_forward("01:00")
    until(page, "Not connected; trying again")
    between.dead = False
    until(page, "Live")
    page.goto("about:blank")  # it would go on asking


def until(page: Page, state: str) -> None:
    """Let seconds pass until the page says so: a browser may try connections that it had before."""
    for _ in range(30):
        if page.locator("#live").inner_text() == state:
            return
        page.clock.fast_forward("00:05")
        time.sleep(0.1)
    expect(page.locator("#live")).to_have_text(state)


def test_a_frozen_tab_is_right_when_it_thaws(open_page: Open, server: ServerProcess) -> None:
    page = opened(open_page, server)
    before = total(page)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    for _ in range(3):
        httpx.post(f"{server.url}/translate", json={"text": "Hello."})
    time.sleep(1)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    page.bring_to_front()
    expect(page.locator("#total-requests")).to_have_text(f"{before + 3:,}")
    expect(page.locator("#live")).to_have_text("Live")


def total(page: Page) -> int:
    """Requests, as the page has them."""
    return int(page.locator("#total-requests").inner_text().replace(",", ""))


def test_it_goes_on_when_one_comes_back_to_it(open_page: Open, server: ServerProcess) -> None:
    page = opened(open_page, server)
    for _ in range(2):  # into the browser's cache of pages and out of it
        for kind in ("pagehide", "pageshow"):
            page.evaluate(f"dispatchEvent(new PageTransitionEvent('{kind}', {{persisted: true}}))")
        before = total(page)
        httpx.post(f"{server.url}/translate", json={"text": "Hello."})
        expect(page.locator("#total-requests")).to_have_text(f"{before + 1:,}")


def test_memory_is_flat_whatever_comes(open_page: Open) -> None:
    server = ServerProcess("--engine", "echo", "--events.interval", "0.2")
    try:
        page = opened(open_page, server)
        page.evaluate(KEEP)
    finally:
        server.close()  # nothing else shall come between
    before = fed(page, FAST)
    after = fed(page, FAST)
    print(f"heap after {FAST:,} snapshots: {before:,} bytes, after {2 * FAST:,}: {after:,} bytes")
    assert after < 1.05 * before
    expect(page.locator("#errors")).to_contain_text("overloaded")


def fed(page: Page, count: int) -> int:
    """Bytes of JavaScript's heap when so many snapshots have come."""
    page.evaluate(FEED, count)
    devtools = page.context.new_cdp_session(page)
    sizes = []
    for _ in range(3):  # what was just thrown away may take a second collection
        devtools.send("HeapProfiler.collectGarbage")
        sizes.append(int(devtools.send("Runtime.getHeapUsage")["usedSize"]))
    devtools.detach()
    return min(sizes)
