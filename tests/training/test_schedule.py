"""The learning rate ends at zero when the time is over, however fast the machine was."""

from __future__ import annotations

from training.schedule import rate


def test_it_rises_with_steps_and_falls_with_time() -> None:
    assert rate(0, 0.0, 600.0, 1e-3, 100) == 1e-5
    assert rate(99, 0.0, 600.0, 1e-3, 100) == 1e-3
    assert rate(5000, 300.0, 600.0, 1e-3, 100) == 5e-4
    assert rate(200, 599.0, 600.0, 1e-3, 100) < 2e-6


def test_a_pause_beyond_the_end_gives_zero_and_nothing_below() -> None:
    assert rate(5000, 10_000.0, 600.0, 1e-3, 100) == 0.0
