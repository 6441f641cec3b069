"""What every handler shares: JSON in and out, the shape of errors, request ids, the access log."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import secrets
import time
from collections.abc import Awaitable, Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import ujson
from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments
from tornado.web import HTTPError, RequestHandler, stream_request_body

from engine.access.keys import Key
from engine.errors import BabelbrookError, BadRequest
from handlers.auth import PUBLIC, Gate, Need, Unauthorized
from handlers.json_values import check_values
from handlers.origins import answer_preflight

access_log = logging.getLogger("babelbrook.access")
logger = logging.getLogger("babelbrook.http")

ABORTED = 499  # what nginx logs for a client that closed before the end of its answer
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# What browsers shall not do with answers that are no pages; the pages have a policy of their own.
_SECURITY = (
    ("Server", "Babelbrook"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def dump_json(value: Any) -> str:
    """JSON with every character as itself; refuses what JSON cannot say (NaN)."""
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)


def json_value(text: str) -> Any:
    """The value that a text in JSON is.

    Raises BadRequest for what is no JSON, or holds numbers or strings that cannot be given back
    (NaN, infinities, lone surrogates): ujson lets those pass when it reads, and refuses them when
    it writes. Raises ManyValues.
    """
    check_values(text)
    try:
        value = ujson.loads(text)
        dump_json(value).encode()
    except UnicodeEncodeError:
        raise BadRequest("Invalid JSON: a string holds half of a surrogate pair.") from None
    except OverflowError:
        raise BadRequest("Invalid JSON: a number is not finite.") from None
    except (ValueError, RecursionError):
        raise BadRequest("Invalid JSON") from None
    return value


class NotFound(BabelbrookError):
    """An unknown path."""

    status = 404
    code = "not_found"


class BaseHandler(RequestHandler):
    """Base of all handlers. Errors of class BabelbrookError become JSON with their status."""

    access: Need  # which keys may use it; each handler says so, and none answers without
    refusal: type[Unauthorized] = Unauthorized  # of a missing or wrong key
    key_form = "'Authorization: Bearer KEY'"  # how it is sent, for who did not
    key_in_body = False  # the key may come as `api_key` in the body
    key: Key | None = None  # whose request it is, where there are keys
    awaits_key = False  # no key has come yet, but the body may hold one
    aborted = False  # the client went away before the answer's end
    error_code: str | None = None  # of the refusal that answered
    route: str | None = None  # what logs and metrics call a path that holds a secret
    _fields_told: tuple[tuple[str, str], ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.begun = time.monotonic()  # Tornado's own start time jumps when the clock is set
        super().__init__(*args, **kwargs)

    @cached_property
    def request_id(self) -> str:
        """The client's own id where it is a plain one, else a new one."""
        given = self.request.headers.get("X-Request-Id", "")
        return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)

    @cached_property
    def log_fields(self) -> dict[str, Any]:
        """What the access log tells beside the usual."""
        return {}

    @property
    def gate(self) -> Gate:
        """Who may do what."""
        gate: Gate = self.application.gate  # type: ignore[attr-defined]
        return gate

    @property
    def client(self) -> str:
        """Who asks: the id of the key, or the address where there are no keys."""
        return self.key.id if self.key is not None else self.request.remote_ip or ""

    def needs(self) -> Need:
        """Which keys may use it with the request's method."""
        return self.access

    async def prepare(self) -> None:
        """Called when the headers are in, before the method: the gate lets the request pass."""
        await self.gate.admit(self)

    def options(self, *_: str) -> None:
        """What a browser asks before a page of another site may use this path."""
        if not self.gate.origins.is_preflight(self.request):
            raise HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)
        answer_preflight(self, self.allowed_methods())

    def charge(self, tokens: int) -> None:
        """Count tokens against the quota of the request's key."""
        if self.key is not None:
            self.gate.state.add(self.key.id, tokens)

    def set_default_headers(self) -> None:
        """What goes out with every answer, errors included."""
        self.set_header("X-Request-Id", self.request_id)
        for name, value in _SECURITY:
            self.set_header(name, value)
        self.gate.origins.allow(self)
        for name, value in self._fields_told:
            self.add_header(name, value)

    def tell(self, fields: Iterable[tuple[str, str]]) -> None:
        """Add header fields to the answer, also where it becomes an error."""
        self._fields_told += tuple(fields)
        for name, value in fields:
            self.add_header(name, value)

    def on_connection_close(self) -> None:
        """The client went away before the answer's end."""
        self.aborted = True
        super().on_connection_close()  # ends the wait for a body that will never be whole

    def compute_etag(self) -> str | None:
        """None: hashing every answer brings nothing here."""
        return None

    def write_json(self, value: Any) -> None:
        """Answer with a JSON value."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(dump_json(value))

    async def finish_within(self, seconds: float) -> None:
        """Send the answer to its end; a reader that takes nothing for so long is dropped."""
        sent = self.finish()
        if not sent.done():
            await asyncio.wait({sent}, timeout=seconds)
            if not sent.done():
                self.drop()

    async def end_stream(self, seconds: float) -> None:
        """The same for an event stream, whose end HTTP/1.0 tells by the end of the connection."""
        if self.aborted:
            return
        await self.finish_within(seconds)
        if self.request.version == "HTTP/1.0":
            self.drop()

    def drop(self) -> None:
        """Close the socket under the request; closing Tornado's connection object would not do."""
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error as JSON: our own with their code, the rest in the same shape."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, BabelbrookError):
            self.set_status(error.status)
            self.error_code = error.code
            if error.retry_after is not None:
                self.set_header("Retry-After", str(math.ceil(error.retry_after)))
            if error.status == HTTPStatus.UNAUTHORIZED:
                self.set_header("WWW-Authenticate", 'Bearer realm="Babelbrook"')
            self.write_json(self.error_value(error))
            return
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.allowed_methods()))
        self.write_json(self.error_value(_plain_error(status_code)))

    def error_value(self, error: BabelbrookError) -> Any:
        """The JSON value that tells an error; APIs of others have shapes of their own."""
        return {"error": error.sentence, "code": error.code}

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
            self.route or self.request.path,
            getattr(self, "request_id", "-"),
            exc_info=(typ, value, tb),
        )

    def allowed_methods(self) -> list[str]:
        """The methods that this handler's class answers."""
        own = type(self)
        return [
            m for m in _METHODS if getattr(own, m.lower()) is not getattr(RequestHandler, m.lower())
        ]


