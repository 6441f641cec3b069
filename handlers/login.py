"""`POST /login` and `POST /logout`: sessions of the pages.

A browser's `EventSource` cannot send headers, so the pages change a key for a cookie. No script can
read it, and no other site's request carries it (SameSite=Strict).
"""

from __future__ import annotations

from http import HTTPStatus

from engine.access.state import SESSION_SECONDS
from engine.errors import BadRequest
from engine.settings import Settings
from handlers.auth import COOKIE, PUBLIC
from handlers.base import BaseHandler, BodyHandler
from handlers.feed import Feed
from handlers.web import Site, WebHandler


class LoginHandler(WebHandler, BodyHandler):
    """`GET` shows the page; `POST` changes the key in `{"key": ...}` for a session."""

    access = PUBLIC

    def initialize(self, site: Site, settings: Settings) -> None:  # type: ignore[override]
        super().initialize(site)
        self.body_limit = settings.limits.body_bytes

    async def post(self) -> None:
        text = self.json_object().get("key")
        if not isinstance(text, str):
            raise BadRequest("'key' is required")
        token = await self.gate.log_in(text.strip())
        self.set_status(HTTPStatus.NO_CONTENT)
        self.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Strict",
            secure=self.request.protocol == "https",
        )


class LogoutHandler(BaseHandler):
    """Ends the session, and what its dashboards are shown."""

    access = PUBLIC

    def initialize(self, feed: Feed) -> None:
        self._feed = feed

    async def post(self) -> None:
        self.set_status(HTTPStatus.NO_CONTENT)
        if (token := self.get_cookie(COOKIE)) is not None:
            await self.gate.log_out(token)
            self._feed.end_session(token)
            self.clear_cookie(COOKIE)
