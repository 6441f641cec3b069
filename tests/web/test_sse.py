"""web/js/sse.js puts events together, wherever the stream is cut."""

from __future__ import annotations

import pytest

from tests.conftest import ServerProcess
from tests.web.conftest import Open

pytestmark = pytest.mark.slow

# A stream with every kind of line end, comments, named events, data of several lines and none.
STREAM = (
    ': ping\n\ndata: "a"\n\ndata: "b"\r\n\r\nevent: usage\rdata:{}\r\rdata: 1\ndata: 2\n\n'
    "event: lost\n\nid: 7\nretry: 9\ndata\n\ndata: [DONE]\n\ndata: unfinished"
)
EVENTS = [
    {"event": "message", "data": '"a"'},
    {"event": "message", "data": '"b"'},
    {"event": "usage", "data": "{}"},
    {"event": "message", "data": "1\n2"},
    {"event": "message", "data": ""},
    {"event": "message", "data": "[DONE]"},
]
# Every way to cut the stream into two, and into single characters.
READ = """async stream => {
  const src = document.querySelector('script[type=module]').src
  const { EventParser } = await import(new URL('sse.js', src))
  const read = pieces => {
    const parser = new EventParser()
    return JSON.stringify(pieces.flatMap(piece => parser.push(piece)))
  }
  const results = new Set([read([...stream])])
  for (let i = 0; i <= stream.length; i++) results.add(read([stream.slice(0, i), stream.slice(i)]))
  return [...results].map(JSON.parse)
}"""


def test_events_are_the_same_wherever_the_stream_is_cut(
    open_page: Open, echo: ServerProcess
) -> None:
    assert open_page(echo.url).evaluate(READ, STREAM) == [EVENTS]
