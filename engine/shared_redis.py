"""A Redis that several servers share: asked within bounds, and left alone while it fails.

`SharedRedis` is for the event loop, `connect` for other threads. The client library is imported
where a server has a Redis at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.errors import BabelbrookError
from engine.settings import Redis

if TYPE_CHECKING:
    import redis

logger = logging.getLogger("babelbrook.redis")

PREFIX = "babelbrook"  # of all keys
_LOST = 0.5  # seconds without an answer after which a connection is given up
_CONNECT = 2.0  # seconds to connect, TLS and the password included
_RESTS = (0.5, 1.0, 2.0, 5.0)  # seconds between tries to reach it again; the last for all others
_LOOK = 5.0  # seconds without a question after which it is asked whether it is there
_BACKLOG = 1000  # questions that may wait for their turn
_TELL = 60.0  # seconds between two warnings


class WrongRedisUrl(BabelbrookError):
    """`redis.url` cannot be used; the sentence says why."""

    code = "wrong_redis_url"


class RedisAway(Exception):
    """It did not answer, or not in time, or not with what was asked for."""


def place(url: str) -> str:
    """What a URL names, for people and logs: without the user, the password and the options.

    >>> place("rediss://web:secret@cache:6380/1?ssl_ca_certs=ca.pem")
    'rediss://cache:6380/1'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def reason(error: BaseException) -> str:
    """What failed, in one line."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def connect(url: str, timeout: float) -> redis.Redis:
    """A client for one thread; nothing waits longer than `timeout` (seconds).

    Raises WrongRedisUrl. Connects with the first command.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        pool = redis.ConnectionPool.from_url(
            url,
            max_connections=1,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        pool.connection_class(**pool.connection_kwargs)  # looks at all that the URL asks for
    except (ValueError, TypeError) as error:
        raise WrongRedisUrl(f"redis.url cannot be used: {reason(error)}.") from None
    return redis.Redis.from_pool(pool)


class SharedRedis:
    """One connection for all that the event loop asks.

    What is asked while an answer is on its way goes together as the next pipeline. A request waits
    for its answer for a moment and never for a connection: while there is none, or somebody else
    has waited in vain for what is on its way, it is told at once.
    """

    def __init__(self, settings: Redis) -> None:
        """Raises WrongRedisUrl. Nothing is connected yet."""
        from redis import asyncio as redis_asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        url, self._patience = settings.url, settings.timeout
        connect(url, _CONNECT).close()  # refuses what is wrong
        self.place = place(url)
        self._client = redis_asyncio.Redis.from_pool(
            redis_asyncio.ConnectionPool.from_url(
                url,
                max_connections=1,
                socket_timeout=max(_LOST, settings.timeout),
                socket_connect_timeout=_CONNECT,
                retry=Retry(NoBackoff(), 0),  # what has failed may have been done
            )
        )
        self._asked: list[_Question] = []
        self._something = asyncio.Event()  # there is a question
        self._work: asyncio.Task[None] | None = None
        self._told_at = -_TELL  # monotonic seconds
        self._late = False  # what is on its way has been waited for in vain
        self.answers = True  # until it does not

    async def start(self) -> None:
        """Connect; returns when that has worked or failed, and goes on trying."""
        self._begin()
        question = self._ask(("PING",))
        await asyncio.wait({question.answer}, timeout=2 * _CONNECT)

    def _begin(self) -> None:
        if self._work is None:
            self._work = asyncio.create_task(self._keep_asking())

    async def close(self) -> None:
        """Hang up."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        await self._client.aclose()

    async def ask(self, *command: str | int | float | bytes) -> Any:
        """The answer to a command. Raises RedisAway."""
        if not self.answers or self._late or len(self._asked) >= _BACKLOG:
            raise RedisAway
        self._begin()
        answer = self._ask(command).answer
        await asyncio.wait({answer}, timeout=self._patience)
        if not answer.done():
            answer.cancel()
            self._late = True
            self._tell(f"no answer within {1000 * self._patience:g} ms")
            raise RedisAway
        if isinstance(found := answer.result(), Exception):
            if self.answers:  # else that has been told
                self._tell(reason(found))
            raise RedisAway from found
        return found

    def _ask(self, command: tuple[str | int | float | bytes, ...]) -> _Question:
        question = _Question(command)
        self._asked.append(question)
        self._something.set()
        return question

    async def _keep_asking(self) -> None:
        """Send what is asked, and be there again after a failure."""
        failures = 0
        while True:
            try:
                await self._client.ping()
                self._is_there()
                failures = 0
                while True:
                    await self._send_next()
            except Exception as error:  # whatever the library makes of a failure
                self._is_away(error)
            await asyncio.sleep(_RESTS[min(failures, len(_RESTS) - 1)])
            failures += 1

    async def _send_next(self) -> None:
        """One pipeline; or a question whether anybody is there, where nobody wants to know more."""
        try:
            await asyncio.wait_for(self._something.wait(), _LOOK)
        except TimeoutError:
            await self._client.ping()
            return
        self._something.clear()
        asked, self._asked = self._asked, []
        asked = [question for question in asked if not question.answer.done()]
        pipeline = self._client.pipeline(transaction=False)
        for question in asked:
            pipeline.execute_command(*question.command)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except BaseException as error:
            for question in asked:
                question.tell(RedisAway(reason(error)))
            raise
        self._late = False
        for question, answer in zip(asked, answers, strict=True):
            question.tell(answer)

    def _is_there(self) -> None:
        if not self.answers:
            logger.info("The Redis at %s answers again.", self.place)
        self.answers, self._late = True, False

    def _is_away(self, error: Exception) -> None:
        self.answers = False
        self._tell(reason(error))
        asked, self._asked = self._asked, []
        for question in asked:
            question.tell(error)

    def _tell(self, what: str) -> None:
        """Once in a while, however often it happens."""
        if time.monotonic() - self._told_at >= _TELL:
            self._told_at = time.monotonic()
            logger.warning(
                "The Redis at %s: %s. Where it does not answer, this server counts for itself.",
                self.place,
                what,
            )


class _Question:
    """A command, and the future of its answer, which may be an exception."""

    __slots__ = ("answer", "command")

    def __init__(self, command: tuple[str | int | float | bytes, ...]) -> None:
        self.command = command
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(self, answer: Any) -> None:
        """Unless nobody wants to know any more."""
        if not self.answer.done():
            self.answer.set_result(answer)
