"""What `/metrics` tells, in Prometheus' text format."""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from engine import log
from engine.interface import Engine, UpstreamStatus
from engine.memory.memory import Memory
from engine.shared_redis import SharedRedis
from handlers.quantiles import LastMinute

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Timing:
    """A duration that is observed again and again: for Prometheus, and over the last minute."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self.last_minute = LastMinute()

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._histogram.observe(seconds)
        self.last_minute.add(seconds)


class Metrics:
    """Counters and histograms of the HTTP side, and the engine's own readings."""

    def __init__(self, engine: Engine) -> None:
        # A second series for every counter, that nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(_Readings(engine))
        self.requests = Counter(
            "babelbrook_requests",
            "Requests answered, by path of the route table and status (499: the client left).",
            ["path", "status"],
            registry=self.registry,
        )
        self.answered = 0  # POST requests: those that ask for work
        self.failed = 0  # of these
        self.errors: Counts[str] = Counts()  # by code, refusals too
        self.ttft = Timing(self._histogram("ttft", "From the request to the first text."))
        self.token_gap = Timing(
            self._histogram("token_gap", "Between one text and the next of a stream.")
        )
        self.queue = self._histogram("queue", "From the request to a sequence.")
        self.dashboards = Gauge(
            "babelbrook_dashboards", "Dashboards connected to /events.", registry=self.registry
        )
        self.connections = Gauge(
            "babelbrook_connections", "Connections open.", registry=self.registry
        )

    @property
    def open_connections(self) -> int:
        """Connections of all kinds."""
        [reading] = self.connections.collect()
        return int(reading.samples[0].value)

    def count(
        self, method: str, path: str, status: int, failed: bool, error: str | None = None
    ) -> None:
        """Count a request; `failed` where a stream ended with an error event, `error` its code."""
        self.requests.labels(path, status).inc()
        if error is not None:
            self.errors[error] += 1
        if method == "POST":
            self.answered += 1
            self.failed += failed or status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"babelbrook_{name}_seconds", text, buckets=_SECONDS, registry=self.registry
        )

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)


class MemoryReadings(Collector):
    """How often the translation memory had a segment."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def collect(self) -> Iterable[Metric]:
        """Both counts under one name."""
        asked = CounterMetricFamily(
            "babelbrook_memory_lookups", "Segments looked up in the memory.", labels=["result"]
        )
        asked.add_metric(["hit"], self._memory.hits)
        asked.add_metric(["miss"], self._memory.misses)
        yield asked


class RedisReading(Collector):
    """Whether what servers share can be reached."""

    def __init__(self, redis: SharedRedis) -> None:
        self._redis = redis

    def collect(self) -> Iterable[Metric]:
        """One gauge."""
        text = "1 where the Redis of redis.url answers."
        yield GaugeMetricFamily("babelbrook_redis_up", text, value=float(self._redis.answers))


class _Readings(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """Read the engine once for all of its own, and the log."""
        status = self._engine.status()
        gauges = {
            "requests_running": ("Generations that have a sequence.", status.running),
            "requests_queued": ("Generations that wait for a sequence.", status.queued),
            "requests_paused": ("Generations whose readers are behind.", status.paused),
            "sequences_used": ("Sequences in use.", status.sequences_used),
            "sequences": ("Sequences there are.", status.sequences),
            "kv_used_ratio": (
                "Share of the KV cache's cells in use.",
                status.kv_used / status.kv_size if status.kv_size else 0.0,
            ),
            "queue_wait_seconds": ("What a request would wait now.", status.wait_seconds),
            "ready": ("1 when a model can answer.", float(status.ready)),
            "tasks": ("Tasks of the event loop.", len(asyncio.all_tasks())),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"babelbrook_{name}", text, value=value)
        counters = {
            "tokens": ("Output tokens.", status.tokens),
            "prompt_tokens": ("Prompt tokens.", status.prompt_tokens),
            "prompt_tokens_reused": ("Prompt tokens still in the cache.", status.reused_tokens),
            "decode_steps": ("Calls of llama_decode that succeeded.", status.steps),
            "decode_seconds": ("Time inside llama_decode.", status.decode_seconds),
            "step_seconds": ("Time in whole steps of the decode loop.", status.step_seconds),
            "log_lines_lost": ("Lines of the log that could not be written.", log.lost_lines()),
        }
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(f"babelbrook_{name}", text, value=value)
        if status.upstreams:
            yield from _of_upstreams(status.upstreams)


def _of_upstreams(readings: Sequence[UpstreamStatus]) -> Iterable[Metric]:
    """A sample for each of the servers that jobs are passed on to."""
    gauges = {
        "ready": ("1 when it is given requests.", "ready"),
        "resting": ("1 while it is left alone after failures in a row.", "resting"),
        "outstanding": ("Generations that it works on.", "outstanding"),
    }
    for name, (text, field) in gauges.items():
        gauge = GaugeMetricFamily(f"babelbrook_upstream_{name}", text, labels=["upstream"])
        for each in readings:
            gauge.add_metric([each.name], float(getattr(each, field)))
        yield gauge
    requests = CounterMetricFamily(
        "babelbrook_upstream_requests", "Requests to it, retries too.", labels=["upstream"]
    )
    failures = CounterMetricFamily(
        "babelbrook_upstream_failures",
        "Requests to it that failed: unreachable, busy, failed, refused.",
        labels=["upstream", "reason"],
    )
    first_text = SummaryMetricFamily(
        "babelbrook_upstream_first_text_seconds",
        "From a request to its first text.",
        labels=["upstream"],
    )
    for each in readings:
        requests.add_metric([each.name], each.requests)
        for reason, count in sorted(each.failures.items()):
            failures.add_metric([each.name, reason], count)
        first_text.add_metric([each.name], each.first_texts, each.first_text_seconds)
    yield from (requests, failures, first_text)
