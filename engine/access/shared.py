"""Rates, used tokens and sessions that several servers share in a Redis.

Each wraps what a server has by itself, which takes over while the Redis is away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from engine.access.rates import Bucket, Limiter, Rate
from engine.access.state import (
    DAY,
    KEPT_DAYS,
    SESSION_SECONDS,
    State,
    new_token,
    today,
    token_hash,
)
from engine.errors import NotReady
from engine.shared_redis import PREFIX, RedisAway, SharedRedis

logger = logging.getLogger("babelbrook.access")

_SEEN = 10_000  # sessions that are remembered for the time without Redis

# `Bucket.take`, by Redis' own clock: those of several machines differ. What is not there is full.
# https://redis.io/docs/latest/develop/programmability/lua-api/
_TAKE = """
local count, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local left, at = unpack(redis.call('HMGET', KEYS[1], 'left', 'at'))
if left then
  left = math.min(count, left + math.max(0, now - at) * count / seconds)
else
  left = count
end
local granted = left >= 1
if granted then left = left - 1 end
local kept = string.format('%.9f', left)
redis.call('HSET', KEYS[1], 'left', kept, 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((count - left) * seconds / count * 1000) + 1000)
return {granted and 1 or 0, kept}
"""

# Adds a server's tokens to those of all, once, however often the server has to send them. A sum
# never falls below what the server has seen: after a loss of data it goes on from there.
_ADD = """
local again = redis.call('GET', KEYS[2]) == ARGV[1]
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
local sums = {}
for i = 4, #ARGV, 3 do
  local had = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0)
  local sum = math.max(had, ARGV[i + 1]) + (again and 0 or ARGV[i + 2])
  if sum > had then
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f', sum))
  end
  sums[#sums + 1] = sum
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return sums
"""


class SharedBuckets:
    """A `Limiter` whose buckets lie in a Redis, each until it is full again."""

    def __init__(self, redis: SharedRedis, own: Limiter) -> None:
        self._redis, self._own = redis, own

    async def take(self, client: str, rate: Rate) -> tuple[Bucket, float]:
        """See `Limiter`."""
        key = f"{PREFIX}:rate:{client.replace(' ', ':')}:{rate}"
        try:
            answer = await self._redis.ask("EVAL", _TAKE, 1, key, rate.count, rate.seconds)
        except RedisAway:
            return await self._own.take(client, rate)
        granted, left = answer
        bucket = Bucket(rate, 0.0, float(left))
        return bucket, 0.0 if granted else bucket.seconds_to_next


@dataclass(frozen=True, slots=True)
class _Batch:
    """Tokens of one day on their way to the Redis."""

    number: int
    day: int
    tokens: Counter[str]  # by key


class SharedAccounts:
    """`Accounts` in a Redis, and what this server knows by itself in its file.

    Tokens are counted in both: the file is what is left where the Redis loses its data.
    """

    def __init__(self, redis: SharedRedis, own: State) -> None:
        self._redis, self._own = redis, own
        self._day = today()
        self._known: Counter[str] = Counter()  # highest sums of today that the Redis has told
        self._unsent: Counter[tuple[str, int]] = Counter()  # tokens by key and day
        self._batch: _Batch | None = None  # sent, and not known to be added
        self._batches = 0
        self._name = secrets.token_hex(8)  # of this server, for its batches
        self._saving = asyncio.Lock()
        self._seen: OrderedDict[bytes, str] = OrderedDict()  # keys by hashes of their sessions

    def open(self) -> None:
        """See `Accounts`."""
        self._own.open()
        self._turn_day()
        for key, tokens in self._own.all_used().items():
            self._know(key, tokens - self._waiting(key))

    # Usage

    def add(self, key: str, tokens: int) -> None:
        """See `Accounts`."""
        self._own.add(key, tokens)
        self._turn_day()
        self._unsent[key, self._day] += tokens

    async def used(self, key: str) -> int:
        """See `Accounts`."""
        self._turn_day()
        with suppress(RedisAway):
            self._know(key, int(await self._redis.ask("HGET", _usage(self._day), key) or 0))
        return max(self._known[key] + self._waiting(key), self._own.used_here(key))

    def _waiting(self, key: str) -> int:
        """Tokens of today that the Redis may not have."""
        batch = self._batch
        sent = batch.tokens[key] if batch is not None and batch.day == self._day else 0
        return sent + self._unsent[key, self._day]

    def _know(self, key: str, tokens: int) -> None:
        self._known[key] = max(self._known[key], tokens)

    def _turn_day(self) -> None:
        if (now := today()) != self._day:
            self._day = now
            self._known.clear()

    async def save(self) -> None:
        """See `Accounts`."""
        await self._own.save()
        async with self._saving:
            while (batch := self._batch or self._next_batch()) is not None:
                self._batch = batch
                try:
                    sums = await self._send(batch)
                except RedisAway:
                    return
                self._batch = None
                self._turn_day()
                if batch.day == self._day:
                    for key, tokens in zip(batch.tokens, sums, strict=True):
                        self._know(key, tokens)

    def _next_batch(self) -> _Batch | None:
        """What is not sent, of its first day."""
        day = min((day for _, day in self._unsent), default=None)
        if day is None:
            return None
        tokens = Counter({key: n for (key, each), n in self._unsent.items() if each == day})
        for key in tokens:
            del self._unsent[key, day]
        self._batches += 1
        return _Batch(self._batches, day, tokens)

    async def _send(self, batch: _Batch) -> list[int]:
        """The sums of the batch's keys. Raises RedisAway."""
        known = self._known if batch.day == self._day else Counter[str]()
        rows = [(key, known[key], tokens) for key, tokens in batch.tokens.items()]
        keys = (_usage(batch.day), f"{PREFIX}:batch:{self._name}")
        times = (DAY, KEPT_DAYS * DAY)
        values = (value for row in rows for value in row)
        sums: list[int] = await self._redis.ask(
            "EVAL", _ADD, len(keys), *keys, batch.number, *times, *values
        )
        return sums

    # Sessions

    async def log_in(self, key: str) -> str:
        """See `Accounts`; without the Redis the session is good at this server alone."""
        token = new_token()
        try:
            await self._redis.ask("SET", _session(token), key, "EX", SESSION_SECONDS)
        except RedisAway:
            return await self._own.log_in(key)
        return token

    async def session(self, token: str) -> str | None:
        """See `Accounts`; without the Redis those that were seen before go on."""
        hashed = token_hash(token)
        try:
            found = await self._redis.ask("GET", _session(token))
        except RedisAway:
            return self._seen.get(hashed) or await self._own.session(token)
        self._seen.pop(hashed, None)
        if found is None:
            return await self._own.session(token)
        key = str(found, "ascii", "replace")
        self._seen[hashed] = key
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        return key

    async def log_out(self, token: str) -> None:
        """See `Accounts`."""
        await self._own.log_out(token)
        try:
            await self._redis.ask("DEL", _session(token))
        except RedisAway:
            raise NotReady("The session cannot be ended just now. Please try again.") from None
        self._seen.pop(token_hash(token), None)


def _usage(day: int) -> str:
    return f"{PREFIX}:usage:{day}"


def _session(token: str) -> str:
    return f"{PREFIX}:session:{token_hash(token).hex()}"
