"""One upstream: whether it answers, how much it has to do, and a stream from it.

httpx, because an iteration over its answer that is not gone on with stops reading from the socket,
so that the upstream's own back-pressure sets in, and because leaving the iteration closes the
connection, which every such server takes for a cancellation. Tornado's client hands on whatever
comes, as fast as it comes.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from engine.errors import UpstreamFailed
from engine.generation import Job
from engine.interface import UpstreamStatus
from engine.remote.circuit import Circuit
from engine.remote.dialects import (
    Babelbrook,
    Conversation,
    Dialect,
    Piece,
    Refused,
    bad_request,
    refusal,
)
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


def names(urls: Iterable[str]) -> list[str]:
    """Short names for logs and metrics, all different and without what a URL may hold of secrets.

    >>> names(["http://me:secret@gpu1:8000/v1", "http://gpu1:8000"])
    ['gpu1:8000', 'gpu1:8000 (2)']
    """
    seen: Counter[str] = Counter()
    made = []
    for url in urls:
        parts = urlsplit(_base(url))
        name = parts.netloc.rpartition("@")[2] + parts.path
        seen[name] += 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def _base(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


class Upstream:
    """`active` are the requests that it works on; those that are paused do not count."""

    def __init__(self, name: str, url: str, settings: Remote, client: httpx.AsyncClient) -> None:
        """`name` is how logs and metrics call it."""
        self.name, self.url = name, _base(url)
        self._wanted = settings.model
        self._client = client
        self._reachable: bool | None = None  # None: nobody has looked yet
        self._circuit = Circuit()
        self.model = ""  # what it calls the model
        self.dialect: Dialect | None = None  # of translations, where it is not OpenAI's
        self.chats = True  # whether it has a form for conversations, as far as is known
        self.conversation = Conversation(None)
        self.active = 0  # kept by the engine
        self.asked = 0.0  # the last time (monotonic seconds)
        self._requests = self._first_texts = 0
        self._first_text_seconds = 0.0
        self._failures: Counter[str] = Counter()

    @property
    def available(self) -> bool:
        """Whether it may be given requests."""
        return bool(self._reachable) and not self._circuit.open

    async def check(self) -> None:
        """Look whether it answers, and with which model."""
        try:
            models = await self._models()
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self._note(False, f"{error or type(error).__name__}")
            return
        own = [name for name in models if not name.startswith(ALIAS)]
        self.model = self._wanted if self._wanted != "auto" else next(iter(own), "")
        alike = Babelbrook(self._wanted) if len(own) < len(models) else None
        self.dialect, self.conversation = alike, Conversation(alike)
        self.chats = alike is None or bool(models.get(self.model, {}).get("chat"))
        self._note(bool(own), f"it lists no model: {[*models]}")

    async def _models(self) -> dict[str, dict[str, Any]]:
        answer = await self._client.get(f"{self.url}/v1/models", timeout=_CONNECT_SECONDS)
        answer.raise_for_status()
        return {str(model["id"]): dict(model) for model in answer.json()["data"]}

    def status(self) -> UpstreamStatus:
        """The present reading."""
        return UpstreamStatus(
            name=self.name,
            ready=self.available,
            resting=self._circuit.open,
            outstanding=self.active,
            requests=self._requests,
            failures=dict(self._failures),
            first_texts=self._first_texts,
            first_text_seconds=self._first_text_seconds,
        )

    def _note(self, reachable: bool, reason: str) -> None:
        if reachable != self._reachable:
            if reachable:
                logger.info("The upstream %s answers; its model is %s.", self.name, self.model)
            else:
                logger.warning("The upstream %s does not answer: %s", self.name, reason)
        self._reachable = reachable

    @asynccontextmanager
    async def stream(self, dialect: Dialect, job: Job) -> AsyncIterator[AsyncIterator[Piece]]:
        """The pieces of an answer, read no faster than they are taken; leaving cancels it.

        Raises UpstreamFailed, UpstreamBusy and BadRequest.
        """
        path, body = dialect.request(self.model, job)
        self._requests += 1
        self.asked = begun = time.monotonic()
        try:
            async with self._client.stream("POST", self.url + path, json=body) as answer:
                await self._check_status(answer)
                async with aclosing(_frames(answer)) as frames:
                    yield self._timed(_pieces(dialect, frames), begun)
            self._circuit.succeeded()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._failures["unreachable"] += 1
            self._note(False, str(error) or "it takes too long")
            raise UpstreamFailed("An upstream does not answer.") from None
        except (httpx.HTTPError, Refused) as error:
            self._circuit.failed()
            self._failures["failed"] += 1
            reason = str(error) or type(error).__name__
            logger.warning("The upstream %s failed: %s", self.name, reason)
            raise UpstreamFailed(f"The upstream failed: {reason}") from None

    async def _timed(self, pieces: AsyncIterator[Piece], begun: float) -> AsyncIterator[Piece]:
        """The pieces, noting when the first text comes."""
        waits = True
        async for piece in pieces:
            if waits and piece.text:
                waits = False
                self._first_texts += 1
                self._first_text_seconds += time.monotonic() - begun
            yield piece

    async def _check_status(self, answer: httpx.Response) -> None:
        if answer.status_code == HTTPStatus.OK:
            return
        body = await answer.aread()
        sentence = refusal(body)
        if answer.status_code in _PASSING:
            self._failures["busy"] += 1
            raise UpstreamBusy(f"The upstream has no room: {sentence}")
        if answer.is_client_error:
            self._failures["refused"] += 1
            logger.warning("The upstream %s refused a request: %s", self.name, sentence)
            raise bad_request(body)
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
