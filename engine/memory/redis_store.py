"""The translation memory in a Redis: a hash of segments, and a sorted set of when each was used.

The hash has the sum of the segments' bytes as one more field: both are lost together. Scripts run
as one: several servers do not come between.
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine import shared_redis
from engine.memory.store import Entry, StoreFull

_VERSION = 1
_KEYS = tuple(f"{shared_redis.PREFIX}:memory:{_VERSION}:{name}" for name in ("segments", "used"))
_BYTES = "bytes"  # the field of the sum; keys of segments are 32 bytes
_ROW = 250  # bytes of a segment beside its texts, about
_AT_A_TIME = 500  # segments in one answer of an export

_GET = """
for i = 2, #ARGV do
  local found = redis.call('HGET', KEYS[1], ARGV[i])
  if found then
    redis.pcall('ZADD', KEYS[2], 'XX', ARGV[1], ARGV[i])  -- which a full Redis refuses
    return found
  end
end
"""

# Where one of the two is lost, the other goes, too: alone it would never. A hundred old segments at
# most make room for a new one: nobody waits long, and it is enough.
_PUT = f"""
local segments, used = KEYS[1], KEYS[2]
local now, key, value, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local function size(of)
  local length = redis.call('HSTRLEN', segments, of)
  return length == 0 and 0 or length + {_ROW}
end
if redis.call('EXISTS', segments, used) < 2 then redis.call('DEL', segments, used) end
local before = size(key)
redis.call('HSET', segments, key, value)
redis.call('ZADD', used, now, key)
local bytes = redis.call('HINCRBY', segments, '{_BYTES}', size(key) - before)
for _ = 1, 100 do
  if bytes <= room then break end
  local oldest = redis.call('ZPOPMIN', used)[1]
  if not oldest then break end
  bytes = redis.call('HINCRBY', segments, '{_BYTES}', -size(oldest))
  redis.call('HDEL', segments, oldest)
end
"""


@contextmanager
def _failures() -> Iterator[None]:
    """Whatever goes wrong is an OSError."""
    from redis.exceptions import OutOfMemoryError, RedisError

    try:
        yield
    except OutOfMemoryError as error:
        raise StoreFull(shared_redis.reason(error)) from None
    except RedisError as error:
        raise OSError(shared_redis.reason(error)) from None


class RedisStore:
    """A `Store` that servers on several machines may share. All methods raise OSError."""

    def __init__(self, url: str, room: int, timeout: float) -> None:
        """Raises WrongRedisUrl; `room` is in bytes, `timeout` in seconds."""
        self._redis: Any = shared_redis.connect(url, timeout)
        self._room = room
        with _failures():
            self._redis.ping()

    @_failures()
    def get(self, keys: Sequence[bytes]) -> list[str] | None:
        """See `Store`."""
        found = self._redis.eval(_GET, len(_KEYS), *_KEYS, time.time(), *keys)
        return None if found is None else _entry(keys[0], found).pieces

    @_failures()
    def put(self, entry: Entry) -> None:
        """See `Store`."""
        fields = [entry.source_lang, entry.target_lang, entry.model, entry.source, entry.pieces]
        value = json.dumps(fields, ensure_ascii=False).encode()
        if _ROW + len(value) > self._room:
            return
        self._redis.eval(_PUT, len(_KEYS), *_KEYS, time.time(), entry.key, value, self._room)

    def entries(self) -> Iterator[Entry]:
        """See `Store`; one that changes meanwhile may come as it was or as it is."""
        told: set[bytes] = set()  # a hash that grows tells some twice
        with _failures():
            for key, value in self._redis.hscan_iter(_KEYS[0], count=_AT_A_TIME):
                if key not in told and key != _BYTES.encode():
                    told.add(key)
                    yield _entry(key, value)

    @_failures()
    def stats(self) -> tuple[int, int]:
        """See `Store`."""
        count = max(0, self._redis.hlen(_KEYS[0]) - 1)
        return count, int(self._redis.hget(_KEYS[0], _BYTES) or 0)

    @_failures()
    def clear(self) -> None:
        """See `Store`."""
        self._redis.unlink(*_KEYS)

    def close(self) -> None:
        """See `Store`."""
        self._redis.close()


def _entry(key: bytes, value: bytes) -> Entry:
    """Raises OSError for what is none."""
    try:
        source_lang, target_lang, model, source, pieces = json.loads(value)
        return Entry(key, source_lang, target_lang, model, source, [str(p) for p in pieces])
    except (ValueError, TypeError):
        raise OSError("it holds something else where segments should be") from None
