"""The feed of `/events`: each snapshot is encoded once and written to all dashboards.

Ten thousand dashboards may be connected, so one is a socket here and hardly more: the handler takes
the connection away from Tornado's HTTP objects (two thirds of its memory), and there is no task,
timer or queue for it. A dashboard that has not taken a snapshot yet skips the next ones.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from prometheus_client import Gauge
from tornado.iostream import IOStream

from engine.errors import BabelbrookError
from engine.settings import Settings
from handlers import sse
from handlers.readings import Readings

logger = logging.getLogger("babelbrook.events")

_BATCH = 100  # dashboards that are written to before the event loop serves others: about 1 ms
_RETRY = (2000, 5000)  # milliseconds; drawn for each, or all would come back at the same moment
_LAST_CHUNK = b"0\r\n\r\n"


class TooManyDashboards(BabelbrookError):
    """As many as `events.connections` are connected."""

    status = 503
    code = "too_many_dashboards"
    retry_after = 10.0


class Admitted(NamedTuple):
    """By what a dashboard was let in: a key's id, and the session in whose cookie that came."""

    key: str | None = None
    session: str | None = None


_ANYBODY = Admitted()


class _Snapshot(NamedTuple):
    """A snapshot as it goes out, to HTTP/1.1 in a chunk."""

    number: int
    text: str
    plain: memoryview
    chunk: memoryview


class _Dashboard:
    """One that listens."""

    __slots__ = ("admitted", "behind", "chunked", "remote", "shown", "stream")

    def __init__(
        self, stream: IOStream, remote: str, chunked: bool, shown: int, admitted: Admitted
    ) -> None:
        self.stream = stream
        self.remote = remote
        self.chunked = chunked
        self.admitted = admitted
        self.shown = shown  # number of the last snapshot that it got
        self.behind: float | None = None  # loop time since when it has not taken what it got


