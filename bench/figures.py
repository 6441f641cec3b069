"""The arithmetic of a measurement: quantiles, and ratios that are taken round by round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 for no values.

    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5), quantile([3.0, 1.0, 2.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Ratio:
    """A ratio over several rounds: its median and the range it was seen in."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> Ratio | None:
    """The ratio of two contestants' figures by round, over the rounds that both have.

    What disturbs a whole round (another process, a warm CPU) cancels out of its ratio. None where
    no round has both.

    >>> print(ratio({1: 3.0, 2: 4.0, 3: 9.0}, {1: 2.0, 2: 2.0, 4: 1.0}))
    1.75 (1.50-2.00)
    """
    each = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
    if not each:
        return None
    return Ratio(statistics.median(each), min(each), max(each))


def median(values: Sequence[float]) -> float:
    """The median, or NaN for no values."""
    return statistics.median(values) if values else math.nan
