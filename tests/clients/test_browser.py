"""What we encode, Chromium decodes to the same."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page

from tests.clients.awkward import TEXTS
from tests.clients.conftest import FRAMES, parsed
from tests.conftest import ServerProcess

pytestmark = pytest.mark.slow

# Chromium's own EventSource, up to [DONE].
EVENT_SOURCE = """url => new Promise((resolve, reject) => {
  const source = new EventSource(url)
  const events = []
  const take = event => {
    events.push([event.type, event.data])
    if (event.data === '[DONE]') { source.close(); resolve(events) }
  }
  source.addEventListener('message', take)
  source.addEventListener('usage', take)
  source.addEventListener('error', () => reject(new Error('the stream broke')))
})"""

# As a page reads a POST: fetch, characters put together by the browser, frames cut at empty lines.
FETCH = """async ([url, body]) => {
  const headers = {'Content-Type': 'application/json'}
  const answer = await fetch(url, {method: 'POST', headers, body: JSON.stringify(body)})
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  const texts = []
  let rest = ''
  for (;;) {
    const {done, value} = await reader.read()
    if (done) return [texts.join(''), rest]
    const frames = (rest + value).split('\\n\\n')
    rest = frames.pop()
    for (const frame of frames) {
      if (frame === 'data: [DONE]') rest = frame
      else texts.push(JSON.parse(frame.slice('data: '.length)))
    }
  }
}"""


def test_an_event_source_is_given_what_was_sent(page: Page, frames_url: str) -> None:
    page.goto(urljoin(frames_url, "/"))
    events: list[Any] = page.evaluate(EVENT_SOURCE, frames_url)
    for got, sent in zip(parsed(events), FRAMES, strict=True):
        assert got == sent


@pytest.mark.parametrize("url", ["echo_url", "dripping_url"])
def test_a_page_that_fetches_puts_the_text_together(
    page: Page, url: str, request: pytest.FixtureRequest
) -> None:
    stream = request.getfixturevalue(url)
    page.goto(urljoin(stream, "/health"))
    for text in TEXTS.values():
        body = {"text": text, "target_lang": "ja", "cache": False}
        assert page.evaluate(FETCH, [stream, body]) == [text, "data: [DONE]"]


# Notes the draining, the id and the type of all that comes from /events.
DASHBOARD = """() => {
  window.seen = []
  const take = event => {
    const {draining} = JSON.parse(event.data)
    window.seen.push([event.type, Number(event.lastEventId), draining])
  }
  const source = new EventSource('/events')
  source.addEventListener('message', take)
  source.addEventListener('history', take)
}"""


def test_a_dashboard_outlives_a_restart_of_the_server(page: Page) -> None:
    server = ServerProcess("--engine", "echo", "--events.interval", "0.2")
    try:
        page.goto(f"{server.url}/health")
        page.evaluate(DASHBOARD)
        page.wait_for_function("window.seen.length > 2")
        assert server.stop() == 0
        page.wait_for_function("window.seen.at(-1)[2] === true")
        before = len(page.evaluate("window.seen"))
        port = ("--server.port", str(server.port))
        server.close()
        server = ServerProcess("--engine", "echo", "--events.interval", "0.2", *port)
        page.wait_for_function(f"window.seen.length > {before} + 2")
        seen = page.evaluate("window.seen")
    finally:
        server.close()
    assert [kind for kind, *_ in seen[:2]] == ["history", "message"]
    assert [kind for kind, *_ in seen[before : before + 2]] == ["history", "message"]
    ids = [number for kind, number, _ in seen if kind == "message"]
    assert ids == sorted(set(ids))