def _plain_error(status: int) -> BabelbrookError:
    """What stands for a status that Tornado answers with."""
    phrase = HTTPStatus(status).phrase
    error = BabelbrookError(phrase)
    error.status, error.code = status, phrase.lower().replace(" ", "_")
    return error


class BodyTooLarge(BabelbrookError):
    """The body is above `limits.body_bytes`."""

    status = 413
    code = "too_long"


@stream_request_body
class BodyHandler(BaseHandler):
    """A handler that takes a JSON body, whatever its Content-Type says.

    It collects the body itself: Tornado would take what `curl -d` sends for a form and parse it,
    and answers a body above its limit with a bare 400.
    """

    body_limit: int  # bytes, set by `initialize`

    async def prepare(self) -> None:
        """Called when the headers are in."""
        self._chunks: list[bytes] = []
        self._received = 0
        try:
            await super().prepare()
        except BabelbrookError:
            # The body is not waited for, so the connection ends here, and the answer says so.
            connection: Any = self.request.connection
            connection._disconnect_on_finish = True
            raise

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body; what goes above the limit is counted and thrown away."""
        self._received += len(chunk)
        if self._received <= self.body_limit:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def json_or_form(self) -> dict[str, Any]:
        """The same of a body that may be a form instead; what comes more than once is a list.

        It is a form where its Content-Type says so and it does not begin with a brace: `curl -d`
        calls everything one.
        """
        kind = self.request.headers.get("Content-Type", "")
        beginning = next(iter(self._chunks), b"").lstrip()
        if not kind.lower().startswith(_FORMS) or beginning.startswith(b"{"):
            return self.json_object()
        return self.form()[0]

    def form(self) -> tuple[dict[str, Any], dict[str, list[HTTPFile]]]:
        """The fields and the files of a form. Raises BadRequest for what is none."""
        kind = self.request.headers.get("Content-Type", "")
        arguments: dict[str, list[bytes]] = {}
        files: dict[str, list[HTTPFile]] = {}
        if not kind.lower().startswith(_FORMS):
            raise BadRequest("The body must be a form.")
        try:
            parse_body_arguments(kind, self.take_body(), arguments, files)
            texts = {name: [v.decode() for v in values] for name, values in arguments.items()}
        except (HTTPInputError, ValueError):
            raise BadRequest("Invalid form") from None
        fields = {name: found if len(found) > 1 else found[0] for name, found in texts.items()}
        return fields, files

    def text_body(self) -> str:
        """The body as text. Raises BodyTooLarge, and BadRequest for what is not UTF-8."""
        try:
            return self.take_body().decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise BadRequest("The body is not UTF-8.") from None

    def take_body(self) -> bytes:
        """The whole body; it can be taken once. Raises BodyTooLarge."""
        if self._received > self.body_limit:
            raise BodyTooLarge(f"The body is longer than {self.body_limit:,} bytes.")
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    def json_object(self) -> dict[str, Any]:
        """The request's body as a JSON object; it can be taken once.

        Raises BodyTooLarge, what `json_value` raises, and BadRequest for what is not UTF-8 or no
        object.
        """
        try:
            value = json_value(self.take_body().decode("utf-8").removeprefix("\ufeff"))
        except UnicodeDecodeError:
            raise BadRequest("Invalid JSON") from None
        if not isinstance(value, dict):
            raise BadRequest("The body must be a JSON object.")
        return value

    async def take_key(self, fields: dict[str, Any]) -> None:
        """Let the request in by the key in its body, where none has come before.

        A handler with `key_in_body` calls this as soon as it has read the body.
        """
        if self.awaits_key:
            await self.gate.admit_by_body(self, fields.get("api_key"))


class GetHandler(BaseHandler):
    """A handler that answers GET, and HEAD with the same headers; Tornado leaves the body out."""

    def head(self) -> Awaitable[None] | None:
        return self.get()


class UnknownPathHandler(BaseHandler):
    """Answers every path that the route table does not know."""

    access = PUBLIC

    async def prepare(self) -> None:
        await super().prepare()
        raise NotFound(f"There is nothing at {_printable(self.request.path)}.")


def _printable(path: str) -> str:
    """A path for people and logs: no control characters, blanks or quotes, and not too long."""
    shown = quote(path, safe="/%:@!$&()*+,;=~-._")
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def log_access(handler: BaseHandler) -> None:
    """One line for each request: who asked for what, how it ended, how long it took."""
    if not access_log.isEnabledFor(logging.INFO):
        return
    request = handler.request
    fields = {
        "request_id": handler.request_id,
        "remote": request.remote_ip,
        "method": request.method,
        "path": handler.route or _printable(request.path),
        "status": ABORTED if handler.aborted else handler.get_status(),
        **({"key": handler.key.id} if handler.key is not None else {}),
        **handler.log_fields,
        "total_ms": round((time.monotonic() - handler.begun) * 1000, 1),
    }
    shown = fields | ({"text": json.dumps(fields["text"])} if "text" in fields else {})
    line = " ".join(f"{key}={value}" for key, value in shown.items())
    access_log.info("%s", line, extra={"fields": fields})
