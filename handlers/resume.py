"""Streams that outlive their connection, `GET` and `DELETE /translate/stream/{id}`.

A task of its own, the pump, takes a translation's frames into a log; the connection of the moment
reads them from there. When it breaks, the client comes back with the id of the last frame that it
has (https://html.spec.whatwg.org/multipage/server-sent-events.html, `Last-Event-ID`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from engine.errors import BabelbrookError, BadRequest, Overloaded
from engine.settings import Settings, Streams
from handlers import sse
from handlers.activity import Activity
from handlers.auth import TRANSLATE
from handlers.base import BaseHandler, NotFound
from handlers.framelog import FrameLog

logger = logging.getLogger("babelbrook.http")

ID_PATTERN = "[A-Za-z0-9_-]{22}"
_FRAME_ID = re.compile(rf"({ID_PATTERN}):([0-9]{{1,15}})")
_CHUNK = 64 * 1024  # bytes of memory that frames of one flush take


class Cancelled(BabelbrookError):
    """The translation was cancelled by `DELETE`, or because nobody had read it for long."""

    status = 409
    code = "cancelled"


class ResumableStream:
    """A translation whose frames wait in a log for one reader at a time."""

    def __init__(self, owner: str, most_bytes: int, cancel: Callable[[], None]) -> None:
        """`owner`, a key's id, alone may come back to it (anybody where it is empty).

        `cancel` ends the source of its frames.
        """
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self.ended = False  # no more frames will come
        self.reader: Reader | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self._log = FrameLog(most_bytes)
        self._cancel_source = cancel
        self._room = asyncio.Event()

    async def pump(self, frames: AsyncIterator[list[str]]) -> None:
        """Take all frames of the source into the log, at the pace of the reader."""
        async for some in frames:
            if not self.ended:
                self._add(some)
            while self._log.full and not self.ended:
                self._room.clear()
                await self._room.wait()
        self._end()

    def stop(self) -> None:
        """Let the source of the frames come to its end, whatever that is."""
        self._cancel_source()

    def fail(self, failure: BabelbrookError) -> None:
        """End it at once with an error, for a reader that is still there."""
        if not self.ended:
            self._add([sse.error(failure)])
            self._end()
            self._cancel_source()

    def _add(self, frames: list[str]) -> None:
        self._log.extend(frames)
        self._wake_reader()

    def _end(self) -> None:
        self.ended = True
        self._room.set()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self.reader is not None:
            self.reader.poke()

    def find(self, last_id: str | None) -> int:
        """The number in the id of the last frame that a client has; 0 where it has none.

        Raises BadRequest for what is no id of a frame that was sent, and NotFound where what
        follows is not kept any more.
        """
        number = 0
        if last_id:
            found = _FRAME_ID.fullmatch(last_id)
            if found is None or found[1] != self.id:
                raise BadRequest("Last-Event-ID must be the id of a frame of this stream.")
            number = int(found[2])
        if number > self._log.sent:
            raise BadRequest("Last-Event-ID is ahead of what was sent of this stream.")
        if number < self._log.begin:
            raise NotFound("What follows Last-Event-ID is not kept any more. Please begin anew.")
        return number

    def is_behind(self, number: int) -> bool:
        """Whether there is, or will be, anything after frame `number`."""
        return not self.ended or number < self._log.end

    def attach(self, number: int, drop: Callable[[], None]) -> Reader:
        """A reader of what follows frame `number`; the one before is dropped."""
        before, self.reader = self.reader, Reader(self, drop)
        if before is not None:
            before.drop()
        if self.expiry is not None:
            self.expiry.cancel()
        self._log.rewind(number)
        return self.reader

    async def read(self, reader: Reader) -> AsyncIterator[list[str]]:
        """Whole frames with their ids, to the end; an empty list after each `poke`.

        Raises ReaderGone when another reader has come.
        """
        while self.reader is reader:
            some = self._log.take(_CHUNK)
            self._room.set()
            yield [f"id: {self.id}:{number}\n{frame}" for number, frame in some]
            if not self.is_behind(self._log.taken):
                return
            if self._log.taken == self._log.end:
                await reader.poked()
        raise sse.ReaderGone


class Reader:
    """One connection's reading of a stream."""

    def __init__(self, stream: ResumableStream, drop: Callable[[], None]) -> None:
        """`drop` closes the connection."""
        self.drop = drop
        self._stream = stream
        self._wake = asyncio.Event()

    def frames(self) -> AsyncIterator[list[str]]:
        """See `ResumableStream.read`."""
        return self._stream.read(self)

    def poke(self) -> None:
        """Let `frames` yield now."""
        self._wake.set()

    async def poked(self) -> None:
        """Wait for a `poke`."""
        await self._wake.wait()
        self._wake.clear()


