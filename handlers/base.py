"""What every handler shares: JSON in and out, the shape of errors, request ids, the access log."""

from __future__ import annotations

import logging
import math
import re
import secrets
import time
from http import HTTPStatus
from typing import Any

import ujson
from tornado.web import HTTPError, RequestHandler

from engine.errors import BabelbrookError, BadRequest

access_log = logging.getLogger("babelbrook.access")
logger = logging.getLogger("babelbrook.http")

ABORTED = 499  # what nginx logs for a client that closed before the end of its answer
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def dump_json(value: Any) -> str:
    """JSON with every character as itself; refuses what JSON cannot say (NaN)."""
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)


class NotFound(BabelbrookError):
    """An unknown path."""

    status = 404
    code = "not_found"


class BaseHandler(RequestHandler):
    """Base of all handlers. Errors of class BabelbrookError become JSON with their status."""

    def prepare(self) -> None:
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.set_header("X-Request-Id", self.request_id)
        self.aborted = False
        self.log_fields: dict[str, Any] = {}

    def on_connection_close(self) -> None:
        """The client went away before the answer's end."""
        self.aborted = True

    def compute_etag(self) -> str | None:
        """None: hashing every answer brings nothing here."""
        return None

    # Bodies in ------------------------------------------------------------------------------------

    def json_object(self) -> dict[str, Any]:
        """The request's body as a JSON object.

        Raises BadRequest for what is not UTF-8, not JSON, no object, or holds numbers or strings
        that cannot be given back (NaN, infinities, lone surrogates): ujson lets those pass.
        """
        try:
            text = self.request.body.decode("utf-8").removeprefix("\ufeff")
            value = ujson.loads(text)
        except (ValueError, RecursionError):
            raise BadRequest("Invalid JSON") from None
        if not isinstance(value, dict):
            raise BadRequest("The body must be a JSON object.")
        _check_values(value)
        return value

    # Answers out ----------------------------------------------------------------------------------

    def write_json(self, value: Any) -> None:
        """Answer with a JSON value."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(dump_json(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error as JSON: our own with their code, the rest in the same shape."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, BabelbrookError):
            self.set_status(error.status)
            if error.retry_after is not None:
                self.set_header("Retry-After", str(math.ceil(error.retry_after)))
            self.write_json({"error": error.sentence, "code": error.code})
            return
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.allowed_methods()))
        phrase = HTTPStatus(status_code).phrase
        self.write_json({"error": phrase, "code": phrase.lower().replace(" ", "_")})

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, BabelbrookError):
            status_code = error.status
        super().send_error(status_code, **kwargs)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """No traceback for what a client can cause."""
        if isinstance(value, BabelbrookError | HTTPError):
            return
        logger.error(
            "%s %s failed (request %s)",
            self.request.method,
            self.request.path,
            getattr(self, "request_id", "-"),
            exc_info=(typ, value, tb),
        )

    def allowed_methods(self) -> list[str]:
        """The methods that this handler's class answers."""
        own = type(self)
        return [
            m for m in _METHODS if getattr(own, m.lower()) is not getattr(RequestHandler, m.lower())
        ]


class UnknownPathHandler(BaseHandler):
    """Answers every path that the route table does not know."""

    def prepare(self) -> None:
        super().prepare()
        raise NotFound(f"There is nothing at {self.request.path}.")


def log_access(handler: RequestHandler) -> None:
    """One line for each request: who asked for what, how it ended, how long it took."""
    request = handler.request
    aborted = getattr(handler, "aborted", False)
    fields = {
        "request_id": getattr(handler, "request_id", "-"),
        "remote": request.remote_ip,
        "method": request.method,
        "path": request.path,
        "status": ABORTED if aborted else handler.get_status(),
        **getattr(handler, "log_fields", {}),
        "total_ms": round((time.time() - request._start_time) * 1000, 1),
    }
    access_log.info("%s", " ".join(f"{key}={value}" for key, value in fields.items()))


def _check_values(value: Any) -> None:
    """Refuse what JSON cannot say, in any depth; a loop, as the depth is the client's choice."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            rest.extend(item.keys())
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise BadRequest("Invalid JSON: a number is not finite.")
        elif isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                raise BadRequest("Invalid JSON: a string holds half of a surrogate pair.") from None
