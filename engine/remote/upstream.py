"""One upstream: whether it answers, how much it has to do, and a stream from it.

httpx, because an iteration over its answer that is not gone on with stops reading from the socket,
so that the upstream's own back-pressure sets in, and because leaving the iteration closes the
connection, which every such server takes for a cancellation. Tornado's client hands on whatever
comes, as fast as it comes.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

import httpx

from engine.errors import BabelbrookError
from engine.generation import Job
from engine.remote.circuit import Circuit
from engine.remote.dialects import Babelbrook, Dialect, Piece, Refused, bad_request, refusal
from engine.settings import Remote

logger = logging.getLogger("babelbrook.remote")

ALIAS = "babelbrook/translate-"  # what another Babelbrook calls its model for one language
_CONNECT_SECONDS = 5.0
_RECEIVE_BUFFER = 16 * 1024  # bytes; what the kernel holds, the upstream takes for read
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


class UpstreamFailed(BabelbrookError):
    """An upstream could not be reached, refused, or broke off; there may be another one."""

    status = 502
    code = "upstream_failed"


class UpstreamBusy(UpstreamFailed):
    """An upstream has no room at present; that is no fault of it."""

    status = 503
    code = "overloaded"
    retry_after = 2.0


def make_client(settings: Remote) -> httpx.AsyncClient:
    """The one client of all upstreams. `remote.timeout` is for silence, not for the whole."""
    options = [
        (socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    headers = {"Accept-Encoding": "identity"}
    if settings.key != "none":
        headers["Authorization"] = f"Bearer {settings.key}"
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
            socket_options=options,
        ),
        timeout=httpx.Timeout(settings.timeout, connect=_CONNECT_SECONDS, pool=None),
        headers=headers,
        trust_env=False,  # an upstream is next door, not behind a proxy
    )


class Upstream:
    """`active` are the requests that it works on; those that are paused do not count."""

    def __init__(self, url: str, settings: Remote, client: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._wanted = settings.model
        self._client = client
        self._reachable: bool | None = None  # None: nobody has looked yet
        self._circuit = Circuit()
        self.model = ""  # what it calls the model
        self.dialect: Dialect | None = None  # where it is not OpenAI's
        self.active = 0  # kept by the engine

    @property
    def available(self) -> bool:
        """Whether it may be given requests."""
        return bool(self._reachable) and not self._circuit.open

    async def check(self) -> None:
        """Look whether it answers, and with which model."""
        try:
            names = await self._models()
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self._note(False, f"{error or type(error).__name__}")
            return
        own = [name for name in names if not name.startswith(ALIAS)]
        self.model = self._wanted if self._wanted != "auto" else next(iter(own), "")
        alike = len(own) < len(names)
        self.dialect = Babelbrook(self._wanted) if alike else None
        self._note(bool(own), f"it lists no model: {names}")

    async def _models(self) -> list[str]:
        answer = await self._client.get(f"{self.url}/v1/models", timeout=_CONNECT_SECONDS)
        answer.raise_for_status()
        return [str(model["id"]) for model in answer.json()["data"]]

    def _note(self, reachable: bool, reason: str) -> None:
        if reachable != self._reachable:
            if reachable:
                logger.info("The upstream %s answers; its model is %s.", self.url, self.model)
            else:
                logger.warning("The upstream %s does not answer: %s", self.url, reason)
        self._reachable = reachable

    @asynccontextmanager
    async def stream(self, dialect: Dialect, job: Job) -> AsyncIterator[AsyncIterator[Piece]]:
        """The pieces of an answer, read no faster than they are taken; leaving cancels it.

        Raises UpstreamFailed, UpstreamBusy and BadRequest.
        """
        path, body = dialect.request(self.model, job)
        try:
            async with self._client.stream("POST", self.url + path, json=body) as answer:
                await self._check_status(answer)
                async with aclosing(_frames(answer)) as frames:
                    yield _pieces(dialect, frames)
            self._circuit.succeeded()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._note(False, str(error) or "it takes too long")
            raise UpstreamFailed("An upstream does not answer.") from None
        except (httpx.HTTPError, Refused) as error:
            self._circuit.failed()
            reason = str(error) or type(error).__name__
            logger.warning("The upstream %s failed: %s", self.url, reason)
            raise UpstreamFailed(f"The upstream failed: {reason}") from None

    async def _check_status(self, answer: httpx.Response) -> None:
        if answer.status_code == HTTPStatus.OK:
            return
        sentence = refusal(await answer.aread())
        if answer.status_code in _PASSING:
            raise UpstreamBusy(f"The upstream has no room: {sentence}")
        if answer.is_client_error:
            logger.warning("The upstream %s refused a request: %s", self.url, sentence)
            raise bad_request(sentence)
        raise httpx.HTTPStatusError(sentence, request=answer.request, response=answer)


async def _pieces(dialect: Dialect, frames: AsyncIterator[tuple[str, str]]) -> AsyncIterator[Piece]:
    """Raises Refused, also for a stream that ends before it has said so."""
    finished = False
    async for event, data in frames:
        try:
            piece = dialect.piece(event, data)
        except ValueError:
            raise Refused(f"{data[:100]!r} is no frame of a stream") from None
        finished = finished or piece.finish is not None
        yield piece
    if not finished:
        raise Refused("the stream ended too early")


async def _frames(answer: httpx.Response) -> AsyncGenerator[tuple[str, str], None]:
    """Name and data of each event. Lines end with a line feed alone: JSON holds no bare ones.

    `aiter_lines` of httpx would also cut at U+2028 and its like inside a text.
    """
    rest, event = b"", ""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            field, _, value = line.decode("utf-8", "replace").rstrip("\r").partition(":")
            if field == "event":
                event = value.strip()
            elif field == "data":
                yield event, value.removeprefix(" ")
            elif not field:
                event = ""
