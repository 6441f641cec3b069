"""The learning rate over a budget of wall-clock time."""

from __future__ import annotations


def rate(step: int, seconds: float, budget: float, peak: float, warmup: int) -> float:
    """Return the learning rate of step `step`, after `seconds` of a `budget` of wall-clock time.

    It goes up over `warmup` steps, because the optimizer's averages need steps rather than time,
    and straight down to zero at the budget's end, whatever the speed or the pauses were. Source for
    going straight down: Bergsma et al. 2025 (arXiv:2502.15938).

    >>> rate(4, 0, 100, 1.0, 10), rate(9, 0, 100, 1.0, 10), rate(99, 50, 100, 1.0, 10)
    (0.5, 1.0, 0.5)
    """
    return peak * min(1.0, (step + 1) / warmup) * max(0.0, 1 - seconds / budget)