class Feed:
    """All dashboards and what they are shown."""

    def __init__(self, readings: Readings, connected: Gauge, settings: Settings) -> None:
        """`connected` is kept at the number of dashboards."""
        self._readings, self._connected = readings, connected
        self._interval = settings.events.interval
        self._most = settings.events.connections
        self._stall_timeout = settings.streams.stall_timeout
        self._dashboards: set[_Dashboard] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._showing = False  # while the newest snapshot has not been written to all
        self._number = 0  # of the last reading
        self._snapshot: _Snapshot | None = None  # of the last reading, once somebody wants it
        self._history: tuple[float | None, str] | None = None  # the same, by its newest point
        self.ended = False

    def __len__(self) -> int:
        return len(self._dashboards)

    def start(self) -> None:
        """Take a reading now and then once in `events.interval`, on the running event loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._take()
        self._schedule(asyncio.get_running_loop().time())

    def _schedule(self, last: float) -> None:
        loop = asyncio.get_running_loop()
        due = max(last + self._interval, loop.time())
        self._timer = loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        self._schedule(due)
        self.advance()

    def advance(self) -> None:
        """Take the next reading and show it to all who listen."""
        self._take()
        if self._dashboards and not self._showing:
            self._show_to(iter(list(self._dashboards)))

    def _take(self) -> None:
        self._readings.take()
        # Milliseconds since 1970: ids grow over a restart too.
        self._number = max(self._number + 1, int(time.time() * 1000))
        self._snapshot = None

    def _encoded(self) -> _Snapshot:
        """The last reading as a snapshot. Whoever gets it is connected: there is one at least."""
        if self._snapshot is None:
            value = self._readings.snapshot(max(1, len(self._dashboards)))
            text = f"id: {self._number}\n{sse.data(value)}"
            plain = text.encode()
            chunk = b"%x\r\n%b\r\n" % (len(plain), plain)
            self._snapshot = _Snapshot(self._number, text, memoryview(plain), memoryview(chunk))
        return self._snapshot

    def _show_to(self, rest: Iterator[_Dashboard]) -> None:
        """Show the newest snapshot to the next few; what else the loop has to do goes between."""
        self._showing = False
        for dashboard in (batch := list(islice(rest, _BATCH))):
            self._show(dashboard)
        if batch:
            self._showing = True
            asyncio.get_running_loop().call_soon(self._show_to, rest)

    def _show(self, dashboard: _Dashboard) -> None:
        """Write the newest snapshot to a dashboard that has taken all that it got before."""
        snapshot, stream = self._encoded(), dashboard.stream
        if stream.closed() or dashboard.shown == snapshot.number:
            return
        if stream.writing():
            self._drop_if_stalled(dashboard)
            return
        frame = snapshot.chunk if dashboard.chunked else snapshot.plain
        try:
            # Half of the price of `stream.write`, which is left for what the socket does not take.
            sent = stream.write_to_fd(frame)
        except BlockingIOError:
            self._drop_if_stalled(dashboard)
            return
        except OSError as error:
            stream.close(exc_info=error)
            return
        dashboard.shown, dashboard.behind = snapshot.number, None
        if sent < len(frame):
            self._wait_for(dashboard, stream.write(frame[sent:]))

    def _wait_for(self, dashboard: _Dashboard, written: asyncio.Future[None]) -> None:
        dashboard.behind = asyncio.get_running_loop().time()
        written.add_done_callback(partial(self._caught_up, dashboard))

    def _caught_up(self, dashboard: _Dashboard, written: asyncio.Future[None]) -> None:
        """A slow dashboard has taken a snapshot in full: it gets the newest, not those between."""
        if not dashboard.stream.closed() and not self.ended:
            dashboard.behind = None
            self._show(dashboard)

    def _drop_if_stalled(self, dashboard: _Dashboard) -> None:
        now = asyncio.get_running_loop().time()
        if dashboard.behind is None:
            dashboard.behind = now
        elif now - dashboard.behind >= self._stall_timeout:
            logger.info(
                "A dashboard at %s took nothing for %g s and is dropped.",
                dashboard.remote,
                self._stall_timeout,
            )
            dashboard.stream.close()

    def check_room(self) -> None:
        """Raises TooManyDashboards."""
        if len(self._dashboards) >= self._most:
            raise TooManyDashboards(
                f"{self._most:,} dashboards are connected, and no more are served"
                " (events.connections)."
            )

    def welcome(self) -> str:
        """What a dashboard gets first.

        While the server shuts down that is all: not a 503, after which an EventSource would never
        come back.
        """
        if not self._dashboards and not self.ended:
            self.start()  # a fresh reading, and the next one a whole interval later
        retry = f"retry: {random.randint(*_RETRY)}\n"
        history = "" if self.ended else self._encoded_history()
        return f"{retry}{history}{self._encoded().text}"

    def _encoded_history(self) -> str:
        """For all who connect before it has grown."""
        newest = self._readings.newest
        if self._history is None or self._history[0] != newest:
            self._history = (newest, sse.event("history", self._readings.history()))
        return self._history[1]

    def join(
        self, stream: IOStream, remote: str, chunked: bool, admitted: Admitted = _ANYBODY
    ) -> None:
        """Show all further snapshots on a connection that has been sent `welcome`."""
        if stream.closed():
            return
        if self.ended:
            _end(stream, chunked)
            return
        dashboard = _Dashboard(stream, remote, chunked, self._encoded().number, admitted)
        self._dashboards.add(dashboard)
        self._connected.set(len(self._dashboards))
        stream.set_close_callback(partial(self._leave, dashboard))
        _keep_fresh(stream.socket)
        if stream.writing():
            self._wait_for(dashboard, stream.write(b""))

    def _leave(self, dashboard: _Dashboard) -> None:
        self._dashboards.discard(dashboard)
        self._connected.set(len(self._dashboards))

    def end_session(self, session: str) -> None:
        """Close the connections of a session that has ended; who comes back is refused."""
        self._end_those(lambda admitted: admitted.session == session)

    def keep_only(self, keys: frozenset[str] | None) -> None:
        """Close those that other keys, or none, have let in; None where everybody may watch."""
        if keys is not None:
            self._end_those(lambda admitted: admitted.key not in keys)

    def _end_those(self, whose: Callable[[Admitted], bool]) -> None:
        for dashboard in list(self._dashboards):
            if whose(dashboard.admitted) and not dashboard.stream.closed():
                _end(dashboard.stream, dashboard.chunked)

    def end(self) -> None:
        """Show a last snapshot to all and close their connections; called when a drain begins."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._take()
        for dashboard in list(self._dashboards):
            self._show(dashboard)
            if not dashboard.stream.closed():
                _end(dashboard.stream, dashboard.chunked)


def _end(stream: IOStream, chunked: bool) -> None:
    """End an answer, and close the connection when all of it has been taken."""
    written = stream.write(_LAST_CHUNK if chunked else b"")
    written.add_done_callback(lambda _: stream.close())


def _keep_fresh(connection: socket.socket) -> None:
    """Let the kernel keep no snapshots for a slow dashboard: they would only grow old there."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, option, 1)
