"""When an upstream that fails is left alone, and for how long."""

from __future__ import annotations

from engine.remote.circuit import Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_three_failures_in_a_row() -> None:
    circuit = Circuit(Clock())
    for _ in range(5):
        circuit.failed()
        circuit.failed()
        circuit.succeeded()
    assert not circuit.open
    for _ in range(3):
        assert not circuit.open
        circuit.failed()
    assert circuit.open


def test_each_failure_after_a_rest_opens_it_for_longer_and_a_success_closes_it() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    circuit.failed()
    circuit.failed()
    rests = []
    for _ in range(7):
        circuit.failed()
        begun = clock.now
        while circuit.open:
            clock.now += 0.5
        rests.append(clock.now - begun)
    assert rests == [1, 2, 4, 8, 16, 30, 30]
    circuit.succeeded()
    circuit.failed()
    circuit.failed()
    assert not circuit.open
