"""`GET /events`: snapshots of the server for dashboards, by Server-Sent Events."""

from __future__ import annotations

from handlers.auth import COOKIE, OBSERVE
from handlers.base import GetHandler
from handlers.feed import Admitted, Feed


class EventsHandler(GetHandler):
    """Opens the stream and hands its connection over to the feed."""

    access = OBSERVE

    def initialize(self, feed: Feed) -> None:
        self._feed = feed

    def head(self) -> None:
        self._set_headers()

    def get(self) -> None:
        self._feed.check_room()
        self._set_headers()
        self.write(self._feed.welcome())
        self.flush()
        # The connection outlives this object by weeks, so this is the time to log the request.
        self.application.log_request(self)
        request, key = self.request, self.key
        admitted = Admitted() if key is None else Admitted(key.id, self.get_cookie(COOKIE))
        chunked = request.version != "HTTP/1.0"
        self._feed.join(self.detach(), request.remote_ip or "", chunked, admitted)

    def _set_headers(self) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache, no-transform")
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Connection", "close")
