"""Which names a request may call this server by, and which sites' pages may ask it for something.

A page that a browser has open can send requests to a server on the same machine. It must not be
able to read answers by letting its own name point there (DNS rebinding: the `Host` is wrong then),
or to change anything by a plain cross-site request (the `Origin` is foreign then). Other sites'
pages that are allowed are told so by CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from engine.errors import BabelbrookError
from engine.settings import Server

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # change nothing (RFC 9110, section 9.2.1)
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]{0,5})?")
_CACHED = 256  # spellings of hosts
_PREFLIGHT_SECONDS = "7200"  # for which a browser keeps what it was allowed; none keeps it longer
_EXPOSED = "Stream-Id, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy"


class ForeignHost(BabelbrookError):
    """The request calls the server by a name that is not its own."""

    status = 403
    code = "foreign_host"


class ForeignOrigin(BabelbrookError):
    """A page of another site wants something changed."""

    status = 403
    code = "foreign_origin"


class Origins:
    """The rules for `Host` and `Origin`."""

    def __init__(self, server: Server, *, public: bool) -> None:
        """`public` where the server listens on more than the loopback interface."""
        self._public = public
        self._names = {_plain(name) for name in (server.host, *server.allowed_hosts)}
        if public:
            self._names.add(_plain(socket.gethostname()))
        self._listed = frozenset(origin.lower().rstrip("/") for origin in server.allowed_origins)
        self._is_own = lru_cache(_CACHED)(self._is_own_host)

    def check(self, request: HTTPServerRequest) -> None:
        """Raises ForeignHost and ForeignOrigin."""
        if not self._is_own(request.host):
            raise ForeignHost(
                "This server does not answer to that Host. If it is one of its names, put it into"
                " the setting server.allowed_hosts."
            )
        origin = request.headers.get("Origin")
        if origin is None or request.method in _SAFE:
            return
        if not (origin.lower() in self._listed or _same(origin, request.host)):
            raise ForeignOrigin(
                "Pages of that Origin may not use this server. To let them, put it into the setting"
                " server.allowed_origins."
            )

    def _is_own_host(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = _plain(found[1])
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        # Nobody can let an address point to another: rebinding needs a name.
        return self._public or address.is_loopback

    def allow(self, handler: RequestHandler) -> None:
        """Tell the page of a listed origin that it may read the answer."""
        if not self._listed:
            return
        handler.add_header("Vary", "Origin")
        origin = handler.request.headers.get("Origin", "")
        if origin.lower() in self._listed:
            handler.set_header("Access-Control-Allow-Origin", origin)
            handler.set_header("Access-Control-Expose-Headers", _EXPOSED)

    def is_preflight(self, request: HTTPServerRequest) -> bool:
        """Whether a browser asks on behalf of a listed origin what its page may do."""
        return (
            request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
            and request.headers.get("Origin", "").lower() in self._listed
        )


def answer_preflight(handler: RequestHandler, methods: list[str]) -> None:
    """All that the path can do is allowed; keys come with the request itself."""
    asked = handler.request.headers.get("Access-Control-Request-Headers")
    handler.set_status(204)
    handler.set_header("Access-Control-Allow-Methods", ", ".join(methods))
    handler.set_header("Access-Control-Max-Age", _PREFLIGHT_SECONDS)
    if asked:
        handler.set_header("Access-Control-Allow-Headers", asked)


def _plain(name: str) -> str:
    """A host's name without what does not tell it from another spelling."""
    return name.lower().removesuffix(".").removeprefix("[").removesuffix("]")


def _same(origin: str, host: str) -> bool:
    """Whether a page of `origin` came from this server. A proxy may have taken TLS off."""
    try:
        page, own = urlsplit(origin.lower()), urlsplit(f"//{host.lower()}")
        default = _PORTS.get(page.scheme)
        return (
            default is not None
            and page.hostname == own.hostname
            and (page.port or default) == (own.port or default)
        )
    except ValueError:
        return False
