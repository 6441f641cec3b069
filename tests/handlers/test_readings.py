"""Rates and the history that dashboards are given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from engine.echo import EchoEngine
from engine.interface import EngineStatus
from engine.models.pool import Pool
from handlers.activity import Activity
from handlers.metrics import Metrics
from handlers.readings import Readings


class Machine:
    """An engine and a clock that are turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        clock = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now)
        monkeypatch.setattr("handlers.readings.time", clock)
        monkeypatch.setattr("handlers.quantiles.time", clock)
        self.status = EngineStatus(ready=True, sequences=8, kv_size=1000)
        engine = EchoEngine()
        monkeypatch.setattr(engine, "status", lambda: self.status)
        self.metrics = Metrics(engine)
        self.readings = Readings(Pool(engine), Activity(), self.metrics)

    def go_on(self, seconds: float, tokens: int = 0, **status: int) -> None:
        self.now += seconds
        self.status = replace(self.status, tokens=self.status.tokens + tokens, **status)
        self.readings.take()

    @property
    def rate(self) -> float:
        return float(self.readings.snapshot(1)["tokens_per_second"])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_the_rate_is_that_since_the_reading_before(machine: Machine) -> None:
    machine.go_on(2.0, 100)
    assert machine.rate == 50.0
    machine.go_on(1.0, 200)
    assert machine.rate == 200.0
    machine.go_on(1.0)
    assert machine.rate == 0.0


def test_readings_in_quick_succession_keep_the_rate(machine: Machine) -> None:
    machine.go_on(2.0, 100)
    machine.go_on(0.001, 30)
    assert machine.rate == 50.0


def test_a_counter_that_begins_anew_gives_no_negative_rate(machine: Machine) -> None:
    machine.go_on(1.0, 100)
    machine.go_on(1.0, -90)
    assert machine.rate == 0.0


def test_history_holds_twenty_minutes_in_steps_of_five_seconds(machine: Machine) -> None:
    for second in range(3600):
        machine.go_on(1.0, 10, running=second % 8, kv_used=second % 1000)
    history = machine.readings.history()
    assert {len(column) for column in history.values()} == {240}
    assert history["time"][-1] == 4600.0
    assert history["time"][0] == 4600.0 - 239 * 5
    assert set(history["tokens_per_second"]) == {10.0}
    assert history["kv_used_ratio"][-1] == 0.599
    assert history["ttft_p50"][-1] is None


def test_history_averages_the_rate_over_its_step(machine: Machine) -> None:
    for tokens in (0, 0, 100, 0, 0):
        machine.go_on(1.0, tokens)
    assert machine.readings.history()["tokens_per_second"] == [20.0]


def test_percentiles_are_those_of_the_last_minute(machine: Machine) -> None:
    for hundredths in range(1, 101):
        machine.metrics.token_gap.observe(hundredths / 100)
    machine.go_on(1.0)
    gap = machine.readings.snapshot(1)["token_gap"]
    assert gap == {"p50": pytest.approx(0.5, rel=0.055), "p95": pytest.approx(0.95, rel=0.055)}
    machine.go_on(90.0)
    assert machine.readings.snapshot(1)["token_gap"] == {"p50": None, "p95": None}
