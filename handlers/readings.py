"""What a dashboard is told: the present reading of the server, and the last twenty minutes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import engine
from engine.interface import UpstreamStatus
from engine.models.pool import Pool
from handlers.activity import Activity
from handlers.metrics import Metrics

_STEP = 5.0  # least seconds between two points of the history
_POINTS = 240  # twenty minutes
_CODES = 8  # of errors, the most frequent ones
_REQUESTS = 8  # that a snapshot names
_LEAST = 0.5  # seconds that a rate is taken over; over less it would only be noise


class _Point(NamedTuple):
    """One point of the history; the names are those of its columns on the wire."""

    time: float
    tokens_per_second: float
    running: int
    queued: int
    kv_used_ratio: float
    errors: int
    connections: int
    ttft_p50: float | None
    ttft_p95: float | None
    token_gap_p50: float | None
    token_gap_p95: float | None


class _Rate:
    """How fast a counter grows, between one reading and the next."""

    def __init__(self, count: int, now: float) -> None:
        self.value = 0.0  # per second
        self._count, self._at = count, now

    def read(self, count: int, now: float) -> float:
        """Take a reading. A counter that begins anew, with a new model, never gives a fall."""
        if (seconds := now - self._at) >= _LEAST:
            self.value = round(max(0, count - self._count) / seconds, 1)
            self._count, self._at = count, now
        return self.value


def _upstream(reading: UpstreamStatus) -> dict[str, Any]:
    mean = reading.first_text_seconds / reading.first_texts if reading.first_texts else None
    return {
        "name": reading.name,
        "ready": reading.ready,
        "resting": reading.resting,
        "outstanding": reading.outstanding,
        "requests": reading.requests,
        "failures": sum(reading.failures.values()),
        "first_text_mean": None if mean is None else round(mean, 4),
    }


class Readings:
    """Reads the engine and the metrics when told to (`take`), and puts the readings into words."""

    def __init__(
        self, pool: Pool, activity: Activity, metrics: Metrics, interval: float = 1.0
    ) -> None:
        """`interval` is how often one is taken, seconds."""
        self._pool, self._activity, self._metrics = pool, activity, metrics
        self._interval = interval
        self._errors = 0  # when the last point was taken
        self._begun = self._point_at = time.monotonic()
        self._status = pool.status()
        self._rate = _Rate(self._status.tokens, self._begun)
        self._step_rate = _Rate(self._status.tokens, self._begun)
        self._points: deque[_Point] = deque(maxlen=_POINTS)

    def take(self) -> None:
        """Take a reading; a point is added to the history where one is due."""
        now = time.monotonic()
        self._status = status = self._pool.status()
        self._rate.read(status.tokens, now)
        for timing in (self._metrics.ttft, self._metrics.token_gap):
            timing.last_minute.forget(now)
        if now - self._point_at >= _STEP:
            self._point_at = now
            self._points.append(self._point(self._step_rate.read(status.tokens, now)))

    def _point(self, rate: float) -> _Point:
        ttft = self._metrics.ttft.last_minute.quantiles(0.5, 0.95)
        token_gap = self._metrics.token_gap.last_minute.quantiles(0.5, 0.95)
        status, errors = self._status, self._metrics.failed
        more, self._errors = errors - self._errors, errors
        return _Point(
            round(time.time(), 1),
            rate,
            status.running,
            status.queued,
            self._kv_used_ratio(),
            more,
            self._metrics.open_connections,
            *ttft,
            *token_gap,
        )

    def _kv_used_ratio(self) -> float:
        status = self._status
        return round(status.kv_used / status.kv_size, 4) if status.kv_size else 0.0

    def snapshot(self, dashboards: int) -> dict[str, Any]:
        """The last reading; `docs/api.md` says what each field means."""
        status, metrics = self._status, self._metrics
        ttft = metrics.ttft.last_minute.quantiles(0.5, 0.95)
        token_gap = metrics.token_gap.last_minute.quantiles(0.5, 0.95)
        return {
            "time": round(time.time(), 3),
            "interval": self._interval,
            "uptime": round(time.monotonic() - self._begun, 1),
            "version": engine.__version__,
            "model": {
                "name": self._pool.entry.name,
                "ready": status.ready,
                "loading": self._pool.loading,
            },
            "running": status.running,
            "queued": status.queued,
            "sequences": {"used": status.sequences_used, "total": status.sequences},
            "kv_used_ratio": self._kv_used_ratio(),
            "tokens_per_second": self._rate.value,
            "ttft": dict(zip(("p50", "p95"), ttft, strict=True)),
            "token_gap": dict(zip(("p50", "p95"), token_gap, strict=True)),
            "totals": {
                "requests": metrics.answered,
                "errors": metrics.failed,
                "tokens": status.tokens,
            },
            "connections": {
                "open": metrics.open_connections,
                "requests": self._activity.running,
                "dashboards": dashboards,
            },
            "requests": self._activity.longest(_REQUESTS),
            "errors": dict(metrics.errors.most_common(_CODES)),
            "draining": self._activity.draining,
            **({"upstreams": [*map(_upstream, status.upstreams)]} if status.upstreams else {}),
        }

    @property
    def newest(self) -> float | None:
        """What tells one history from the next."""
        return self._points[-1].time if self._points else None

    def history(self) -> dict[str, list[Any]]:
        """A column for each field of a point, oldest first."""
        columns = zip(*self._points, strict=True) if self._points else [()] * len(_Point._fields)
        return {name: list(c) for name, c in zip(_Point._fields, columns, strict=True)}
