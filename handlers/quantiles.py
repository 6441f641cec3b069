"""Quantiles of what was observed within the last minute.

An observation costs a logarithm and a count: it falls into a bucket whose borders lie a tenth
apart, so that a quantile is right to within 5 % (the idea of DDSketch,
https://arxiv.org/abs/1908.10693).
"""

from __future__ import annotations

import bisect
import itertools
import math
import time
from collections import Counter, deque

_BUCKETS = 1 / math.log(1.1)  # buckets for each factor of e
_SLOT = 5.0  # seconds; a minute is forgotten in twelve parts
_SLOTS = 12
_LEAST = 1e-6  # seconds


class LastMinute:
    """Counts observations in seconds; what is older than a minute is forgotten by `forget`."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._slot: Counter[int] = Counter()
        self._before: deque[Counter[int]] = deque(maxlen=_SLOTS)

    def add(self, seconds: float) -> None:
        """Count an observation."""
        self._slot[math.floor(math.log(max(seconds, _LEAST)) * _BUCKETS)] += 1

    def forget(self, now: float) -> None:
        """Leave behind what is a minute older than `now` (monotonic seconds)."""
        while now - self._begun >= _SLOT:
            self._before.append(self._slot)
            self._slot = Counter()
            self._begun += _SLOT

    def quantiles(self, *shares: float) -> list[float | None]:
        """The values that so large shares of the observations do not exceed; None without any."""
        counts: Counter[int] = Counter()
        for slot in (*self._before, self._slot):
            counts.update(slot)
        if not counts:
            return [None] * len(shares)
        buckets = sorted(counts)
        up_to = list(itertools.accumulate(counts[bucket] for bucket in buckets))
        ranks = [math.ceil(share * up_to[-1]) for share in shares]
        return [_middle(buckets[bisect.bisect_left(up_to, rank)]) for rank in ranks]


def _middle(bucket: int) -> float:
    return float(f"{math.exp((bucket + 0.5) / _BUCKETS):.3g}")
