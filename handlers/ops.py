"""For those who run the server: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from engine.errors import NotReady, ShuttingDown
from engine.interface import Engine
from handlers.activity import Activity
from handlers.base import GetHandler
from handlers.metrics import Metrics


class HealthHandler(GetHandler):
    """`GET /health`: 200 while the process lives."""

    def get(self) -> None:
        self.write_json({"status": "ok"})


class ReadyHandler(GetHandler):
    """`GET /ready`: 200 only when a model can answer and the server is not draining."""

    def initialize(self, engine: Engine, activity: Activity) -> None:
        self.engine, self.activity = engine, activity

    def get(self) -> None:
        if self.activity.draining:
            raise ShuttingDown("The server is shutting down.")
        if not self.engine.status().ready:
            raise NotReady("No model is ready to answer yet.")
        self.write_json({"status": "ready", "model": self.engine.entry.name})


class MetricsHandler(GetHandler):
    """`GET /metrics` in Prometheus' text format."""

    def initialize(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.write(self.metrics.render())
