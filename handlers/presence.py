"""Has the client of a request that is still being worked on left?

Tornado learns it from reading, and stops reading while bytes of a next request wait in its buffer:
one byte behind the body is enough. A stream learns it from its heartbeats; whoever writes nothing
until the end asks the kernel.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator
from contextlib import contextmanager

from handlers.base import BaseHandler

_INTERVAL = 0.5  # seconds
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


@contextmanager
def watched(handler: BaseHandler) -> Iterator[None]:
    """While the block runs, call `on_connection_close` when the client has closed its side."""
    loop = asyncio.get_running_loop()

    timers: list[asyncio.TimerHandle] = []

    def look() -> None:
        if _has_left(handler):
            handler.on_connection_close()
        else:
            timers[:] = [loop.call_later(_INTERVAL, look)]

    timers.append(loop.call_later(_INTERVAL, look))
    try:
        yield
    finally:
        timers[0].cancel()


def _has_left(handler: BaseHandler) -> bool:
    stream = getattr(handler.request.connection, "stream", None)
    if stream is None or stream.closed():
        return True
    poll = select.poll()
    poll.register(stream.fileno(), _GONE)
    return bool(poll.poll(0))