class ResumableStreams:
    """All streams that can be resumed, by id.

    One that has no reader for `streams.resume_grace` seconds is cancelled and forgotten.
    """

    def __init__(self, settings: Streams) -> None:
        self._grace = settings.resume_grace
        self._most, self._most_bytes = settings.resume_streams, settings.resume_bytes
        self._streams: dict[str, ResumableStream] = {}
        self._pumps: set[asyncio.Task[None]] = set()  # asyncio itself holds them weakly
        self._draining = False

    def __len__(self) -> int:
        return len(self._streams)

    def make_room(self) -> None:
        """Forget the oldest stream that has ended where there are too many. Raises Overloaded."""
        if len(self._streams) < self._most:
            return
        for stream in self._streams.values():
            if stream.ended and stream.reader is None:
                self.forget(stream)
                return
        raise Overloaded(
            f"{self._most} streams that can be resumed are under way already. Ask again later, or"
            " without 'resume'.",
            self._grace,
        )

    def start(
        self,
        owner: str,
        frames: AsyncIterator[list[str]],
        cancel: Callable[[], None],
        held: AbstractAsyncContextManager[object],
    ) -> ResumableStream:
        """Keep a new stream of `owner` and fill it from `frames`.

        `held` is left when they have ended.
        """
        stream = ResumableStream(owner, self._most_bytes, cancel)
        self._streams[stream.id] = stream
        pump = asyncio.ensure_future(_pump(stream, frames, held))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        return stream

    def find(self, stream_id: str, owner: str) -> ResumableStream:
        """The stream of that id. Raises NotFound, also for one that is somebody else's."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.owner != owner:
            raise NotFound("There is no such stream, or it is not kept any more.")
        return stream

    def detach(self, stream: ResumableStream, reader: Reader) -> None:
        """A connection has ended: wait for the next one."""
        if stream.reader is not reader:
            return
        stream.reader = None
        if self._draining:
            self.forget(stream)  # nobody can come back
        elif stream.id in self._streams:
            loop = asyncio.get_running_loop()
            stream.expiry = loop.call_later(self._grace, self.forget, stream)

    def forget(self, stream: ResumableStream) -> None:
        """Cancel a stream where it still runs, and keep it no longer."""
        self._streams.pop(stream.id, None)
        if stream.expiry is not None:
            stream.expiry.cancel()
        stream.fail(Cancelled("The translation was cancelled."))

    def drain(self) -> None:
        """From now on no stream waits for a reader."""
        self._draining = True
        for stream in list(self._streams.values()):
            if stream.reader is None:
                self.forget(stream)


async def _pump(
    stream: ResumableStream,
    frames: AsyncIterator[list[str]],
    held: AbstractAsyncContextManager[object],
) -> None:
    async with held:
        try:
            await stream.pump(frames)
        except Exception:
            logger.exception("A stream that can be resumed failed.")
            stream.fail(BabelbrookError("The translation failed. Please try again."))


class Following(BaseHandler):
    """A handler that sends a resumable stream; when its connection breaks, the stream goes on."""

    access = TRANSLATE

    @property
    def owner(self) -> str:
        """Whose streams it may send: the key's, or everybody's where there are no keys."""
        return self.key.id if self.key is not None else ""

    _reader: Reader | None = None

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._reader is not None:
            self._reader.poke()

    async def follow(
        self, streams: ResumableStreams, stream: ResumableStream, number: int, settings: Streams
    ) -> None:
        """Send what follows frame `number`, to the end of the stream or of the connection."""
        events = _opened(self, settings)
        self._reader = reader = stream.attach(number, self.drop)
        try:
            await events.run(reader.frames(), reader.poke, _nothing, encode=str)
        except sse.ReaderGone:
            self.aborted = True
        finally:
            streams.detach(stream, reader)


def _opened(handler: BaseHandler, settings: Streams) -> sse.EventStream:
    stream = sse.EventStream(
        handler,
        heartbeat=settings.heartbeat,
        stall_timeout=settings.stall_timeout,
        unread_bytes=settings.unread_bytes // 2,
    )
    stream.open()
    return stream


def _nothing(_: list[str]) -> None:
    """What is observed of a resumable stream is observed as it comes, not as it is sent."""


class ResumeHandler(Following):
    """`GET` sends the rest of a stream, `DELETE` cancels it."""

    route = "/translate/stream/{id}"

    def initialize(self, streams: ResumableStreams, settings: Settings, activity: Activity) -> None:
        self._streams, self._settings, self._activity = streams, settings.streams, activity

    async def head(self, stream_id: str) -> None:
        """The status and the headers of a GET, without taking the stream over."""
        stream, number = self._asked_for(stream_id)
        if stream.is_behind(number):
            _opened(self, self._settings)
        else:
            self.set_status(HTTPStatus.NO_CONTENT)

    async def get(self, stream_id: str) -> None:
        stream, number = self._asked_for(stream_id)
        if not stream.is_behind(number):
            self.set_status(HTTPStatus.NO_CONTENT)  # an EventSource asks no more then
            return
        with self._activity.request(stream.stop):
            await self.follow(self._streams, stream, number, self._settings)
            await self.end_stream(self._settings.stall_timeout)

    async def delete(self, stream_id: str) -> None:
        self._streams.forget(self._streams.find(stream_id, self.owner))
        self.set_status(HTTPStatus.NO_CONTENT)

    def _asked_for(self, stream_id: str) -> tuple[ResumableStream, int]:
        """The stream and the number of the last frame that the client has."""
        self._activity.check()
        stream = self._streams.find(stream_id, self.owner)
        # The header first: an EventSource that comes back still has the query of its first time.
        last_id = self.request.headers.get("Last-Event-ID") or self.get_query_argument(
            "last_id", None
        )
        return stream, stream.find(last_id)
