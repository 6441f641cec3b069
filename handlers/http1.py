"""What Tornado 6.6 lets pass in HTTP/1 and this server does not.

Sources: RFC 9112 sections 2.3, 3.2.2, 6.1 and 9.6, RFC 9110 section 10.1.1.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from tornado.httputil import HTTPInputError, HTTPServerRequest
from tornado.web import Application

_ORIGIN = re.compile("https?://[^/]*", re.IGNORECASE)
_LINE_LENGTH = 300  # characters of a log line that a client has a hand in
# Control characters and what terminals or readers of logs take for the end of a line.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Http1Application(Application):
    """An application that looks at the head of a request before it chooses a handler."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Called when the head is in. HTTPInputError becomes a bare 400 and a closed connection."""
        _refuse_unclear_framing(request)
        _take_expectation(request)
        _take_close(request)
        if origin := _ORIGIN.match(request.path):  # as clients write it to a proxy
            request.path = request.path[origin.end() :] or "/"
        return super().find_handler(request, **kwargs)


def _refuse_unclear_framing(request: HTTPServerRequest) -> None:
    """Refuse what Tornado reads or answers with a framing that the client may not know."""
    if request.version not in ("HTTP/1.0", "HTTP/1.1"):
        # Neither chunked nor closed, the end of a stream could not be told.
        raise HTTPInputError(f"Unexpected HTTP version {request.version!r}")
    if request.version == "HTTP/1.0" and "Transfer-Encoding" in request.headers:
        # A proxy that speaks 1.0 takes the chunks for the next request.
        raise HTTPInputError("Transfer-Encoding in an HTTP/1.0 request")


def _take_expectation(request: HTTPServerRequest) -> None:
    """Tornado compares it letter by letter, and tells HTTP/1.0 clients to continue, too.

    Those take the interim answer for the answer.
    """
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if request.version == "HTTP/1.0":
        del request.headers["Expect"]
    elif expected.lower() == "100-continue":
        request.headers["Expect"] = "100-continue"


def _take_close(request: HTTPServerRequest) -> None:
    """`Connection` is a list; Tornado knows `close` only where it stands alone."""
    options = request.headers.get("Connection", "").lower().split(",")
    if "close" in (option.strip() for option in options):
        connection: Any = request.connection
        connection._disconnect_on_finish = True


def printable(record: logging.LogRecord) -> bool:
    """A filter for Tornado's log, which repeats header values: no control characters, not long."""
    message = record.getMessage()
    if len(message) > _LINE_LENGTH:
        message = f"{message[:_LINE_LENGTH]}..."
    record.msg = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", message)
    record.args = ()
    return True
