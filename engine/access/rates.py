"""How many requests in how long: token buckets.

A bucket holds as many requests as the rate names and fills up evenly, so that a burst may use all
of them at once and the mean is kept all the same.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import Protocol

_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_FORM = re.compile(r"([1-9][0-9]{0,8})/(s|min|h|day)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a time."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read `60/min`. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("a rate is written as 10/s, 60/min, 1000/h or 5000/day")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"

    @property
    def seconds(self) -> int:
        """The time that the count holds for."""
        return _SECONDS[self.unit]


class Bucket:
    """What one client has left. Times are seconds of a monotonic clock."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: Rate, now: float, left: float | None = None) -> None:
        """`left` is how many requests may come at once; None is all that the rate names."""
        self.rate = rate
        self._left, self._at = float(rate.count) if left is None else left, now

    def _fill(self, now: float) -> None:
        rate = self.rate
        grown = (now - self._at) * rate.count / rate.seconds
        self._left, self._at = min(float(rate.count), self._left + grown), now

    def take(self, now: float) -> float:
        """Take one request; returns 0, or the seconds to wait where there is none."""
        self._fill(now)
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return self.seconds_to_next

    @property
    def seconds_to_next(self) -> float:
        """Until one request may come, where none may now."""
        return (1 - self._left) * self.rate.seconds / self.rate.count

    @property
    def left(self) -> int:
        """Requests that may come at once."""
        return math.floor(self._left)

    @property
    def seconds_to_full(self) -> int:
        """Until all that the rate names may come at once, rounded up."""
        rate = self.rate
        return math.ceil((rate.count - self._left) * rate.seconds / rate.count)

    def is_full(self, now: float) -> bool:
        """Whether forgetting the bucket would change nothing."""
        self._fill(now)
        return self._left >= self.rate.count


class Limiter(Protocol):
    """Counts the requests of many clients."""

    async def take(self, client: str, rate: Rate) -> tuple[Bucket, float]:
        """Take one request: what the client has left, and what `Bucket.take` returns."""


class Buckets:
    """A `Limiter` in memory: a bucket for each client; those that are full again are forgotten."""

    _SWEEP = 10_000  # clients above which full buckets are looked for

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._sweep_at = self._SWEEP

    async def take(self, client: str, rate: Rate) -> tuple[Bucket, float]:
        """See `Limiter`."""
        now = time.monotonic()
        bucket = self.get(client, rate, now)
        return bucket, bucket.take(now)

    def get(self, client: str, rate: Rate, now: float) -> Bucket:
        """The client's bucket; a new one where the rate has changed."""
        bucket = self._buckets.get(client)
        if bucket is None or bucket.rate != rate:
            if len(self._buckets) >= self._sweep_at:
                self._forget_full(now)
            bucket = self._buckets[client] = Bucket(rate, now)
        return bucket

    def _forget_full(self, now: float) -> None:
        self._buckets = {name: b for name, b in self._buckets.items() if not b.is_full(now)}
        self._sweep_at = max(self._SWEEP, 2 * len(self._buckets))  # or each newcomer would sweep
