"""For those who run the server: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from typing import Any

from engine.errors import NotReady, ShuttingDown
from engine.models.pool import Pool
from handlers.activity import Activity
from handlers.auth import OBSERVE, PUBLIC
from handlers.base import GetHandler
from handlers.metrics import Metrics


class HealthHandler(GetHandler):
    """`GET /health`: 200 while the process lives."""

    access = PUBLIC

    def get(self) -> None:
        self.write_json({"status": "ok"})


class ReadyHandler(GetHandler):
    """`GET /ready`: 200 only when a model can answer and the server is not draining."""

    access = PUBLIC

    def initialize(self, pool: Pool, activity: Activity) -> None:
        self.pool, self.activity = pool, activity

    def get(self) -> None:
        if self.activity.draining:
            raise ShuttingDown("The server is shutting down.")
        loading, status = self.pool.loading, self.pool.status()
        if not status.ready:
            if loading:
                raise NotReady(f"The model {loading} is being loaded.")
            raise NotReady(status.failure or "No model is ready to answer yet.")
        state: dict[str, Any] = {"status": "ready", "model": self.pool.entry.name}
        if loading:
            state["loading"] = loading
        if status.upstreams:  # by number: anybody may ask this
            answering = sum(each.ready for each in status.upstreams)
            state["upstreams"] = {"ready": answering, "total": len(status.upstreams)}
        self.write_json(state)


class MetricsHandler(GetHandler):
    """`GET /metrics` in Prometheus' text format."""

    access = OBSERVE

    def initialize(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.write(self.metrics.render())
