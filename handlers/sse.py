"""The one writer of event streams.

Tornado leaves the first of two overlapping `flush()` calls unresolved for ever, never times a flush
out, and buffers without limit what nobody awaits. So one coroutine writes a response, heartbeats
included, and waits for each flush with a time limit.

Wire format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from tornado.iostream import StreamClosedError

from engine.errors import BabelbrookError
from handlers.base import BaseHandler, dump_json
from handlers.outgoing import unsent

DONE = "data: [DONE]\n\n"
PING = ": ping\n\n"
_LOOK_SECONDS = 0.05  # between two looks at a reader that is behind
# No line breaks in event streams, but in Python's `str.splitlines`, by which many a client cuts
# what it has decoded (`Response.iter_lines` of httpx). JSON has escapes for the others anyway.
_LINE_BREAKS = {ord(one): f"\\u{ord(one):04x}" for one in "\x85\u2028\u2029"}


def data(value: Any) -> str:
    """A frame whose data is a JSON value, all in one line."""
    return f"data: {dump_json(value).translate(_LINE_BREAKS)}\n\n"


def event(name: str, value: Any) -> str:
    """A named frame."""
    return f"event: {name}\n{data(value)}"


def error(failure: BabelbrookError) -> str:
    """The frame that ends a failed stream."""
    return data({"error": failure.sentence, "code": failure.code})


class ReaderGone(Exception):
    """The client has left, or has taken nothing for `stall_timeout`; the stream is over."""


class EventStream:
    """Writes one response. Times are in seconds.

    While more than `unread_bytes` wait in the kernel for the reader, no text is taken from the
    source, so that the source knows that the reader is behind.
    """

    def __init__(
        self,
        handler: BaseHandler,
        *,
        heartbeat: float,
        stall_timeout: float,
        unread_bytes: int | None = None,
    ) -> None:
        self._handler = handler
        self._heartbeat = heartbeat
        self._stall_timeout = stall_timeout
        self._unread_bytes = unread_bytes
        self._written = 0.0  # loop time of the last write

    def open(self) -> None:
        """Set the headers; they leave with the first frame."""
        handler = self._handler
        handler.set_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.set_header("Cache-Control", "no-cache, no-transform")
        handler.set_header("X-Accel-Buffering", "no")
        if handler.request.version == "HTTP/1.0":
            # Without chunks only the end of the connection tells the end of the stream.
            handler.set_header("Connection", "close")

    async def send(self, frames: Iterable[str]) -> None:
        """Write frames in one flush. Raises ReaderGone."""
        self._handler.write("".join(frames))
        await self._flush()

    async def run(
        self,
        chunks: AsyncIterator[list[str]],
        poke: Callable[[], None],
        on_text: Callable[[list[str]], None],
        encode: Callable[[str], str] = data,
    ) -> None:
        """Send every text of `chunks` as a frame, and a comment line where none came for long.

        `poke` makes the source yield an empty list; `on_text` sees each list before it is written;
        `encode` makes a frame of a text.
        Raises ReaderGone, and what the source raises.
        """
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._heartbeat, self._tick, loop, poke)
        self._timer = timer
        try:
            await self._flush()  # the headers tell the client that the request was understood
            async for texts in chunks:
                if texts:
                    on_text(texts)
                    await self.send(map(encode, texts))
                    if self._unread_bytes is not None:
                        await self._let_catch_up(self._unread_bytes)
                elif loop.time() - self._written >= self._heartbeat:
                    await self.send([PING])
                elif self._handler.aborted:
                    raise ReaderGone
        finally:
            self._timer.cancel()

    async def _let_catch_up(self, limit: int) -> None:
        """Return when at most `limit` bytes wait in the kernel. Raises ReaderGone."""
        least, deadline = unsent(self._handler), time.monotonic() + self._stall_timeout
        left = least
        while left > limit:
            if self._handler.aborted:
                raise ReaderGone
            if time.monotonic() > deadline:
                self._handler.drop()
                raise ReaderGone
            await asyncio.sleep(_LOOK_SECONDS)
            left = unsent(self._handler)
            if left < least:  # it takes something
                least, deadline = left, time.monotonic() + self._stall_timeout

    def _tick(self, loop: asyncio.AbstractEventLoop, poke: Callable[[], None]) -> None:
        now, due = loop.time(), self._written + self._heartbeat
        silent = due <= now
        # Before anything can go wrong: without heartbeats a dead peer may stay unnoticed.
        self._timer = loop.call_at(now + self._heartbeat if silent else due, self._tick, loop, poke)
        if silent:
            poke()

    async def _flush(self) -> None:
        if self._handler.aborted:
            raise ReaderGone
        try:
            flushed = self._handler.flush()
            if not flushed.done():
                await asyncio.wait({flushed}, timeout=self._stall_timeout)
                if not flushed.done():
                    self._handler.drop()
                    raise ReaderGone
            flushed.result()
        except StreamClosedError:
            raise ReaderGone from None
        self._written = asyncio.get_running_loop().time()
